"""A search among the combinations of a few candidates: the tables to minimise, and the best choice so far, priced as a whole plan."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from iopopt.cost.elimination import Table, improve, minimise
from iopopt.cost.stopwatch import Stopwatch
from iopopt.errors import InstanceTooLargeError
from iopopt.methods.candidates import Candidates
from iopopt.methods.cost_tables import CostTables, MemoryPrices

Array = npt.NDArray[np.float64]
Choice = tuple[int, ...]

MOST_ADDED_UP = 3_000_000
"""The largest table of the elimination, entries."""

MOST_HELD = 100_000
"""The largest table of the elimination when some operators are fixed, entries."""

_PROHIBITIVE = 1e6
"""The cost of candidates that cannot fit, as a multiple of the most expensive candidate of any operator."""


class ChoiceSearch:
    """A choice is the number of a candidate for each operator.

    Attributes:
        offered: the latency and the memory of each device, of every choice priced so far.
        best: the best of them, by excess, then latency.
        least: its excess, bytes, and its latency, seconds.
    """

    def __init__(self, candidates: Candidates, tables: CostTables, watch: Stopwatch) -> None:
        self.candidates, self.tables, self.watch = candidates, tables, watch
        self.offered: dict[Choice, tuple[float, Array]] = {}
        self.best: Choice = ()
        self.least = (math.inf, math.inf)
        self._alone_s = self._possible()

    def _possible(self) -> list[Array]:
        """The cost of each operator's candidates; those that exceed a device get a prohibitive cost if the operator has others."""
        prohibitive = _PROHIBITIVE * (max(float(alone.max()) for alone in self.tables.alone_s) or 1.0)
        too_large = [self.tables.too_large(i) for i in range(len(self.tables.domains))]
        return [
            alone if unfit.all() else np.asarray(alone + np.where(unfit, prohibitive, 0.0))
            for alone, unfit in zip(self.tables.alone_s, too_large, strict=True)
        ]

    def offer(self, choices: Sequence[Choice]) -> tuple[Array, Array]:
        """Price whole plans and keep the best so far; returns their latencies and their memory, of shape (devices, choices)."""
        new = [choice for choice in choices if choice not in self.offered]
        if new:
            price = self.candidates.price(new)
            for choice, excess, latency, memory in zip(new, price.excess_bytes, price.latency_s, price.memory_bytes.T, strict=True):
                self.offered[choice] = float(latency), memory
                if (excess, latency) < self.least:
                    self.best, self.least = choice, (float(excess), float(latency))
        known = [self.offered[choice] for choice in choices]
        return np.array([latency for latency, _ in known]), np.stack([memory for _, memory in known], axis=1)

    def priced(self, prices: MemoryPrices, multiple: float = 1.0) -> list[Table]:
        """The cost of each operator's candidates, plus their memory at a multiple of its price."""
        parts = zip(self._alone_s, self.tables.memory_s(prices), strict=True)
        return [Table((i,), alone + multiple * memory) for i, (alone, memory) in enumerate(parts)]

    def minimum(self, tables: Sequence[Table], start: Choice, rounds: int) -> Choice:
        """The minimum of the tables; if they are too large, the result of that many rounds of improvement from ``start``."""
        domains = self.tables.domains
        try:
            return tuple(minimise(domains, tables, start, most_entries=MOST_ADDED_UP, watch=self.watch))
        except InstanceTooLargeError:
            return tuple(improve(domains, tables, start, most_entries=MOST_HELD, rounds=rounds, watch=self.watch))
