"""Service reliability of MobileNet-V1's sixteen variants on three Raspberry Pi 4: the best device alone, HALP, and ``overlap``.

A camera sends its image to the host over a varying channel; the host runs the most accurate variant that still answers by the deadline, alone or
with the two other boards. Drawn over the deadline: how often some variant is in time, the expected accuracy (no answer counts as 0), and which
variant is selected. About six minutes; writes figure_reliability.csv (one row for each channel, method and deadline), figure_reliability_models.csv,
figure_reliability_selected.csv, .md and .png. HALP is that of Dong et al., arXiv 2211.13778, whose boards, links and channel are not reproduced here.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from iopopt import Channel, Cluster, GilbertElliottChannel, RandomRateChannel, TruncatedNormal, load_cluster
from paper_figs.appearance import LOOKS, label
from paper_figs.columns import Column, Table, fixed, method_columns
from paper_figs.command_line import run
from paper_figs.comparison import Progress
from paper_figs.model_selection import Serving, Timed, serve, three_boards, timed
from paper_figs.published import Variant, mobilenets
from paper_figs.report import Report
from paper_figs.table_drawing import NOTE_LINE, remark_lines

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STEM = "figure_reliability"
CLUSTER = "pi4-x3@ethernet-1000"
METHODS_SERVED = ("single", "halp", "overlap")
STEPS = 16 * len(METHODS_SERVED)
SAMPLES = 4000
TIME_LIMIT_S = 10.0

CHANNELS: Mapping[str, Channel] = {
    "truncated normal": RandomRateChannel(TruncatedNormal(mean=5.56e6, deviation=2.5e6, least=5e5)),
    "Gilbert-Elliott": GilbertElliottChannel(good_bytes_per_s=5.56e6, bad_bytes_per_s=5e5, good_to_bad=0.05, bad_to_good=0.2, slot_s=5e-3),
}
"""The mean rate, and that of good slots, are those of the Wi-Fi link of ``iopopt/cluster/boards.yaml``; all other figures are assumed."""

DEADLINES_S = tuple(np.round(np.arange(0.015, 0.1501, 0.0025), 6).tolist())
TABLE_DEADLINES_S = (0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.15)
"""The deadlines of the table; the CSV file has all."""

WIDTH, TALL, LOW, LEGEND = 10.4, 2.3, 1.25, 0.45
"""Inches: the figure, the panels of curves and of selections, and the legend."""


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
    columns = (
        Column("channel", "", "channel"),
        Column("deadline_s", "", "deadline, ms", fixed(0, scale=1e3)),
        *method_columns(methods, "reliability", "reliability, %", fixed(1, scale=100)),
        *method_columns(methods, "expected_accuracy", "expected accuracy, %", fixed(1)),
    )
    rows: dict[tuple[str, float], dict[str, Any]] = {}
    for serving in servings:
        for point in serving.estimated.points:
            if point.deadline_s not in TABLE_DEADLINES_S:
                continue
            row = rows.setdefault((serving.channel, point.deadline_s), {"channel": serving.channel, "deadline_s": point.deadline_s})
            row[f"{serving.method}_reliability"] = point.reliability.value
            row[f"{serving.method}_expected_accuracy"] = point.expected_accuracy.value
    return Table(f"{STEM}_service", columns, tuple(rows.values()), (frozenset(),) * len(rows))


def service_frame(servings: Sequence[Serving]) -> pd.DataFrame:
    """One row for each channel, method and deadline, with the ends of the intervals, and the closed form where there is one."""
    import pandas as pd

    frames = []
    for serving in servings:
        frame = serving.estimated.to_frame()
        frame.insert(0, "channel", serving.channel)
        frame.insert(1, "method", serving.method)
        exact = serving.exact.points if serving.exact else [None] * len(frame)
        frame["exact_reliability"] = [point.reliability.value if point else np.nan for point in exact]
        frame["exact_expected_accuracy"] = [point.expected_accuracy.value if point else np.nan for point in exact]
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def selected_frame(servings: Sequence[Serving]) -> pd.DataFrame:
    """One row for each channel, method, deadline and variant that is selected at all."""
    import pandas as pd

    return pd.DataFrame(
        {"channel": serving.channel, "method": serving.method, "deadline_s": point.deadline_s, "model": name, "selected": part}
        for serving in servings
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


def gain_notes(servings: Sequence[Serving], methods: Sequence[str]) -> tuple[str, ...]:
    """For each channel and method the largest gains over the first method, and the deadlines at which they are."""
    notes = []
    by_channel = itertools.groupby(servings, key=lambda serving: serving.channel)
    for channel, group in by_channel:
        base, *others = group
        for serving in others:
            pairs = list(zip(base.estimated.points, serving.estimated.points, strict=True))
            reliability = max(pairs, key=lambda pair: pair[1].reliability.value - pair[0].reliability.value)
            accuracy = max(pairs, key=lambda pair: pair[1].expected_accuracy.value - pair[0].expected_accuracy.value)
            least = min(b.reliability.value - a.reliability.value for a, b in pairs)
            notes.append(
                f"{channel}, {label(serving.method)} against {label(methods[0])}: expected accuracy up to "
                f"{accuracy[1].expected_accuracy.value - accuracy[0].expected_accuracy.value:.1f} points higher (at {accuracy[0].deadline_s * 1e3:g} ms), "
                f"reliability up to {100 * (reliability[1].reliability.value - reliability[0].reliability.value):.1f} points higher"
                + (f", and at worst {100 * least:.1f} points" if least < 0 else " and never lower")
                + "."
            )
    return tuple(notes)


def draw(servings: Sequence[Serving], models: Sequence[Timed], remarks: tuple[str, ...], title: str) -> Figure:
    """A column for each channel: reliability and expected accuracy of all methods, and below, for each method, which variant is selected."""
    from matplotlib.figure import Figure

    channels, methods = list(dict.fromkeys(s.channel for s in servings)), list(dict.fromkeys(s.method for s in servings))
    lines = remark_lines(remarks, WIDTH - 0.4)
    notes = NOTE_LINE * len(lines) + 0.25
    upper_height = 0.4 + LEGEND + 2 * TALL + len(methods) * LOW + 0.6
    figure = Figure(figsize=(WIDTH, upper_height + notes))
    halves = figure.add_gridspec(2, 1, height_ratios=[upper_height, notes])
    upper, lower = figure.add_subfigure(halves[0]), figure.add_subfigure(halves[1])
    grid = upper.subplots(
        2 + len(methods), len(channels), sharex=True, sharey="row", squeeze=False, height_ratios=[TALL, TALL, *[LOW] * len(methods)]
    )
    upper.subplots_adjust(left=0.075, right=0.9, bottom=0.5 / upper_height, top=1 - (0.75 + LEGEND) / upper_height, hspace=0.14, wspace=0.05)
    upper.suptitle(title, weight="bold", size=12, y=1 - 0.12 / upper_height, va="top")
    for column, channel in zip(grid.T, channels, strict=True):
        shown = [serving for serving in servings if serving.channel == channel]
        column[0].set_title(channel, size=11)
        for serving in shown:
            _draw_curve(column[0], serving, "reliability", 100)
            _draw_curve(column[1], serving, "expected_accuracy", 1)
        for axes, serving in zip(column[2:], shown, strict=True):
            _draw_selected(axes, serving, models)
        column[-1].set_xlabel("deadline, ms")
    for axes, name in zip(
        grid[:, 0], ["reliability, %", "expected accuracy, %", *(f"{label(method)}:\nselected, %" for method in methods)], strict=True
    ):
        axes.set_ylabel(name, size=9)
    _legend(upper, methods, any(serving.exact for serving in servings), 1 - 0.42 / upper_height)
    _accuracy_scale(upper, grid, models)
    lower.text(0.2 / WIDTH, 1, "\n".join(lines), size=8, va="top", linespacing=1.35)
    return figure


def _draw_curve(axes: Axes, serving: Serving, quantity: str, scale: float) -> None:
    """The estimates, the band of their intervals, and the closed form as dots."""
    look, deadlines_ms = LOOKS[serving.method], [1e3 * point.deadline_s for point in serving.estimated.points]
    estimates = [getattr(point, quantity) for point in serving.estimated.points]
    axes.fill_between(
        deadlines_ms, [scale * item.low for item in estimates], [scale * item.high for item in estimates], color=look.colour, alpha=0.25, lw=0
    )
    axes.plot(deadlines_ms, [scale * item.value for item in estimates], color=look.colour, lw=1.4)
    if serving.exact:
        exact = [scale * getattr(point, quantity).value for point in serving.exact.points]
        axes.plot(
            deadlines_ms[::4], exact[::4], look.marker, color=look.colour, markersize=0.7 * look.size, markeredgecolor="white", markeredgewidth=0.4
        )
    axes.grid(visible=True, color="#E5E5E5", lw=0.6)
    axes.set_axisbelow(True)
    axes.margins(x=0)


def _draw_selected(axes: Axes, serving: Serving, models: Sequence[Timed]) -> None:
    """The parts of all requests, the most accurate variant at the bottom; what is left white gets no answer."""
    points = serving.estimated.points
    deadlines_ms = np.array([1e3 * point.deadline_s for point in points])
    floor = np.zeros(len(points))
    for variant in sorted((model.variant for model in models), key=lambda variant: -variant.top1_percent):
        parts = 100 * np.array([point.selected[variant.label] for point in points])
        colour = _colour(variant, models)
        axes.fill_between(deadlines_ms, floor, floor + parts, color=colour, lw=0)
        if parts.max() > 16:
            _name(axes, variant.label, deadlines_ms, floor, parts, dark=sum(colour[:3]) < 1.6)
        floor = floor + parts
    axes.set_ylim(0, 100)
    axes.set_yticks([0, 50, 100])
    axes.margins(x=0)


def _name(axes: Axes, text: str, deadlines_ms: np.ndarray[Any, Any], floor: np.ndarray[Any, Any], parts: np.ndarray[Any, Any], *, dark: bool) -> None:
    """Write a variant's name where its area is the highest, away from the edges."""
    inner = slice(2, -2) if len(parts) > 8 else slice(None)
    at = int(np.argmax(parts[inner])) + (inner.start or 0)
    axes.text(deadlines_ms[at], floor[at] + parts[at] / 2, text, size=6.5, ha="center", va="center", color="white" if dark else "black")


def _colour(variant: Variant, models: Sequence[Timed]) -> tuple[float, float, float, float]:
    """Dark to light with the accuracy."""
    from matplotlib import colormaps

    accuracies = [model.variant.top1_percent for model in models]
    part = (variant.top1_percent - min(accuracies)) / ((max(accuracies) - min(accuracies)) or 1.0)
    red, green, blue, alpha = colormaps["viridis"](part)
    return red, green, blue, alpha


def _legend(upper: Any, methods: Sequence[str], exact: bool, top: float) -> None:
    """Methods by colour; the band; the closed form."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [
        Line2D([], [], color=LOOKS[method].colour, marker=LOOKS[method].marker, markersize=0.7 * LOOKS[method].size, lw=1.4, label=label(method))
        for method in methods
    ]
    handles.append(Patch(color="black", alpha=0.25, lw=0, label="95 % confidence"))
    if exact:
        handles.append(Line2D([], [], color="black", marker="o", linestyle="", markersize=4, label="markers: closed form"))
    upper.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.49, top), ncols=len(handles), frameon=False, fontsize=9)


def _accuracy_scale(upper: Any, grid: Any, models: Sequence[Timed]) -> None:
    """The scale of colours beside the selections."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    accuracies = [model.variant.top1_percent for model in models]
    first, last = grid[2, -1].get_position(), grid[-1, -1].get_position()
    axes = upper.add_axes((0.915, last.y0, 0.015, first.y1 - last.y0))
    scale = ScalarMappable(Normalize(min(accuracies), max(accuracies)), colormaps["viridis"])
    upper.colorbar(scale, cax=axes).set_label("top-1 accuracy of the selected variant, %", size=8)
    axes.tick_params(labelsize=8)


def setting(cluster: Cluster, samples: int) -> tuple[str, ...]:
    """Devices, link and channels in words, from the objects themselves."""
    device = cluster.devices[0]
    boards = (
        f"{len(cluster)} boards of {device.flops_per_s / 1e9:g} GFLOP/s ({CLUSTER}), links of {device.bandwidth_bytes_per_s / 1e6:g} MB/s, "
        f"{cluster.connection_setup_s * 1e3:g} ms before a transfer; the host has the input and needs the output; time without barriers."
    )
    input_ = (
        f"The image, 150,528 bytes (224 x 224 x 3 of 8 bits), serves every variant: the host scales it down. {samples} requests for each channel."
    )
    return boards, input_


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
) -> Report:
    """Solve, draw requests and report; the limit applies to each search of a plan."""
    published = mobilenets()
    cluster = three_boards(load_cluster(CLUSTER))
    models = [timed(variant, cluster, methods, time_limit_s, progress) for variant in variants or published.variants]
    servings = serve(models, methods, channels, deadlines_s, samples)
    table = models_table(models, methods)
    report = Report(
        stem=STEM,
        title="Service reliability and expected accuracy of MobileNet-V1 on three Raspberry Pi 4",
        tables=(table, service_table(servings, methods)),
        frames={STEM: service_frame(servings), table.stem: table.frame(), f"{STEM}_selected": selected_frame(servings)},
        setting=setting(cluster, samples),
        notes=(
            *channel_notes(channels),
            "Selected is the most accurate variant with X + latency at most the deadline, X the time of the image. No answer counts as accuracy 0.",
            faster_note(models, methods),
            *gain_notes(servings, methods),
            f"Accuracies: {published.source}, {published.url}.",
        ),
    )
    return report.with_figure(draw(servings, models, report.remarks, report.title))


def main(argv: Sequence[str] | None = None) -> int:
    """The command ``python -m paper_figs.figure_reliability``."""
    return run(STEM, __doc__ or "", build, STEPS, argv, time_limit_s=TIME_LIMIT_S, limited="each search of a plan")


if __name__ == "__main__":
    sys.exit(main())
