"""Partial offloading as a user meets it: tables, files, pictures, exit codes, messages."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from iopopt.cluster.boards import board_flops_per_s
from iopopt.errors import SolverError
from iopopt.methods.solution import Termination
from iopopt.models import load_model
from iopopt.network.records import read_json
from iopopt.offload import command
from iopopt.offload.command import BOARD, main
from iopopt.offload.files import load_offload_instance, offload_instance_from
from iopopt.offload.instance import Client, Link, OffloadInstance, Server
from iopopt.offload.methods import OFFLOAD_METHODS, OffloadMethod
from iopopt.offload.methods.nfl import solve_best_cut, solve_local, solve_remote
from iopopt.offload.plan import ClientPlan, OffloadPlan
from iopopt.offload.plan import Path as OffloadPath
from iopopt.offload.recursion import offload_latency_s
from iopopt.offload.solution import OffloadSolution, offload_solution
from iopopt.offload.space import OffloadSpace

NFL = ["local", "remote", "best-cut"]
TWO = """\
schema_version: 1
devices:
  - {name: camera, model: lenet5, board: pi4, uplink: {bytes_per_s: 2.5e6, delay_s: 1e-3}}
  - {name: phone, model: lenet5, flops_per_s: 8e9, uplink: {bytes_per_s: 1.3e6}, result_at: device}
servers:
  - {name: edge, flops_per_s: 1e11, workers: 2}
"""


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """Two devices that share a server, as a file."""
    path = tmp_path / "two.yaml"
    path.write_text(TWO, encoding="utf-8")
    return path


@pytest.fixture
def own() -> Iterator[dict[str, Any]]:
    """Methods that a test registers."""
    added: dict[str, Any] = {}
    registered = OFFLOAD_METHODS._registered
    before = dict(registered)
    yield added
    registered.clear()
    registered.update(before)


def _lenet(mbit: float = 20.0, **changes: Any) -> OffloadInstance:
    """What the command makes of lenet5 by default."""
    client = Client(BOARD, load_model("lenet5"), board_flops_per_s(BOARD), Link(mbit * 1e6 / 8, 5e-3))
    return OffloadInstance((replace(client, **changes),), (Server("server", 1e11),))


def test_a_table_with_the_methods_figures(capsys: pytest.CaptureFixture[str]) -> None:
    """Every method has a line with its latency, the gains over each way without fused layers, m, n and cuts; and a line on standard error."""
    assert main(["--model", "lenet5", "--methods", *NFL]) == 0
    captured = capsys.readouterr()
    values = [solve(_lenet()).value_s for solve in (solve_local, solve_remote, solve_best_cut)]
    for label, solve in (("local", solve_local), ("remote", solve_remote), ("best cut", solve_best_cut)):
        solution = solve(_lenet())
        gains = [over_s / solution.value_s for over_s in (values[2], values[0], values[1])]
        row = next(line for line in captured.out.splitlines() if re.match(rf"│ {label} +│", line))
        cells = [cell.strip() for cell in row.strip("│").split("│")]
        assert cells[1] == f"{solution.value_s * 1e3:.4g}"
        assert cells[2] == f"{solution.value_s / min(values) - 1:.2%}"
        assert cells[4:7] == [f"{gain:.3f}" for gain in gains]
        assert cells[7:10] == [str(solution.plan.clients[0].fused), "1", str(solution.plan.clients[0].paths[0].cut)]
        assert f"lenet5 at 20 Mbit/s: {label}: {solution.value_s * 1e3:.4g} ms, feasible" in captured.err


def test_quiet_prints_the_table_only(capsys: pytest.CaptureFixture[str]) -> None:
    """With --quiet, standard error is empty."""
    assert main(["--model", "lenet5", "--methods", "best-cut", "--quiet"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "best cut" in captured.out


def test_the_options_make_the_instance(tmp_path: Path) -> None:
    """Each is found in the instance that is written, in units without prefixes; every uplink is an instance."""
    words = "--model lenet5 alexnet --device-gflops 8 --server-gflops 50 --workers 3 --uplink-mbit 4 8 --delay-ms 2 --downlink-mbit 16 "
    words += f"--input-at server --result-at device --methods local --quiet --output {tmp_path}"
    assert main(words.split()) == 0
    found = {path.stem: offload_instance_from(read_json(path)) for path in (tmp_path / "instances").iterdir()}
    assert set(found) == {f"{model}_at_{mbit}_Mbit_s" for model in ("lenet5", "alexnet") for mbit in (4, 8)}
    client = Client("device", load_model("alexnet"), 8e9, Link(1e6, 2e-3), Link(2e6, 2e-3), "server", "device")
    assert found["alexnet_at_8_Mbit_s"] == OffloadInstance((client,), (Server("server", 5e10, 3),))


def test_the_files_are_the_methods_results(tmp_path: Path, own: dict[str, Any]) -> None:
    """A row for each run, and each plan and solution as JSON, which price as the row says; a picture of the best plan."""
    OFFLOAD_METHODS.register("seeded", OffloadMethod(_seeded, "seeded"))
    assert main(["--model", "lenet5", "--methods", "best-cut,seeded", "--seeds", "3", "--output", str(tmp_path), "--quiet"]) == 0
    table = pd.read_csv(tmp_path / "results.csv")
    assert list(table["method"]) == ["best-cut", "seeded", "seeded", "seeded"]
    assert [None if pd.isna(seed) else seed for seed in table["seed"]] == [None, 0, 1, 2]
    for _, row in table.iterrows():
        plan = OffloadPlan.from_dict(read_json(tmp_path / "plans" / f"{row['run']}.json"))
        value_s = offload_latency_s(_lenet(), plan)
        assert row["value_s"] == pytest.approx(value_s, rel=1e-15)
        assert row["gap_to_best"] == pytest.approx(value_s / table["value_s"].min() - 1)
        assert row["speedup_over_local"] == pytest.approx(solve_local(_lenet()).value_s / value_s)
        assert row["paths"] == len(plan.clients[0].paths)
        assert read_json(tmp_path / "solutions" / f"{row['run']}.json")["plan"] == plan.to_dict()
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["lenet5_at_20_Mbit_s.png"]


def _seeded(instance: OffloadInstance, *, seed: int = 0) -> OffloadSolution:
    """All stages of the first path, more and more of them on the device."""
    stages = len(load_model("lenet5"))
    plan = OffloadPlan((ClientPlan(stages, (OffloadPath(0, 1, seed),)),))
    return offload_solution(instance, plan, space="a few", method="seeded", solve_s=0.0, seed=seed)


def test_seeds_show_median_and_worst(capsys: pytest.CaptureFixture[str], own: dict[str, Any]) -> None:
    """A method with random numbers runs once for each seed; its table has two lines, with the figures of the median and of the worst."""
    OFFLOAD_METHODS.register("seeded", OffloadMethod(_seeded, "seeded"))
    assert main(["--model", "lenet5", "--methods", "seeded", "--seeds", "3", "--quiet"]) == 0
    values = sorted(_seeded(_lenet(), seed=seed).value_s for seed in range(3))
    printed = capsys.readouterr().out
    for label, value_s in (("seeded, median of 3", values[1]), ("seeded, worst of 3", values[2])):
        assert re.search(rf"│ {label} +│ +{re.escape(f'{value_s * 1e3:.4g}')} ", printed)


@pytest.mark.parametrize("changes", [{"seed": None}, {"bound_s": 0.0}])
def test_a_method_without_chance_runs_once(changes: dict[str, Any], tmp_path: Path, own: dict[str, Any]) -> None:
    """Its first answer says so: it has no seed, or proves a bound."""
    OFFLOAD_METHODS.register("seeded", OffloadMethod(lambda instance, *, seed=0: replace(_seeded(instance, seed=seed), **changes), "seeded"))
    assert main(["--model", "lenet5", "--methods", "seeded", "--seeds", "3", "--output", str(tmp_path), "--quiet"]) == 0
    assert len(pd.read_csv(tmp_path / "results.csv")) == 1


def test_methods_get_what_they_take(own: dict[str, Any]) -> None:
    """The space, the objective, the seed and the time limit of the command line, as far as they are parameters."""
    got: dict[str, Any] = {}

    def solve(instance: OffloadInstance, *, space: OffloadSpace, objective: str, time_limit_s: float) -> OffloadSolution:
        got.update(space=space, objective=objective, time_limit_s=time_limit_s)
        return _seeded(instance)

    OFFLOAD_METHODS.register("asking", OffloadMethod(solve, "asking"))
    words = "--model lenet5 --methods asking --quiet --most-paths 5 --row-steps 3 --fused 2 --paths 4 --objective mean --time-limit 7"
    assert main(words.split()) == 0
    assert got == {"space": OffloadSpace(5, 3, 2, 4), "objective": "mean", "time_limit_s": 7.0}


def test_a_failing_method_does_not_lose_the_others(capsys: pytest.CaptureFixture[str], own: dict[str, Any]) -> None:
    """What a method raises, or returns, is a row and a line below the table; the rest is finished; the exit code tells."""

    def fail(instance: OffloadInstance) -> OffloadSolution:
        raise SolverError("the solver fell over")

    def crash(instance: OffloadInstance) -> OffloadSolution:
        raise ZeroDivisionError("by nothing")

    def odd(instance: OffloadInstance) -> OffloadSolution:
        return 3  # type: ignore[return-value]

    for name, solve in (("failing", fail), ("crashing", crash), ("odd", odd)):
        OFFLOAD_METHODS.register(name, OffloadMethod(solve, name))
    assert main(["--model", "lenet5", "--methods", "failing", "crashing", "odd", "best-cut"]) == command.METHOD_FAILED
    printed = capsys.readouterr().out
    assert "failing: the solver fell over" in printed
    assert "crashing: ZeroDivisionError: by nothing (test_command.py:" in printed
    assert "odd: it returned a int; an OffloadSolution is expected" in printed
    assert re.search(r"│ failing +│ +- │", printed)
    assert re.search(r"│ best cut +│ +\d", printed)
    assert "Traceback" not in printed


def test_several_devices(two: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], own: dict[str, Any]) -> None:
    """An instance file: m, n and cuts of each device, its name in the explanation; methods for one device are left out, and named."""
    OFFLOAD_METHODS.register("alone", OffloadMethod(_seeded, "alone", several_devices=False))
    out = tmp_path / "out"
    arguments = ["--instance", str(two), "--objective", "mean", "--time-limit", "2", "--seeds", "1", "--explain", "--output", str(out)]
    assert main([*arguments, "--quiet"]) == 0
    printed = capsys.readouterr().out
    expected = solve_best_cut(load_offload_instance(two), objective="mean")
    cuts = "/".join(str(client.paths[0].cut) for client in expected.plan.clients)
    assert re.search(rf"│ best cut +│ +{re.escape(f'{expected.value_s * 1e3:.4g}')} │.*│ +5/5 │ 1/1 │ +{cuts} │", printed)
    assert "the mean over devices of when results are there" in " ".join(printed.split())
    assert re.search(r"Left out, because they plan one device only: .*\balone", printed)
    assert "camera, lenet5: " in printed
    assert "phone, lenet5: " in printed
    assert [path.name for path in (out / "pictures").iterdir()] == ["two.png"]


def test_explain_says_what_the_plan_does(capsys: pytest.CaptureFixture[str], own: dict[str, Any]) -> None:
    """Which stages are fused, the paths and their cuts, the work recomputed, what comes after, and the critical path."""

    def solve(instance: OffloadInstance) -> OffloadSolution:
        paths = (OffloadPath(7, 14, 0), OffloadPath(0, 7, 1))
        return offload_solution(instance, OffloadPlan((ClientPlan(1, paths),)), space="one", method="split", solve_s=0.0)

    OFFLOAD_METHODS.register("split", OffloadMethod(solve, "split"))
    assert main(["--model", "lenet5", "--methods", "split", "--explain", "--quiet"]) == 0
    printed = capsys.readouterr().out
    assert "pi3, lenet5: the first 1 of 5 stages" in printed
    assert "2 paths, which compute 1.000 times the work" in printed
    first, second = printed.index("rows 7 to 13 of 14: up in "), printed.index("rows 0 to 6 of 14: 1 stage on the device in ")
    assert first < second
    assert "then, when all paths are done: 4 stages on server in " in printed
    assert "Critical path: pi3 sends to server" in printed
    assert "server waits " in printed


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_plot(suffix: str, tmp_path: Path) -> None:
    """The best plan in time, as a picture."""
    path = tmp_path / f"best.{suffix}"
    assert main(["--model", "lenet5", "--methods", *NFL, "--plot", str(path), "--quiet"]) == 0
    assert path.stat().st_size > 1000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--model lenet6", "unknown model 'lenet6'. Did you mean"),
        ("--model lenet5 --methods best-cat", "unknown offloading method 'best-cat'. Did you mean 'best-cut'?"),
        ("--model lenet5 --methods no_such_module:solve", "'no_such_module:solve' cannot be imported (ModuleNotFoundError"),
        ("--model lenet5 --fused 99", "fused is 99; 'lenet5' has 5 stages, and no more can be fused"),
        ("--model lenet5 --paths 60", "'lenet5' cannot be split into 60 paths; at most 14 have a row of their own"),
        ("--model lenet5 --fused 1 --paths 20", "20 paths do not have a row each of the 14 of stage 1"),
        ("--model lenet5 --most-paths 1000", "most_paths is 1000; it must be a positive integer of at most 64"),
        ("--model lenet5 --workers 10000", "workers is 10000; it must be an integer from 1 to 1000"),
        ("--model lenet5 --plot best.txt", "suffix '.txt' is unknown"),
        ("--instance missing.yaml", "missing.yaml: cannot be read (No such file or directory)"),
        ("--instance instance.txt", "suffix '.txt' is unknown"),
    ],
)
def test_bad_input_is_answered_in_a_line(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A name, file or number that does not exist or fit gives exit code 2 and says what does, without a traceback."""
    assert main(words.split()) == command.BAD_INPUT
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "one of the arguments --model --instance is required"),
        ("--model lenet5 --instance two.yaml", "not allowed with argument"),
        ("--model lenet5 --uplink-mbit 0", "0 is not positive and finite"),
        ("--model lenet5 --workers 0", "0 is not positive"),
        ("--model lenet5 --delay-ms -1", "-1 is not a time in milliseconds"),
        ("--model lenet5 --device-gflops nan", "nan is not positive and finite"),
        ("--model lenet5 --device-gflops 8 --board pi4", "not allowed with argument"),
        ("--model lenet5 --board pi44", "invalid choice: 'pi44'"),
        ("--model lenet5 --input-at nowhere", "invalid choice: 'nowhere'"),
        ("--model lenet5 --seeds 0", "0 is not positive"),
        ("--instance two.yaml --workers 4", "--workers goes with --model: an instance file says it itself"),
        ("--instance two.yaml --input-shape 1x28x28", "--input-shape goes with --model"),
        ("--model lenet5 --uplink-mbit 5 20 --plot best.png", "--plot is the picture of one instance"),
    ],
)
def test_bad_options_are_refused_by_the_parser(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Options out of range, or that would be ignored, end with exit code 2 and the usage."""
    with pytest.raises(SystemExit) as ended:
        main(words.split())
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_implausible_figures_are_warned_of(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """100 Mbit/s written as bytes is run, with a warning."""
    two.write_text(TWO.replace("2.5e6", "100e6"), encoding="utf-8")
    assert main(["--instance", str(two), "--methods", "local"]) == 0
    assert "the nominal rate of a 100 Mbit/s link in bits" in capsys.readouterr().err


def test_earlier_results_are_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A directory that holds results is refused before anything runs."""
    arguments = ["--model", "lenet5", "--quiet", "--output", str(tmp_path), "--methods"]
    assert main([*arguments, "local"]) == 0
    before = (tmp_path / "results.csv").read_text()
    assert main([*arguments, "remote"]) == command.BAD_INPUT
    assert (tmp_path / "results.csv").read_text() == before
    assert "another directory" in capsys.readouterr().err


@pytest.mark.parametrize("raises", [True, False])
def test_an_interrupted_method_ends_the_comparison(raises: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], own: dict[str, Any]) -> None:
    """Whether it raises or returns what it has: what is finished is shown and kept, and the others do not run."""
    termination: Termination = "interrupted"

    def solve(instance: OffloadInstance) -> OffloadSolution:
        if raises:
            raise KeyboardInterrupt
        return replace(_seeded(instance), termination=termination)

    OFFLOAD_METHODS.register("stopped", OffloadMethod(solve, "stopped"))
    assert main(["--model", "lenet5", "--methods", "local", "stopped", "remote", "--output", str(tmp_path)]) == command.INTERRUPTED
    printed = capsys.readouterr().out
    assert re.search(r"│ local +│ +\d", printed)
    assert ("(interrupted)" in printed) is not raises
    assert list(pd.read_csv(tmp_path / "results.csv")["method"]) == ["local"] + ["stopped"] * (not raises)


def test_ctrl_c_keeps_what_is_finished(tmp_path: Path) -> None:
    """A signal while a method searches: the table of what is there, the files, and exit code 130."""
    (tmp_path / "slow.py").write_text(
        textwrap.dedent("""\
        import time


        def solve(instance):
            print("started", flush=True)
            time.sleep(60)
        """),
        encoding="utf-8",
    )
    arguments = ["--model", "lenet5", "--methods", "local", "slow:solve", "--output", str(tmp_path / "out")]
    with subprocess.Popen([sys.executable, "-m", "iopopt.offload", *arguments], stdout=subprocess.PIPE, text=True, cwd=tmp_path) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "started\n"
        child.send_signal(signal.SIGINT)
        printed, _ = child.communicate(timeout=30)
    assert child.returncode == command.INTERRUPTED
    assert re.search(r"│ local +│ +\d", printed)
    assert list(pd.read_csv(tmp_path / "out" / "results.csv")["method"]) == ["local"]


def test_the_console_script_leads_here() -> None:
    """``iopopt offload`` is the same command."""
    program = "from iopopt.__main__ import main; import sys; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", program, "offload", "--help"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert "usage: iopopt offload" in done.stdout
    assert "best-cut" in done.stdout


def test_names_are_no_markup(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A device whose name looks like markup is shown as it is written."""
    two.write_text(TWO.replace("name: phone", 'name: "[red]p[/b]"'), encoding="utf-8")
    assert main(["--instance", str(two), "--methods", "local", "--explain", "--quiet"]) == 0
    assert "[red]p[/b]" in capsys.readouterr().out


def test_the_instance_of_the_help(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The example in --help is an instance that loads."""
    with pytest.raises(SystemExit):
        main(["--help"])
    lines = capsys.readouterr().out.splitlines()
    begin = lines.index("  schema_version: 1")
    path = tmp_path / "instance.yaml"
    path.write_text(textwrap.dedent("\n".join(lines[begin : lines.index("", begin)])), encoding="utf-8")
    instance = load_offload_instance(path)
    assert [client.name for client in instance.clients] == ["camera", "phone"]
    assert json.dumps(instance.to_dict())
