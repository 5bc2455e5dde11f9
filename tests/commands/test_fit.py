"""``iopopt fit``: the answer, its exit codes, and bad input."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.error_lines import error_line

from iopopt import Cluster, Device, GraphBuilder, Plan, evaluate
from iopopt.__main__ import COMMANDS
from iopopt.bench import command as bench
from iopopt.commands.fit import BAD_INPUT, NOTHING_FITS, OK, main
from iopopt.network.records import read_json, write_json

GRAPH = GraphBuilder("hand", (1, 4, 1)).conv(2, 1, bias=False).build()
CLUSTER = Cluster((Device("a", 1.0, 16.0, 1.0), Device("b", 1.0, 16.0, 1.0)), 0.5, bytes_per_element=1)
COMMON = ["--model", "net.json", "--cluster", "pair.json"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a network and a cluster."""
    monkeypatch.chdir(tmp_path)
    write_json("net.json", GRAPH.to_dict())
    write_json("pair.json", CLUSTER.to_dict())
    return tmp_path


def test_it_fits(capsys: pytest.CaptureFixture[str]) -> None:
    """With a plan in the file."""
    assert main([*COMMON, "--json", "fit.json"]) == OK
    assert "hand fits: a plan of team=(0, 1) keeps every limit.\n" in capsys.readouterr().out
    record = read_json("fit.json")
    assert max(evaluate(GRAPH, CLUSTER, Plan.from_dict(record["least"]["plan"])).memory_bytes) == 8


def test_it_does_not_fit(capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code is the bench's; how much memory, and how many devices, it takes is printed."""
    tight = replace(CLUSTER, devices=tuple(replace(device, memory_bytes=6.4) for device in CLUSTER.devices))
    write_json("pair.json", tight.to_dict())
    assert main(COMMON) == NOTHING_FITS == bench.NOTHING_FITS
    printed = capsys.readouterr().out
    assert "1.25 times the memory on every device is enough" in printed
    assert "4 are enough; 3 are not (proven)" in printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "missing.json"], "missing.json"),
        ([*COMMON, "--boards", "pi7"], "unknown board 'pi7'"),
        ([*COMMON, "--most-devices", "0"], "most_devices is 0"),
        ([*COMMON, "--gap", "2"], "gap is 2.0"),
        ([*COMMON, "--json", "no/such/folder.json"], "cannot be written"),
    ],
)
def test_bad_input(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, and no traceback."""
    assert main(words) == BAD_INPUT
    assert message in error_line(capsys)


def test_it_is_a_command() -> None:
    """By its name."""
    assert COMMANDS["fit"][0] is main
