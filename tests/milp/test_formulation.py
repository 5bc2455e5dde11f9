"""The program prices every plan of its space as the evaluator does."""

import itertools
import random

import numpy as np
import pytest
from support.programs import FAMILIES, formulation_of, least_objective, random_instance, rows_of, with_memory, without
from support.random_instances import random_cluster

from iopopt import GraphBuilder, Placement, Plan, evaluate
from iopopt.methods.exhaustive import all_placements

BRANCHED = pytest.mark.parametrize("branched", [False, True], ids=["chain", "branched"])


@BRANCHED
@pytest.mark.parametrize("seed", range(150))
def test_a_fixed_plan_costs_what_the_evaluator_says(seed, branched):
    """With a random plan's integers fixed, and memory just enough for it, the least objective is the plan's latency."""
    graph, cluster, team, plan = random_instance(seed, branched=branched)
    evaluation = evaluate(graph, cluster, plan)
    formulation = formulation_of(graph, with_memory(cluster, list(evaluation.memory_bytes)), team, evaluation.latency_s)
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
    formulation = formulation_of(graph, with_memory(cluster, limits), team, evaluation.latency_s)
    assert least_objective(formulation.program, formulation.integer_point(plan)) == float("inf")


@BRANCHED
@pytest.mark.parametrize("seed", range(40))
def test_plans_survive_the_way_through_a_point(seed, branched):
    """The plan read from a point of the program is the plan that the point was made from."""
    graph, cluster, team, plan = random_instance(seed, branched=branched)
    evaluation = evaluate(graph, cluster, plan)
    formulation = formulation_of(graph, cluster, team, evaluation.latency_s)
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
        formulation = formulation_of(graph, with_memory(cluster, list(evaluation.memory_bytes)), team, evaluation.latency_s)
        cases.add(evaluation.operators[1].cases)
        assert least_objective(formulation.program, formulation.integer_point(plan)) == pytest.approx(1, rel=1e-7)
    assert {("send",), ("interleaved",), ("reduce",), ("all-gather",), ("reduce-scatter", "interleaved"), ("reduce-scatter", "all-gather")} == cases


def test_the_cutoff_excludes_slower_plans():
    """A plan that is slower than the cutoff is no point of the program, one that is as fast is."""
    graph, cluster, team, plan = random_instance(3)
    evaluation = evaluate(graph, cluster, plan)
    for factor, expected in ((1.001, pytest.approx(1, rel=1e-7)), (0.999, float("inf"))):
        formulation = formulation_of(graph, cluster, team, evaluation.latency_s, cutoff=factor * evaluation.latency_s)
        assert least_objective(formulation.program, formulation.integer_point(plan)) == expected


@BRANCHED
def test_every_family_of_rows_is_valid(branched):
    """The relaxation is never above the optimum of the integers that a random plan fixes, and loses nothing but strength with any family
    of rows left out; most families strengthen some relaxation."""
    stronger = set()
    for seed in range(12):
        graph, cluster, team, plan = random_instance(seed, branched=branched)
        program = formulation_of(graph, cluster, team, evaluate(graph, cluster, plan).latency_s).program
        bound = least_objective(program)
        assert bound <= 1 + 1e-7
        for family in FAMILIES:
            if rows_of(program, family).any():
                weaker = least_objective(without(program, family))
                assert weaker <= bound * (1 + 1e-7) + 1e-9
                stronger |= {family} if weaker < bound * (1 - 1e-6) else set()
    assert stronger >= {"compute times", "best makespans", "communication times", "links of copies"}
