"""The benchmark of the swarm: its table, and the file from which it goes on."""

import sys

import pytest

from benchmarks import pso
from benchmarks.pso import Cell, Runs, Summary, Task
from iopopt.errors import FileFormatError

CELL = Cell("alexnet", "edge-x3", 8)


def figures(latency_s, bound_s=None, start_latency_s=None):
    return {"latency_s": latency_s, "bound_s": bound_s, "start_latency_s": start_latency_s, "seconds": 1.0}


def test_a_row_compares_with_the_optimum():
    """Of 1.1, 1.3 and 1.2 s from 1.5 s, where the optimum is 1 s and proven to be no less than 0.8 s."""
    swarms = [figures(latency, start_latency_s=1.5) for latency in (1.1, 1.3, 1.2)]
    row = Summary(CELL, figures(1.0, bound_s=0.8), swarms, [figures(2.0), figures(3.0)]).row()
    expected = {"start_ms": 1500, "median_ms": 1200, "worst_ms": 1300, "gain_%": -20, "its gap_%": 20}
    expected |= {"median over it_%": 20, "worst over it_%": 30, "median over bound_%": 50, "plain over it_%": 150}
    assert {name: row[name] for name in expected} == pytest.approx(expected)


def test_what_is_unknown_stays_empty():
    """Without a start that fits, or a bound, nothing is compared with them; without plain runs there is no column."""
    row = Summary(CELL, figures(1.0), [figures(1.0)], []).row()
    assert [row[name] for name in ("start_ms", "gain_%", "its gap_%", "median over bound_%")] == [None] * 4
    assert "plain over it_%" not in row


def test_runs_are_not_repeated(monkeypatch, tmp_path):
    """What a file has is read from it, figures that are None included; another seed, limit or method is run and added."""
    done = []

    def run(task):
        done.append(task)
        return figures(0.1 * len(done), None, 0.2)

    monkeypatch.setattr(pso, "_figures", run)
    path = str(tmp_path / "runs.csv")
    tasks = [Task(CELL, "pso", 0, 10.0), Task(CELL, "pso", 1, 10.0), Task(CELL, "plain", 0, 10.0), Task(CELL, "pso", 0, 5.0)]
    first = [Runs(path).result(task) for task in tasks]
    again = Runs(path)
    assert [again.result(task) for task in tasks] == first
    assert done == tasks


def test_a_file_of_something_else_is_refused(tmp_path):
    """The columns of another file are named."""
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(FileFormatError, match=r"other\.csv.*'a', 'b'"):
        Runs(str(path))


def test_it_runs(monkeypatch, capsys, tmp_path):
    """A line for a cell, with the plain variant, and a row in the file for each run."""
    target = tmp_path / "runs.csv"
    arguments = ["--model", "lenet5", "--cluster", "mcu-x2", "--seeds", "2", "--time-limit", "0.2", "--longest-block", "2", "--plain"]
    monkeypatch.setattr(sys, "argv", ["pso", *arguments, "--csv", str(target)])
    pso.main()
    assert len(capsys.readouterr().out.splitlines()) == 1 + 1
    assert len(target.read_text().splitlines()) == 1 + 1 + 2 * 2
