"""The benchmark in joules: its options, its columns, and what a gap is of."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from iopopt import evaluate, load_cluster, load_model, solve_milp
from iopopt.bench.command import BAD_INPUT, OK, main

COMMON = ["--model", "lenet5", "--methods", "single", "milp"]


def test_energy_within_a_deadline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Methods that take the objective minimise it, others the latency; the joules of every plan have a column, and the gap says that it is theirs."""
    cluster_name = "pi3+tx2@ethernet-1000"
    graph, cluster = load_model("lenet5"), load_cluster(cluster_name)
    expected = solve_milp(graph, cluster, objective="energy", deadline_s=0.005)
    options = ["--cluster", cluster_name, "--objective", "energy", "--deadline-ms", "5", "--output", str(tmp_path), "--quiet"]
    assert main([*COMMON, *options]) == OK
    table = capsys.readouterr().out
    assert "energy" in table
    assert "% J" in table
    with open(tmp_path / "results.csv", encoding="utf-8", newline="") as file:
        single, milp = csv.DictReader(file)
    assert (single["objective"], milp["objective"]) == ("latency", "energy")
    assert (milp["asked_objective"], milp["asked_deadline_s"], milp["bound_s"]) == ("energy", "0.005", "")
    assert float(milp["energy_j"]) == pytest.approx(expected.value, rel=2e-4)
    assert float(milp["energy_j"]) <= float(single["energy_j"]) * (1 + 1e-9)
    assert float(milp["bound_j"]) <= float(milp["energy_j"])
    assert expected.plan is not None
    assert evaluate(graph, cluster, expected.plan).energy_j == expected.value


def test_clusters_without_powers_have_no_such_column(capsys: pytest.CaptureFixture[str]) -> None:
    """The table is as it was."""
    assert main(["--model", "lenet5", "--methods", "single", "--quiet"]) == OK
    assert "energy" not in capsys.readouterr().out


def test_a_deadline_needs_the_objective(capsys: pytest.CaptureFixture[str]) -> None:
    """It is bad input with the latency."""
    assert main([*COMMON, "--deadline-ms", "5", "--quiet"]) == BAD_INPUT
    assert "--deadline-ms needs --objective energy" in capsys.readouterr().err


def test_the_memory_as_objective(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Methods that know it minimise it, CoEdge's program the latency; the gap says whose it is, and the bound has a column."""
    options = ["--model", "lenet5", "--methods", "coedge_lp", "milp", "--objective", "memory", "--gap", "0.01", "--output", str(tmp_path), "--quiet"]
    assert main(options) == OK
    assert "% of the limit" in capsys.readouterr().out
    with open(tmp_path / "results.csv", encoding="utf-8", newline="") as file:
        coedge, milp = csv.DictReader(file)
    assert (coedge["objective"], milp["objective"], milp["bound_s"]) == ("latency", "memory", "")
    assert 0 < float(milp["bound_share"]) < 1
    assert float(milp["peak_memory_bytes"]) < float(coedge["peak_memory_bytes"])
