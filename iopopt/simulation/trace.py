"""Timelines in the Trace Event Format of Chrome, which ui.perfetto.dev and chrome://tracing open.

A process for each device, with a thread for its tasks and as many for what it sends and receives as it takes that no two events of a thread overlap,
because the format allows only nested ones; a flow from each transfer to the task that it feeds; a counter of the memory held.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any, Literal, NamedTuple

from iopopt.simulation.lanes import lanes
from iopopt.simulation.timeline import Span, Timeline

Row = Literal["compute", "send", "receive"]
Event = dict[str, Any]


class _Place(NamedTuple):
    """Where an event stands: the numbers of its process and thread."""

    pid: int
    tid: int


def trace_record(timeline: Timeline) -> dict[str, Any]:
    """The timeline as a JSON record; times in microseconds, memory in bytes."""
    threads = _Threads(timeline)
    events = [*threads.names(), *_slices(timeline, threads), *_flows(timeline, threads), *_counters(timeline, threads)]
    other = {"origin": timeline.origin, "makespan_ms": timeline.makespan_s * 1e3}
    return {"traceEvents": events, "displayTimeUnit": "ms", "otherData": other}


class _Threads:
    """The threads of each device, and on which of them each span stands; ``computing`` has the first thread of each."""

    def __init__(self, timeline: Timeline) -> None:
        self._devices = [device.name for device in timeline.cluster.devices]
        self._of: dict[tuple[Row, int], _Place] = {}
        self._names: list[tuple[_Place, str]] = []
        self.computing: list[_Place] = []
        numbers = count(len(self._devices) + 1)  # a thread with the number of a process would be its main one
        for device in range(len(self._devices)):
            for row, spans in rows_of(timeline, device).items():
                of_span = lanes([timeline.spans[number] for number in spans])
                places = [_Place(device + 1, next(numbers)) for _ in range(max([1, *(lane.lanes for lane in of_span)]))]
                self._names += [(place, row if not lane else f"{row} {lane + 1}") for lane, place in enumerate(places)]
                if row == "compute":
                    self.computing.append(places[0])
                self._of |= {(row, number): places[lane.number] for number, lane in zip(spans, of_span, strict=True)}

    def place(self, row: Row, number: int) -> _Place:
        """Where span ``number`` stands in the row of its device, or of its receiver."""
        return self._of[row, number]

    def names(self) -> Iterator[Event]:
        """The events that name the processes and threads, and order them."""
        for order, (place, name) in enumerate(zip(self.computing, self._devices, strict=True)):
            yield _event("M", "process_name", place, args={"name": name})
            yield _event("M", "process_sort_index", place, args={"sort_index": order})
        for order, (place, name) in enumerate(self._names):
            yield _event("M", "thread_name", place, args={"name": name})
            yield _event("M", "thread_sort_index", place, args={"sort_index": order})


def rows_of(timeline: Timeline, device: int) -> Mapping[Row, Sequence[int]]:
    """The spans in which a device computes, sends and receives, by number."""
    spans = list(enumerate(timeline.spans))
    return {
        "compute": [number for number, span in spans if not span.is_transfer and span.device == device],
        "send": [number for number, span in spans if span.is_transfer and span.device == device],
        "receive": [number for number, span in spans if span.receiver == device],
    }


def _event(phase: str, name: str, place: _Place, **more: Any) -> Event:
    return {"ph": phase, "name": name, "pid": place.pid, "tid": place.tid, **more}


def _microseconds(seconds: float) -> float:
    """Whole eighths of a microsecond, of which sums and differences are exact: what touches does not overlap by a rounding error."""
    return round(seconds * 8e6) / 8


def _slices(timeline: Timeline, threads: _Threads) -> Iterator[Event]:
    """A complete event for each task, and two for each transfer: where it is sent, and where it is received."""
    names = [device.name for device in timeline.cluster.devices]
    critical, waits = set(map(id, timeline.critical_path)), {id(wait.task): wait for wait in timeline.waits}
    for number, span in enumerate(timeline.spans):
        start = _microseconds(span.start_s)
        times = {"ts": start, "dur": _microseconds(span.end_s) - start}
        args: dict[str, Any] = {"unit": span.unit, "what": span.what, "input": span.item, "critical": id(span) in critical}
        if span.receiver is None:
            wait = waits.get(id(span))
            args |= {"flops": span.amount} | ({} if wait is None else {"waited_ms": wait.duration_s * 1e3})
            if wait is not None and wait.awaited is not None:
                args["waited_for"] = _title(wait.awaited, names)
            yield _event("X", _title(span, names), threads.place("compute", number), cat="compute", **times, args=args)
        else:
            args |= {"bytes": span.amount, "producer": span.producer, "from": names[span.device], "to": names[span.receiver]}
            for row in ("send", "receive"):
                yield _event("X", _title(span, names), threads.place(row, number), cat="transfer", **times, args=args)


def _title(span: Span, names: Sequence[str]) -> str:
    """What is done for which unit; of a transfer also who sends it to whom."""
    between = "" if span.receiver is None else f", {names[span.device]} to {names[span.receiver]}"
    return f"{span.unit} {span.what}".rstrip() + between


def _flows(timeline: Timeline, threads: _Threads) -> Iterator[Event]:
    """From the sending of each transfer through its receiving to the task that it feeds."""
    first: dict[tuple[str, int, int], int] = {}  # of a device's tasks for a unit and an input, the first
    for number, span in enumerate(timeline.spans):
        key = span.unit, span.device, span.item
        if not span.is_transfer and (key not in first or span.start_s < timeline.spans[first[key]].start_s):
            first[key] = number
    for number, span in enumerate(timeline.spans):
        if span.receiver is None:
            continue
        stops: list[tuple[Row, int]] = [("send", number), ("receive", number)]
        fed = first.get((span.unit, span.receiver, span.item))
        stops += [] if fed is None else [("compute", fed)]
        for (row, stop), phase in zip(stops, "s" + "t" * (len(stops) - 2) + "f", strict=True):
            enclosing = {"bp": "e"} if phase == "f" else {}
            time = {"ts": _microseconds(timeline.spans[stop].start_s)}
            yield _event(phase, "feeds", threads.place(row, stop), cat="transfer", id=number + 1, **time, **enclosing)


def _counters(timeline: Timeline, threads: _Threads) -> Iterator[Event]:
    """What each device holds, wherever it changes."""
    for place, held in zip(threads.computing, timeline.memory, strict=False):  # no memory was measured, or that of every device
        for time_s, size in zip(held.times_s, held.held_bytes, strict=True):
            yield _event("C", "memory", place, ts=_microseconds(time_s), args={"held, bytes": size})
