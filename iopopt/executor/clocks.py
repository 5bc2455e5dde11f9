"""One time for all processes: offsets between their clocks, measured before a run, and a common start.

Each device asks the sink for its time and notes when it asked and when the answer came. If question and answer take equally long, the sink's clock
was read in the middle (NTP's formula): the quickest of several rounds errs least, by at most half its round trip. Between start and end of a
run the clocks are taken to go equally fast; those of ordinary machines differ by less than 0.1 ms in a second.
"""

from __future__ import annotations

import datetime
import time

import torch
import torch.distributed as dist

from iopopt.errors import ExecutionError
from iopopt.executor.transport import Start

_ROUNDS = 20
_MARGIN_S = 0.005
"""How long after the last answer the run begins: time enough for the message that says so."""


def agree_on_start(device: int, sink: int, timeout_s: float) -> Start:
    """The moment at which the run begins, the same on all devices; waits for it. Every device of the group must call it.

    The sink waits for each of the others for the time limit, and they for the sink as long as it may wait for all of them: so it is the sink that
    says who does not answer.

    Raises:
        ExecutionError: if another device fails, or does not answer in time.
    """
    others, other = [number for number in range(dist.get_world_size()) if number != sink], sink
    try:
        if device == sink:
            limit = datetime.timedelta(seconds=timeout_s)
            for other in others:
                _answer(other, limit)
            start, error_s = time.perf_counter() + _MARGIN_S, 0.0
            for other in others:
                _send(start, other, limit)
        else:
            limit = datetime.timedelta(seconds=timeout_s * (len(others) + 1))
            offset, error_s = _offset(sink, limit)
            start = _receive(sink, limit) - offset
    except RuntimeError as error:
        raise ExecutionError(f"device {device} could not agree on the time with device {other}: {str(error).splitlines()[0]}") from error
    time.sleep(max(0.0, start - time.perf_counter()))
    return Start(start, error_s)


def _offset(sink: int, limit: datetime.timedelta) -> tuple[float, float]:
    """The sink's clock minus this device's, and by how much that may be wrong, seconds."""
    best = float("inf"), 0.0
    for _ in range(_ROUNDS):
        asked = time.perf_counter()
        _send(asked, sink, limit)
        answer = _receive(sink, limit)
        answered = time.perf_counter()
        best = min(best, (answered - asked, answer - (asked + answered) / 2))
    return best[1], best[0] / 2


def _answer(other: int, limit: datetime.timedelta) -> None:
    """Tell another device the time as often as it asks."""
    for _ in range(_ROUNDS):
        _receive(other, limit)
        _send(time.perf_counter(), other, limit)


def _send(seconds: float, other: int, limit: datetime.timedelta) -> None:
    work = dist.isend(torch.tensor([seconds], dtype=torch.float64), other)
    assert work is not None  # this rank is a member of the group
    work.wait(limit)


def _receive(other: int, limit: datetime.timedelta) -> float:
    message = torch.empty(1, dtype=torch.float64)
    work = dist.irecv(message, other)
    assert work is not None  # this rank is a member of the group
    work.wait(limit)
    return message.item()
