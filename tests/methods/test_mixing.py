"""Plans mixed from pieces of others: allowed, never worse, and as good as any exchange of one run."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest
from support.block_instances import block_instance
from support.random_instances import random_cluster, random_graph, random_plan, with_powers

from iopopt import Cluster, Graph, Placement, Plan, evaluate
from iopopt.cost.instance import Instance
from iopopt.cost.stopwatch import NO_LIMIT, Stopwatch
from iopopt.methods.exhaustive import all_plan_batches
from iopopt.methods.mixing import mixed_plan
from iopopt.methods.objective import Goal


def _energy_j(graph: Graph, cluster: Cluster, plan: Plan) -> float:
    return evaluate(graph, cluster, plan).energy_j or 0.0


@pytest.mark.parametrize("seed", range(30))
def test_no_exchange_of_one_run_is_better(seed: int) -> None:
    """From the first of three plans, within a deadline that it meets: an exchange of a run by what another has there gains nothing any more."""
    rng = random.Random(seed)
    graph = random_graph(rng)
    cluster = with_powers(rng, random_cluster(rng, devices=3))
    start, *others = (random_plan(rng, graph, 3, team=(0, 1, 2)) for _ in range(3))
    goal = Goal("energy", evaluate(graph, cluster, start).latency_s * rng.choice([1.0, 1.5]))
    found = mixed_plan(Instance(graph, cluster), start, [start, *others], goal, NO_LIMIT)
    least = _energy_j(graph, cluster, found)
    assert least <= _energy_j(graph, cluster, start) * (1 + 1e-12)
    assert goal.met_by(evaluate(graph, cluster, found))
    for other, (begin, end) in itertools.product(others, itertools.combinations(range(len(graph) + 1), 2)):
        names = [operator.name for operator in graph.operators]
        mixed = Plan.of(graph, [(other if begin <= i < end else found)[name] for i, name in enumerate(names)])
        price = evaluate(graph, cluster, mixed)
        assert not (goal.met_by(price) and price.feasible and (price.energy_j or 0.0) < least * (1 - 1e-8))


def test_blocks_are_never_cut() -> None:
    """Plans with fused blocks mix where both have an end, and the result is a plan."""
    fused = 0
    for seed in range(20):
        graph, cluster, team, longest = block_instance(seed, most_plans=3000)
        roomy = replace(cluster, devices=tuple(replace(device, memory_bytes=1e12) for device in cluster.devices))
        powered = with_powers(random.Random(seed), roomy)
        batches = all_plan_batches(graph, powered, team, NO_LIMIT, longest)
        plans = [batch.plan(graph, number) for batch in batches for number in range(0, len(batch), 301)]
        found = mixed_plan(Instance(graph, powered), plans[0], plans, Goal("energy"), NO_LIMIT)
        assert _energy_j(graph, powered, found) <= min(_energy_j(graph, powered, plan) for plan in plans) * (1 + 1e-9)
        fused += any(plan.blocks for plan in plans)
    assert fused >= 10


def test_memory_limits_hold_and_time_ends() -> None:
    """What does not fit is no improvement; without time the plan stays as it is."""
    rng = random.Random(1)
    graph, cluster = random_graph(rng, operators=4), with_powers(rng, random_cluster(rng, devices=2))
    first, second = (Plan.of(graph, [Placement.whole(j)] * len(graph)) for j in range(2))
    start, donor = sorted((first, second), key=lambda plan: -_energy_j(graph, cluster, plan))
    needed = evaluate(graph, cluster, start).memory_bytes
    tight = replace(cluster, devices=tuple(replace(device, memory_bytes=max(1, need)) for device, need in zip(cluster.devices, needed, strict=True)))
    assert mixed_plan(Instance(graph, cluster), start, [donor], Goal("energy"), NO_LIMIT) != start
    assert mixed_plan(Instance(graph, tight), start, [donor], Goal("energy"), NO_LIMIT) == start
    assert mixed_plan(Instance(graph, cluster), start, [donor], Goal("energy"), Stopwatch(0.0)) == start
