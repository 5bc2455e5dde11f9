"""Teams and the plan spaces they span."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from support.random_instances import random_cluster, random_graph, random_plan, random_team

from iopopt import Cluster, ClusterError, Graph, Placement, Plan, PlanError
from iopopt.plan.team import candidate_teams, check_in_space, resolve_team, space_name, team_of


def test_resolve(trio_cluster: Cluster) -> None:
    """A team is every device in the order of the cluster, or those given, in the order in which they are; a set has that of the cluster."""
    assert resolve_team("all", trio_cluster) == (0, 1, 2)
    assert resolve_team([2, 0], trio_cluster) == (2, 0)
    assert resolve_team((1, 0, 2), trio_cluster) == (1, 0, 2)
    assert resolve_team({2, 0}, trio_cluster) == resolve_team(frozenset((0, 2)), trio_cluster) == (0, 2)  # type: ignore[arg-type]
    assert resolve_team((1,), trio_cluster) == (1,)


@pytest.mark.parametrize("team", [(), (0, 0), (1, 0, 1), (0, 3), (3, 0), (-1, 0), (0, 1.0), "some", "best"])
def test_wrong_teams_are_refused(team: Any, trio_cluster: Cluster) -> None:
    """Empty teams, repeated and missing devices and unknown words are refused; ``best`` is for methods that choose teams."""
    with pytest.raises(ClusterError, match="team is"):
        resolve_team(team, trio_cluster)


def test_candidates(trio_cluster: Cluster) -> None:
    """The best team is sought among all sets of two or more devices in the cluster's order, the largest first; one device splits nothing."""
    assert candidate_teams("best", trio_cluster) == ((0, 1, 2), (0, 1), (0, 2), (1, 2))
    assert candidate_teams("all", trio_cluster) == ((0, 1, 2),)
    assert candidate_teams((2, 1), trio_cluster) == ((2, 1),)
    assert candidate_teams("best", Cluster(trio_cluster.devices[:1])) == ((0,),)


def test_team_of_a_plan(trio_graph: Graph, trio_plan: Plan) -> None:
    """A plan has the team of its split operators, none if it splits none; two teams are refused with both operators."""
    assert team_of(trio_plan) == (0, 1, 2)
    assert team_of(Plan.of(trio_graph, [Placement.whole(0)] * 3)) is None
    mixed = Plan.of(trio_graph, [Placement.split("H", (0, 1), (2, 2)), Placement.split("OC", (0, 2), (3, 3)), Placement.whole(0)])
    with pytest.raises(PlanError, match=r"'a' over \[0, 1\] and 'b' over \[0, 2\]"):
        team_of(mixed)


def test_teams_in_two_orders_are_two(trio_graph: Graph) -> None:
    """The order belongs to the team: operators over the same devices in two orders have no one team."""
    forth, back = Placement.split("H", (0, 1, 2), (2, 1, 1)), Placement.split("OC", (2, 1, 0), (2, 2, 2))
    assert team_of(Plan.of(trio_graph, [Placement.whole(0), back, Placement.whole(1)])) == (2, 1, 0)
    with pytest.raises(PlanError, match=r"'a' over \[0, 1, 2\] and 'b' over \[2, 1, 0\]"):
        team_of(Plan.of(trio_graph, [forth, back, Placement.whole(1)]))


def test_plans_in_a_space(trio_graph: Graph, trio_cluster: Cluster, trio_plan: Plan) -> None:
    """A plan is in the space of its own team and of the best; a plan without splits is in every space."""
    for team in ("all", (0, 1, 2), "best"):
        check_in_space(trio_plan, team, trio_cluster)
    with pytest.raises(PlanError, match=r"over \[0, 1, 2\], but the space is that of team \[0, 1\]"):
        check_in_space(trio_plan, (0, 1), trio_cluster)
    for team in ("all", (0, 1), "best"):
        check_in_space(Plan.of(trio_graph, [Placement.whole(2)] * 3), team, trio_cluster)  # type: ignore[arg-type]


def test_spaces_of_other_orders(trio_graph: Graph, trio_cluster: Cluster) -> None:
    """A plan over (1, 0) is in the space of that team alone: not of (0, 1), of all, or of the best, which keep the order of the cluster."""
    plan = Plan.of(trio_graph, [Placement.split("H", (1, 0), (2, 2)), Placement.whole(2), Placement.split("OC", (1, 0), (3, 2))])
    check_in_space(plan, (1, 0), trio_cluster)
    for team, name in (((0, 1), r"\[0, 1\]"), ({0, 1}, r"\[0, 1\]"), ("all", r"\[0, 1, 2\]")):
        with pytest.raises(PlanError, match=rf"over \[1, 0\], but the space is that of team {name}; ask for team=\(1, 0\)"):
            check_in_space(plan, team, trio_cluster)  # type: ignore[arg-type]
    with pytest.raises(PlanError, match=r"over \[1, 0\], but the space has only teams in the order of the cluster; ask for team=\(1, 0\)"):
        check_in_space(plan, "best", trio_cluster)


def test_space_names(trio_cluster: Cluster) -> None:
    """A space is named by its team, in its order."""
    assert space_name("all", trio_cluster) == space_name((0, 1, 2), trio_cluster) == "team=(0, 1, 2)"
    assert space_name((2, 1, 0), trio_cluster) == "team=(2, 1, 0)"
    assert space_name("best", trio_cluster) == "team=best"


def test_random_plans_of_a_team_are_in_its_space() -> None:
    """The generator's plans of a team split over exactly that team."""
    rng = random.Random(5)
    for _ in range(100):
        graph, cluster = random_graph(rng), random_cluster(rng)
        team = random_team(rng, len(cluster))
        check_in_space(random_plan(rng, graph, len(cluster), team), team, cluster)


@pytest.mark.parametrize("team", [None, 3, (0, "x"), (0.5, 1), [[0]]])
def test_a_team_that_is_none_is_refused(team: Any, trio_cluster: Cluster) -> None:
    """Anything but a word or device indices is refused with what is allowed."""
    with pytest.raises(ClusterError, match="distinct device indices"):
        resolve_team(team, trio_cluster)


def test_numpy_indices_name_a_team(trio_cluster: Cluster) -> None:
    """Indices of numpy are as good as Python's."""
    assert resolve_team([np.int64(2), np.int64(0)], trio_cluster) == resolve_team(np.array([2, 0]), trio_cluster) == (2, 0)  # type: ignore[arg-type]


def test_no_space_has_gathers(trio_graph: Graph, trio_cluster: Cluster) -> None:
    """A plan of the team is refused if anything is gathered, with the operator and the device."""
    rows = [Placement.whole(0), Placement.split("H", (0, 1, 2), (2, 1, 1), gather=1), Placement.whole(0)]
    for team in ("all", (0, 1, 2), "best"):
        with pytest.raises(PlanError, match="gathers the rows of 'b' on device 1, which no method searches"):
            check_in_space(Plan.of(trio_graph, rows), team, trio_cluster)  # type: ignore[arg-type]
