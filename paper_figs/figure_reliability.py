"""Service reliability of MobileNet-V1's sixteen variants on three Raspberry Pi 4: the best device alone, HALP, and ``overlap``.

A camera sends its image to the host over a varying channel; the host runs the most accurate variant that still answers by the deadline, alone or
with the two other boards. Drawn over the deadline: how often some variant, and some accurate one, is in time, the expected accuracy (no answer
counts as 0), and which variant is selected. Five minutes; writes figure_reliability.csv (one row for each channel, method, least accuracy and
deadline), figure_reliability_models.csv, figure_reliability_selected.csv, .md and .png. HALP is that of Dong et al., arXiv 2211.13778, whose
boards, links and channel are not reproduced here.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from iopopt import Channel, Cluster, GilbertElliottChannel, RandomRateChannel, TruncatedNormal
from paper_figs.appearance import LOOKS, label
from paper_figs.columns import Column, Table, fixed, method_columns
from paper_figs.command_line import run
from paper_figs.comparison import Progress
from paper_figs.model_selection import Serving, Timed, boards, serve, timed
from paper_figs.published import Variant, halp_paper, mobilenets
from paper_figs.report import Report
from paper_figs.table_drawing import NOTE_LINE, remark_lines

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

STEM = "figure_reliability"
CLUSTER = "pi4-x3@ethernet-1000"
FLOPS_PER_S = 2 * 568.74e6 / 72.08e-3
"""Of a Raspberry Pi 4 on MobileNet-V1: 1.0-224 takes 72.08 ms (ncnn, 4 threads; the source is in ``iopopt/cluster/boards.yaml``)."""

METHODS_SERVED = ("single", "halp", "overlap")
STEPS = 16 * len(METHODS_SERVED)
SAMPLES = 1000
TIME_LIMIT_S = 10.0
LEAST_PERCENT = 68.0
"""Accuracy of the variants that count in the second row of panels: the four best."""

CHANNELS: Mapping[str, Channel] = {
    "truncated normal": RandomRateChannel(TruncatedNormal(mean=5.56e6, deviation=2.5e6, least=5e5)),
    "Gilbert-Elliott": GilbertElliottChannel(good_bytes_per_s=5.56e6, bad_bytes_per_s=5e5, good_to_bad=0.05, bad_to_good=0.2, slot_s=5e-3),
}
"""The mean rate, and that of good slots, are those of the Wi-Fi link of ``iopopt/cluster/boards.yaml``; all other figures are assumed."""

DEADLINES_S = tuple(ms / 1e3 for ms in range(16, 141, 2))
TABLE_DEADLINES_S = (0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.12, 0.14)
"""The deadlines of the table; the CSV file has all."""

WIDTH, TALL, LOW = 10.4, 1.9, 1.15
"""Inches: the figure, the panels of curves and of selections."""

LINE_WIDTHS = (2.8, 1.7, 0.8)
"""Of the first, second and third method: they fall, so that coinciding curves show."""

NAMED_PERCENT = 4.0
"""A variant's name is written where its area is larger than this part of the panel, and no other name is near."""


def models_table(models: Sequence[Timed], methods: Sequence[str]) -> Table:
    """One row for each variant: what is published of it, and its latencies."""
    group = "Google's checkpoints, as published"
    columns = (
        Column("model", "", "width-resolution"),
        Column("million_macs", group, "MACs, millions", fixed(0)),
        Column("top1_percent", group, "top-1, %", fixed(1)),
        *method_columns(methods, "latency_s", "latency, simulated, ms", fixed(2, scale=1e3)),
    )
    rows = tuple(
        {"model": model.variant.label, "million_macs": model.variant.million_macs, "top1_percent": model.variant.top1_percent}
        | {f"{method}_latency_s": latency for method, latency in model.latencies_s.items()}
        for model in models
    )
    return Table(f"{STEM}_models", columns, rows, (frozenset(),) * len(rows))


def service_table(servings: Sequence[Serving], methods: Sequence[str]) -> Table:
    """One row for each channel and some deadlines."""
    least = max(serving.least_percent for serving in servings)
    columns = (
        Column("channel", "", "channel"),
        Column("deadline_s", "", "deadline, ms", fixed(0, scale=1e3)),
        *method_columns(methods, "reliability", "reliability, %", fixed(1, scale=100)),
        *method_columns(methods, "reliability_of_accurate", f"reliability of {least:g} % accuracy, %", fixed(1, scale=100)),
        *method_columns(methods, "expected_accuracy", "expected accuracy, %", fixed(1)),
    )
    rows: dict[tuple[str, float], dict[str, Any]] = {}
    shown = [(serving, point) for serving in servings for point in serving.estimated.points if point.deadline_s in TABLE_DEADLINES_S]
    for serving, point in shown:
        row = rows.setdefault((serving.channel, point.deadline_s), {"channel": serving.channel, "deadline_s": point.deadline_s})
        if serving.least_percent:
            row[f"{serving.method}_reliability_of_accurate"] = point.reliability.value
        else:
            row[f"{serving.method}_reliability"] = point.reliability.value
            row[f"{serving.method}_expected_accuracy"] = point.expected_accuracy.value
    return Table(f"{STEM}_service", columns, tuple(rows.values()), (frozenset(),) * len(rows))


def service_frame(servings: Sequence[Serving]) -> pd.DataFrame:
    """One row for each channel, method, least accuracy and deadline, with the ends of the intervals, and the closed form where there is one."""
    import pandas as pd

    frames = []
    for serving in servings:
        frame = serving.estimated.to_frame()
        for position, key in enumerate(("channel", "method", "least_percent")):
            frame.insert(position, key, getattr(serving, key))
        exact = serving.exact.points if serving.exact else [None] * len(frame)
        frame["exact_reliability"] = [point.reliability.value if point else math.nan for point in exact]
        frame["exact_expected_accuracy"] = [point.expected_accuracy.value if point else math.nan for point in exact]
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def selected_frame(servings: Sequence[Serving]) -> pd.DataFrame:
    """One row for each channel, method, deadline and variant that is selected at all, where every variant counts."""
    import pandas as pd

    return pd.DataFrame(
        {"channel": serving.channel, "method": serving.method, "deadline_s": point.deadline_s, "model": name, "selected": part}
        for serving in servings
        if not serving.least_percent
        for point in serving.estimated.points
        for name, part in point.selected.items()
        if part > 0
    )


def faster_note(models: Sequence[Timed], methods: Sequence[str]) -> str:
    """How many variants each method runs faster than the first, and by what at most."""
    base, *others = methods
    notes = []
    for method in others:
        gains = [model.latencies_s[base] / model.latencies_s[method] for model in models]
        faster, slower = sum(gain > 1 + 1e-9 for gain in gains), sum(gain < 1 - 1e-9 for gain in gains)
        notes.append(f"{label(method)} runs {faster} of {len(models)} variants faster ({slower} slower), at most {max(gains):.2f} times as fast")
    return f"Against {label(base)}: {'; '.join(notes)}."


def fastest_note(models: Sequence[Timed], methods: Sequence[str]) -> str:
    """What the reliability of any answer depends on."""
    fastest = {method: min((model.latencies_s[method], model.variant.label) for model in models) for method in methods}
    texts = [f"{name} with {1e3 * latency_s:.2f} ms ({label(method)})" for method, (latency_s, name) in fastest.items()]
    return f"The reliability of any answer is that of the fastest variant: {', '.join(texts)}."


def closed_form_notes(servings: Sequence[Serving]) -> tuple[str, ...]:
    """How many of the intervals contain the closed form."""
    inside = [
        estimate.low <= exact.value <= estimate.high
        for serving in servings
        if serving.exact
        for point, exact_point in zip(serving.estimated.points, serving.exact.points, strict=True)
        for estimate, exact in ((point.reliability, exact_point.reliability), (point.expected_accuracy, exact_point.expected_accuracy))
    ]
    if not inside:
        return ()
    return (
        f"{sum(inside)} of {len(inside)} intervals contain the closed form ({np.mean(inside):.1%}); all deadlines and methods share the requests, so "
        "that neighbours err together.",
    )


def gain_notes(servings: Sequence[Serving]) -> tuple[str, ...]:
    """For each channel and method the largest gains over the first method, and the deadlines at which they are."""
    notes = []
    for channel, group in itertools.groupby(servings, key=lambda serving: serving.channel):
        of_channel = list(group)
        base, *others = dict.fromkeys(serving.method for serving in of_channel)
        for method in others:
            changes = []
            for least, quantity, name in _quantities(of_channel):
                pair = {serving.method: serving for serving in of_channel if serving.least_percent == least}
                changes.append(_change(pair[base], pair[method], quantity, name))
            notes.append(f"{channel}, {label(method)} against {label(base)}: {'; '.join(changes)}.")
    return tuple(notes)


def _quantities(servings: Sequence[Serving]) -> list[tuple[float, str, str]]:
    """The least accuracy, the name of the estimate, and the words for it."""
    leasts = sorted({serving.least_percent for serving in servings})
    words = [(least, "reliability", f"reliability of {least:g} % accuracy" if least else "reliability") for least in leasts]
    return [*words, (leasts[0], "expected_accuracy", "expected accuracy")]


def _change(base: Serving, serving: Serving, quantity: str, name: str) -> str:
    """The most and, if it is negative, the least that a method gains, in percentage points."""
    scale = 100 if quantity == "reliability" else 1
    gains = {
        point.deadline_s: scale * (getattr(point, quantity).value - getattr(other, quantity).value)
        for other, point in zip(base.estimated.points, serving.estimated.points, strict=True)
    }
    best, worst = max(gains, key=gains.__getitem__), min(gains, key=gains.__getitem__)
    if gains[best] <= 0 <= gains[worst]:
        return f"{name} the same"
    loss = f", at worst {gains[worst]:.1f} points at {worst * 1e3:g} ms" if gains[worst] < 0 else ""
    return f"{name} up to {gains[best]:.1f} points higher, at {best * 1e3:g} ms{loss}"


def draw(servings: Sequence[Serving], models: Sequence[Timed], remarks: tuple[str, ...], title: str) -> Figure:
    """A column for each channel: reliability and expected accuracy of all methods, and below, for each method, which variant is selected."""
    from matplotlib.figure import Figure

    channels, methods = list(dict.fromkeys(s.channel for s in servings)), list(dict.fromkeys(s.method for s in servings))
    quantities = _quantities(servings)
    names = [f"{name}, %".replace(" of ", " of\n") for _, _, name in quantities] + [f"{label(method)}:\nselected, %" for method in methods]
    heights = [TALL] * len(quantities) + [LOW] * len(methods)
    lines = remark_lines(remarks, WIDTH - 0.4)
    head, foot, notes = 0.95, 0.5, NOTE_LINE * len(lines) + 0.25
    tall = head + sum(heights) + foot
    figure = Figure(figsize=(WIDTH, tall + notes))
    halves = figure.add_gridspec(2, 1, height_ratios=[tall, notes])
    upper, lower = figure.add_subfigure(halves[0]), figure.add_subfigure(halves[1])
    grid = upper.subplots(len(heights), len(channels), sharex=True, sharey="row", squeeze=False, height_ratios=heights)
    upper.subplots_adjust(left=0.085, right=0.9, bottom=foot / tall, top=1 - head / tall, hspace=0.12, wspace=0.05)
    upper.suptitle(title, weight="bold", size=12, y=1 - 0.12 / tall, va="top")
    for column, channel in zip(grid.T, channels, strict=True):
        column[0].set_title(channel, size=11)
        column[-1].set_xlabel("deadline, ms")
        for axes, (least, quantity, _) in zip(column, quantities, strict=False):
            for rank, serving in enumerate(s for s in servings if (s.channel, s.least_percent) == (channel, least)):
                _draw_curve(axes, serving, quantity, line_width=LINE_WIDTHS[rank])
        everything = [s for s in servings if s.channel == channel and not s.least_percent]
        for axes, serving in zip(column[len(quantities) :], everything, strict=True):
            _draw_selected(axes, serving, models)
    for axes, name in zip(grid[:, 0], names, strict=True):
        axes.set_ylabel(name, size=9)
    _legend(upper, methods, exact=any(serving.exact for serving in servings), top=1 - 0.38 / tall)
    _accuracy_scale(upper, grid[len(quantities) :, -1], models)
    lower.text(0.2 / WIDTH, 1, "\n".join(lines), size=8, va="top", linespacing=1.35)
    return figure


def _draw_curve(axes: Axes, serving: Serving, quantity: str, line_width: float) -> None:
    """The estimates, the band of their intervals, and the closed form as markers; lines of falling width show where methods coincide."""
    look, scale = LOOKS[serving.method], 100 if quantity == "reliability" else 1
    deadlines_ms = [1e3 * point.deadline_s for point in serving.estimated.points]
    values, lows, highs = scale * np.array([getattr(point, quantity) for point in serving.estimated.points]).T
    axes.fill_between(deadlines_ms, lows, highs, color=look.colour, alpha=0.25, lw=0)
    axes.plot(deadlines_ms, values, color=look.colour, lw=line_width)
    if serving.exact:
        exact = [scale * getattr(point, quantity).value for point in serving.exact.points]
        axes.plot(deadlines_ms[2::5], exact[2::5], "o", color="white", markersize=3.2, markeredgecolor=look.colour, markeredgewidth=0.9)
    axes.grid(visible=True, color="#E5E5E5", lw=0.6)
    axes.set_axisbelow(True)
    axes.set_ylim(0, None if scale == 1 else 103)
    axes.margins(x=0)


def _draw_selected(axes: Axes, serving: Serving, models: Sequence[Timed]) -> None:
    """The parts of all requests, the most accurate variant at the bottom; what is left white gets no answer."""
    points = serving.estimated.points
    deadlines_ms = np.array([1e3 * point.deadline_s for point in points])
    floor = np.zeros(len(points))
    named: list[tuple[float, float]] = []
    for variant in sorted((model.variant for model in models), key=lambda variant: -variant.top1_percent):
        parts = 100 * np.array([point.selected[variant.label] for point in points])
        colour = _colour(variant, models)
        axes.fill_between(deadlines_ms, floor, floor + parts, color=colour, lw=0)
        if parts.sum() > NAMED_PERCENT * len(points):
            middle = float(parts @ deadlines_ms / parts.sum())
            height = float(np.interp(middle, deadlines_ms, floor + parts / 2))
            if not any(abs(middle - x) < 0.11 * np.ptp(deadlines_ms) and abs(height - y) < 15 for x, y in named):
                axes.text(middle, height, variant.label, size=7, ha="center", va="center", color="white" if sum(colour[:3]) < 1.6 else "black")
                named.append((middle, height))
        floor = floor + parts
    axes.set_ylim(0, 100)
    axes.set_yticks([0, 50, 100])
    axes.margins(x=0)


def _colour(variant: Variant, models: Sequence[Timed]) -> tuple[float, float, float, float]:
    """Dark to light with the accuracy."""
    from matplotlib import colormaps

    accuracies = [model.variant.top1_percent for model in models]
    part = (variant.top1_percent - min(accuracies)) / ((max(accuracies) - min(accuracies)) or 1.0)
    red, green, blue, alpha = colormaps["viridis"](part)
    return red, green, blue, alpha


def _legend(upper: SubFigure, methods: Sequence[str], *, exact: bool, top: float) -> None:
    """Methods by colour; the band; the closed form."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [
        Line2D([], [], color=LOOKS[method].colour, lw=LINE_WIDTHS[rank], label=label(method)) for rank, method in enumerate(methods)
    ]
    handles.append(Patch(color="black", alpha=0.25, lw=0, label="95 % confidence"))
    if exact:
        handles.append(Line2D([], [], color="white", marker="o", markersize=3.2, markeredgecolor="black", linestyle="", label="closed form"))
    upper.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.49, top), ncols=len(handles), frameon=False, fontsize=9)


def _accuracy_scale(upper: SubFigure, column: Any, models: Sequence[Timed]) -> None:
    """The scale of colours beside the selections."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    accuracies = [model.variant.top1_percent for model in models]
    first, last = column[0].get_position(), column[-1].get_position()
    axes = upper.add_axes((0.915, last.y0, 0.015, first.y1 - last.y0))
    scale = ScalarMappable(Normalize(min(accuracies), max(accuracies)), colormaps["viridis"])
    upper.colorbar(scale, cax=axes).set_label("top-1 accuracy of the selected variant, %", size=8)
    axes.tick_params(labelsize=8)


def setting(cluster: Cluster, input_bytes: int, samples: int) -> tuple[str, ...]:
    """Devices, link and input in words, from the objects themselves."""
    device = cluster.devices[0]
    return (
        f"{len(cluster)} boards of {device.flops_per_s / 1e9:.3g} GFLOP/s ({CLUSTER}, its speed on MobileNet-V1), links of "
        f"{device.bandwidth_bytes_per_s / 1e6:g} MB/s, {cluster.connection_setup_s * 1e3:g} ms before a transfer; the host has the input and needs "
        "the output; time without barriers.",
        f"One image of {input_bytes:,} bytes (8 bits a channel) serves every variant: the host scales it down. {samples} requests for each channel.",
    )


def channel_notes(channels: Mapping[str, Channel]) -> tuple[str, ...]:
    """What each channel is."""
    return tuple(f"Channel {name}: {channel}." for name, channel in channels.items())


def build(
    time_limit_s: float,
    progress: Progress,
    variants: Sequence[Variant] | None = None,
    methods: Sequence[str] = METHODS_SERVED,
    channels: Mapping[str, Channel] = CHANNELS,
    deadlines_s: Sequence[float] = DEADLINES_S,
    samples: int = SAMPLES,
    least_percent: float = LEAST_PERCENT,
) -> Report:
    """Solve, draw requests and report; the limit applies to each search of a plan."""
    published = mobilenets()
    cluster = boards(CLUSTER, FLOPS_PER_S)
    models = [timed(variant, cluster, methods, time_limit_s, progress) for variant in variants or published.variants]
    servings = serve(models, methods, channels, deadlines_s, samples, (0.0, least_percent))
    table = models_table(models, methods)
    report = Report(
        stem=STEM,
        title="Service reliability and expected accuracy of MobileNet-V1 on three Raspberry Pi 4",
        tables=(table, service_table(servings, methods)),
        frames={STEM: service_frame(servings), table.stem: table.frame(), f"{STEM}_selected": selected_frame(servings)},
        setting=setting(cluster, max(model.input_bytes for model in models), samples),
        notes=(
            *channel_notes(channels),
            "Of the channels only the mean rate and that of good slots are measured, on the Wi-Fi of a Raspberry Pi; the other figures are assumed.",
            "Selected is the most accurate variant with X + latency at most the deadline, X the time of the image. No answer counts as accuracy 0.",
            faster_note(models, methods),
            fastest_note(models, methods),
            *gain_notes(servings),
            *closed_form_notes(servings),
            f"HALP is that of {halp_paper().source}; the boards, links and channel of that paper are not reproduced here.",
            f"Accuracies: {published.source}, {published.url}.",
        ),
    )
    return report.with_figure(draw(servings, models, report.remarks, report.title))


def main(argv: Sequence[str] | None = None) -> int:
    """The command ``python -m paper_figs.figure_reliability``."""
    return run(STEM, __doc__ or "", build, STEPS, argv, time_limit_s=TIME_LIMIT_S)


if __name__ == "__main__":
    sys.exit(main())
