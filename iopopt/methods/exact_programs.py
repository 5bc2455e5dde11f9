"""The programs of the exact method: with time, or without where only memory counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from iopopt.cost.evaluation import evaluate
from iopopt.cost.instance import Instance
from iopopt.cost.stopwatch import Stopwatch
from iopopt.methods.objective import LATENCY, Goal
from iopopt.milp.arcs import Node
from iopopt.milp.energy_rows import EnergyGoal
from iopopt.milp.formulation import Formulation
from iopopt.milp.memory_goal import MemoryGoal
from iopopt.milp.memory_program import MemoryProgram
from iopopt.plan.plan import Plan
from iopopt.plan.splits import Splits

ExactProgram = Formulation | MemoryProgram


class Reserve(NamedTuple):
    """What is held back from every memory limit, and from the deadline, so that rounding breaks neither."""

    memory_bytes: float = 0.0
    time_s: float = 0.0


@dataclass(frozen=True)
class ExactPrograms:
    """Builds the programs of one search; the settings are those of :func:`iopopt.solve_milp`."""

    instance: Instance
    goal: Goal
    without: frozenset[str]
    longest_block: int
    splits: Splits
    watch: Stopwatch

    def of(self, team: tuple[int, ...], known: Plan, nodes: Sequence[Sequence[Node]] | None, reserve: Reserve, cutoff: float | None) -> ExactProgram:
        """The program of a team.

        Args:
            known: any plan; its values are the units of the program.
            nodes: that plans may take; None, with only the memory as the goal, for a program without time.
            cutoff: plans of a larger value are excluded.

        Raises:
            TimeUpError: if the time is up before it is complete.
        """
        if nodes is None:
            return MemoryProgram(
                self.instance,
                team,
                self._memory_goal(known, math.inf),
                reserve_bytes=reserve.memory_bytes,
                cutoff=cutoff,
                longest_block=self.longest_block,
                splits=self.splits,
                watch=self.watch,
            )
        return Formulation(
            self.instance,
            team,
            self._scale(LATENCY, known),
            reserve_bytes=reserve.memory_bytes,
            cutoff=cutoff,
            goal=self._goal(known, self.goal.latest_s - reserve.time_s),
            nodes=nodes,
            without=self.without,
            splits=self.splits,
            watch=self.watch,
        )

    def _goal(self, known: Plan, latest_s: float) -> EnergyGoal | MemoryGoal | None:
        """The goal of a program with time; None for the latency."""
        if self.goal.objective == "latency":
            return None
        return EnergyGoal(self._scale(self.goal, known), latest_s) if self.goal.objective == "energy" else self._memory_goal(known, latest_s)

    def _memory_goal(self, known: Plan, latest_s: float) -> MemoryGoal:
        return MemoryGoal(self._scale(self.goal, known), self.goal.objective == "memory", latest_s)

    def _scale(self, goal: Goal, known: Plan) -> float:
        """The unit of an objective: the known plan's value."""
        return goal.value(evaluate(self.instance.graph, self.instance.cluster, known)) or 1.0  # a network of pools and joins may take no time
