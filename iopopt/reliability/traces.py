"""Channels that replay a trace: rates, or times of whole inputs, that were measured over time.

A trace file is CSV with the header ``time_s,bytes_per_s`` or ``time_s,transfer_s``. Times ascend. A value holds until the next line's time, and the
last one as long as the one before it. A request comes at a uniformly random moment, and the trace is repeated after its end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from iopopt.errors import FileFormatError, ServiceError
from iopopt.network.records import is_number, read_text, short_repr
from iopopt.reliability.channel import Channel, FloatArray, the_one_size
from iopopt.reliability.checking import MOST_FIGURE


@dataclass(frozen=True)
class _Trace(Channel):
    """Values that hold from these times on, seconds, up to the next one's.

    Raises:
        ServiceError: if there are fewer than two values or not as many times, a time is not above the one before it, or a value is not a finite
            number of at least 0.
    """

    starts_s: tuple[float, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "starts_s", tuple(self.starts_s))
        object.__setattr__(self, "values", tuple(self.values))
        if len(self.starts_s) != len(self.values):
            raise ServiceError(f"trace: found {len(self.starts_s)} times and {len(self.values)} values; as many of both are expected")
        if len(self.values) < 2:
            raise ServiceError(f"trace: found {len(self.values)} values; at least 2 are needed, because the last one holds as long as the one before")
        for number, (start, value) in enumerate(zip(self.starts_s, self.values, strict=True)):
            problem = _problem(start, value, self.starts_s[number - 1] if number else -math.inf)
            if problem:
                raise ServiceError(f"trace: value {number}: {problem}")

    @property
    def durations_s(self) -> FloatArray:
        """How long each value holds."""
        durations = np.diff(self.starts_s)
        return np.append(durations, durations[-1])


def _problem(start: Any, value: Any, before: float) -> str | None:
    """What is wrong with one line of a trace."""
    if not is_number(start) or not before < start <= MOST_FIGURE:
        above = "" if before == -math.inf else f", and above the time before it, {before:g}"
        return f"the time is {short_repr(start)}; it must be a finite number of at most {MOST_FIGURE:g}{above}"
    if not is_number(value) or not 0 <= value <= MOST_FIGURE:
        return f"the value is {short_repr(value)}; it must be a number from 0 to {MOST_FIGURE:g}"
    return None


class RateTraceChannel(_Trace):
    """Rates over time, bytes/s; an input that is under way when the rate changes goes on at the new one.

    Args:
        starts_s: from when each rate holds, seconds, ascending.
        values: the rates, bytes/s; some may be 0, but not all.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if not any(self.values):
            raise ServiceError("trace: every rate is 0, so that no input ever arrives; at least one must be above 0")

    def draw_s(self, input_bytes: FloatArray, samples: int, rng: np.random.Generator) -> FloatArray:
        """From a uniformly random moment of the trace, until all bytes are there."""
        return self.transfer_s(input_bytes, rng.random(samples) * self.durations_s.sum())

    def transfer_s(self, input_bytes: FloatArray, moments_s: FloatArray) -> FloatArray:
        """How long inputs of these sizes take, seconds, shape (moments, sizes), sent at these moments after the start of the trace."""
        durations, rates = self.durations_s, np.array(self.values)
        bounds_s = np.append(0.0, np.cumsum(durations))
        bounds = np.append(0.0, np.cumsum(durations * rates))
        whole = bounds[-1]
        target = np.interp(moments_s, bounds_s, bounds)[:, None] + input_bytes  # bytes since the start of the trace
        rounds = np.ceil(target / whole) - 1
        rest = target - rounds * whole  # above 0, at most all that one round brings
        flowing = np.flatnonzero(rates)
        piece = flowing[np.minimum(np.searchsorted(bounds[1:][flowing], rest), len(flowing) - 1)]
        arrival_s = rounds * bounds_s[-1] + bounds_s[piece] + (rest - bounds[piece]) / rates[piece]
        return np.asarray(np.maximum(arrival_s - moments_s[:, None], 0.0))  # rounding may leave a little less than nothing


class TimeTraceChannel(_Trace):
    """Times of one input, seconds, as they were measured over time.

    Args:
        starts_s: from when each value holds, seconds, ascending.
        values: the time that an input sent then takes, seconds.
    """

    def draw_s(self, input_bytes: FloatArray, samples: int, rng: np.random.Generator) -> FloatArray:
        """The value at a uniformly random moment."""
        the_one_size(input_bytes, self)
        durations = self.durations_s
        drawn = rng.choice(np.array(self.values), size=samples, p=durations / durations.sum())
        return np.repeat(drawn[:, None], len(input_bytes), axis=1)


_KINDS: dict[str, type[RateTraceChannel] | type[TimeTraceChannel]] = {"bytes_per_s": RateTraceChannel, "transfer_s": TimeTraceChannel}
"""What a trace holds, by the second column of its header."""


def load_trace(path: str | Path) -> RateTraceChannel | TimeTraceChannel:
    """The channel of a trace file (see :mod:`iopopt.reliability.traces`).

    Raises:
        FileFormatError: if the file cannot be read or is not a trace; the message names the file, the line and what is allowed.
    """
    header, *lines = read_text(path).splitlines() or [""]
    names = [name.strip() for name in header.split(",")]
    if len(names) != 2 or names[0] != "time_s" or names[1] not in _KINDS:
        allowed = " or ".join(f"time_s,{name}" for name in _KINDS)
        raise FileFormatError(f"{path}: line 1: the header is {short_repr(header)}; it must be {allowed}")
    starts: list[float] = []
    values: list[float] = []
    for number, line in enumerate(lines, start=2):
        if not line.strip():
            continue
        where = f"{path}: line {number}"
        start, value = _numbers(line, names, where)
        problem = _problem(start, value, starts[-1] if starts else -math.inf)
        if problem:
            raise FileFormatError(f"{where}: {problem}")
        starts.append(start)
        values.append(value)
    try:
        return _KINDS[names[1]](tuple(starts), tuple(values))
    except ServiceError as error:
        raise FileFormatError(f"{path}: {error}") from None


def _numbers(line: str, names: Sequence[str], where: str) -> tuple[float, float]:
    try:
        start, value = map(float, line.split(","))
    except ValueError:
        raise FileFormatError(f"{where}: found {short_repr(line)}; two numbers are expected, {','.join(names)}") from None
    return start, value
