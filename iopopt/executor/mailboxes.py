"""Workers that are threads of one process: mailboxes, through which tensors pass without a copy."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

from iopopt.errors import ExecutionError
from iopopt.executor.job import as_execution_error
from iopopt.executor.patience import Patience, Progress
from iopopt.executor.transport import Expected, Receipt, Start

T = TypeVar("T")


class ThreadHub:
    """Mailboxes for all workers; a failing worker wakes the others."""

    def __init__(self, devices: Sequence[int], timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.failed = threading.Event()
        self.barrier = threading.Barrier(len(devices), self._note_start)
        self.cause: BaseException | None = None
        self.started = 0.0
        self.progress = dict.fromkeys(devices, Progress(-1, waiting=False))
        self._lock = threading.Lock()
        self._receipts: dict[tuple[int, int, int], Receipt] = {}

    def run(self, work: Callable[[int], T]) -> list[T]:
        """What every device's work returns, in a thread each.

        Raises:
            ExecutionError: if one fails, or one has sent what nobody expected.
        """

        def guarded(device: int) -> T:
            try:
                return work(device)
            except BaseException as error:
                self.fail(as_execution_error(error, device))
                raise

        with ThreadPoolExecutor(len(self.progress)) as pool:
            futures = [pool.submit(guarded, device) for device in self.progress]
        if self.cause is not None:
            raise self.cause
        if self._receipts:
            source, target, _ = next(iter(self._receipts))
            raise ExecutionError(f"device {target} did not expect a message that device {source} has sent to it")
        return [future.result() for future in futures]

    def receipt(self, source: int, target: int, number: int) -> Receipt:
        """The receipt of a message, by its number among those from ``source`` to ``target``; whoever comes first, sender or receiver, makes it."""
        key = source, target, number
        with self._lock:
            if key in self._receipts:
                return self._receipts.pop(key)  # the other side has it already
            return self._receipts.setdefault(key, Receipt())

    def fail(self, cause: BaseException) -> None:
        """Keep the first cause, and wake all waiting workers."""
        with self._lock:
            self.cause = self.cause or cause
        self.failed.set()
        self.barrier.abort()

    def _note_start(self) -> None:
        self.started = time.perf_counter()


class ThreadTransport:
    """One worker's end of a :class:`ThreadHub`, with barriers or without; the sender drops its reference."""

    _POLL_S = 0.05

    def __init__(self, hub: ThreadHub, device: int) -> None:
        self.device, self.messages, self.wire_bytes, self._hub = device, 0, 0, hub
        self._sent: dict[int, int] = defaultdict(int)
        self._posted: dict[int, int] = defaultdict(int)
        self._patience = Patience(device, hub.timeout_s, self._progress_of)

    def send(self, tensor: Tensor, target: int) -> None:
        self.messages += 1
        self.wire_bytes += tensor.nbytes
        number, self._sent[target] = self._sent[target], self._sent[target] + 1
        self._hub.receipt(self.device, target, number).settle(tensor)

    def post(self, shape: tuple[int, ...], dtype: torch.dtype, source: int) -> Receipt:
        number, self._posted[source] = self._posted[source], self._posted[source] + 1
        return self._hub.receipt(source, self.device, number)

    def take(self, receipt: Receipt, shape: tuple[int, ...], dtype: torch.dtype, source: int, sent_after: int) -> Tensor:
        self._patience.wait(receipt.wait, source, sent_after)
        return self._checked(receipt.tensor(), shape, dtype, source)

    def receive(self, expected: Sequence[Expected], dtype: torch.dtype) -> list[Tensor]:
        deadline = time.monotonic() + self._hub.timeout_s
        return [self._received(self.post(shape, dtype, source), shape, dtype, source, deadline) for shape, source in expected]

    def _received(self, receipt: Receipt, shape: tuple[int, ...], dtype: torch.dtype, source: int, deadline: float) -> Tensor:
        while not receipt.wait(self._POLL_S):
            self._check_others(source)
            if time.monotonic() > deadline:
                raise ExecutionError(f"device {self.device} waited {self._hub.timeout_s:g} s for a message from device {source}")
        return self._checked(receipt.tensor(), shape, dtype, source)

    def complete_sends(self) -> None:
        """Nothing to wait for: a mailbox takes a tensor at once."""

    def barrier(self) -> None:
        try:
            # Without a limit: a neighbour may compute for a long time, and one that fails breaks the barrier.
            self._hub.barrier.wait()
        except threading.BrokenBarrierError:
            raise ExecutionError(f"device {self.device} stopped waiting for the others: another worker failed") from None

    @property
    def undelivered_bytes(self) -> int:
        """None: a tensor is its receiver's from the moment at which it is sent."""
        return 0

    def start(self) -> Start:
        self.barrier()
        return Start(self._hub.started, 0.0)

    def tell(self, turn: int, *, waiting: bool) -> None:
        self._hub.progress[self.device] = Progress(turn, waiting)

    def finish(self) -> None:
        """Nothing to wait for."""

    def _progress_of(self, other: int) -> Progress:
        self._check_others(other)
        return self._hub.progress[other]

    def _check_others(self, awaited: int) -> None:
        if self._hub.failed.is_set():
            raise ExecutionError(f"device {self.device} stopped waiting for device {awaited}: another worker failed")

    def _checked(self, tensor: Tensor, shape: tuple[int, ...], dtype: torch.dtype, source: int) -> Tensor:
        if tuple(tensor.shape) != shape or tensor.dtype != dtype:
            found = f"{tuple(tensor.shape)} of {tensor.dtype}"
            raise ExecutionError(f"device {self.device} expected a tensor {shape} of {dtype} from device {source}, got {found}")
        return tensor
