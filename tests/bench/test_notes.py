"""The notes below a table: where 'optimal' holds for less than a reader might think."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from iopopt import Cluster, Device, Graph, GraphBuilder, Solution, heuristic_solution, load_model, solve_milp, solve_single, solve_vps
from iopopt.bench.instance import Instance
from iopopt.bench.notes import notes
from iopopt.bench.run import Run, Settings
from iopopt.plan.team import Team

SETTINGS = Settings(60, 1e-4, "highs", 1)


@pytest.fixture(scope="module")
def lame() -> tuple[Graph, Cluster]:
    """Two devices of 2 GFLOP/s and one that is a hundred times slower, on fast links."""
    devices = [Device(name, speed, 1e9, 12.5e6) for name, speed in (("one", 2e9), ("two", 2e9), ("lame", 2e7))]
    return load_model("vgg11"), Cluster(tuple(devices), connection_setup_s=0.02)


def runs_of(graph: Graph, cluster: Cluster, solutions: dict[str, Solution], team: Team = "all") -> tuple[Instance, list[Run]]:
    single = solve_single(graph, cluster).latency_s
    instance = Instance("net", "cluster", graph, cluster, team, None, single, single, single)
    return instance, [Run(instance, method, None, SETTINGS, datetime.now(UTC), solution) for method, solution in solutions.items()]


def printed(graph: Graph, cluster: Cluster, solutions: dict[str, Solution], team: Team = "all") -> Sequence[str]:
    return list(notes(*runs_of(graph, cluster, solutions, team)))


def test_a_smaller_team_that_is_faster(lame: tuple[Graph, Cluster]) -> None:
    """The optimum over all three devices is beaten without the lame one, and --team best finds at least that."""
    everybody, best = solve_milp(*lame), solve_milp(*lame, team="best")
    assert best.latency_s < 0.99 * everybody.latency_s
    found = [note for note in printed(*lame, {"milp": everybody}) if "--team best" in note]
    assert len(found) == 1
    assert "MILP is optimal for team=(0, 1, 2) only: over one, two the dynamic program finds" in found[0]
    assert not [note for note in printed(*lame, {"milp": best}, "best") if "--team best" in note]


def test_a_plan_outside_the_space(lame: tuple[Graph, Cluster]) -> None:
    """A plan of another team in the same table beats the optimum, and the note names it."""
    pair = solve_milp(*lame, team=(0, 1))
    other = heuristic_solution(*lame, pair.plan, method="dp", space="team=(0, 1)")  # type: ignore[arg-type]
    found = printed(*lame, {"dp": other, "milp": solve_milp(*lame)})
    assert "MILP is optimal for team=(0, 1, 2) only: DP found a faster plan outside that space." in found


def test_a_plan_that_fits_outside_the_space_in_which_none_does() -> None:
    """Vertical partitioning streams, which the exact program does not: it fits where that proves that nothing does."""
    graph = GraphBuilder("wide", (64, 16, 16)).conv(64, 1).conv(64, 1).conv(64, 1).build()
    cluster = Cluster(tuple(Device(f"d{j}", 1e9, 64_576, 1e6) for j in range(4)))
    exact = solve_milp(graph, cluster)
    assert exact.status == "infeasible"
    found = printed(graph, cluster, {"vps": solve_vps(graph, cluster), "milp": exact})
    assert "MILP: that nothing fits is proven for team=(0, 1, 2, 3) only; VPS has a plan outside that space which fits." in found
    assert not any("which fits" in note for note in printed(graph, cluster, {"milp": exact}))


def test_cooperation_that_brings_nothing() -> None:
    graph = load_model("lenet5")
    cluster = Cluster(tuple(Device(f"d{j}", 1e9, 1e9, 1e5) for j in range(3)), connection_setup_s=0.1)
    found = printed(graph, cluster, {"milp": solve_milp(graph, cluster)})
    assert any(note.startswith("No plan of the table is faster than one device alone") for note in found)


def test_nothing_to_say(lame: tuple[Graph, Cluster]) -> None:
    """A team of the two equal devices has no better part."""
    assert printed(*lame, {"milp": solve_milp(*lame, team=(0, 1))}, (0, 1)) == []


def test_exhaustive_search_is_offered_only_where_it_can_run(trio_graph: Graph, trio_cluster: Cluster) -> None:
    single = solve_single(trio_graph, trio_cluster)
    small = Cluster(trio_cluster.devices[:2], connection_setup_s=1.0)
    assert any("--methods exhaustive" in note for note in printed(trio_graph, small, {"single": single}))


def test_what_a_search_gained() -> None:
    """Of a plan that started from another, and of one that is no better than that."""
    graph = load_model("lenet5")
    cluster = Cluster(tuple(Device(f"d{j}", 1e9, 1e9, 1e8) for j in range(2)), connection_setup_s=1e-6)
    plan = solve_milp(graph, cluster).plan
    assert plan is not None
    for factor, gain in ((2.0, "50.0% faster than"), (1.0, "no faster than")):
        start_s = factor * solve_milp(graph, cluster).latency_s
        found = heuristic_solution(graph, cluster, plan, method="pso", space="all", started_from="coedge", start_latency_s=start_s)
        assert f"PSO: {gain} the best plan from which it started (coedge, {start_s * 1e3:.4g} ms)." in printed(graph, cluster, {"pso": found})
