"""The search among candidates where memory is short: prices of memory, then windows of operators at several multiples of these prices.

Memory limits couple all operators. A Lagrangian relaxation of equation (1) puts prices on resident weights and on the largest activations of each
device, which rise where it overflows, so that every relaxed problem is again a minimum over tables.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from iopopt.cost.elimination import Table, restricted, total_cost
from iopopt.methods.cost_tables import MemoryPrices
from iopopt.methods.dynamic.choice_search import Choice, ChoiceSearch

Array = npt.NDArray[np.float64]

_PRICE_ROUNDS = 60
_PATIENCE = 5
"""How many rounds may pass without a better bound before steps are shortened."""

_WINDOWS = (48, 24, 12, 6)
"""The length of a window, in operators, in each pass; consecutive windows overlap by half."""

_MULTIPLES = (0.0, 0.5, 0.8, 1.0, 1.25, 2.0, 4.0, 16.0)
"""The multiples of the prices at which each window is re-optimised."""

_PENALTIES = (2.0, 1e6, 1e6)
"""The cost of excess in each sweep over all windows, as a multiple of its price: small at first, so that overflowing plans can change."""


def rising_prices(search: ChoiceSearch, prices: MemoryPrices) -> MemoryPrices:
    """The prices of the greatest Lagrangian bound found, by steps along the excess; the plan of every step is offered.

    A step is long enough to close the gap between the bound and the best plan if the bound were linear (Polyak's rule). The part of the
    prices on activations moves to the operators at which they peak.
    """
    choice, highest, best_prices, length, waited = search.best, -math.inf, prices, 1.0, 0
    for round_ in range(_PRICE_ROUNDS):
        search.watch.check()
        tables = [*search.priced(prices), *search.tables.edges]
        choice = search.minimum(tables, choice, rounds=2)
        latency, memory = search.offer([choice])
        bound = total_cost(tables, choice) - search.tables.lagrangian_constant_s(prices)
        waited = 0 if bound > highest else waited + 1
        if bound > highest:
            highest, best_prices = bound, prices
        elif waited % _PATIENCE == 0:
            length *= 0.6
        excess = memory[:, 0] / search.tables.limits - 1
        target = min(1.3 * highest, search.least[1] if search.least[0] == 0 else math.inf)
        prices = _stepped(search, prices, choice, round_, excess, length * max(target - bound, 0.002 * target), float(latency[0]))
    return best_prices if best_prices.whole_s.any() else prices


def _stepped(search: ChoiceSearch, prices: MemoryPrices, choice: Choice, round_: int, excess: Array, gain_s: float, latency_s: float) -> MemoryPrices:
    """Prices after a step that raises the linearised bound by ``gain_s``; ``excess`` is relative to each device's memory."""
    moving = np.where((prices.whole_s <= 0) & (excess < 0), 0, excess)
    largest = float(np.abs(moving).max())
    step = min(gain_s / float(moving @ moving), latency_s / (2 * largest)) if largest > 0 else 0.0
    peaks = np.zeros_like(prices.peaks)
    peaks[np.arange(len(peaks)), search.tables.peaks(choice)] = 1
    new = 2 / (round_ + 3)
    return MemoryPrices(np.maximum(0, prices.whole_s + step * excess), (1 - new) * prices.peaks + new * peaks)


def reoptimise_windows(search: ChoiceSearch, prices: MemoryPrices) -> None:
    """Each window in turn takes its best choice over several multiples of the prices, with the other operators fixed."""
    current = search.best
    ways = [search.priced(prices, multiple) for multiple in _MULTIPLES]
    penalties = (prices.whole_s + prices.whole_s.mean()) / search.tables.limits
    for penalty in _PENALTIES:
        for window in _windows(len(current)):
            search.watch.check()
            choices = [current, *_window_choices(search, ways, window, current)]
            latency, memory = search.offer(choices)
            excess = np.maximum(0, memory - search.tables.limits[:, None])
            current = choices[int((latency + penalty * penalties @ excess).argmin())]


def _windows(count: int) -> Iterator[range]:
    for length in _WINDOWS:
        for start in range(0, max(1, count - length // 2), length // 2):
            yield range(start, min(count, start + length))


def _window_choices(search: ChoiceSearch, ways: Sequence[Sequence[Table]], window: range, current: Choice) -> list[Choice]:
    """The best choice of the operators of a window with the others fixed, for each pricing (``ways``) of operators."""
    others = set(range(len(current))).difference(window)
    touching = (table for table in search.tables.edges if not others.issuperset(table.variables))
    edges = [restricted(table, others, current) for table in touching]
    found = (search.minimum([*edges, *(alone[i] for i in window)], current, rounds=1) for alone in ways)
    return list(dict.fromkeys(found))
