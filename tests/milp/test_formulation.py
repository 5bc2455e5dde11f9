"""The program prices every plan of its space as the evaluator does."""

import itertools
import random
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_matrix
from support.random_branches import random_branched_graph, random_branched_plan
from support.random_instances import random_cluster, random_graph, random_plan

from iopopt import Cluster, Graph, GraphBuilder, Placement, Plan, evaluate
from iopopt.cost.instance import Instance
from iopopt.methods.exhaustive import all_placements
from iopopt.milp.formulation import Formulation
from iopopt.milp.program import Program


def least_objective(program: Program, fixed: dict[int, float]) -> float:
    """The least objective with some variables fixed and integrality dropped; infinite where no point is left."""
    lower, upper = program.lower.copy(), program.upper.copy()
    for variable, value in fixed.items():
        lower[variable] = upper[variable] = value
    matrix = csr_matrix((program.values, (program.rows, program.columns)), shape=(len(program.row_lower), len(lower)))
    rows = LinearConstraint(matrix, program.row_lower, program.row_upper)
    result = milp(program.objective, bounds=Bounds(lower, upper), constraints=rows)
    return float(result.fun) if result.status == 0 else float("inf")


def with_memory(cluster: Cluster, limits: list[float]) -> Cluster:
    """The cluster with these memory limits, each at least a byte."""
    devices = tuple(replace(device, memory_bytes=max(1.0, limit)) for device, limit in zip(cluster.devices, limits, strict=True))
    return replace(cluster, devices=devices)


def random_instance(seed: int, *, branched: bool = False) -> tuple[Graph, Cluster, tuple[int, ...], Plan]:
    """A graph, a cluster, a team of at least two and a plan of it."""
    rng = random.Random(seed)
    graph = random_branched_graph(rng) if branched else random_graph(rng)
    cluster = random_cluster(rng, devices=rng.choice([2, 3, 4]))
    team = tuple(sorted(rng.sample(range(len(cluster)), rng.randint(2, len(cluster)))))
    plan = (random_branched_plan if branched else random_plan)(rng, graph, len(cluster), team=team)
    return graph, cluster, team, plan


BRANCHED = pytest.mark.parametrize("branched", [False, True], ids=["chain", "branched"])


@BRANCHED
@pytest.mark.parametrize("seed", range(150))
def test_a_fixed_plan_costs_what_the_evaluator_says(seed, branched):
    """With a random plan's integers fixed, and memory just enough for it, the least objective is the plan's latency."""
    graph, cluster, team, plan = random_instance(seed, branched=branched)
    evaluation = evaluate(graph, cluster, plan)
    formulation = Formulation(Instance(graph, with_memory(cluster, list(evaluation.memory_bytes))), team, evaluation.latency_s)
    point = formulation.integer_point(plan)
    assert least_objective(formulation.program, point) == pytest.approx(1, rel=1e-7)


@BRANCHED
@pytest.mark.parametrize("seed", range(40))
def test_a_byte_too_little_excludes_the_plan(seed, branched):
    """With one byte less than the plan needs on the device that it asks most of, no point is left."""
    graph, cluster, team, plan = random_instance(seed, branched=branched)
    evaluation = evaluate(graph, cluster, plan)
    limits = list(evaluation.memory_bytes)
    fullest = int(np.argmax(limits))
    limits[fullest] -= 1
    formulation = Formulation(Instance(graph, with_memory(cluster, limits)), team, evaluation.latency_s)
    assert least_objective(formulation.program, formulation.integer_point(plan)) == float("inf")


@BRANCHED
@pytest.mark.parametrize("seed", range(40))
def test_plans_survive_the_way_through_a_point(seed, branched):
    """The plan read from a point of the program is the plan that the point was made from."""
    graph, cluster, team, plan = random_instance(seed, branched=branched)
    evaluation = evaluate(graph, cluster, plan)
    formulation = Formulation(Instance(graph, cluster), team, evaluation.latency_s)
    x = np.zeros(len(formulation.program.objective))
    for variable, value in formulation.integer_point(plan).items():
        x[variable] = value
    direct = [placement.reduce for placement in plan.values()]
    read = formulation.plan(x)
    assert [placement.dim for placement in read.values()] == [placement.dim for placement in plan.values()]
    assert [placement.shares for placement in read.values()] == [placement.shares for placement in plan.values()]
    assert [placement.reduce for placement in read.values()] == direct


@pytest.mark.parametrize(("outputs", "groups"), [(6, 2), (2, 2), (4, 4)])
def test_every_way_into_groups_is_priced(outputs, groups):
    """Every placement of an operator before every placement of a grouped one, memory just enough, costs what the evaluator says."""
    graph = GraphBuilder("groups", (2, 3, 4)).conv(4, 2, padding=1).conv(outputs, 2, groups=groups).conv(2, 1).build()
    cluster, team, cases = random_cluster(random.Random(groups), devices=3), (0, 2), set()
    before, after = (list(all_placements(operator.unit, cluster, team)) for operator in graph.operators[:2])
    for p, q in itertools.product(before, (placement for placement in after if placement.dim == "OC")):
        plan = Plan.of(graph, [p, q, Placement.split("IC", team, (1, outputs - 1))])
        evaluation = evaluate(graph, cluster, plan)
        formulation = Formulation(Instance(graph, with_memory(cluster, list(evaluation.memory_bytes))), team, evaluation.latency_s)
        cases.add(evaluation.operators[1].cases)
        assert least_objective(formulation.program, formulation.integer_point(plan)) == pytest.approx(1, rel=1e-7)
    assert {("send",), ("interleaved",), ("reduce",), ("all-gather",), ("reduce-scatter", "interleaved"), ("reduce-scatter", "all-gather")} == cases


def test_the_cutoff_excludes_slower_plans():
    """A plan that is slower than the cutoff is no point of the program, one that is as fast is."""
    graph, cluster, team, plan = random_instance(3)
    evaluation = evaluate(graph, cluster, plan)
    for factor, expected in ((1.001, pytest.approx(1, rel=1e-7)), (0.999, float("inf"))):
        formulation = Formulation(Instance(graph, cluster), team, evaluation.latency_s, cutoff_s=factor * evaluation.latency_s)
        assert least_objective(formulation.program, formulation.integer_point(plan)) == expected
