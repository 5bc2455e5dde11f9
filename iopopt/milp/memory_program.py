"""The least memory of any plan: equations (1) to (5) without time, for one team.

Where only memory counts, edges cost nothing: what a plan takes on each device follows from its placements alone, and every placement of one operator
goes with every placement of the next. So the program has the variables of operators and blocks, and the rows of equation (1).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from iopopt.cost.instance import Instance
from iopopt.cost.stopwatch import NO_LIMIT, Stopwatch
from iopopt.milp.affine import Affine, constant, times
from iopopt.milp.arcs import all_nodes
from iopopt.milp.backends import LEAST_SOLVE_S, Options
from iopopt.milp.memory_goal import MemoryGoal
from iopopt.milp.memory_rows import add_memory
from iopopt.milp.operator_variables import OperatorVariables, add_operators, taken_by
from iopopt.milp.process import run_backend
from iopopt.milp.program import FloatArray, Program, ProgramBuilder
from iopopt.network.unit import Unit
from iopopt.plan.pieces import pieces_of
from iopopt.plan.placement import Reduce, Strategy
from iopopt.plan.plan import Plan
from iopopt.plan.shares import even_shares
from iopopt.plan.splits import ALL_SPLITS, Splits


class MemoryProgram:
    """The program of the least memory of one team, and the translation between plans and its points.

    Args:
        team: the devices over which a split operator is split, in the order of their intervals.
        goal: whose demand is minimised, and in which unit; a deadline would need the program with time.
        reserve_bytes: held back from every memory limit; 0 is equation (1).
        limited: whether plans must fit the memory limits.
        cutoff: plans of a larger value are excluded.
        longest_block: the most operators of a fused block.
        splits: those that plans may have.
        watch: the time that there is to build it.

    Attributes:
        unit: of the objective, in shares of a limit or in bytes.

    Raises:
        TimeUpError: if the time is up before the program is complete.
    """

    def __init__(
        self,
        instance: Instance,
        team: Sequence[int],
        goal: MemoryGoal,
        *,
        reserve_bytes: float = 0.0,
        limited: bool = True,
        cutoff: float | None = None,
        longest_block: int = 1,
        splits: Splits = ALL_SPLITS,
        watch: Stopwatch = NO_LIMIT,
    ) -> None:
        self.instance, self.team, self.unit, self._splits = instance, tuple(team), goal.unit, splits
        self._builder = ProgramBuilder(watch)
        tops = goal.minimise(self._builder, instance.cluster)
        nodes = all_nodes(instance, self.team, longest_block, splits)
        self._placed = add_operators(self._builder, instance, nodes, self.team, splits)
        kept = {producer for producer, during in instance.live_tensors if during}
        self._two_phase = [self._reduces(at_operator, i in kept) for i, at_operator in enumerate(self._placed)]
        add_memory(self._builder, instance, self._placed, self._two_phase, reserve_bytes=reserve_bytes, limited=limited, tops=tops)
        if cutoff is not None:
            self._builder.cost_at_most(("cutoff",), cutoff / self.unit)
        self.program: Program = self._builder.build()

    def plan(self, x: FloatArray) -> Plan:
        """The plan of a point of the program."""
        taken = taken_by(self._placed, x)
        placements = [operator.placement(node, x, self._reduce(end, x)) for end, operator, node in taken]
        return Plan.of(self.instance.graph, placements, [node.span for _, _, node in taken])

    def integer_point(self, plan: Plan) -> dict[int, float]:
        """The integral variables of the point of ``plan``, a plan of this team; of a plan that needs less where its reduces make no difference."""
        point = {int(variable): 0.0 for variable in np.flatnonzero(self.program.integer)}
        for run, placement in pieces_of(self.instance.graph, plan):
            (operator,) = (operator for operator in self._placed[run[-1]] if operator.unit.span == len(run))
            point.update(operator.point(placement))
            if placement.strategy == Strategy.IC_TWO_PHASE:
                point.update(dict.fromkeys(self._two_phase[run[-1]].terms, 1.0))
        return point

    # Reduces: of an IC split whose tensor waits, they decide what is kept.

    def _reduces(self, at_operator: Sequence[OperatorVariables], kept: bool) -> Affine:
        """1 for a split by input channels with a two-phase reduce: a choice of its own only where either may keep less."""
        summed = [(operator, variable) for operator in at_operator for node, variable in operator.choice.items() if node.dim == "IC"]
        if not summed or Strategy.IC_TWO_PHASE not in self._splits.strategies:
            return constant(0)
        ((operator, variable),) = summed
        either = Strategy.IC in self._splits.strategies
        if not kept or not either or keeps_less_in_slices(operator.unit, len(self.team)):
            return times(1, variable)
        two_phase = self._builder.variable(("two-phase", operator.unit.name), upper=1, integer=True)
        self._builder.at_most(("two-phase", operator.unit.name), times(1, two_phase), times(1, variable))
        return times(1, two_phase)

    def _reduce(self, end: int, x: FloatArray) -> Reduce:
        return "two_phase" if sum(float(x[variable]) for variable in self._two_phase[end].terms) > 0.5 else "direct"


def keeps_less_in_slices(unit: Unit, participants: int) -> bool:
    """Whether no participant of an IC split keeps more of its tensor after a two-phase reduce, as a slice, than as partial sums.

    A slice may be larger where a pool with padding makes more of a map than it reads, and few channels cannot be shared out.
    """
    most = max(even_shares(unit.sizes["OC"], participants))
    return most * unit.out_shape.elements <= unit.sizes["OC"] * unit.pre_pool_shape.elements


def least_memory_plan(
    instance: Instance,
    team: Sequence[int],
    backend: str,
    watch: Stopwatch,
    grace_s: float | None = None,
    splits: Splits = ALL_SPLITS,
    longest_block: int = 1,
) -> Plan | None:
    """The plan that minimises the largest demand relative to a device's memory, whether or not it fits; None if none was found in time.

    Args:
        watch: the time that there is to build and solve its program.
        grace_s: of :func:`iopopt.milp.process.run_backend`.
        longest_block: the most operators of a fused block.

    Raises:
        SolverError: if the back end fails.
        TimeUpError: if the time is up before the program is complete.
    """
    goal = MemoryGoal(1.0)
    program = MemoryProgram(instance, team, goal, limited=False, longest_block=longest_block, splits=splits, watch=watch)
    options = Options(max(LEAST_SOLVE_S, watch.remaining_s), gap=0.0, seed=0, threads=1, start={}, directory="")
    outcome = run_backend(backend, program.program, options, grace_s=grace_s).outcome
    return None if outcome.x is None else program.plan(outcome.x)
