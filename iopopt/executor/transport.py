"""How workers communicate: two small interfaces, one with barriers and one without."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class Sending(Protocol):
    """One device's end of a network, in order for each pair of devices.

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


class Expected(NamedTuple):
    """A message that a device is about to receive."""

    shape: tuple[int, ...]
    source: int


class Transport(Sending, Protocol):
    """Sends and receives tensors between devices that wait for each other."""

    def receive(self, expected: Sequence[Expected], dtype: torch.dtype) -> list[Tensor]:
        """The next tensors from their sources, all of which travel from now on.

        Raises:
            ExecutionError: if one does not arrive within the time limit.
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


class Receipt:
    """A message that a device expects: its tensor and when it arrived, or why it never will."""

    def __init__(self) -> None:
        self._settled = threading.Event()
        self._tensor: Tensor | None = None
        self._error: Exception | None = None
        self.arrived = 0.0

    def settle(self, tensor: Tensor) -> None:
        """The message has arrived just now."""
        self.arrived = time.perf_counter()
        self._tensor = tensor
        self._settled.set()

    def fail(self, error: Exception) -> None:
        """It will not arrive."""
        self._error = error
        self._settled.set()

    def wait(self, seconds: float) -> bool:
        """Wait at most so long; returns whether it has arrived.

        Raises:
            ExecutionError: if it never will.
        """
        if not self._settled.wait(seconds):
            return False
        if self._error is not None:
            raise self._error
        return True

    def tensor(self) -> Tensor:
        """The tensor of a message that has arrived; the receipt then drops it."""
        tensor, self._tensor = self._tensor, None
        assert tensor is not None  # taken once, after wait() has said that it is there
        return tensor


class Start(NamedTuple):
    """When a run begins on all devices, by this device's ``time.perf_counter``, and by how much that may differ from the sink's clock."""

    at: float
    clock_error_s: float


class OverlappingTransport(Sending, Protocol):
    """Sends and receives tensors while the devices compute."""

    @property
    def undelivered_bytes(self) -> int:
        """What has been sent and still occupies memory of this device."""

    def start(self) -> Start:
        """Wait for all devices, and agree on the moment at which the run begins.

        Raises:
            ExecutionError: if one of them fails.
        """

    def tell(self, turn: int, *, waiting: bool) -> None:
        """Let the others know how far this device is: the number of the unit, and whether it waits for messages or computes."""

    def post(self, shape: tuple[int, ...], dtype: torch.dtype, source: int) -> Receipt:
        """Expect the next tensor from ``source``, which travels from now on."""

    def take(self, receipt: Receipt, shape: tuple[int, ...], dtype: torch.dtype, source: int, sent_after: int) -> Tensor:
        """Wait for an expected tensor, which ``source`` sends in the turn ``sent_after``.

        Raises:
            ExecutionError: as :class:`iopopt.executor.patience.Patience` says.
        """

    def finish(self) -> None:
        """Wait until everything sent has been delivered and the sink has its output.

        Raises:
            ExecutionError: as :meth:`take`.
        """
