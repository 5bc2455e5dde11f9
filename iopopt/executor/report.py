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
    ``receive_buffers``, ``partial_sums`` (received ones, and the sum) and ``send_buffers`` are not counted by equation (1). The row of the sink
    holds the network's output as its input.

    Of a streamed input, ``inputs`` is the largest message, ``live`` has the device's own part, and ``partial_sums`` the largest of what a message
    contributes before it is added. Of streamed partial sums, ``outputs`` is the device's own slice and the largest message, and ``partial_sums`` the
    largest message that it receives. ``send_buffers`` is the largest copy of a message that it sends.

    Where devices do not wait for each other, a worker frees a tensor as soon as it neither reads nor sends it any more. Then ``receive_buffers``
    and ``partial_sums`` hold what has arrived ahead or may arrive, ``send_buffers`` the copies that are still to be delivered, and of a unit in
    two parts ``outputs`` is the largest part's, while ``pooled`` has the whole share in which the parts are put together.
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
    send_buffers: int = 0


@dataclass(frozen=True)
class Timing:
    """Seconds that a worker spent on one operator: sending and receiving its inputs (without barriers: waiting for them), and computing."""

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
class TaskTimes:
    """When a worker began and ended one task, seconds since the run began; ``part`` as in a :class:`iopopt.simulation.timeline.Span`."""

    unit: str
    part: str
    device: int
    start_s: float
    end_s: float


@dataclass(frozen=True)
class MessageTime:
    """When a message left its sender, or reached its receiver, seconds since the run began.

    Attributes:
        unit: the one that it is for.
        producer: whose tensor it is.
        kind: of the transfer.
    """

    unit: str
    producer: str
    kind: str
    sender: int
    receiver: int
    size_bytes: int
    at_s: float


@dataclass(frozen=True)
class Report:
    """The report of one worker; only the sink's has an ``output``.

    Attributes:
        tasks: when they ran.
        departures, arrivals: when messages left this device and reached it; empty where devices wait for each other.
        clock_error_s: by how much this worker's times may differ from the sink's clock.
    """

    device: int
    ledger: tuple[LedgerRow, ...]
    timings: tuple[Timing, ...]
    traffic: tuple[Traffic, ...]
    messages: int
    wire_bytes: int
    elapsed_s: float
    output: Tensor | None
    tasks: tuple[TaskTimes, ...] = ()
    departures: tuple[MessageTime, ...] = ()
    arrivals: tuple[MessageTime, ...] = ()
    clock_error_s: float = 0.0
