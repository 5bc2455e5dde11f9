"""The benchmark of the annealing: its table, and the file from which it goes on."""

import sys

import pandas as pd
import pytest

from benchmarks import overlap
from benchmarks.overlap import perfect_split_s, summary
from iopopt import load_cluster, load_model


def test_a_row_compares_with_the_bound() -> None:
    """Of 1.0, 1.25 and 1.5 s, where nothing is faster than 0.75 and 1.0 s: a gap of 20 %."""
    runs = pd.DataFrame({"events_s": [1.0, 1.25, 1.5], "bound_s": [0.75, 1.0, 1.0], "seconds": [1, 2, 3]})
    row = summary(0.5, pd.Series({"events_s": 2.0}), pd.Series({"latency_s": 4.0, "events_s": 3.0}), runs)
    expected = {"median": 1250, "best": 1000, "worst": 1500, "bound": 1000, "gap_%": 20, "perfect split": 500, "CoEdge": 2000}
    assert {name: row[name] for name in expected} == pytest.approx(expected)
    assert (row["(6) optimum"], row["the same simulated"]) == (4000, 3000)


def test_the_perfect_split_by_hand() -> None:
    """VGG16's 15.47 GMAC at 8, 16 and 32 GFLOP/s: 30.94 / 56 s."""
    graph = load_model("vgg16")
    assert perfect_split_s(graph, load_cluster("board-x3", graph)) == pytest.approx(30.94 / 56, rel=1e-3)


def test_it_runs_and_goes_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path) -> None:
    """A line for each instance, a row in the file for each run; what is there is not run again."""
    target = tmp_path / "runs.csv"
    monkeypatch.setattr(
        sys, "argv", ["overlap", "--model", "lenet5", "--cluster", "mcu-x2", "--seeds", "2", "--time-limit", "1", "--csv", str(target)]
    )
    overlap.main()
    shown = capsys.readouterr().out
    assert len(shown.splitlines()) == 1 + 1
    assert len(target.read_text().splitlines()) == 1 + 2 + 2
    monkeypatch.setattr(overlap, "measure", None)
    overlap.main()
    assert capsys.readouterr().out == shown
