"""Timelines: when every task and transfer of a plan starts and ends, simulated or measured."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from iopopt.cluster.cluster import Cluster
from iopopt.cost.energy import Energy, energy_of, has_power
from iopopt.errors import FileFormatError
from iopopt.network.records import as_list, check_keys, check_schema, plain, short_repr, typed_fields
from iopopt.simulation.bottlenecks import Wait, bottlenecks_of, waits_of
from iopopt.simulation.held_memory import HeldMemory

if TYPE_CHECKING:
    import pandas as pd

Origin = Literal["simulated", "measured"]


@dataclass(frozen=True)
class Span:
    """One task of a device, or one transfer.

    Attributes:
        unit: the operator or block that is computed, or the one that a transfer is for; ``(sink)`` for the output.
        what: of a task ``"boundary"``, ``"interior"``, of a streamed unit ``"own"`` or ``"message"``, or, in one piece, ``""``; of a transfer its
            kind, such as ``"halo exchange"``.
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

    @cached_property
    def energy(self) -> Energy | None:
        """What each device draws until the last output, joules: for the makespan, its tasks, and its bytes at the rated speed of its link.

        None if no device of the cluster has a power.
        """
        if not has_power(self.cluster):
            return None
        sent, received = zip(*self.link_bytes, strict=True)
        return energy_of(self.cluster, self.makespan_s, self.busy_s, sent, received)

    @property
    def energy_j(self) -> float | None:
        """What all devices draw until the last output, joules; None if no device of the cluster has a power."""
        return None if self.energy is None else self.energy.total_j

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

    @cached_property
    def waits(self) -> tuple[Wait, ...]:
        """When devices compute nothing before a task, in the order of time, and what they wait for."""
        return waits_of(self)

    def bottlenecks(self) -> pd.DataFrame:
        """What to speed up: the seconds of the critical path by device that computes and by pair of devices that transfers, the longest first.

        The column ``what`` is ``"compute"``, ``"transfer"`` (from ``device`` to ``receiver``) or, where a measured path has a gap, ``"wait"``;
        ``seconds`` sum to the makespan, and ``part`` to 1.
        """
        return bottlenecks_of(self)

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

    def to_dict(self) -> dict[str, Any]:
        """A record of JSON's types; :meth:`from_dict` reads it back."""
        return {"schema_version": 1, **plain(self), "cluster": self.cluster.to_dict()}

    @classmethod
    def from_dict(cls, record: Any, where: str = "timeline") -> Timeline:
        """Read a record of :meth:`to_dict`.

        Raises:
            FileFormatError: if a key is missing, unknown or of the wrong type, or the parts contradict each other; the message begins with ``where``.
        """
        check_schema(record, where, 1)
        names = {item.name for item in fields(cls)}
        check_keys(record, where, names | {"schema_version"})
        nested = {"cluster", "spans", "memory"}
        spans = as_list(record["spans"], f"{where}: 'spans'")
        memory = as_list(record["memory"], f"{where}: 'memory'")
        timeline = cls(
            cluster=Cluster.from_dict(record["cluster"], f"{where}: cluster"),
            spans=tuple(_part_from(item, Span, f"{where}: spans[{number}]") for number, item in enumerate(spans)),
            memory=tuple(_part_from(item, HeldMemory, f"{where}: memory[{number}]") for number, item in enumerate(memory)),
            **typed_fields({name: record[name] for name in names - nested}, cls, where),
        )
        fault = _contradiction(timeline)
        if fault is not None:
            raise FileFormatError(f"{where}: {fault}")
        return timeline


def _part_from(record: Any, cls: type[Any], where: str) -> Any:
    """A Span or a HeldMemory of a record."""
    check_keys(record, where, {item.name for item in fields(cls)})
    return cls(**typed_fields(record, cls, where))


def _contradiction(timeline: Timeline) -> str | None:
    """How the parts of a timeline contradict each other, if they do."""
    if not timeline.outputs_s:
        return "outputs_s is empty; it holds the time of each output"
    if min(timeline.outputs_s) < 0:
        return f"outputs_s is {short_repr(list(timeline.outputs_s))}; times count from the start"
    medium = timeline.shared_medium_bytes_per_s
    if medium is not None and medium <= 0:
        return f"shared_medium_bytes_per_s is {medium!r}; it must be positive, or null"
    for number, span in enumerate(timeline.spans):
        if fault := _span_fault(span, timeline):
            return f"spans[{number}]: {fault}"
    try:
        TopologicalSorter({number: span.after for number, span in enumerate(timeline.spans)}).prepare()
    except CycleError as error:
        return f"spans {short_repr(error.args[1])} wait for each other in a circle, by 'after'"
    if timeline.memory and len(timeline.memory) != len(timeline.cluster):
        return f"memory has {len(timeline.memory)} entries for {len(timeline.cluster)} devices"
    faults = (f"memory[{number}]: {fault}" for number, held in enumerate(timeline.memory) if (fault := _memory_fault(held)))
    return next(faults, None)


def _span_fault(span: Span, timeline: Timeline) -> str | None:
    devices = len(timeline.cluster)
    for key, device in (("device", span.device), ("receiver", span.receiver)):
        if device is not None and not 0 <= device < devices:
            return f"{key} is {device}; the cluster has devices 0 to {devices - 1}"
    if span.receiver == span.device:
        return f"device {span.device} sends to itself"
    if span.end_s < span.start_s:
        return f"it ends at {span.end_s!r} s, before it starts, at {span.start_s!r} s"
    if span.amount < 0:
        return f"amount is {span.amount!r}; it cannot be negative"
    if not 0 <= span.item < len(timeline.outputs_s):
        return f"item is {span.item}; outputs_s has {len(timeline.outputs_s)}, counted from 0"
    unknown = [number for number in span.after if not 0 <= number < len(timeline.spans)]
    return f"it waits for span {unknown[0]}; there are {len(timeline.spans)}, counted from 0" if unknown else None


def _memory_fault(held: HeldMemory) -> str | None:
    if not held.times_s or len(held.times_s) != len(held.held_bytes):
        return f"{len(held.times_s)} times_s for {len(held.held_bytes)} held_bytes; each time has one figure, and there is at least one"
    if held.times_s[0] != 0 or any(later <= earlier for earlier, later in pairwise(held.times_s)):
        return "times_s do not rise from 0"
    if held.limit_bytes <= 0:
        return f"limit_bytes is {held.limit_bytes!r}; it must be positive"
    return "a figure is negative" if min(*held.held_bytes, held.weights_bytes) < 0 else None
