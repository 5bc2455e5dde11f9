"""How workers communicate: one small interface, and its implementation for workers in one process."""

from __future__ import annotations

import queue
import threading
import time
from typing import Protocol

import torch
from torch import Tensor

from iopopt.errors import ExecutionError


class Transport(Protocol):
    """Sends and receives tensors between the devices of a cluster, in order for each pair.

    Attributes:
        device: the device at this end.
        messages: how many messages it has sent.
        wire_bytes: how many bytes it has sent over the network.
    """

    device: int
    messages: int
    wire_bytes: int

    def send(self, tensor: Tensor, target: int) -> None:
        """Send without waiting for the receiver."""

    def receive(self, shape: tuple[int, ...], dtype: torch.dtype, source: int) -> Tensor:
        """The next tensor from ``source``.

        Raises:
            ExecutionError: if it does not arrive within the time limit.
        """

    def complete_sends(self) -> None:
        """Wait until everything sent has been delivered.

        Raises:
            ExecutionError: if this takes longer than the time limit.
        """

    def barrier(self) -> None:
        """Wait for all devices.

        Raises:
            ExecutionError: if one of them fails.
        """


class ThreadHub:
    """Mailboxes for workers that are threads of one process; a failing worker wakes the others."""

    def __init__(self, devices: int, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.failed = threading.Event()
        self.barrier = threading.Barrier(devices)
        self.cause: BaseException | None = None
        self._lock = threading.Lock()
        self._boxes: dict[tuple[int, int], queue.SimpleQueue[Tensor]] = {
            (source, target): queue.SimpleQueue() for source in range(devices) for target in range(devices)
        }

    def box(self, source: int, target: int) -> queue.SimpleQueue[Tensor]:
        """The mailbox of messages from ``source`` to ``target``."""
        return self._boxes[source, target]

    def fail(self, cause: BaseException) -> None:
        """Keep the first cause, and wake all waiting workers."""
        with self._lock:
            self.cause = self.cause or cause
        self.failed.set()
        self.barrier.abort()


class ThreadTransport:
    """One worker's end of a :class:`ThreadHub`; tensors are passed without a copy, and the sender drops its reference."""

    _POLL_S = 0.05

    def __init__(self, hub: ThreadHub, device: int) -> None:
        self.device, self.messages, self.wire_bytes, self._hub = device, 0, 0, hub

    def send(self, tensor: Tensor, target: int) -> None:
        self.messages += 1
        self.wire_bytes += tensor.nbytes
        self._hub.box(self.device, target).put(tensor)

    def receive(self, shape: tuple[int, ...], dtype: torch.dtype, source: int) -> Tensor:
        deadline = time.monotonic() + self._hub.timeout_s
        while time.monotonic() < deadline and not self._hub.failed.is_set():
            try:
                tensor = self._hub.box(source, self.device).get(timeout=self._POLL_S)
            except queue.Empty:
                continue
            if tuple(tensor.shape) != shape or tensor.dtype != dtype:
                found = f"{tuple(tensor.shape)} of {tensor.dtype}"
                raise ExecutionError(f"device {self.device} expected a tensor {shape} of {dtype} from device {source}, got {found}")
            return tensor
        if self._hub.failed.is_set():
            raise ExecutionError(f"device {self.device} stopped waiting for device {source}: another worker failed")
        raise ExecutionError(f"device {self.device} waited {self._hub.timeout_s:g} s for a message from device {source}")

    def complete_sends(self) -> None:
        """Nothing to wait for: a mailbox takes a tensor at once."""

    def barrier(self) -> None:
        try:
            # Without a limit: a neighbour may compute for a long time, and one that fails breaks the barrier.
            self._hub.barrier.wait()
        except threading.BrokenBarrierError:
            raise ExecutionError(f"device {self.device} stopped waiting for the others: another worker failed") from None
