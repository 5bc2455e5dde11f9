"""The figure of service reliability, on two small networks and a few deadlines."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

import iopopt
from iopopt import METHODS, Candidate, GilbertElliottChannel, Graph, GraphBuilder, RandomRateChannel, TruncatedNormal, estimate_service, exact_service
from paper_figs import figure_reliability
from paper_figs.figure_reliability import CHANNELS, CLUSTER, DEADLINES_S, FLOPS_PER_S, METHODS_SERVED, STEPS, TABLE_DEADLINES_S
from paper_figs.model_selection import boards, timed
from paper_figs.published import Variant, mobilenets
from paper_figs.report import Report, write


class Toy(Variant):
    """A variant whose network is quick to search: ten times the width in convolutions over 64x64."""

    def graph(self) -> Graph:
        """Of width 0.4 four convolutions of 64 channels, 57 ms on one board; of width 0.1 one of them, 0.9 ms."""
        net = GraphBuilder(f"toy-{self.width}", (3, 64, 64))
        for _ in range(round(10 * self.width)):
            net.conv(64, 3, padding=1)
        return net.build()


VARIANTS = [Toy(0.4, 64, 460, 0.1, 62.1), Toy(0.1, 64, 7, 0.01, 41.5)]
SIZE = 3 * 64 * 64
DEADLINES = (0.006, 0.02, 0.04, 0.062, 0.09)
SAMPLES = 300
LINES: list[str] = []


@pytest.fixture(scope="module")
def report() -> Report:
    """Two variants, one of them of at least 60 %, at five deadlines."""
    LINES.clear()
    return figure_reliability.build(1.5, LINES.append, VARIANTS, deadlines_s=DEADLINES, samples=SAMPLES, least_percent=60.0)


def latencies_s(report: Report, method: str) -> list[float]:
    """Of the variants, from the table of models."""
    return [float(row[f"{method}_latency_s"]) for row in report.tables[0].rows]


def curve(report: Report, channel: str, method: str, quantity: str, least: float = 0.0) -> list[float]:
    """One curve of the figure, from the frame."""
    frame = report.frames["figure_reliability"]
    rows = frame[(frame["channel"] == channel) & (frame["method"] == method) & (frame["least_percent"] == least)]
    return [float(value) for value in rows[quantity]]


def test_methods_and_channels_are_the_three_and_two_of_the_caption() -> None:
    """One is random but constant for a request, the other changes while an image comes; every method is one of the toolkit."""
    assert set(METHODS_SERVED) <= set(METHODS)
    assert [type(channel) for channel in CHANNELS.values()] == [RandomRateChannel, GilbertElliottChannel]
    assert set(TABLE_DEADLINES_S) <= set(DEADLINES_S)
    assert len(mobilenets().variants) * len(METHODS_SERVED) == STEPS


def test_latencies_are_simulated_and_no_search_loses_to_its_start(report: Report) -> None:
    """One board alone takes FLOPs / speed; HALP is never slower than that, and overlap never slower than HALP, from which it starts too."""
    alone = [2 * variant.graph().macs / FLOPS_PER_S for variant in VARIANTS]
    single, halp, overlap = (latencies_s(report, method) for method in METHODS_SERVED)
    assert single == pytest.approx(alone, rel=0.01)
    assert all(h <= s * (1 + 1e-12) for h, s in zip(halp, single, strict=True))
    assert all(o <= h * (1 + 1e-12) for o, h in zip(overlap, halp, strict=True))
    assert halp[0] < 0.6 * single[0]


def test_the_boards_have_the_input_on_the_host() -> None:
    """Three equal boards at the measured speed on MobileNet, on Gigabit Ethernet."""
    cluster = boards(CLUSTER, FLOPS_PER_S)
    assert (len(cluster), cluster.source, cluster.sink) == (3, 0, 0)
    assert {device.flops_per_s for device in cluster.devices} == {FLOPS_PER_S}
    assert 2 * next(v for v in mobilenets().variants if v.label == "1.0-224").graph().macs / FLOPS_PER_S == pytest.approx(0.07208, rel=1e-4)
    assert dataclasses.replace(cluster, source=None, devices=iopopt.load_cluster(CLUSTER).devices) == iopopt.load_cluster(CLUSTER)


@pytest.mark.parametrize("channel", CHANNELS)
def test_faster_variants_serve_no_worse(report: Report, channel: str) -> None:
    """Each method runs every variant at least as fast as the one before it, and over the same draws it is as reliable and as accurate."""
    for quantity, least in (("reliability", 0.0), ("reliability", 60.0), ("expected_accuracy", 0.0)):
        single, halp, overlap = (curve(report, channel, method, quantity, least) for method in METHODS_SERVED)
        assert all(s <= h <= o for s, h, o in zip(single, halp, overlap, strict=True))
        assert single == sorted(single)
        assert single[0] < single[-1]


@pytest.mark.parametrize("method", METHODS_SERVED)
def test_the_frame_is_the_service_of_its_candidates(report: Report, method: str) -> None:
    """Recomputed from the latencies of the table, for the image that serves both variants."""
    candidates = [Candidate(v.label, v.top1_percent, s, SIZE) for v, s in zip(VARIANTS, latencies_s(report, method), strict=True)]
    for name, channel in CHANNELS.items():
        expected = estimate_service(candidates, channel, DEADLINES, samples=SAMPLES).to_frame()
        for column in ("reliability", "reliability_low", "expected_accuracy", "expected_accuracy_high"):
            assert curve(report, name, method, column) == pytest.approx(expected[column].tolist())
        best = estimate_service(candidates[:1], channel, DEADLINES, samples=SAMPLES).to_frame()
        assert curve(report, name, method, "reliability", 60.0) == pytest.approx(best["reliability"].tolist())
    exact = exact_service(candidates, CHANNELS["truncated normal"], DEADLINES).to_frame()
    assert curve(report, "truncated normal", method, "exact_reliability") == pytest.approx(exact["reliability"].tolist())
    assert all(map(pd.isna, curve(report, "Gilbert-Elliott", method, "exact_expected_accuracy")))


def test_what_is_selected_adds_up(report: Report) -> None:
    """The parts of the variants sum to the reliability."""
    parts = report.frames["figure_reliability_selected"].groupby(["channel", "method", "deadline_s"])["selected"].sum()
    for channel in CHANNELS:
        for deadline, reliability in zip(DEADLINES, curve(report, channel, "halp", "reliability"), strict=True):
            assert parts.get((channel, "halp", deadline), 0.0) == pytest.approx(reliability)


def test_notes_tell_what_the_frame_holds(report: Report) -> None:
    """How many variants are faster, and the largest gain over one device, with its deadline."""
    single, halp = latencies_s(report, "single"), latencies_s(report, "halp")
    faster = sum(h < s * (1 - 1e-9) for s, h in zip(single, halp, strict=True))
    ratio = max(s / h for s, h in zip(single, halp, strict=True))
    assert any(f"HALP runs {faster} of 2 variants faster (0 slower), at most {ratio:.2f} times as fast" in note for note in report.notes)
    assert any(
        f": 0.1-64 with {1e3 * single[1]:.2f} ms (best single device), 0.1-64 with {1e3 * halp[1]:.2f} ms (HALP)" in note for note in report.notes
    )
    channel = "truncated normal"
    alone, together = (curve(report, channel, method, "expected_accuracy") for method in ("single", "halp"))
    gain, deadline = max(((h - s, -d) for s, h, d in zip(alone, together, DEADLINES, strict=True)))
    note = next(note for note in report.notes if note.startswith(f"{channel}, HALP against best single device: "))
    assert f"expected accuracy up to {gain:.1f} points higher, at {-1e3 * deadline:g} ms." in note


def test_the_intervals_contain_the_closed_form(report: Report) -> None:
    """The note counts those of the frame that do; over a channel without a closed form there is no note."""
    frame = report.frames["figure_reliability"].dropna(subset="exact_reliability")
    inside = sum(
        int(((frame[f"{name}_low"] <= frame[f"exact_{name}"]) & (frame[f"exact_{name}"] <= frame[f"{name}_high"])).sum())
        for name in ("reliability", "expected_accuracy")
    )
    total = 2 * len(METHODS_SERVED) * 2 * len(DEADLINES)
    assert len(frame) * 2 == total
    assert inside >= 0.85 * total
    assert any(note.startswith(f"{inside} of {total} intervals contain the closed form") for note in report.notes)
    assert figure_reliability.closed_form_notes([]) == ()


def test_files_and_panels(report: Report, tmp_path: Path) -> None:
    """Three CSV files, the page and the picture: three rows of curves and one of selections for each method, by two channels."""
    names = {path.name for path in write(report, tmp_path)}
    stems = ("figure_reliability", "figure_reliability_models", "figure_reliability_selected")
    assert names == {*(f"{stem}.csv" for stem in stems), "figure_reliability.md", "figure_reliability.png"}
    assert isinstance(report.figure, Figure)
    assert len(report.figure.subfigs[0].axes) == 2 * (3 + len(METHODS_SERVED)) + 1  # the scale of colours
    page = (tmp_path / "figure_reliability.md").read_text(encoding="utf-8")
    for text in ("pi4-x3@ethernet-1000", "GilbertElliottChannel(", "mobilenet_v1.md", "2211.13778", "python -m paper_figs.figure_reliability"):
        assert text in page


def test_one_line_of_progress_for_each_variant_and_method(report: Report) -> None:
    """As many as the counter announces."""
    assert report.stem == "figure_reliability"
    assert len(LINES) == len(VARIANTS) * len(METHODS_SERVED)


def test_a_slower_plan_shows_as_a_loss() -> None:
    """CoEdge is slower than one board on the small network: the notes say at worst how much."""
    methods = ("single", "coedge")
    channels = {"normal": RandomRateChannel(TruncatedNormal(5e6, 2e6, least=5e5))}
    slow = figure_reliability.build(1.0, lambda line: None, VARIANTS[1:], methods, channels, (0.003, 0.004, 0.006), 200, 40.0)
    (note,) = (note for note in slow.notes if note.startswith("normal, CoEdge against best single device"))
    assert "reliability up to" in note
    assert ", at worst -" in note
    assert timed(VARIANTS[1], boards(CLUSTER, FLOPS_PER_S), methods, 1.0, lambda line: None).latencies_s["coedge"] == latencies_s(slow, "coedge")[0]
