"""The factor by which memory would have to grow for any plan to fit: equations (1) to (5) without time."""

from __future__ import annotations

from collections.abc import Sequence

from iopopt.cost.instance import Instance
from iopopt.cost.stopwatch import Stopwatch
from iopopt.milp.affine import Affine, constant, times
from iopopt.milp.arcs import nodes_of
from iopopt.milp.backends import LEAST_SOLVE_S, Options
from iopopt.milp.memory_rows import add_memory
from iopopt.milp.operator_variables import OperatorVariables, add_operator, choose_one, only_shares
from iopopt.milp.process import run_backend
from iopopt.milp.program import ProgramBuilder
from iopopt.network.unit import Unit
from iopopt.plan.placement import Reduce, Strategy
from iopopt.plan.plan import Plan
from iopopt.plan.splits import ALL_SPLITS, Splits


def least_memory_plan(
    instance: Instance, team: Sequence[int], backend: str, watch: Stopwatch, grace_s: float | None = None, splits: Splits = ALL_SPLITS
) -> Plan | None:
    """The plan of ``splits`` that minimises the largest demand relative to a device's memory; None if none was found in time.

    Its IC splits have two-phase reduces where they may: these keep less live and take no more memory otherwise.

    Args:
        watch: the time that there is to build and solve its program.
        grace_s: of :func:`iopopt.milp.process.run_backend`.

    Raises:
        SolverError: if the back end fails.
        TimeUpError: if the time is up before the program is complete.
    """
    builder, two_phase = ProgramBuilder(watch), Strategy.IC_TWO_PHASE in splits.strategies
    operators = [_add_operator(builder, instance, unit, team, splits) for unit in instance.placed]
    for operator in operators:
        choose_one(builder, operator.unit.name, [operator])
    factor = builder.variable(("memory factor",), cost=1)
    limits = [times(device.memory_bytes, factor) for device in instance.cluster.devices]
    add_memory(
        builder, instance, [[operator] for operator in operators], limits, [_summed(operator, two_phase) for operator in operators], always=True
    )
    program = builder.build()
    options = Options(max(LEAST_SOLVE_S, watch.remaining_s), gap=0.0, seed=0, threads=1, start={}, directory="")
    outcome = run_backend(backend, program, options, grace_s=grace_s).outcome
    if outcome.x is None:
        return None
    reduce: Reduce = "two_phase" if two_phase else "direct"
    return Plan.of(instance.graph, [operator.placement(operator.chosen(outcome.x), outcome.x, reduce) for operator in operators])


def _add_operator(builder: ProgramBuilder, instance: Instance, unit: Unit, team: Sequence[int], splits: Splits) -> OperatorVariables:
    nodes = nodes_of(unit, len(instance.cluster), team, splits)
    return add_operator(builder, unit, nodes, team, only_shares(splits, unit, nodes, instance.cluster, team))


def _summed(operator: OperatorVariables, two_phase: bool) -> Affine:
    """1 for every IC split with a two-phase reduce."""
    return times(1, *(variable for node, variable in operator.choice.items() if node.dim == "IC")) if two_phase else constant(0)
