"""Seconds since a start, and a limit on them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from iopopt.errors import IopoptError


class TimeUpError(IopoptError, TimeoutError):
    """The time limit of a search has passed. Every search catches this and returns the best that it has."""


class Stopwatch:
    """Starts when created. A search that runs against ``limit_s`` calls :meth:`check` at every step.

    Args:
        limit_s: the seconds after which the time is up; none by default.
        clock: gives the time, in seconds from any origin.

    Attributes:
        cut_short: whether a search was ended by :meth:`check`.
    """

    def __init__(self, limit_s: float = math.inf, clock: Callable[[], float] = time.perf_counter) -> None:
        self.limit_s, self._clock, self.cut_short = limit_s, clock, False
        self._start = self._lap = clock()

    @property
    def elapsed_s(self) -> float:
        return self._clock() - self._start

    @property
    def remaining_s(self) -> float:
        """Negative once the time is up."""
        return self.limit_s - self.elapsed_s

    def check(self) -> None:
        """Go on while there is time.

        Raises:
            TimeUpError: if the limit has passed.
        """
        if self.remaining_s <= 0:
            self.cut_short = True
            raise TimeUpError(f"the time limit of {self.limit_s:g} s has passed")

    def within(self, limit_s: float) -> Stopwatch:
        """Another one by the same clock, which starts now: for a step that may take so many seconds."""
        return Stopwatch(limit_s, self._clock)

    def lap(self) -> float:
        """The seconds since the last lap, or since the start; the next lap begins."""
        now = self._clock()
        seconds, self._lap = now - self._lap, now
        return seconds


NO_LIMIT = Stopwatch()
"""For a search that may take as long as it takes."""
