"""Measurements of several runs of one plan, as tables and a figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from iopopt.errors import FileFormatError
from iopopt.executor.execution import Execution
from iopopt.network.records import write_json
from iopopt.network.unit import SINK
from iopopt.pictures import draw_timelines, save_figure
from iopopt.pictures.figures import figure_of, new_figure
from iopopt.simulation.timeline import Timeline
from iopopt.simulation.trace import trace_record


def median_timings(runs: Sequence[Execution]) -> pd.DataFrame:
    """Predicted, and median measured, seconds of each operator."""
    frames = [run.timing_frame() for run in runs]
    result = frames[0].copy()
    for column in ("compute_s", "communication_s"):
        result[column] = np.median([frame[column] for frame in frames], axis=0)
    return result


def median_progress(simulated: Timeline, measured: Sequence[Timeline]) -> pd.DataFrame:
    """A row for each unit, and the sink: how long its slowest device computed and when the last one was done, simulated and median measured."""
    frame, frames = _progress(simulated), [_progress(timeline) for timeline in measured]
    result = frame.rename(columns={"compute_s": "simulated_compute_s", "end_s": "simulated_end_s"})
    for column in ("compute_s", "end_s"):
        result[column] = np.median([other[column] for other in frames], axis=0)
    return result


def _progress(timeline: Timeline) -> pd.DataFrame:
    """By unit, in order; the sink computes nothing and is done when it has the output."""
    computed: dict[tuple[str, int], float] = {}
    ends: dict[str, float] = {}
    for span in timeline.spans:
        if not span.is_transfer:
            key = span.unit, span.device
            computed[key] = computed.get(key, 0.0) + span.duration_s
            ends[span.unit] = max(ends.get(span.unit, span.end_s), span.end_s)
    rows = [(unit, max(seconds for (of, _), seconds in computed.items() if of == unit), end_s) for unit, end_s in ends.items()]
    return pd.DataFrame([*rows, (SINK, 0.0, timeline.makespan_s)], columns=["operator", "compute_s", "end_s"])


def traffic_frame(run: Execution) -> pd.DataFrame:
    """A row for each edge and device: payload received and sent, bytes."""
    return pd.DataFrame([vars(row) for row in run.traffic])


def write_files(runs: Sequence[Execution], directory: Path, simulated: Timeline | None = None) -> None:
    """Write timings.csv, memory.csv, traffic.csv and timings.png.

    Of runs without barriers also, for the last one, timeline.csv, timeline.json (for ``iopopt plot``), trace.json (for Perfetto) and timeline.png.

    Args:
        simulated: the timeline that timeline.png shows above the measured one.

    Raises:
        FileFormatError: if the directory cannot be written.
        MissingExtraError: if matplotlib is missing; the tables are written first.
    """
    timings = median_timings(runs)
    frames = {"timings": timings, "memory": runs[-1].memory_frame(), "traffic": traffic_frame(runs[-1])}
    records = {}
    if (timeline := runs[-1].timeline) is not None:
        frames["timeline"] = timeline.to_frame()
        records = {"timeline": timeline.to_dict(), "trace": trace_record(timeline)}
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, frame in frames.items():
            frame.to_csv(directory / f"{name}.csv", index=False)
        for name, record in records.items():
            write_json(directory / f"{name}.json", record)
    except OSError as error:
        raise FileFormatError(f"--output {directory}: cannot be written ({error.strerror})") from None
    draw_timings(timings, directory / "timings.png")
    if timeline is not None:
        axes = draw_timelines([timeline] if simulated is None else [simulated, timeline])
        save_figure(figure_of(axes[0]), directory / "timeline.png")


def draw_timings(timings: pd.DataFrame, path: Path) -> None:
    """Bars of predicted and measured milliseconds for each operator, computation and communication in separate panels.

    Raises:
        MissingExtraError: if matplotlib is missing.
    """
    figure = new_figure(max(6.0, 0.7 * len(timings)), 6)
    places = np.arange(len(timings))
    for axes, part in zip(figure.subplots(2, 1, sharex=True), ("compute", "communication"), strict=True):
        for offset, (column, label, colour) in enumerate(((f"predicted_{part}_s", "predicted", "#9ecae1"), (f"{part}_s", "measured", "#08519c"))):
            axes.bar(places + (offset - 0.5) * 0.4, timings[column] * 1e3, 0.4, label=label, color=colour)
        axes.set_ylabel(f"{part}, ms")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    axes.set_xticks(places, timings["operator"], rotation=45, ha="right")
    figure.savefig(path, dpi=150)
