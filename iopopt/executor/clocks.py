"""One time for all processes: offsets between their clocks, measured before a run, and a common start.

Each device asks the sink for its time and notes when it asked and when the answer came. If question and answer take equally long, the sink's clock
was read in the middle (NTP's formula): the quickest of several rounds errs least, by at most half its round trip. Between start and end of a
run the clocks are taken to go equally fast; those of ordinary machines differ by less than 0.1 ms in a second.
"""

from __future__ import annotations

import time

import torch
import torch.distributed as dist
from torch import Tensor

from iopopt.errors import ExecutionError
from iopopt.executor.transport import Start

_ROUNDS = 20
_MARGIN_S = 0.005
"""How long after the last answer the run begins: time enough for the message that says so."""


def agree_on_start(device: int, sink: int) -> Start:
    """The moment at which the run begins, the same on all devices; waits for it. Every device of the group must call it.

    Raises:
        ExecutionError: if another device fails, or does not answer within the time limit of the group.
    """
    others, other = [number for number in range(dist.get_world_size()) if number != sink], sink
    try:
        if device == sink:
            for other in others:
                _answer(other)
            start, error_s = time.perf_counter() + _MARGIN_S, 0.0
            for other in others:
                dist.send(_message(start), other)
        else:
            offset, error_s = _offset(sink)
            announced = _message(0.0)
            dist.recv(announced, sink)
            start = announced.item() - offset
    except RuntimeError as error:
        raise ExecutionError(f"device {device} could not agree on the time with device {other}: {str(error).splitlines()[0]}") from error
    time.sleep(max(0.0, start - time.perf_counter()))
    return Start(start, error_s)


def _offset(sink: int) -> tuple[float, float]:
    """The sink's clock minus this device's, and by how much that may be wrong, seconds."""
    best = float("inf"), 0.0
    for _ in range(_ROUNDS):
        asked, answer = time.perf_counter(), _message(0.0)
        dist.send(_message(asked), sink)
        dist.recv(answer, sink)
        answered = time.perf_counter()
        best = min(best, (answered - asked, answer.item() - (asked + answered) / 2))
    return best[1], best[0] / 2


def _answer(other: int) -> None:
    """Tell another device the time as often as it asks."""
    question = _message(0.0)
    for _ in range(_ROUNDS):
        dist.recv(question, other)
        dist.send(_message(time.perf_counter()), other)


def _message(seconds: float) -> Tensor:
    return torch.tensor([seconds], dtype=torch.float64)
