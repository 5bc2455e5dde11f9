"""A device's computing capability and memory bandwidth from the times of tasks: the roofline of the least Poisson deviance, exactly.

Halved, the deviance is the sum of fitted - measured + measured log(measured / fitted): where errors are small, half the squared relative errors,
weighted by the times. Every measured second counts the same, however it is divided into operators. Plain least squares follows the few longest
operators alone; least squares of relative errors lets the shortest, which mostly measure how long it takes to start them, count as much as those that
decide the latency. And sums are kept: the tasks that are bound by arithmetic take together what was measured, and so do those bound by memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from iopopt.schedule.rounds import Work

Array = npt.NDArray[np.float64]

_LEAST_GAIN = 0.2
"""By how much, relatively, the errors of a fit must fall for a memory bandwidth to be believed."""

_LEAST_TASKS = 2
"""How many tasks must be bound by arithmetic, and how many by memory."""


class Roofline(NamedTuple):
    """f_j and m_j of equation (7); m_j is None if the tasks do not tell it."""

    flops_per_s: float
    memory_bytes_per_s: float | None


class _Tasks(NamedTuple):
    """C_ij, D_ij and measured seconds; all positive but C_ij, which may be 0."""

    flops: Array
    touched: Array
    seconds: Array

    def fitted(self, per_flop: float, per_byte: float) -> Array:
        """Equation (7) with so many seconds for a FLOP and for a byte."""
        return np.asarray(np.maximum(per_flop * self.flops, per_byte * self.touched))

    def deviance(self, per_flop: float, per_byte: float) -> float:
        """Half the deviance, without what is the same for any fit."""
        fitted = self.fitted(per_flop, per_byte)
        return float((fitted - self.seconds * np.log(fitted)).sum())

    def error(self, per_flop: float, per_byte: float) -> float:
        """Squared relative errors, weighted by the times: finite also where a task has no FLOPs and memory takes no time."""
        return float(((self.fitted(per_flop, per_byte) - self.seconds) ** 2 / self.seconds).sum())

    def per_unit(self, amounts: Array) -> float:
        """The seconds for a unit of ``amounts`` at which tasks that have any fit best; 0 if none has."""
        having = amounts > 0
        return float(self.seconds[having].sum() / amounts[having].sum()) if having.any() else 0.0


def fit_roofline(works: Sequence[Work], seconds: Sequence[float]) -> Roofline | None:
    """The roofline that fits the times of tasks best; None if no task that took time has FLOPs.

    Which tasks are bound by memory is a threshold on FLOPs for each byte. For each threshold between two tasks both figures have a closed form,
    and so has the best fit with the threshold at a task; the optimum is the best of all these.
    """
    table = np.array([(*work, taken) for work, taken in zip(works, seconds, strict=True)]).reshape(-1, 3)
    tasks = _Tasks(*table[(table[:, 1:] > 0).all(axis=1)].T)
    per_flop = tasks.per_unit(tasks.flops)
    if per_flop == 0:
        return None
    best = min(_candidates(tasks), key=lambda found: tasks.deviance(*found))
    if _believable(tasks, tasks.error(per_flop, 0.0), *best):
        return Roofline(1 / best[0], 1 / best[1])
    return Roofline(1 / per_flop, None)


def _candidates(tasks: _Tasks) -> Iterator[tuple[float, float]]:
    """Seconds for each FLOP and each byte, one of which is the optimum of all pairs that are both positive."""
    intensity = tasks.flops / tasks.touched
    for threshold in np.unique(intensity):
        by_memory = intensity <= threshold
        apart = tasks.per_unit(np.where(by_memory, 0, tasks.flops)), tasks.per_unit(np.where(by_memory, tasks.touched, 0))
        per_flop = tasks.per_unit(np.maximum(tasks.flops, threshold * tasks.touched))
        for found in (apart, (per_flop, threshold * per_flop)):
            if min(found) > 0:
                yield found


def _believable(tasks: _Tasks, error_without: float, per_flop: float, per_byte: float) -> bool:
    """Whether enough tasks are bound by either, and the errors for each degree of freedom are much smaller than those of the best speed alone."""
    count, by_memory = len(tasks.seconds), int((per_byte * tasks.touched > per_flop * tasks.flops).sum())
    if min(by_memory, count - by_memory) < _LEAST_TASKS:
        return False
    return tasks.error(per_flop, per_byte) / (count - 2) <= (1 - _LEAST_GAIN) ** 2 * error_without / (count - 1)
