"""Workers that are processes: gloo between them, with barriers and without.

Gloo moves a message only once its receiver has posted it; then threads of its own write and read it, while this process computes. It tells that a
message has arrived, or has left, only to a thread that waits for it. So each neighbour has a thread that waits for what is expected from it, and
one that waits until what was sent to it has been delivered; they sleep until gloo wakes them.
"""

from __future__ import annotations

import datetime
import queue
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from iopopt.errors import ExecutionError
from iopopt.executor.clocks import agree_on_start
from iopopt.executor.heartbeat import Heartbeat, Store
from iopopt.executor.patience import NEVER, Patience
from iopopt.executor.transport import Expected, Receipt, Start

T = TypeVar("T")

_BARRIER_TIMEOUTS = 20
_NO_LIMIT = datetime.timedelta(days=365)


class _Guarded:
    """One rank's end of a process group: what fails in gloo is an ExecutionError."""

    def __init__(self, timeout_s: float) -> None:
        self.device, self.messages, self.wire_bytes = dist.get_rank(), 0, 0
        self._timeout = datetime.timedelta(seconds=timeout_s)

    def _isend(self, tensor: Tensor, target: int, tag: int = 0) -> dist.Work:
        self.messages += 1
        self.wire_bytes += tensor.nbytes
        work = self._guarded(f"send to device {target}", lambda: dist.isend(tensor, target, tag=tag))
        assert work is not None  # this rank is a member of the group
        return work

    def _guarded(self, what: str, act: Callable[[], T]) -> T:
        try:
            return act()
        except RuntimeError as error:
            raise _failed(self.device, what, error) from error


class GlooTransport(_Guarded):
    """With barriers; sent tensors are held until they are delivered."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__(timeout_s)
        self._under_way: list[tuple[dist.Work, Tensor]] = []

    def send(self, tensor: Tensor, target: int) -> None:
        self._under_way.append((self._isend(tensor, target), tensor))

    def receive(self, expected: Sequence[Expected], dtype: torch.dtype) -> list[Tensor]:
        tensors = [torch.empty(shape, dtype=dtype) for shape, _ in expected]
        posted = [
            (source, self._guarded(f"receive from device {source}", lambda tensor=tensor, source=source: dist.irecv(tensor, source)))  # type: ignore[misc]
            for tensor, (_, source) in zip(tensors, expected, strict=True)
        ]
        for source, work in posted:
            self._guarded(f"receive from device {source}", lambda work=work: work.wait(self._timeout))  # type: ignore[misc]
        return tensors

    def complete_sends(self) -> None:
        for work, _ in self._under_way:
            self._guarded("finish sending", lambda work=work: work.wait(self._timeout))  # type: ignore[misc]
        self._under_way.clear()

    def barrier(self) -> None:
        """Wait for all devices, for longer than for a message: a neighbour may compute for a long time, and one that dies closes its connections."""
        self._guarded("wait for the others", lambda: dist.monitored_barrier(timeout=_BARRIER_TIMEOUTS * self._timeout))


class OverlappingGlooTransport(_Guarded):
    """Without barriers; each message of a pair of devices has its number among them as its tag."""

    def __init__(self, timeout_s: float, sink: int, store: Store) -> None:
        super().__init__(timeout_s)
        self._sink = sink
        self._heartbeat = Heartbeat(self.device, dist.get_world_size(), timeout_s, store)
        self._patience = Patience(self.device, timeout_s, self._heartbeat.progress_of)
        others = [other for other in range(dist.get_world_size()) if other != self.device]
        self._arrivals = {other: _Line(self.device, f"receive from device {other}") for other in others}
        self._deliveries = {other: _Line(self.device, f"send to device {other}") for other in others}
        self._sent: dict[int, int] = defaultdict(int)
        self._posted: dict[int, int] = defaultdict(int)
        self._undelivered: dict[Receipt, tuple[int, int]] = {}  # target and bytes

    @property
    def undelivered_bytes(self) -> int:
        return sum(size for _, size in list(self._undelivered.values()))

    def start(self) -> Start:
        for line in self._lines:
            line.start()
        self._heartbeat.announce()
        start = agree_on_start(self.device, self._sink, self._timeout.total_seconds())
        self._heartbeat.start()
        return start

    @property
    def _lines(self) -> Sequence[_Line]:
        return *self._arrivals.values(), *self._deliveries.values()

    def tell(self, turn: int, *, waiting: bool) -> None:
        self._heartbeat.tell(turn, waiting)

    def send(self, tensor: Tensor, target: int) -> None:
        number, self._sent[target] = self._sent[target], self._sent[target] + 1
        work, receipt = self._isend(tensor, target, number), Receipt()
        self._undelivered[receipt] = target, tensor.nbytes
        self._deliveries[target].wait_for(work, tensor, receipt, lambda: self._undelivered.pop(receipt))

    def post(self, shape: tuple[int, ...], dtype: torch.dtype, source: int) -> Receipt:
        number, self._posted[source] = self._posted[source], self._posted[source] + 1
        tensor, receipt = torch.empty(shape, dtype=dtype), Receipt()
        work = self._guarded(f"receive from device {source}", lambda: dist.irecv(tensor, source, tag=number))
        assert work is not None  # this rank is a member of the group
        self._arrivals[source].wait_for(work, tensor, receipt)
        return receipt

    def take(self, receipt: Receipt, shape: tuple[int, ...], dtype: torch.dtype, source: int, sent_after: int) -> Tensor:
        self._patience.wait(receipt.wait, source, sent_after)
        return receipt.tensor()

    def finish(self) -> None:
        """Wait until all has been delivered, then for the sink, which waits for its output."""
        for receipt, (target, _) in list(self._undelivered.items()):
            self._patience.wait(receipt.wait, target, NEVER)
        end = torch.zeros(1)
        if self.device == self._sink:
            for other in self._deliveries:
                self._guarded("end the run", lambda other=other: dist.send(end, other, tag=self._sent[other]))  # type: ignore[misc]
        else:
            self._patience.wait(self.post((1,), end.dtype, self._sink).wait, self._sink, NEVER)
        for line in self._lines:
            line.end()
            line.join()

    def close(self) -> None:
        """Stop giving signs of life; what still waits for a message of a failed run does so until the neighbour's process ends, or this one."""
        self._heartbeat.end()
        for line in self._lines:
            line.end()


class _Line(threading.Thread):
    """Waits for the messages between this device and another one, in order, and notes when each is through."""

    def __init__(self, device: int, what: str) -> None:
        super().__init__(name=f"iopopt: {what}", daemon=True)  # one that waits for a dead neighbour must not keep the process
        self._device, self._what = device, what
        self._queue: queue.SimpleQueue[tuple[dist.Work, Tensor, Receipt, Callable[[], object]] | None] = queue.SimpleQueue()

    def wait_for(self, work: dist.Work, tensor: Tensor, receipt: Receipt, done: Callable[[], object] = lambda: None) -> None:
        """Settle a receipt when the work is through, and do what else is due then."""
        self._queue.put((work, tensor, receipt, done))

    def end(self) -> None:
        """After everything so far."""
        self._queue.put(None)

    def run(self) -> None:
        while (item := self._queue.get()) is not None:
            work, tensor, receipt, done = item
            try:
                work.wait(_NO_LIMIT)
            except RuntimeError as error:
                receipt.fail(_failed(self._device, self._what, error))
            else:
                done()
                receipt.settle(tensor)
            del item, work, tensor, receipt, done  # while it waits for the next one


def _failed(device: int, what: str, error: RuntimeError) -> ExecutionError:
    failure = ExecutionError(f"device {device} could not {what}: {str(error).splitlines()[0]}")
    failure.__cause__ = error
    return failure
