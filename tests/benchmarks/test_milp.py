"""The benchmark of the exact method: its instances, what it sums up, and that it continues."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pandas as pd
import pytest

from benchmarks import milp
from benchmarks.instances import add_instances, instances_of
from iopopt import ClusterError


def names_of(*words: str) -> list[tuple[str, str]]:
    """The models and clusters that these words choose."""
    parser = argparse.ArgumentParser()
    add_instances(parser, models=("lenet5",), devices=(2,))
    return [(model, cluster) for model, _, cluster, _ in instances_of(parser.parse_args(words))]


def test_instances() -> None:
    """Tiers by devices, the smallest network on microcontrollers in place of edge boards; or clusters by name."""
    assert names_of() == [("lenet5", f"{tier}-x2") for tier in ("mcu", "slow-link", "board", "wifi")]
    assert names_of("--tier", "edge", "mcu", "--devices", "2", "3") == [("lenet5", "mcu-x2"), ("lenet5", "mcu-x3")]
    assert names_of("--model", "alexnet", "--tier", "edge", "--memory=-tight-0.5") == [("alexnet", "edge-x2-tight-0.5")]
    assert names_of("--cluster", "fast-x2", "pi4-x3@wifi") == [("lenet5", "fast-x2"), ("lenet5", "pi4-x3@wifi")]
    with pytest.raises(ClusterError, match="mcu-x0"):
        names_of("--devices", "0")


def test_the_summary() -> None:
    """By hand: 1 and 100 s have the geometric mean 10; a gap below the asked 1e-4 counts as 1e-4, so with 1e-2 the mean is 1e-3."""
    rows = pd.DataFrame(
        {
            "model": ["a", "b", "c"],
            "cluster": "x",
            "backend": "highs",
            "seconds": [1.0, 100.0, 10.0],
            "gap": [1e-9, 1e-2, None],
            "status": ["optimal", "feasible", "unknown"],
        }
    )
    seconds, gap, unknown = milp.summary(rows, 1e-4)
    assert seconds == "seconds: geometric mean 10, worst 100 (b on x, highs)"
    assert gap.startswith("gap: 1 of 3 within 0.0001; geometric mean 0.001,")
    assert gap.endswith("worst 0.01 (b on x, highs)")
    assert unknown == "unknown: 1"


def test_a_second_run_solves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It prints what the first printed; another length of blocks is solved."""
    words = ["milp", "--model", "lenet5", "--tier", "board", "--devices", "2", "--csv", str(tmp_path / "rows.csv")]
    monkeypatch.setattr(sys, "argv", words)
    milp.main()
    first = capsys.readouterr().out
    assert "optimal" in first
    assert "gap: 1 of 1 within 0.0001" in first
    monkeypatch.setattr(milp, "measure", lambda *_: pytest.fail("solved again"))
    milp.main()
    assert capsys.readouterr().out == first
    monkeypatch.setattr(sys, "argv", [*words, "--longest-block", "2"])
    with pytest.raises(pytest.fail.Exception, match="solved again"):
        milp.main()
