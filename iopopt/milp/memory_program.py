"""The factor by which memory would have to grow for any plan to fit: equations (1) to (5) without time."""

from __future__ import annotations

from collections.abc import Sequence

from iopopt.cost.instance import Instance
from iopopt.cost.stopwatch import Stopwatch
from iopopt.milp.affine import Affine, times
from iopopt.milp.arcs import nodes_of
from iopopt.milp.backends import LEAST_SOLVE_S, Options
from iopopt.milp.memory_rows import add_memory
from iopopt.milp.operator_variables import OperatorVariables, add_operator
from iopopt.milp.process import run_backend
from iopopt.milp.program import ProgramBuilder
from iopopt.plan.plan import Plan


def least_memory_plan(instance: Instance, team: Sequence[int], backend: str, watch: Stopwatch, grace_s: float | None = None) -> Plan | None:
    """The plan that minimises the largest demand relative to a device's memory; None if none was found in time.

    Args:
        watch: the time that there is to build and solve its program.
        grace_s: of :func:`iopopt.milp.process.run_backend`.

    Raises:
        SolverError: if the back end fails.
        TimeUpError: if the time is up before the program is complete.
    """
    builder = ProgramBuilder(watch)
    operators = [add_operator(builder, unit, nodes_of(unit, len(instance.cluster), team), team) for unit in instance.operators]
    factor = builder.variable(("memory factor",), cost=1)
    limits = [times(device.memory_bytes, factor) for device in instance.cluster.devices]
    add_memory(builder, instance, operators, limits, [_summed(operator) for operator in operators], always=True)
    program = builder.build()
    options = Options(max(LEAST_SOLVE_S, watch.remaining_s), gap=0.0, seed=0, threads=1, start={}, directory="")
    outcome = run_backend(backend, program, options, grace_s=grace_s).outcome
    if outcome.x is None:
        return None
    return Plan.of(instance.graph, [operator.placement(operator.chosen(outcome.x), outcome.x, "two_phase") for operator in operators])


def _summed(operator: OperatorVariables) -> Affine:
    """1 for every IC split: a two-phase reduce, because it keeps less live and takes no more memory otherwise."""
    return times(1, *(variable for node, variable in operator.choice.items() if node.dim == "IC"))
