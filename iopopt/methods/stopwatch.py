"""Seconds since a start."""

from __future__ import annotations

import time


class Stopwatch:
    """Starts when created; :meth:`lap` gives the seconds since the last lap and starts the next."""

    def __init__(self) -> None:
        self._start = self._lap = time.perf_counter()

    @property
    def elapsed_s(self) -> float:
        return time.perf_counter() - self._start

    def lap(self) -> float:
        now = time.perf_counter()
        seconds, self._lap = now - self._lap, now
        return seconds
