"""The lines of the table: what stands for several seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from iopopt import Cluster, Graph, Solution, load_cluster, load_model, solve_oc, solve_single
from iopopt.bench.instance import Instance
from iopopt.bench.run import Run, Settings
from iopopt.bench.table import instance_table


@pytest.fixture(scope="module")
def graph() -> Graph:
    return load_model("lenet5")


@pytest.fixture(scope="module")
def cluster(graph: Graph) -> Cluster:
    return load_cluster("mcu-x3", graph)


def at_latency(solution: Solution, seconds: float) -> Solution:
    assert solution.evaluation is not None
    return replace(solution, latency_s=seconds, evaluation=replace(solution.evaluation, latency_s=seconds))


def lines(graph: Graph, cluster: Cluster, solutions: Sequence[Solution]) -> list[list[str]]:
    """The cells of the table of one method with a seed for each solution."""
    instance = Instance("net", "cluster", graph, cluster, "all", None, coedge_s=1.2, single_s=2.4, perfect_s=0.06)
    settings = Settings(60, 1e-4, "highs", 1)
    now = datetime.now(UTC)
    table = instance_table([Run(instance, "pso", seed, settings, now, solution, events_s=seed + 1.0) for seed, solution in enumerate(solutions)])
    columns = [[str(cell) for cell in column.cells] for column in table.columns]
    return [list(row) for row in zip(*columns, strict=True)]


def test_the_median_of_an_odd_number_is_a_run(graph: Graph, cluster: Cluster) -> None:
    found = lines(graph, cluster, [at_latency(solve_single(graph, cluster), seconds) for seconds in (0.4, 0.1, 0.3)])
    assert [row[:4] for row in found] == [["PSO, median of 3", "300", "3,000", "200.00%"], ["PSO, worst of 3", "400", "1,000", "300.00%"]]


@pytest.mark.parametrize(("latencies", "median"), [((0.1, 0.2), "150"), ((0.1, 0.8, 0.2, 0.3), "250")])
def test_the_median_of_an_even_number_is_the_mean_of_the_two_in_the_middle(
    latencies: Sequence[float], median: str, graph: Graph, cluster: Cluster
) -> None:
    """Not the better one of the two; the speed-ups are those of the median latency."""
    found = lines(graph, cluster, [at_latency(solve_single(graph, cluster), seconds) for seconds in latencies])
    assert found[0][1] == median
    assert found[0][5:7] == [f"{1.2 / (float(median) / 1e3):.3f}", f"{2.4 / (float(median) / 1e3):.3f}"]


def test_what_differs_between_the_two_in_the_middle_is_shown(graph: Graph, cluster: Cluster) -> None:
    """Means of figures, and both spaces."""
    single, oc = solve_single(graph, cluster), solve_oc(graph, cluster)
    assert single.evaluation is not None
    assert oc.evaluation is not None
    row = lines(graph, cluster, [single, oc])[0]
    assert row[9] == f"{(single.evaluation.connections + oc.evaluation.connections) / 2:g}"
    assert row[-2:] == ["all devices / fixed scheme", "feasible"]


def test_clocks_are_never_mixed(graph: Graph, cluster: Cluster) -> None:
    """A method that searches without barriers: its plan's price by equation (6) among the latencies, and no gap that belongs to the other clock."""
    solution = solve_oc(graph, cluster)
    other = replace(solution, latency_s=0.001, bound_s=0.0005, timing="events")
    (mine,), (theirs,) = lines(graph, cluster, [replace(solution, bound_s=0.0)]), lines(graph, cluster, [other])
    assert theirs[:4] == mine[:4]
    assert (mine[4], theirs[4]) == ("100.000%", "-")
