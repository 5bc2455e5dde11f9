"""Tables of methods on the terminal: how figures are written, and wide enough that none is cut off."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

T = TypeVar("T")

NONE = "-"
_NARROWEST, _WIDEST = 120, 1000


def wide_enough(table: Table) -> Console:
    """Standard output, at least as wide as the table: a narrower terminal wraps lines, but no figure is cut off."""
    console = Console()
    needed = Measurement.get(console, console.options.update(max_width=_WIDEST), table).maximum
    return Console(width=max(needed, console.width if console.is_terminal else _NARROWEST))


def median_and_worst(label: str, runs: Sequence[T], value: Callable[[T], float]) -> list[tuple[str, Sequence[T]]]:
    """One run; of several seeds the median, which for an even number of them is the mean of the two in the middle, and the worst."""
    count = len(runs)
    if count == 1:
        return [(label, runs)]
    ordered = sorted(runs, key=value)
    middle = ordered[(count - 1) // 2 : count // 2 + 1]
    return [(f"{label}, median of {count}", middle), (f"{label}, worst of {count}", ordered[-1:])]


def either(texts: Iterable[str]) -> str:
    """Texts that may be the same, once each."""
    return " / ".join(dict.fromkeys(texts))


def four_digits(value: float) -> str:
    """Four digits, and never an exponent for what is large."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def ms_text(seconds: float) -> str:
    """Seconds as milliseconds, without the unit."""
    return four_digits(seconds * 1e3)


def finite_text(value: float, shape: Callable[[float], str]) -> str:
    """A value as ``shape`` writes it; a dash if it is infinite or nan."""
    return shape(value) if math.isfinite(value) else NONE
