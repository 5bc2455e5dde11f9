"""The memory as the objective of the program with time: each plan, fixed in it, costs what the evaluator says, and keeps the deadline."""

from __future__ import annotations

import math

import pytest
from support.programs import formulation_of, least_objective, random_instance

from iopopt import Cluster, Device, evaluate
from iopopt.cost.instance import Instance
from iopopt.methods.objective import largest_share
from iopopt.milp.memory_goal import MemoryGoal
from iopopt.milp.memory_program import MemoryProgram
from iopopt.milp.program import ProgramBuilder

SCALE_S = 1e-3


@pytest.mark.parametrize("seed", range(6))
def test_a_fixed_plan_costs_its_memory(seed: int) -> None:
    """As a share of the limits, and in bytes; in the program with time, with and without a deadline, and in the one without."""
    graph, cluster, team, plan = random_instance(seed, branched=bool(seed % 2))
    price = evaluate(graph, cluster, plan)
    for relative, value in ((True, largest_share(price)), (False, max(price.memory_bytes))):
        for factor, expected in ((math.inf, 1.0), (1.001, 1.0), (0.999, math.inf)):
            program = formulation_of(graph, cluster, team, SCALE_S, goal=MemoryGoal(value, relative, factor * price.latency_s))
            assert least_objective(program.program, program.integer_point(plan)) == pytest.approx(expected, rel=1e-6)
        small = MemoryProgram(Instance(graph, cluster), team, MemoryGoal(value, relative))
        assert least_objective(small.program, small.integer_point(plan)) <= 1 + 1e-6  # a reduce that keeps less may be meant


def test_what_a_demand_is_at_most() -> None:
    """Objective times unit times limit, the default, or times unit; the objective is the one new variable."""
    assert MemoryGoal(0.5) == MemoryGoal(0.5, relative=True)
    cluster = Cluster((Device("a", 1.0, 10.0, 1.0), Device("b", 1.0, 30.0, 1.0)))
    for relative, bytes_of_one in ((True, [5.0, 15.0]), (False, [0.5, 0.5])):
        builder = ProgramBuilder()
        tops = MemoryGoal(0.5, relative).minimise(builder, cluster)
        assert [top.about_bytes for top in tops] == bytes_of_one
        assert [dict(top.bytes_.terms) for top in tops] == [{0: size} for size in bytes_of_one]
        assert builder.build().objective.tolist() == [1.0]
