"""What a timeline waits for: the gaps between the tasks of a device, and what the critical path is made of."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    import pandas as pd

    from iopopt.simulation.timeline import Span, Timeline

Activity = Literal["compute", "transfer", "wait"]


class Wait(NamedTuple):
    """``device`` computes nothing from ``start_s`` to ``end_s``, and then ``task``.

    Attributes:
        awaited: what ended last of all that the task waited for; None if that had ended before the gap.
    """

    device: int
    start_s: float
    end_s: float
    task: Span
    awaited: Span | None

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s


def waits_of(timeline: Timeline) -> tuple[Wait, ...]:
    """The gaps before the tasks of each device, in the order of time; what follows its last task is none."""
    free_s = [0.0] * len(timeline.cluster)
    found = []
    for span in sorted((span for span in timeline.spans if not span.is_transfer), key=lambda span: (span.start_s, span.end_s)):
        begin_s = free_s[span.device]
        if span.start_s > begin_s:
            last = max((timeline.spans[number] for number in span.after), key=lambda other: other.end_s, default=None)
            found.append(Wait(span.device, begin_s, span.start_s, span, last if last is not None and last.end_s > begin_s else None))
        free_s[span.device] = max(begin_s, span.end_s)
    return tuple(found)


def bottlenecks_of(timeline: Timeline) -> pd.DataFrame:
    """The makespan by what the critical path does, the longest first: columns ``what``, ``device``, ``receiver``, ``seconds`` and ``part``.

    The seconds sum to the makespan. Where the path of a measured timeline has gaps, its next device waits; where spans of it overlap, the earlier
    one counts.
    """
    import pandas as pd

    names = [device.name for device in timeline.cluster.devices]
    seconds: dict[tuple[Activity, str, str], float] = defaultdict(float)
    reached_s = 0.0
    for span in timeline.critical_path:
        if span.start_s > reached_s:
            seconds["wait", names[span.device], ""] += span.start_s - reached_s
            reached_s = span.start_s
        receiver = "" if span.receiver is None else names[span.receiver]
        seconds["transfer" if span.is_transfer else "compute", names[span.device], receiver] += max(0.0, span.end_s - reached_s)
        reached_s = max(reached_s, span.end_s)
    if timeline.makespan_s > reached_s:
        seconds["wait", names[timeline.cluster.sink], ""] += timeline.makespan_s - reached_s
    whole = sum(seconds.values())
    rows = [(*key, spent, spent / whole if whole else 0.0) for key, spent in sorted(seconds.items(), key=lambda item: -item[1])]
    return pd.DataFrame(rows, columns=["what", "device", "receiver", "seconds", "part"])
