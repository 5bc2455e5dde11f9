"""Gantt charts of timelines: what each device computes, sends and receives, what it waits for, and the critical path through all of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from iopopt.network.records import short_text
from iopopt.pictures.appearance import (
    COMPUTING,
    CRITICAL,
    GRID,
    NOTE,
    SMALL,
    TEXT,
    TINY,
    TRANSFERS,
    WAITING,
    clear_frame,
    fits,
    legend_above,
    milliseconds,
    note_beside,
    plain_text,
    points_of,
    shade,
)
from iopopt.pictures.figures import new_column
from iopopt.simulation.lanes import lanes
from iopopt.simulation.timeline import Span, Timeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COMPUTING_LABEL, TRANSFER_LABEL, WAITING_LABEL, CRITICAL_LABEL = "computing", "transfer", "waiting", "critical path"

_COMPUTE, _LINK, _BETWEEN, _GAP = 1.0, 0.3, 0.08, 0.42
"""The heights of the row in which a device computes and of its two link rows, and what is between rows and devices."""

_DEVICE = _COMPUTE + 2 * (_LINK + _BETWEEN) + _GAP
_INCHES, _MARGIN_INCHES = 0.34, 0.75
_BEYOND = 1.004
"""How far the axis goes beyond the end, so that what happens there is seen."""

_EDGE, _NARROW = 0.3, 2.0
"""The edge of a bar, and the width up to which a bar is narrow, points."""

_BEHIND = 0.9
"""The order in which waits are drawn: on the grid, but behind other bars, of which they would cover narrow ones."""

_MS = 1e3


class _Bar(NamedTuple):
    """A bar from ``start_s`` to ``end_s``, ``top`` below the top of the picture."""

    start_s: float
    end_s: float
    top: float
    height: float
    colour: str

    @property
    def middle(self) -> float:
        return self.top + self.height / 2


def timeline_height(timeline: Timeline) -> float:
    """The height that a chart needs, inches."""
    return len(timeline.cluster) * _DEVICE * _INCHES + _MARGIN_INCHES


def draw_timeline(timeline: Timeline, axes: Axes | None = None, *, until_s: float | None = None) -> Axes:
    """Draw a timeline, milliseconds from left to right: for each device a row for its tasks, and thin ones for what it sends and receives.

    The tasks and transfers of one unit share a shade. Where a device waits, the row is grey, and names the device that it waits for if there is room.
    A black line follows the critical path: along tasks, and across from sender to receiver.

    Args:
        axes: where to draw; a new figure by default.
        until_s: the end of the time axis; the end of the timeline by default.

    Raises:
        MissingExtraError: if matplotlib is missing.
    """
    if axes is None:
        (axes,) = new_column([timeline_height(timeline)])
    chart = _Chart(timeline)
    set_time_axis(axes, until_s or end_s(timeline))
    axes.set_ylim(len(timeline.cluster) * _DEVICE - _GAP / 2, -_GAP / 2)
    _draw_bars(axes, chart.tasks, COMPUTING_LABEL)
    _draw_bars(axes, [bar for pair in chart.transfers.values() for bar in pair], TRANSFER_LABEL)
    _draw_bars(axes, chart.waits, WAITING_LABEL, zorder=_BEHIND)
    times, rows = chart.critical_path()
    axes.plot([time * _MS for time in times], rows, color=CRITICAL, linewidth=1.3, solid_joinstyle="round", label=CRITICAL_LABEL)
    _label_rows(axes, timeline)
    axes.set_title(f"{timeline.origin}: {milliseconds(timeline.makespan_s)}", loc="left", fontsize=TEXT)
    legend_above(axes)
    _label_bars(axes, chart)
    return axes


def draw_timelines(timelines: Sequence[Timeline], axes: Sequence[Axes] | None = None) -> list[Axes]:
    """Draw timelines of one cluster one below the other, such as a simulated one above the measured one, on one time axis.

    Args:
        axes: where to draw each; a new figure by default.

    Raises:
        MissingExtraError: if matplotlib is missing.
    """
    until_s = max(map(end_s, timelines))
    axes = new_column([timeline_height(timeline) for timeline in timelines]) if axes is None else axes
    return [draw_timeline(timeline, on, until_s=until_s) for timeline, on in zip(timelines, axes, strict=True)]


def set_time_axis(axes: Axes, until_s: float) -> None:
    """Milliseconds from 0 to a little more than ``until_s``, named below the last of Axes that share them."""
    axes.set_xlim(0, _MS * _BEYOND * (until_s or 1.0))
    place = axes.get_subplotspec()
    if place is None or place.is_last_row():
        axes.set_xlabel("time, ms", fontsize=SMALL)
    clear_frame(axes)
    axes.set_axisbelow(True)


def end_s(timeline: Timeline) -> float:
    """When the last span of a timeline has ended, or the last output is there."""
    return max([timeline.makespan_s, *(span.end_s for span in timeline.spans)])


class _Chart:
    """The bars of a timeline.

    Attributes:
        tasks: in the order of the spans.
        transfers: by number of the span, where it is sent and where it is received.
        waits: in the order of :attr:`Timeline.waits`.
        labels: the bar that each unit of each device makes of its tasks, and what is written on it.
    """

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        self._units = {unit: number for number, unit in enumerate(dict.fromkeys(span.unit for span in timeline.spans))}
        self._tasks = {number: self._task(span) for number, span in enumerate(timeline.spans) if not span.is_transfer}
        self.tasks = list(self._tasks.values())
        self.transfers = dict(self._transfers())
        self.waits = [_Bar(wait.start_s, wait.end_s, wait.device * _DEVICE, _COMPUTE, WAITING) for wait in timeline.waits]

    def _task(self, span: Span) -> _Bar:
        return _Bar(span.start_s, span.end_s, span.device * _DEVICE, _COMPUTE, shade(COMPUTING, self._units[span.unit]))

    def _transfers(self) -> Iterator[tuple[int, tuple[_Bar, _Bar]]]:
        """The two bars of each transfer; those that overlap on one link share its row."""
        numbers = [number for number, span in enumerate(self.timeline.spans) if span.is_transfer]
        sent, received = self._on_links(numbers, sending=True), self._on_links(numbers, sending=False)
        for number in numbers:
            yield number, (sent[number], received[number])

    def _on_links(self, numbers: Sequence[int], *, sending: bool) -> dict[int, _Bar]:
        """The bars of transfers where they are sent, or where they are received."""
        found: dict[int, _Bar] = {}
        spans = self.timeline.spans
        for device in range(len(self.timeline.cluster)):
            own = [number for number in numbers if (spans[number].device if sending else spans[number].receiver) == device]
            top = link_top(device, sending=sending)
            for number, lane in zip(own, lanes([spans[number] for number in own]), strict=True):
                span, height = spans[number], _LINK / lane.lanes
                found[number] = _Bar(span.start_s, span.end_s, top + lane.number * height, height, shade(TRANSFERS, self._units[span.unit]))
        return found

    def critical_path(self) -> tuple[list[float], list[float]]:
        """The points of the line: along the lower edge of tasks, and from where a transfer is sent to where it is received."""
        numbers = {id(span): number for number, span in enumerate(self.timeline.spans)}
        points: list[tuple[float, float]] = []
        for span in self.timeline.critical_path:
            number = numbers[id(span)]
            if span.is_transfer:
                sent, received = self.transfers[number]
                points += [(span.start_s, sent.middle), (span.end_s, received.middle)]
            else:
                bar = self._tasks[number]
                points += [(span.start_s, bar.top + bar.height), (span.end_s, bar.top + bar.height)]
        return [time for time, _ in points], [row for _, row in points]

    def labels(self) -> Iterator[tuple[_Bar, str, str]]:
        """What is written on which bar, and in which colour: the units of tasks, boundary and interior as one, and the devices that waits are for."""
        groups: dict[tuple[int, str, int], list[Span]] = {}
        items: dict[str, set[int]] = {}
        for span in self.timeline.spans:
            if not span.is_transfer:
                groups.setdefault((span.device, span.unit, span.item), []).append(span)
                items.setdefault(span.unit, set()).add(span.item)
        for (_, unit, item), spans in groups.items():
            whole = self._task(spans[0])._replace(start_s=min(span.start_s for span in spans), end_s=max(span.end_s for span in spans))
            yield whole, unit if len(items[unit]) == 1 else f"{unit} #{item + 1}", CRITICAL
        names = [device.name for device in self.timeline.cluster.devices]
        for wait, bar in zip(self.timeline.waits, self.waits, strict=True):
            if wait.awaited is not None and wait.awaited.device != wait.device:
                yield bar, f"\N{LEFTWARDS ARROW} {names[wait.awaited.device]}", NOTE


def link_top(device: int, *, sending: bool) -> float:
    """The top of the row of what a device sends, or of what it receives."""
    first = device * _DEVICE + _COMPUTE + _BETWEEN
    return first if sending else first + _LINK + _BETWEEN


def _draw_bars(axes: Axes, bars: Sequence[_Bar], label: str, zorder: float = 1.0) -> None:
    """Bars with thin white edges, which tell them apart; narrow ones have edges of their own colour, or nothing would be left of them."""
    per_s = points_of(axes, settled=False)[0] / (axes.get_xlim()[1] - axes.get_xlim()[0]) * _MS
    axes.barh(
        [bar.top for bar in bars],
        [(bar.end_s - bar.start_s) * _MS for bar in bars],
        [bar.height for bar in bars],
        [bar.start_s * _MS for bar in bars],
        align="edge",
        color=[bar.colour for bar in bars],
        edgecolor=["white" if (bar.end_s - bar.start_s) * per_s > _NARROW else bar.colour for bar in bars],
        linewidth=_EDGE,
        label=label,
        zorder=zorder,
    )


def _label_bars(axes: Axes, chart: _Chart) -> None:
    """Write on bars what fits, upright if it only fits so."""
    from matplotlib.patheffects import withStroke

    width, height = points_of(axes)
    per_ms, per_row = width / (axes.get_xlim()[1] - axes.get_xlim()[0]), height / abs(axes.get_ylim()[1] - axes.get_ylim()[0])
    for bar, text, colour in chart.labels():
        room = (bar.end_s - bar.start_s) * _MS * per_ms, bar.height * per_row
        for size, upright in ((SMALL, False), (TINY, False), (TINY, True)):
            if fits(text, size, *(reversed(room) if upright else room)):
                centre, rotation = ((bar.start_s + bar.end_s) / 2 * _MS, bar.middle), 90 if upright else 0
                written = axes.text(
                    *centre, **plain_text(text), ha="center", va="center", fontsize=size, color=colour, rotation=rotation, clip_on=True
                )
                written.set_path_effects([withStroke(linewidth=2.5, foreground=bar.colour)])  # or the critical path would strike it out
                break


def _label_rows(axes: Axes, timeline: Timeline) -> None:
    """The devices, and below each its link up and down."""
    names = [device.name for device in timeline.cluster.devices]
    axes.set_yticks([device * _DEVICE + _COMPUTE / 2 for device in range(len(names))])
    axes.set_yticklabels([short_text(name, 24) for name in names], fontsize=TEXT, parse_math=False)
    links = [
        (link_top(device, sending=sending) + _LINK / 2, "sends" if sending else "receives")
        for device in range(len(names))
        for sending in (True, False)
    ]
    axes.set_yticks([row for row, _ in links], [text for _, text in links], minor=True, fontsize=TINY, color=NOTE)
    axes.tick_params(axis="y", which="both", length=0)
    axes.tick_params(axis="y", which="minor", labelsize=TINY)
    axes.grid(axis="x", color=GRID, linewidth=0.5)
    for device, busy in enumerate(timeline.device_utilisation):
        note_beside(axes, device * _DEVICE + _COMPUTE / 2, f"{busy:.0%} busy")
