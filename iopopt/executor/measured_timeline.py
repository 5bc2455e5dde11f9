"""The timeline of a run: the spans of the simulated one, with measured times."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol, TypeAlias

from iopopt.cluster.cluster import Cluster
from iopopt.errors import ExecutionError
from iopopt.executor.report import MessageTime, Report, TaskTimes
from iopopt.network.graph import Graph
from iopopt.plan.plan import Plan
from iopopt.simulation.simulate import simulate
from iopopt.simulation.timeline import Span, Timeline

_Key: TypeAlias = tuple[str, str, str, int, int | None]


class Measured(Protocol):
    """What one worker measured, as in a :class:`Report`."""

    @property
    def tasks(self) -> Sequence[TaskTimes]: ...

    @property
    def departures(self) -> Sequence[MessageTime]: ...

    @property
    def arrivals(self) -> Sequence[MessageTime]: ...


def measured_timeline(graph: Graph, cluster: Cluster, plan: Plan, reports: Sequence[Report]) -> Timeline:
    """When every task and transfer began and ended, with the spans of ``iopopt.simulate(graph, cluster, plan)`` in their order.

    Raises:
        ExecutionError: as in :func:`with_measured_times`.
    """
    return with_measured_times(simulate(graph, cluster, plan), reports, (reports[cluster.sink].elapsed_s,))


def with_measured_times(simulated: Timeline, reports: Sequence[Measured], outputs_s: Sequence[float]) -> Timeline:
    """The spans of a simulated timeline, in their order, with the times of a run.

    A transfer starts when its sender hands it over and ends when it has arrived. A task starts when all that it needs is there, so that
    adding up partial sums is part of it.

    Raises:
        ExecutionError: if the run had other tasks or transfers than the simulated one.
    """
    tasks = {(task.unit, task.part, "", task.device, None): task for report in reports for task in report.tasks}
    departures, arrivals = (_by_key(message for report in reports for message in of(report)) for of in (_departures, _arrivals))
    spans = []
    for span in simulated.spans:
        key = span.unit, span.what, span.producer, span.device, span.receiver
        if not span.is_transfer:
            if key not in tasks:
                raise ExecutionError(f"device {span.device} ran no task {span.what!r} for {span.unit!r}, which the simulation expects")
            task = tasks.pop(key)
            spans.append(replace(span, start_s=task.start_s, end_s=task.end_s))
        else:
            sent, came = _next(departures, key, span), _next(arrivals, key, span)
            spans.append(replace(span, start_s=sent.at_s, end_s=came.at_s, amount=float(came.size_bytes)))
    if more := [*tasks, *(key for key, left in departures.items() if left)]:
        raise ExecutionError(f"the simulation does not expect {len(more)} of the tasks and transfers that were run, the first one {more[0]}")
    return Timeline(simulated.cluster, tuple(spans), tuple(outputs_s), "measured", simulated.shared_medium_bytes_per_s)


def _departures(report: Measured) -> Sequence[MessageTime]:
    return report.departures


def _arrivals(report: Measured) -> Sequence[MessageTime]:
    return report.arrivals


def _by_key(messages: Iterable[MessageTime]) -> Mapping[_Key, deque[MessageTime]]:
    """The messages of each kind between two devices for one edge; a unit that reads a tensor twice has several, in order."""
    found: dict[_Key, deque[MessageTime]] = defaultdict(deque)
    for message in messages:
        found[message.unit, message.kind, message.producer, message.sender, message.receiver].append(message)
    return found


def _next(messages: Mapping[_Key, deque[MessageTime]], key: _Key, span: Span) -> MessageTime:
    if not messages[key]:
        raise ExecutionError(
            f"nothing went from device {span.device} to device {span.receiver} as {span.what} for {span.unit!r}, which the simulation expects"
        )
    return messages[key].popleft()
