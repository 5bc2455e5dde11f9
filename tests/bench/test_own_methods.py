"""Methods of other people in the bench: what they need is public, and whatever they do is a row."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

import iopopt
from iopopt.bench import command
from iopopt.bench.command import main

CONTRIBUTING = Path(__file__).parents[2] / "CONTRIBUTING.md"

METHODS = '''
import dataclasses
import sys

import iopopt


def divides(graph, devices):
    return 1 / 0


def leaves(graph, devices):
    sys.exit("enough")


def nothing(graph, devices):
    pass


def boasts(graph, devices):
    """Halves the latency of an honest plan, in the evaluation as well."""
    honest = iopopt.solve_single(graph, devices)
    price = dataclasses.replace(honest.evaluation, latency_s=honest.latency_s / 2)
    return dataclasses.replace(honest, latency_s=price.latency_s, evaluation=price)


def claims(graph, devices):
    honest = iopopt.solve_single(graph, devices)
    return dataclasses.replace(honest, status="optimal", bound_s=honest.latency_s)


def elsewhere(graph, devices):
    return iopopt.solve_single(iopopt.load_model("alexnet"), devices)


def two_lines(graph, devices):
    raise ValueError("a message\\nof two lines")


def fine(graph, devices, *, team="all", seed=0):
    """The best single device, with a seed."""
    return iopopt.solve_single(graph, devices)
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with modules of methods, where the command is run."""
    (tmp_path / "own_methods.py").write_text(METHODS)
    (tmp_path / "annealing.py").write_text(re.search(r"```python\n(.*?)```", CONTRIBUTING.read_text(encoding="utf-8"), re.DOTALL)[1])  # type: ignore[index]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in ("own_methods", "annealing"):
        sys.modules.pop(name, None)


def bench(folder: Path, *methods: str, model: str = "lenet5") -> tuple[int, pd.DataFrame]:
    """The exit code and the results of a benchmark."""
    code = main(["--model", model, "--methods", *methods, "--seeds", "2", "--time-limit", "5", "--output", str(folder / "results"), "--quiet"])
    return code, pd.read_csv(folder / "results" / "results.csv").set_index("method")


def test_the_example_of_the_contributors_guide(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Simulated annealing runs through the bench, with seeds, beats the device it starts from, and does not beat the optimum."""
    code, table = bench(folder, "single", "annealing:solve_annealing", "milp")
    assert code == 0
    found = table.loc["annealing:solve_annealing"]
    assert list(found["seed"]) == [0, 1]
    assert (found["latency_s"] < 0.9 * table.loc["single", "latency_s"]).all()
    assert (found["latency_s"] >= table.loc["milp", "bound_s"]).all()
    assert set(found["space"]) == {"team=(0, 1, 2)"}
    assert "annealing:solve_annealing, median of 2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("divides", r"ZeroDivisionError: division by zero \(own_methods.py:9, in divides\)"),
        ("leaves", r"SystemExit: enough \(own_methods.py:13, in leaves\)"),
        ("nothing", r"method 'own_methods:nothing' returned None; a Solution is expected"),
        ("boasts", r"its plan takes 0\.\d+ s, not 0\.\d+"),
        ("claims", r"it claims status 'optimal', but the method is not registered as one that proves bounds"),
        ("elsewhere", r"is it a plan of lenet5\?"),
        ("two_lines", r"ValueError: a message of two lines"),
    ],
)
def test_a_method_that_fails_is_a_row(method: str, reason: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The reason is in the CSV and below the table; the methods after it run; nothing is a traceback."""
    code, table = bench(folder, "single", f"own_methods:{method}", "oc")
    assert code == command.METHOD_FAILED
    assert list(table["status"]) == ["feasible", "error", "feasible"]
    assert re.search(reason, table.loc[f"own_methods:{method}", "reason"])
    captured = capsys.readouterr()
    assert re.search(reason, captured.out)
    assert "Traceback" not in captured.out + captured.err


def test_an_announced_method(folder: Path) -> None:
    """An installed package announces a method under a name, which every command knows."""
    record = folder / "own_methods-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: own-methods\nVersion: 1.0\n")
    (record / "entry_points.txt").write_text("[iopopt.methods]\ngood = own_methods:fine\n")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), *filter(None, sys.path)])}
    words = ["-m", "iopopt.bench", "--model", "lenet5", "--methods", "good", "dp"]
    done = subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, re.findall(r"│ (good, median of 3|DP) +│", done.stdout)) == (0, ["good, median of 3", "DP"])


def test_a_registered_method(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Under its name it is found by solve() and by the bench, with its label."""
    monkeypatch.setattr(iopopt.METHODS, "_registered", {})
    iopopt.register_method("fastest", lambda graph, devices: iopopt.solve_single(graph, devices), label="Fastest device")
    graph = iopopt.load_model("lenet5")
    cluster = iopopt.load_cluster("mcu-x3", graph)
    assert iopopt.solve(graph, cluster, "fastest").plan == iopopt.solve_single(graph, cluster).plan
    with pytest.raises(iopopt.UnsupportedError, match="'fastest' does not take team; it takes none of them"):
        iopopt.solve(graph, cluster, "fastest", team="all")
    assert bench(folder, "fastest")[0] == 0
    assert "Fastest device" in capsys.readouterr().out


def test_a_method_that_says_more_of_itself(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An iopopt.Method in a module may prove bounds; what it claims of its plan is still compared with the evaluator."""
    (folder / "own_methods.py").write_text(METHODS + "\n\nMETHOD = iopopt.Method(claims, 'Claims it', proves_bounds=True)\n")
    code, table = bench(folder, "own_methods:METHOD")
    assert (code, table.loc["own_methods:METHOD", "status"]) == (0, "optimal")
    assert "Claims it" in capsys.readouterr().out
