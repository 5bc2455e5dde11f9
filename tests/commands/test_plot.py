"""``iopopt plot``: pictures as files, what is said beside them, and bad input."""

from __future__ import annotations

import importlib.util
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from iopopt import Cluster, Graph, Plan, Timeline, evaluate, load_cluster, load_model, simulate, solve_coedge
from iopopt.__main__ import COMMANDS
from iopopt.commands import plot
from iopopt.commands.plot import main, summary
from iopopt.network.records import write_json
from iopopt.pictures import draw_memory
from iopopt.simulation.timeline_files import read_timeline
from iopopt.simulation.trace import trace_record

GRAPH = load_model("lenet5")
CLUSTER = load_cluster("mcu-x3", GRAPH)


@pytest.fixture(scope="module")
def plan() -> Plan:
    """LeNet-5 by rows on three microcontrollers."""
    found = solve_coedge(GRAPH, CLUSTER).plan
    assert found is not None
    return found


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plan: Plan) -> Path:
    """An empty working folder but for a plan, and its timeline as if measured."""
    monkeypatch.chdir(tmp_path)
    write_json("plan.json", plan.to_dict())
    write_json("measured.json", measured(simulate(GRAPH, CLUSTER, plan)).to_dict())
    return tmp_path


def measured(timeline: Timeline) -> Timeline:
    """As a run might have been that took twice as long."""
    spans = tuple(replace(span, start_s=2 * span.start_s, end_s=2 * span.end_s) for span in timeline.spans)
    return replace(timeline, spans=spans, outputs_s=(2 * timeline.makespan_s,), origin="measured", memory=())


def pixels(path: str) -> tuple[int, int]:
    """The width and height of a PNG."""
    header = Path(path).read_bytes()[:24]
    assert header.startswith(b"\x89PNG")
    return int.from_bytes(header[16:20]), int.from_bytes(header[20:24])


def test_a_timeline(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    """A picture and one line: the makespan, what the critical path is, and the latency by equation (6) as a figure of its own."""
    assert main(["timeline", "--model", "lenet5", "--cluster", "mcu-x3", "--plan", "plan.json", "-o", "gantt.png"]) == 0
    timeline, latency_s = simulate(GRAPH, CLUSTER, plan), evaluate(GRAPH, CLUSTER, plan).latency_s
    said = capsys.readouterr().out
    assert said == summary(timeline, evaluate(GRAPH, CLUSTER, plan)) + "\n"
    assert said.startswith(f"simulated: {timeline.makespan_s * 1e3:.4g} ms; critical path: ")
    assert said.endswith(f"; equation (6): {latency_s * 1e3:.4g} ms\n")
    assert sum(float(part) for part in re.findall(r"([\d.]+)%", said)) == pytest.approx(100, abs=0.3)
    assert pixels("gantt.png")[0] == 1650


def test_the_summary_by_hand(trio_graph: Graph, trio_cluster: Cluster, trio_plan: Plan) -> None:
    """Of 29.54 s, d0 computes 23.04 s and sends 2.6 s, d1 computes 2.4 s and sends 1.5 s; three parts are named. Two inputs have a throughput."""
    timeline = simulate(trio_graph, trio_cluster, trio_plan)
    path = "critical path: d0 computes 78.0%, d0 sends to d1 8.8%, d1 computes 8.1%, 1 more 5.1%"
    assert summary(timeline) == f"simulated: 29,540 ms; {path}"
    assert summary(timeline, evaluate(trio_graph, trio_cluster, trio_plan)).startswith(f"simulated: 29,540 ms; {path}; equation (6): ")
    twice = replace(timeline, outputs_s=(19.54, 29.54))
    assert summary(twice) == f"simulated: 29,540 ms for 2 inputs, 0.1 per second; {path}"
    gap = Timeline(trio_cluster, (), (1.0,), "measured")
    assert summary(gap) == "measured: 1,000 ms; critical path: d0 waits 100.0%"
    assert summary(replace(gap, outputs_s=(0.0,))) == "measured: 0 ms; critical path: nothing"


def test_options_of_the_simulation(plan: Plan) -> None:
    """They are those of simulate(), and each of them matters here; --method finds the plan."""
    given = ["--no-boundary-first", "--barriers", "--inputs", "3", "--shared-medium", "1e5"]
    assert main(["timeline", "--model", "lenet5", "--cluster", "mcu-x3", "--method", "coedge", *given, "--json", "t.json", "-o", "a.png"]) == 0
    options: dict[str, Any] = {"boundary_first": False, "barriers": True, "inputs": 3, "shared_medium": 1e5}
    assert read_timeline("t.json") == simulate(GRAPH, CLUSTER, plan, **options)
    for name in options:
        others = {other: value for other, value in options.items() if other != name}
        assert simulate(GRAPH, CLUSTER, plan, **others).spans != simulate(GRAPH, CLUSTER, plan, **options).spans


def test_files_beside_the_picture(plan: Plan) -> None:
    """A trace, a table and a timeline file: what the library gives."""
    words = ["--model", "lenet5", "--cluster", "mcu-x3", "--plan", "plan.json", "--trace", "trace.json", "--csv", "t.csv", "--json", "t.json"]
    assert main(["timeline", *words, "-o", "a.pdf"]) == 0
    timeline = simulate(GRAPH, CLUSTER, plan)
    assert json.loads(Path("trace.json").read_text()) == trace_record(timeline)
    assert Timeline.from_dict(json.loads(Path("t.json").read_text())) == timeline
    found = pd.read_csv(io.StringIO(Path("t.csv").read_text()), keep_default_na=False)
    pd.testing.assert_frame_equal(found, timeline.to_frame())
    assert Path("a.pdf").read_bytes().startswith(b"%PDF")


def test_a_timeline_file_and_a_measured_one(plan: Plan, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A file is drawn as it is; with --measured, below the simulated one, with a line of its own, and memory and its demand below both, as long."""
    calls = []
    monkeypatch.setattr(plot, "draw_memory", lambda *given, **named: (calls.append(named), draw_memory(*given, **named)))
    assert main(["timeline", "measured.json", "-o", "one.png"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("measured: ")
    assert "equation" not in said
    words = ["--model", "lenet5", "--cluster", "mcu-x3", "--plan", "plan.json", "--measured", "measured.json"]
    assert main(["timeline", *words, "--memory", "-o", "more.png"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("simulated: ")
    assert second == said.strip()
    simulated = simulate(GRAPH, CLUSTER, plan)
    assert calls == [{"demands_bytes": evaluate(GRAPH, CLUSTER, plan).memory_bytes, "until_s": 2 * simulated.makespan_s}]
    assert pixels("more.png")[1] > 2 * pixels("one.png")[1] + 3 * 100


def test_a_plan(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    """A partition map; one line says what is split, and the latency by equation (6)."""
    assert main(["plan", "--model", "lenet5", "--cluster", "mcu-x3", "--plan", "plan.json", "-o", "map.svg"]) == 0
    assert capsys.readouterr().out == f"{plan!r}; equation (6): {evaluate(GRAPH, CLUSTER, plan).latency_s * 1e3:.4g} ms\n"
    assert Path("map.svg").read_text().startswith("<?xml")


MODEL = ["--model", "lenet5", "--cluster", "mcu-x3"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["plan", "--model", "missing.json", "-o", "a.gif"], "a.gif: suffix '.gif' is unknown; known are .png, .pdf, .svg"),
        (["timeline", *MODEL, "-o", "a"], "a: suffix '' is unknown; known are .png, .pdf, .svg"),
        (["plan", *MODEL, "-o", "missing/a.png"], "'missing/a.png': cannot be written (No such file or directory)"),
        (["plan", "--model", "lenet6", "-o", "a.png"], "unknown model 'lenet6'"),
        (["plan", *MODEL, "--method", "gredy", "-o", "a.png"], "unknown method 'gredy'"),
        (["plan", *MODEL, "--plan", "measured.json", "-o", "a.png"], "measured.json: neither 'placements' nor 'plan' is among its keys"),
        (["plan", "--model", "alexnet", "--plan", "plan.json", "-o", "a.png"], "is it a plan of alexnet?"),
        (["timeline", "plan.json", "-o", "a.png"], "plan.json: this is a plan; a timeline is wanted"),
        (["timeline", "missing.json", "-o", "a.png"], "missing.json: cannot be read"),
        (["timeline", "measured.json", "--memory", "-o", "a.png"], "this measured timeline does not say what devices hold"),
        (["timeline", "measured.json", "--csv", "missing/t.csv", "-o", "a.png"], "'missing/t.csv': cannot be written"),
        (["timeline", *MODEL, "--measured", "plan.json", "-o", "a.png"], "plan.json: this is a plan; a timeline is wanted"),
        (
            ["timeline", "--model", "lenet5", "--cluster", "edge-x3", "--measured", "measured.json", "-o", "a.png"],
            "its devices are mcu0, mcu1, mcu2, not edge0",
        ),
        (["timeline", *MODEL, "--inputs", "0", "-o", "a.png"], "inputs is 0; it must be a positive integer"),
        (["timeline", *MODEL, "--shared-medium", "nan", "-o", "a.png"], "shared_medium is nan; it must be a positive finite number"),
    ],
)
def test_errors_are_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be read, drawn or written ends with code 2 and one line."""
    assert main(words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert message in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "the following arguments are required"),
        (["gantt"], "invalid choice: 'gantt'"),
        (["timeline", *MODEL], "required: -o/--output"),
        (["plan", "-o", "a.png"], "required: --model"),
        (["timeline", "-o", "a.png"], "give --model, whose plan is simulated, or FILE, a timeline"),
        (["timeline", *MODEL, "--inputs", "two", "-o", "a.png"], "argument --inputs: invalid int value: 'two'"),
        *(
            (["timeline", "measured.json", *given, "-o", "a.png"], f"{given[0]} is for a simulation, but measured.json is a timeline already")
            for given in (
                ["--model", "lenet5"],
                ["--input-shape", "1x28x28"],
                ["--cluster", "mcu-x3"],
                ["--plan", "plan.json"],
                ["--method", "oc"],
                ["--no-boundary-first"],
                ["--barriers"],
                ["--inputs", "2"],
                ["--shared-medium", "1e6"],
            )
        ),
    ],
)
def test_what_the_parser_refuses(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Missing, unknown and useless options end with code 2 and how the command is used."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Said before anything is solved, and how to get it."""
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "matplotlib" else found(name, *more))
    assert main(["plan", "--model", "missing.json", "-o", "a.png"]) == 2
    assert capsys.readouterr().err == "error: the figure needs matplotlib: pip install 'iopopt[figures]'\n"


def test_the_command_is_listed() -> None:
    """``iopopt plot`` is this one."""
    assert COMMANDS["plot"][0] is main
