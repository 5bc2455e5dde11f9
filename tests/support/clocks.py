"""A clock that tests turn: time passes by being looked at."""

from __future__ import annotations


class TickingClock:
    """Every reading is one second later than the one before."""

    def __init__(self) -> None:
        self.readings = 0

    def __call__(self) -> float:
        self.readings += 1
        return float(self.readings)
