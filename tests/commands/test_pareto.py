"""``iopopt pareto``: the table, the files, the picture, exit codes, and bad input."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from support.error_lines import error_line

from iopopt import Cluster, Device, GraphBuilder, ParetoFront, Plan, evaluate, pareto
from iopopt.__main__ import COMMANDS
from iopopt.bench import command as bench
from iopopt.commands import pareto as command
from iopopt.commands.pareto import BAD_INPUT, INTERRUPTED, NOTHING_FITS, OK, main
from iopopt.methods.plan_files import read_plan
from iopopt.network.records import read_json, write_json

GRAPH = GraphBuilder("hand", (1, 4, 1)).conv(2, 1, bias=False).build()
CLUSTER = Cluster((Device("fast", 1.0, 16.0, 1.0), Device("slow", 0.25, 16.0, 1.0)), 0.5, bytes_per_element=1)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the worked case of cost_model.md."""
    monkeypatch.chdir(tmp_path)
    write_json("net.json", GRAPH.to_dict())
    write_json("pair.json", CLUSTER.to_dict())
    return tmp_path


COMMON = ["--model", "net.json", "--cluster", "pair.json"]


def test_a_front(capsys: pytest.CaptureFixture[str]) -> None:
    """The table has the three points of the worked case; the files have the same, and each plan; the picture is a PNG."""
    assert main([*COMMON, "--points", "3", "--inputs", "2", "--output", "out", "--plot", "front.png"]) == OK
    printed = capsys.readouterr().out
    for figure in ("50.00%", "68.75%", "87.50%", "36,500.00", "18,500.00", "16,000.00", "optimal", "2 inputs", "per second"):
        assert figure in printed
    assert "Some device needs at least 50.00% of its limit in every plan of team=(0, 1) (proven)." in printed
    front = ParetoFront.from_dict(read_json("out/front.json"))
    with open("out/front.csv", encoding="utf-8", newline="") as file:
        assert [float(row["latency_s"]) for row in csv.DictReader(file)] == [36.5, 18.5, 16.0]
    for number, point in enumerate(front.points):
        plan = read_plan(Path(f"out/plan-{number}.json"))
        assert isinstance(plan, Plan)
        assert evaluate(GRAPH, CLUSTER, plan).latency_s == point.latency_s
    assert Path("front.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_fits(capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code is the bench's, and the reason is printed; there is no picture."""
    tight = replace(CLUSTER, devices=tuple(replace(device, memory_bytes=7.0) for device in CLUSTER.devices))
    write_json("pair.json", tight.to_dict())
    assert main([*COMMON, "--plot", "front.png"]) == NOTHING_FITS == bench.NOTHING_FITS
    assert "no plan fits the memory (equation 1)" in capsys.readouterr().out
    assert not Path("front.png").exists()


def test_an_interrupted_search(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Prints what it has."""
    found = replace(pareto(GRAPH, CLUSTER, points=2), ending="interrupted")
    monkeypatch.setattr(command, "pareto", lambda *_, **__: found)
    assert main(COMMON) == INTERRUPTED
    printed = capsys.readouterr().out
    assert "16,000.00" in printed
    assert "The search was interrupted." in printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "nett"], "unknown model 'nett'"),
        ([*COMMON, "--points", "1"], "points is 1"),
        ([*COMMON, "--plot", "front.bmp"], "suffix '.bmp' is unknown"),
        ([*COMMON, "--output", "net.json"], "--output net.json: cannot be made"),
        ([*COMMON, "--team", "third"], "has no device 'third'"),
        ([*COMMON, "--backend", "higs"], "unknown back end 'higs'"),
        ([*COMMON, "--inputs", "0"], "inputs is 0"),
        ([*COMMON, "--time-limit", "-1"], "time_limit_s is -1.0"),
        ([*COMMON, "--longest-block", "0"], "longest_block is 0"),
    ],
)
def test_bad_input(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, and no traceback."""
    assert main(words) == BAD_INPUT
    assert message in error_line(capsys)


def test_it_is_a_command() -> None:
    """By its name."""
    assert COMMANDS["pareto"][0] is main
