"""The energy in the program: every plan at the evaluator's joules, and the deadline."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from support.block_instances import block_instance
from support.programs import SCALE_S, formulation_of, least_objective, random_instance
from support.random_instances import with_powers

from iopopt import Cluster, Device, Evaluation, Graph, GraphBuilder, Placement, Plan, evaluate
from iopopt.cost.instance import Instance
from iopopt.cost.stopwatch import NO_LIMIT
from iopopt.methods.exhaustive import all_plan_batches
from iopopt.milp.arcs import all_nodes
from iopopt.milp.energy_rows import EnergyGoal

UNIT_J = 0.0625
"""Some unit of the objective that is not a joule."""


def _least_j(graph: Graph, cluster: Cluster, team: tuple[int, ...], plan: Plan, **options: object) -> float:
    """The least objective with the plan's integers fixed, joules."""
    formulation = formulation_of(graph, cluster, team, SCALE_S, goal=EnergyGoal(UNIT_J), **options)
    assert (formulation.program.objective >= 0).all()
    return UNIT_J * least_objective(formulation.program, formulation.integer_point(plan))


def _energy_j(evaluation: Evaluation) -> float:
    assert evaluation.energy_j is not None
    return evaluation.energy_j


@pytest.mark.parametrize("branched", [False, True], ids=["chain", "branched"])
@pytest.mark.parametrize("seed", range(50))
def test_a_fixed_plan_draws_what_the_evaluator_says(seed: int, branched: bool) -> None:
    """Any order of participants, any powers missing, rooflines, every case of equation (8): no more and no less."""
    graph, cluster, team, plan = random_instance(seed, branched=branched)
    powered = with_powers(random.Random(seed), cluster)
    assert _least_j(graph, powered, team, plan) == pytest.approx(_energy_j(evaluate(graph, powered, plan)), rel=1e-6, abs=1e-9)


def test_blocks_draw_what_the_evaluator_says() -> None:
    """So do fused blocks, whose recomputed rows are paid for."""
    checked = 0
    for seed in range(24):
        graph, cluster, team, longest = block_instance(seed, most_plans=3000)
        roomy = replace(cluster, devices=tuple(replace(device, memory_bytes=1e12) for device in cluster.devices))
        powered = with_powers(random.Random(seed), roomy)
        batches = all_plan_batches(graph, powered, team, NO_LIMIT, longest)
        plans = [batch.plan(graph, number) for batch in batches for number in range(0, len(batch), 97)]
        for plan in [plan for plan in plans if plan.blocks][:2]:
            nodes = all_nodes(Instance(graph, powered), team, longest)
            expected = pytest.approx(_energy_j(evaluate(graph, powered, plan)), rel=1e-6, abs=1e-9)
            assert _least_j(graph, powered, team, plan, nodes=nodes) == expected
            checked += 1
    assert checked >= 20


@pytest.mark.parametrize("seed", range(20))
def test_the_deadline_excludes_slower_plans(seed: int) -> None:
    """A plan that takes as long as the deadline, or half as long, is a point of the program at its energy; one that takes a little longer is none."""
    graph, cluster, team, plan = random_instance(seed)
    powered = with_powers(random.Random(seed), cluster)
    evaluation = evaluate(graph, powered, plan)
    expected = pytest.approx(_energy_j(evaluation), rel=1e-6, abs=1e-9)
    for factor, least_j in ((2.0, expected), (1 + 1e-9, expected), (1 - 1e-7, math.inf)):
        formulation = formulation_of(graph, powered, team, SCALE_S, goal=EnergyGoal(UNIT_J, factor * evaluation.latency_s))
        assert UNIT_J * least_objective(formulation.program, formulation.integer_point(plan)) == least_j


def test_an_empty_share_before_a_pool_with_gaps_draws_nothing() -> None:
    """(0 - 1) x 2 + 1 rows are none: the other device computes all nine, 54 FLOPs at 1 FLOP/s and 3 W."""
    graph = GraphBuilder("pooled", (1, 9, 3)).conv(1, 1).max_pool(1, 2).build()
    cluster = Cluster(tuple(Device(name, 1, 1e9, 1, compute_watts=3) for name in "ab"))
    assert _least_j(graph, cluster, (0, 1), Plan.of(graph, [Placement.split("H", (0, 1), (0, 5))])) == pytest.approx(162, rel=1e-7)


@pytest.mark.parametrize("key", ["compute_watts", "transmit_watts", "receive_watts", "idle_watts"])
@pytest.mark.parametrize("device", [0, 1])
def test_each_power_counts(key: str, device: int) -> None:
    """With one power of one device alone, the energy is that power's part: T = 33 s, 24 s of computing each, 8 bytes each way (cost_model.md).

    Device 1 has 2 bytes/s.
    """
    graph = GraphBuilder("pointwise", (1, 4, 1)).conv(2, 1, bias=False).conv(2, 1, bias=False).build()
    plain = [Device("a", 1, 1e9, 1), Device("b", 1, 1e9, 2)]
    watts = {key: 3.0}
    plain[device] = Device("ab"[device], 1, 1e9, 1 + device, **watts)  # type: ignore[arg-type]
    cluster = Cluster(tuple(plain), 0.5, bytes_per_element=1)
    plan = Plan.of(graph, [Placement.split("OC", (0, 1), (1, 1))] * 2)
    sent = (4, 8)[device] / (1 + device)
    received = (8, 4)[device] / (1 + device)
    expected = {"compute_watts": 24.0, "transmit_watts": sent, "receive_watts": received, "idle_watts": 33.0}[key]
    assert _least_j(graph, cluster, (0, 1), plan) == pytest.approx(3 * expected, rel=1e-7)
    assert evaluate(graph, cluster, plan).energy_j == pytest.approx(3 * expected, rel=1e-12)
