"""What a worker measures: buffers, times and traffic."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class LedgerRow:
    """What a worker held for one operator, bytes of real buffers.

    ``weights``, ``inputs``, ``outputs`` (before the pool) and ``live`` are what equation (1) counts, except that epilogue parameters count as
    weights, and biases are on the devices that finish the sum of an IC operator. ``live`` are live tensors and partial sums; one that this
    operator also reads is among its inputs as well, as in equation (1). ``pooled`` outputs (everything that the epilogue makes),
    ``receive_buffers`` and ``partial_sums`` (received ones, and the sum) are not counted by equation (1). The row of the sink holds the
    network's output as its input.
    """

    operator: str
    device: int
    weights: int = 0
    inputs: int = 0
    outputs: int = 0
    live: int = 0
    pooled: int = 0
    receive_buffers: int = 0
    partial_sums: int = 0


@dataclass(frozen=True)
class Timing:
    """Seconds that a worker spent on one operator: receiving its inputs, and computing."""

    operator: str
    device: int
    communication_s: float
    compute_s: float


@dataclass(frozen=True)
class Traffic:
    """Payload that a worker received and sent on all edges into one operator (or the sink), bytes of real tensors."""

    edge: str
    device: int
    received_bytes: int
    sent_bytes: int


@dataclass(frozen=True)
class Report:
    """The report of one worker; only the sink's has an ``output``."""

    device: int
    ledger: tuple[LedgerRow, ...]
    timings: tuple[Timing, ...]
    traffic: tuple[Traffic, ...]
    messages: int
    wire_bytes: int
    elapsed_s: float
    output: Tensor | None
