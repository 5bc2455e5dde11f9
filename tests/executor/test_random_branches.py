"""Random plans of random graphs with branches: the output is the whole network's, the payload the model's, and nothing is kept too long."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from support.edge_payload import assert_payload
from support.overlapped import assert_overlaps
from support.random_branches import ACTIVATIONS, is_chain, random_branched_graph, random_branched_plan
from support.random_gathers import with_gathers
from support.random_instances import MOST_PLANS, count_plans, random_cluster
from support.whole_run import WITHIN, relative_error, whole_run

from iopopt import Cluster, Graph, Plan
from iopopt.cost.evaluation import SINK
from iopopt.executor.execution import Execution
from iopopt.network.operators import KINDS
from iopopt.network.weights import random_input, random_weights
from iopopt.plan.plan import validate_plan

CASES = {"send", "interleaved", "row-aligned", "halo exchange", "reduce", "reduce-scatter", "all-gather", "gather", "free"}
FUNCTIONS = {step.function for step in ACTIVATIONS} | {"batch", "scale", "shift", "lrn", "softmax", "shuffle"}
STRUCTURES = {
    "gate",
    "three consumers",
    "input read twice",
    "one tensor twice",
    "mixed by receivers",
    "two-phase read twice",
    "direct read twice",
    "gathered read twice",
}


@pytest.mark.parametrize("count", [300, pytest.param(5000, marks=pytest.mark.slow)])
def test_random_plans_of_branched_graphs(count: int) -> None:
    """On random graphs the output is the whole run's, the payload the model's and what is kept equation (1)'s; every kind is reached."""
    reached: Counter[str] = Counter()

    @settings(max_examples=count, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 2**32))
    def check(seed: int) -> None:
        rng = random.Random(seed)
        graph = random_branched_graph(rng, tiny=rng.random() < 0.2)
        cluster = dataclasses.replace(random_cluster(rng), bytes_per_element=rng.choice([4, 4, 8]))
        plan = with_gathers(rng, random_branched_plan(rng, graph, len(cluster)), len(cluster))
        weights, inputs = random_weights(graph, seed), random_input(graph, seed)
        reference = whole_run(graph, weights, inputs)
        assume(np.isfinite(reference).all())
        within = WITHIN if cluster.bytes_per_element == 4 else 1e-10
        execution = assert_overlaps(graph, cluster, plan, weights, inputs, reference, within)
        assert relative_error(execution.outputs, reference) < within
        exact = assert_payload(graph, cluster, plan, execution)
        assert execution.connections == execution.evaluation.connections
        _assert_kept(graph, plan, execution)
        reached.update(_features(graph, cluster, plan, execution))
        reached.update({"plans"} | ({"exact"} if exact else set()) | ({"output varies"} if np.ptp(reference) > 1e-3 else set()))

    check()
    assert reached["plans"] >= 0.95 * count
    for name in CASES | FUNCTIONS | STRUCTURES | set(KINDS):
        assert reached[name] >= count // 60, (name, reached)
    assert reached["exact"] > 0.4 * reached["plans"]
    assert reached["output varies"] > 0.9 * reached["plans"]


@pytest.mark.parametrize("tiny", [False, True])
def test_random_graphs(tiny: bool) -> None:
    """A seed names a graph and a plan of it; tiny graphs have few plans; a team's plans split over that team alone."""
    for seed in range(100):
        rng, again = random.Random(seed), random.Random(seed)
        graph = random_branched_graph(rng, tiny)
        assert graph == random_branched_graph(again, tiny)
        assert not is_chain(graph)
        assert 2 <= len(graph) <= (4 if tiny else 8)
        assert not tiny or count_plans(graph, 3) < MOST_PLANS
        plan = random_branched_plan(rng, graph, 3, team=(0, 2))
        assert plan == random_branched_plan(again, graph, 3, team=(0, 2))
        assert {placement.devices for placement in plan.values() if not placement.is_whole} <= {(0, 2)}
        validate_plan(graph, random_cluster(rng, 3), plan)


def _assert_kept(graph: Graph, plan: Plan, execution: Execution) -> None:
    """While an operator runs every device keeps what equation (1) says, and at the end nothing.

    Before the first phase of a two-phase reduce its participants hold all their partial sums, of which the model counts an even slice; before a
    gather they hold their rows, all of which the model counts on one device.
    """
    uncompleted = {
        graph.operators[i].name
        for producer, operator in enumerate(graph.operators)
        if plan[operator.name].reduce == "two_phase"
        for i in range(producer + 1, graph.edges_from[producer][0].consumer)
    }
    ungathered = {
        (graph.operators[i].name, j)
        for producer, operator in enumerate(graph.operators)
        if plan[operator.name].gather is not None
        for i in range(producer + 1, graph.edges_from[producer][0].consumer)
        for j in plan[operator.name].holders
    }
    model = {(demand.operator, demand.device): demand.live_bytes for demand in execution.demands}
    for row in execution.ledger:
        modelled = model.get((row.operator, row.device), 0.0)
        if (row.operator, row.device) not in ungathered:
            assert row.live == modelled or (row.operator in uncompleted and row.live > modelled), row
        assert row.live == 0 or row.operator != SINK


def _features(graph: Graph, cluster: Cluster, plan: Plan, execution: Execution) -> set[str]:
    """What this plan exercises."""
    operators, evaluation = graph.operators, execution.evaluation
    cases = {case for phase in (*(case for cost in evaluation.operators for case in cost.cases), *evaluation.sink_cases) for case in phase.split("+")}
    found = {
        "gate": any(operator.is_gate(slot) for operator in operators for slot in range(len(operator.in_shapes))),
        "three consumers": any(len(edges) > 2 for edges in graph.edges_from[: graph.sink]),
        "input read twice": len(graph.edges_from[graph.source]) > 1,
        "one tensor twice": any(len({edge.producer for edge in edges}) < len(edges) for edges in graph.edges_into),
        "mixed by receivers": any(operator.mixes_channels and plan[operator.name].dim in ("OC", "IC") for operator in operators),
        "two-phase read twice": _read_twice(graph, plan, "two_phase"),
        "direct read twice": _read_twice(graph, plan, "direct"),
        "gathered read twice": any(
            len(edges) > 1 and plan[operator.name].gather is not None for operator, edges in zip(operators, graph.edges_from, strict=False)
        ),
    }
    steps = {step.function for operator in operators for step in operator.epilogue}
    return cases | steps | {operator.kind for operator in operators} | {name for name, holds in found.items() if holds}


def _read_twice(graph: Graph, plan: Plan, reduce: str) -> bool:
    return any(len(edges) > 1 and plan[operator.name].reduce == reduce for operator, edges in zip(graph.operators, graph.edges_from, strict=False))
