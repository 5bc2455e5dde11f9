"""Traces: their files, and their times by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from iopopt import FileFormatError, RateTraceChannel, ServiceError, TimeTraceChannel, UnsupportedError, load_trace

# 10 bytes/s for two seconds, nothing for one, and 40 bytes/s for as long as the value before: 60 bytes in 4 s.
RATES = RateTraceChannel((100.0, 102.0, 103.0), (10.0, 0.0, 40.0))


@pytest.mark.parametrize(
    ("moment_s", "size", "seconds"),
    [
        (0.0, 10, 1.0),
        (1.5, 5, 0.5),  # done just before the pause
        (1.5, 25, 2.0),  # 5 bytes, the pause, and 20 at 40 bytes/s
        (2.5, 1, 0.525),  # sent in the pause
        (3.5, 40, 2.5),  # across the end: 20 bytes, and 20 of the next round
        (0.0, 60, 4.0),  # one whole round
        (0.0, 120, 8.0),
        (0.0, 125, 8.5),
        (2.0, 140, 8.0 + 1.0 + 0.5),
    ],
)
def test_rates_by_hand(moment_s: float, size: float, seconds: float) -> None:
    """An input goes on at the rate of the moment, round after round."""
    assert RATES.transfer_s(np.array([float(size)]), np.array([moment_s])) == pytest.approx(seconds)


def test_a_pause_at_the_end_is_not_waited_for() -> None:
    """All ten bytes of a round are there after its first second, not after the pause that follows."""
    trace = RateTraceChannel((0.0, 1.0), (10.0, 0.0))
    assert trace.transfer_s(np.array([10.0, 11.0, 20.0]), np.array([0.0])).tolist() == [[1.0, 2.1, 3.0]]


def test_whole_rounds_that_rounding_makes_more() -> None:
    """In floating point 126 times these bytes need a trifle of the next round, which begins with a pause: before or after it, but not never."""
    rate = 0.033585575305464355
    assert RateTraceChannel((0.0, 1.0), (0.0, rate)).transfer_s(np.array([126 * rate]), np.array([0.0]))[0, 0] in (252.0, 253.0)


def test_many_moments_and_sizes_at_once() -> None:
    """Shape (moments, sizes), each as alone; a larger input never takes less time."""
    sizes, moments = np.array([1.0, 25.0, 300.0]), np.array([0.3, 1.9, 2.2, 3.99])
    times = RATES.transfer_s(sizes, moments)
    assert times.shape == (4, 3)
    assert (np.diff(times) > 0).all()
    alone = [[RATES.transfer_s(np.array([size]), np.array([moment]))[0, 0] for size in sizes] for moment in moments]
    assert times == pytest.approx(np.array(alone))


def test_the_bytes_that_came_are_the_input() -> None:
    """Rates summed in steps of a tenth of a millisecond, from random moments on, reach the size at the time stated."""
    step, sizes = 1e-4, np.array([17.0])
    rates = np.concatenate([np.full(20_000, 10.0), np.zeros(10_000), np.full(10_000, 40.0)])
    moments = np.array([0, 5_000, 19_000, 25_000, 39_000])
    for moment, seconds in zip(moments, RATES.transfer_s(sizes, moments * step)[:, 0], strict=True):
        came = np.cumsum(np.roll(rates, -moment)) * step
        assert seconds == pytest.approx(step * (np.searchsorted(came, 17.0) + 1), abs=2 * step)


def test_requests_come_at_any_moment_of_the_trace() -> None:
    """3 of 4 s are outside the pause: inputs of next to no size start at once there, and wait half a second on average in it."""
    times = RATES.draw_s(np.array([1e-6]), 20_000, np.random.default_rng(0))[:, 0]
    assert (times < 1e-5).mean() == pytest.approx(0.75, abs=0.015)
    assert times[times > 1e-5].mean() == pytest.approx(0.5, abs=0.02)


def test_times_of_a_trace() -> None:
    """A value occurs in proportion to how long it holds: 2, 1 and 1 of 4 s; inputs of several sizes are refused."""
    channel = TimeTraceChannel((0.0, 2.0, 3.0), (0.1, 0.2, 0.3))
    times = channel.draw_s(np.array([5.0, 5.0]), 20_000, np.random.default_rng(0))
    assert (times[:, 0] == times[:, 1]).all()
    assert [(times[:, 0] == value).mean() for value in channel.values] == pytest.approx([0.5, 0.25, 0.25], abs=0.015)
    with pytest.raises(UnsupportedError, match="TimeTraceChannel knows the time of one input"):
        channel.draw_s(np.array([5.0, 6.0]), 10, np.random.default_rng(0))


def test_files(tmp_path: Path) -> None:
    """The header says what the values are; blank lines, spaces and Windows line ends do no harm."""
    rates, times = tmp_path / "rates.csv", tmp_path / "times.csv"
    rates.write_text("time_s,bytes_per_s\n100,10\n\n102, 0\n103,4e1\n", encoding="utf-8")
    assert load_trace(rates) == RATES
    times.write_bytes(b"time_s, transfer_s\r\n0,0.1\r\n1,0.25\r\n")
    assert load_trace(str(times)) == TimeTraceChannel((0.0, 1.0), (0.1, 0.25))
    assert load_trace(rates) != TimeTraceChannel(RATES.starts_s, RATES.values)


HEAD = "time_s,bytes_per_s\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: the header is ''; it must be time_s,bytes_per_s or time_s,transfer_s"),
        ("time_s,mbit_s\n0,1\n1,2\n", "line 1: the header is 'time_s,mbit_s'; it must be"),
        ("0,1\n1,2\n", "line 1: the header is '0,1'"),
        (HEAD, "trace: found 0 values; at least 2 are needed"),
        (HEAD + "0,1\n", "trace: found 1 values; at least 2 are needed, because the last one holds as long as the one before"),
        (HEAD + "0,1\n1,fast\n", "line 3: found '1,fast'; two numbers are expected, time_s,bytes_per_s"),
        (HEAD + "0,1\n\n1;2\n", "line 4: found '1;2'; two numbers are expected"),
        (HEAD + "0,1,2\n", "line 2: found '0,1,2'; two numbers are expected"),
        (HEAD + "0,1\n0,2\n", "line 3: the time is 0.0; it must be a finite number of at most .*, and above the time before it, 0"),
        (HEAD + "0,1\nnan,2\n", "line 3: the time is nan"),
        (HEAD + "0,1\n1,-2\n", "line 3: the value is -2.0; it must be a number from 0 to"),
        (HEAD + "0,inf\n1,2\n", "line 2: the value is inf"),
        (HEAD + "0,0\n1,0\n", "trace: every rate is 0, so that no input ever arrives; at least one must be above 0"),
    ],
)
def test_bad_files(text: str, message: str, tmp_path: Path) -> None:
    """The message names file and line, what was found and what is allowed."""
    path = tmp_path / "trace.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(FileFormatError, match=rf"{path}: {message}"):
        load_trace(path)


def test_no_file(tmp_path: Path) -> None:
    """A file that is not there is named."""
    with pytest.raises(FileFormatError, match=r"nothing\.csv: cannot be read"):
        load_trace(tmp_path / "nothing.csv")


@pytest.mark.parametrize(
    ("starts", "values", "message"),
    [
        ((0.0, 1.0), (1.0,), "trace: found 2 times and 1 values; as many of both are expected"),
        ((0.0, 1.0), (1.0, -1.0), "trace: value 1: the value is -1.0"),
        ((0.0, "1"), (1.0, 1.0), "trace: value 1: the time is '1'"),
        ((1.0, 0.5), (1.0, 1.0), "trace: value 1: the time is 0.5"),
    ],
)
def test_bad_traces(starts: Any, values: Any, message: str) -> None:
    """Traces that are made in Python are checked as well."""
    with pytest.raises(ServiceError, match=message):
        TimeTraceChannel(starts, values)
