"""Even plans: one for each dimension, valid, and as even as granules allow."""

from __future__ import annotations

import random

import pytest
from support.random_branches import random_branched_graph
from support.random_instances import random_cluster

from iopopt import GraphBuilder, evaluate
from iopopt.methods.even import even_plans
from iopopt.plan.team import team_of


def test_by_hand() -> None:
    """Input channels, output channels and rows first; where an operator has none of them, the next; partial sums become slices."""
    graph = GraphBuilder("two", (4, 5, 3)).conv(6, 3, padding=1).max_pool(2).fc(1).build()
    by_ic, by_oc, by_rows = (list(plan.values()) for plan in even_plans(graph, (1, 0)))
    assert [(way.dim, way.shares, way.reduce) for way in by_ic] == [("IC", (2, 2), "two_phase"), ("IC", (3, 3), "two_phase")]
    assert [(way.dim, way.shares, way.devices) for way in by_oc] == [("OC", (3, 3), (1, 0)), ("OC", (1, 0), (1, 0))]
    assert [(way.dim, way.shares) for way in by_rows] == [("H", (1, 1)), ("OC", (1, 0))]


@pytest.mark.parametrize("seed", range(5))
def test_they_are_plans_of_the_team(seed: int) -> None:
    """Of any network: grouped convolutions, gates and upsamplings too; one device splits nothing."""
    rng = random.Random(seed)
    graph, cluster = random_branched_graph(rng), random_cluster(rng, devices=3)
    plans = list(even_plans(graph, (2, 0, 1)))
    assert len(plans) == 3
    for plan in plans:
        evaluate(graph, cluster, plan)
        assert team_of(plan) in (None, (2, 0, 1))
    assert list(even_plans(graph, (1,))) == []
