"""Timelines: when every task and transfer of a plan starts and ends, simulated or measured."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from iopopt.cluster.cluster import Cluster
from iopopt.simulation.held_memory import HeldMemory

if TYPE_CHECKING:
    import pandas as pd

Origin = Literal["simulated", "measured"]


@dataclass(frozen=True)
class Span:
    """One task of a device, or one transfer.

    Attributes:
        unit: the operator or block that is computed, or the one that a transfer is for; ``(sink)`` for the output.
        what: of a task ``"boundary"``, ``"interior"`` or, in one piece, ``""``; of a transfer its kind, such as ``"halo exchange"``.
        device: who computes or sends.
        receiver: of a transfer; None for a task.
        start_s, end_s: seconds; a transfer starts with the set-up of its connection.
        amount: FLOPs of a task, bytes of a transfer.
        producer: whose tensor is transferred; ``""`` for a task.
        after: the spans, by number, that it waited for: those that it needs, and the task before it on its device.
        item: the number of the input, of several in flight.
    """

    unit: str
    what: str
    device: int
    receiver: int | None
    start_s: float
    end_s: float
    amount: float
    producer: str = ""
    after: tuple[int, ...] = ()
    item: int = 0

    @property
    def is_transfer(self) -> bool:
        """Whether it is a transfer; otherwise a task."""
        return self.receiver is not None

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True, repr=False)
class Timeline:
    """A plan in time.

    Attributes:
        spans: every task and transfer.
        outputs_s: when the sink has the whole output of each input.
        shared_medium_bytes_per_s: the capacity of the medium that transfers shared; None if they had the links of the cluster.
        memory: what each device holds over time; empty if that was not measured.
    """

    cluster: Cluster
    spans: tuple[Span, ...]
    outputs_s: tuple[float, ...]
    origin: Origin = "simulated"
    shared_medium_bytes_per_s: float | None = None
    memory: tuple[HeldMemory, ...] = ()

    @property
    def makespan_s(self) -> float:
        """When the sink has the whole output of the last input."""
        return max(self.outputs_s)

    @property
    def throughput_per_s(self) -> float:
        """Inputs per second: between the first output and the last, or 1 / makespan for a single input."""
        first, last = min(self.outputs_s), max(self.outputs_s)
        if last <= first:
            return len(self.outputs_s) / last if last > 0 else float("inf")
        return (len(self.outputs_s) - 1) / (last - first)

    @cached_property
    def busy_s(self) -> tuple[float, ...]:
        """How long each device computes."""
        busy = [0.0] * len(self.cluster)
        for span in self.spans:
            if not span.is_transfer:
                busy[span.device] += span.duration_s
        return tuple(busy)

    @property
    def device_utilisation(self) -> tuple[float, ...]:
        """The part of the makespan in which each device computes."""
        return tuple(busy / self.makespan_s if self.makespan_s > 0 else 0.0 for busy in self.busy_s)

    @cached_property
    def link_bytes(self) -> tuple[tuple[float, float], ...]:
        """What each device sends and receives, bytes."""
        sent, received = [0.0] * len(self.cluster), [0.0] * len(self.cluster)
        for span in self.spans:
            if span.receiver is not None:
                sent[span.device] += span.amount
                received[span.receiver] += span.amount
        return tuple(zip(sent, received, strict=True))

    @property
    def transferred_bytes(self) -> float:
        """The sum of all transfers."""
        return sum(sent for sent, _ in self.link_bytes)

    @property
    def link_utilisation(self) -> tuple[tuple[float, float], ...]:
        """Of each device's link, up and down: bytes over what it could carry in the makespan; of a shared medium, each device's part of it."""
        most = [(self.shared_medium_bytes_per_s or device.bandwidth_bytes_per_s) * self.makespan_s for device in self.cluster.devices]
        parts = zip(self.link_bytes, most, strict=True)
        return tuple((sent / limit, received / limit) if limit > 0 else (0.0, 0.0) for (sent, received), limit in parts)

    @cached_property
    def critical_path(self) -> tuple[Span, ...]:
        """From the start to the last output: each span waited for the one before it. To end earlier, one of these must be faster or start earlier."""
        ends = [(span.end_s, number) for number, span in enumerate(self.spans) if span.end_s <= self.makespan_s]
        if not ends:
            return ()
        path = [max(ends)[1]]
        while self.spans[path[-1]].after:
            path.append(max(self.spans[path[-1]].after, key=lambda number: (self.spans[number].end_s, number)))
        return tuple(self.spans[number] for number in reversed(path))

    def __repr__(self) -> str:
        tasks = sum(not span.is_transfer for span in self.spans)
        return f"Timeline({self.origin}, {self.makespan_s * 1e3:.4g} ms: {tasks} tasks, {len(self.spans) - tasks} transfers)"

    def to_frame(self) -> pd.DataFrame:
        """A row for each task and transfer, devices by name."""
        import pandas as pd

        names = [device.name for device in self.cluster.devices]
        critical = set(map(id, self.critical_path))
        rows = [
            {
                "unit": span.unit,
                "what": span.what,
                "device": names[span.device],
                "receiver": "" if span.receiver is None else names[span.receiver],
                "start_s": span.start_s,
                "end_s": span.end_s,
                "flops": 0.0 if span.is_transfer else span.amount,
                "bytes": span.amount if span.is_transfer else 0.0,
                "producer": span.producer,
                "item": span.item,
                "critical": id(span) in critical,
            }
            for span in self.spans
        ]
        return pd.DataFrame(rows)
