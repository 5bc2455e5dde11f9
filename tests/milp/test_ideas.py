"""Ablation: every idea of the program can be left out, none changes an optimum, and each is really gone when it is."""

from __future__ import annotations

import math
import random
from collections.abc import Collection
from dataclasses import replace

import pytest
from support.programs import least_objective
from support.random_branches import random_branched_graph
from support.random_instances import random_cluster, random_graph

from iopopt import Cluster, Device, Graph, GraphBuilder, UnknownNameError, solve_exhaustive, solve_milp
from iopopt.cost.instance import Instance
from iopopt.methods import exact_programs, team_search
from iopopt.milp.arcs import split
from iopopt.milp.formulation import Formulation
from iopopt.milp.ideas import IDEAS, checked_ideas
from iopopt.milp.program import Program
from iopopt.milp.pruning import bound_nodes

GAP = 1e-4
WITHOUT = [*((idea,) for idea in IDEAS), tuple(IDEAS)]


def _instance(seed: int) -> tuple[Graph, Cluster, tuple[int, ...]]:
    """Chains and graphs with branches on slow devices, over teams in any order; every third has tight memory."""
    rng = random.Random(seed)
    graph = random_branched_graph(rng, tiny=True) if seed % 2 else random_graph(rng, operators=3, tiny=True)
    cluster = random_cluster(rng, devices=3)
    devices = [replace(device, flops_per_s=device.flops_per_s / 50) for device in cluster.devices]
    if seed % 3 == 0:
        need = sum(graph.whole_memory_bytes(cluster.bytes_per_element))
        devices = [replace(device, memory_bytes=max(1, int(need * rng.uniform(0.6, 1.0)))) for device in devices]
    return graph, replace(cluster, devices=tuple(devices)), tuple(rng.sample(range(3), 3))


def _least(graph: Graph, cluster: Cluster, team: tuple[int, ...], without: Collection[str], within_s: float) -> float:
    """The optimum of the program, seconds; infinite where no plan fits. Nodes of plans beyond ``within_s`` are pruned."""
    instance = Instance(graph, cluster)
    nodes = None if "pruning" in without else bound_nodes(instance, team).nodes_within(within_s)
    return least_objective(Formulation(instance, team, 1.0, nodes=nodes, without=without).program, gap=GAP)


@pytest.fixture(scope="module")
def optima() -> list[tuple[Graph, Cluster, tuple[int, ...], float]]:
    """Twelve instances with their optima by exhaustive search, of which most split something and some have little memory."""
    found, split, tight = [], 0, 0
    for seed in range(12):
        graph, cluster, team = _instance(seed)
        solution = solve_exhaustive(graph, cluster, team=team)
        found.append((graph, cluster, team, solution.latency_s))
        split += solution.plan is not None and len(solution.plan.split_operators) > 0
        tight += solution.plan is not None and seed % 3 == 0
    assert split >= 6
    assert tight >= 2
    return found


@pytest.mark.parametrize("without", WITHOUT, ids="+".join)
def test_no_idea_changes_an_optimum(without: Collection[str], optima: list[tuple[Graph, Cluster, tuple[int, ...], float]]) -> None:
    """Without any one of them, and without all, the least objective is the optimum of all plans; what is infeasible stays so."""
    for graph, cluster, team, latency_s in optima:
        assert _least(graph, cluster, team, without, latency_s) == pytest.approx(latency_s, rel=2 * GAP)


@pytest.mark.parametrize("without", [tuple(IDEAS), *(pytest.param((idea,), marks=pytest.mark.slow) for idea in IDEAS)], ids="+".join)
def test_the_search_finds_the_same_without(without: Collection[str], optima: list[tuple[Graph, Cluster, tuple[int, ...], float]]) -> None:
    """The whole search, which then has to prove more, comes to the same plan's latency and status."""
    for graph, cluster, team, latency_s in optima[:4]:
        solution = solve_milp(graph, cluster, team=team, gap=GAP, without=without)
        assert solution.status == ("optimal" if latency_s < math.inf else "infeasible")
        assert solution.latency_s == pytest.approx(latency_s, rel=2 * GAP)


@pytest.fixture(scope="module")
def shown() -> tuple[Graph, Cluster]:
    """A graph on which every idea has something to say: rows that overlap, a tensor that two read, a sum without FLOPs behind one that has."""
    net = GraphBuilder("shown", (2, 8, 4)).conv(4, 3, padding=1, name="a").conv(4, 3, padding=1, name="b")
    graph = net.add("a", "b", name="sum").fc(3, name="c").build()
    return graph, Cluster(tuple(Device(f"d{j}", 1e4 * (j + 1), 1e9, 1e5) for j in range(3)))


def _program(graph: Graph, cluster: Cluster, without: Collection[str]) -> Program:
    return Formulation(Instance(graph, cluster), (0, 1, 2), 1.0, without=without).program


ROWS = {"makespan_cuts": ("makespan",), "surrogate_times": ("surrogate", "sum"), "halo_floors": ("floor",), "edge_cuts": ("edge", "sum")}
"""How the names of an idea's rows begin."""


def _count(program: Program, begin: tuple[str, ...]) -> int:
    return sum(name[: len(begin)] == begin for name in program.row_names)


@pytest.mark.parametrize("idea", ROWS)
def test_the_rows_of_an_idea_are_gone_without_it(idea: str, shown: tuple[Graph, Cluster]) -> None:
    """The program has rows of each idea, and without it fewer; rows of the equations stay."""
    full, reduced = _program(*shown, ()), _program(*shown, (idea,))
    assert _count(reduced, ROWS[idea]) < _count(full, ROWS[idea])
    assert idea == "edge_cuts" or _count(reduced, ROWS[idea]) == 0  # where one edge alone has a cost, its time is all there is
    assert len(reduced.row_names) < len(full.row_names)
    for equation in (("eq2",), ("eq3-5",), ("eq8",)):
        assert _count(reduced, equation) == _count(full, equation)


def test_without_gather_cuts_a_node_has_one_compute_time(shown: tuple[Graph, Cluster]) -> None:
    """With them a split has a time for each group of the arcs out of it, without them one."""
    full, reduced = (_program(*shown, without) for without in ((), ("gather_cuts",)))
    times = [[name for name in program.names if name[:3] == ("t_compute", "a", split("OC"))] for program in (full, reduced)]
    assert len(times[0]) > 1
    assert len(times[1]) == 1
    assert len(reduced.row_names) < len(full.row_names)


def test_without_pruning_no_node_is_left_out(shown: tuple[Graph, Cluster], monkeypatch: pytest.MonkeyPatch) -> None:
    """Pruning makes the program smaller before there is one; without it its bounds are not computed at all."""
    built: list[Program] = []
    pruned: list[int] = []

    class Recorded(Formulation):
        def __init__(self, *arguments, **options) -> None:  # type: ignore[no-untyped-def]
            super().__init__(*arguments, **options)
            built.append(self.program)

    honest = team_search.bound_nodes
    monkeypatch.setattr(exact_programs, "Formulation", Recorded)
    monkeypatch.setattr(team_search, "bound_nodes", lambda *arguments: pruned.append(1) or honest(*arguments))
    with_it, without_it = solve_milp(*shown), solve_milp(*shown, without=("pruning",))
    assert len(pruned) == 1
    assert len(built[0].names) < len(built[1].names)
    assert without_it.latency_s == pytest.approx(with_it.latency_s, rel=2 * GAP)


def test_an_unknown_idea_is_refused(shown: tuple[Graph, Cluster]) -> None:
    """The message names the nearest and all that there are."""
    with pytest.raises(UnknownNameError, match=r"unknown idea of the program 'makespan_cut'\. Did you mean 'makespan_cuts'\?.*pruning"):
        solve_milp(*shown, without=("makespan_cut",))
    with pytest.raises(UnknownNameError, match="halo"):
        checked_ideas("halo_flor")


def test_ideas_are_named_once() -> None:
    """One may be given as a word; repeated or none they are a set; each is described."""
    assert checked_ideas("pruning") == checked_ideas(["pruning", "pruning"]) == {"pruning"}
    assert checked_ideas(()) == frozenset()
    assert checked_ideas(IDEAS) == set(IDEAS)
    assert set(IDEAS) == {*ROWS, "gather_cuts", "pruning"}  # all are looked at above
    assert all(len(description.split()) > 4 for description in IDEAS.values())
