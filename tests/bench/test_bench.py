"""The benchmark as a user meets it: output, files, exit codes, messages."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from iopopt import Plan, Solution, evaluate, load_cluster, load_model
from iopopt.bench import command
from iopopt.bench.command import main
from iopopt.errors import SolverError

CLUSTER = """\
schema_version: 1
sink: left
devices:
  - {name: left, flops_per_s: 2e6, memory_bytes: 500_000, bandwidth_bytes_per_s: 1.25e6}
  - {name: right, flops_per_s: 4e6, memory_bytes: 500_000, bandwidth_bytes_per_s: 1.25e6}
"""
FAST = ["single", "oc", "coedge", "greedy", "iop_segments", "dp"]


@pytest.fixture
def cluster_file(tmp_path):
    """A cluster of two as a YAML file."""
    path = tmp_path / "cluster.yaml"
    path.write_text(CLUSTER)
    return path


def test_a_table_of_the_fast_methods(capsys):
    """Every method has a line in the table, and a progress line on standard error."""
    assert main(["--model", "lenet5", "--methods", *FAST]) == 0
    captured = capsys.readouterr()
    for label in ("best single device", "OC", "CoEdge", "IOP greedy", "IOP segments", "DP"):
        assert re.search(rf"│ {label} +│", captured.out)
        assert f"lenet5 on mcu-x3: {label}: " in captured.err
    assert "Exhaustive search" not in captured.out


def test_quiet_prints_the_table_only(capsys):
    """With --quiet, standard error is empty."""
    assert main(["--model", "lenet5", "--methods", "greedy", "--quiet"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "IOP greedy" in captured.out


def test_the_figures_are_the_evaluators(tmp_path):
    """Each row of the CSV, and each plan file, holds what evaluate() says, on a cluster read from a file."""
    cluster_path = tmp_path / "cluster.yaml"
    cluster_path.write_text(CLUSTER)
    out = tmp_path / "results"
    assert main(["--model", "lenet5", "--cluster", str(cluster_path), "--methods", "coedge,greedy", "milp", "--output", str(out), "--quiet"]) == 0
    graph, cluster = load_model("lenet5"), load_cluster(cluster_path)
    table = pd.read_csv(out / "results.csv")
    assert list(table["method"]) == ["coedge", "greedy", "milp"]
    plans = sorted((out / "plans").iterdir())
    solutions = {path.stem.rsplit("-", 1)[1]: Solution.from_dict(json.loads(path.read_text())) for path in (out / "solutions").iterdir()}
    assert len(plans) == 3
    for _, row in table.iterrows():
        solution = solutions[row["method"]]
        price = evaluate(graph, cluster, solution.plan)
        assert row["latency_s"] == pytest.approx(price.latency_s, rel=1e-15)
        assert row["connections"] == price.connections
        assert row["peak_memory_bytes"] == max(price.memory_bytes)
        assert row["gap_to_best"] == pytest.approx(price.latency_s / table["latency_s"].min() - 1)
    assert {Plan.from_dict(json.loads(path.read_text())) for path in plans} == {solution.plan for solution in solutions.values()}
    assert table.set_index("method").loc["coedge", "speedup_over_coedge"] == 1
    assert table.set_index("method").loc["milp", "proven_gap"] <= 1.0001e-4


def test_seeds_show_median_and_worst(capsys, tmp_path):
    """A method that draws random numbers has a row for each seed in the CSV, and two lines in the table."""
    out = tmp_path / "results"
    assert main(["--model", "lenet5", "--methods", "pso", "--seeds", "3", "--time-limit", "0.3", "--output", str(out)]) == 0
    assert list(pd.read_csv(out / "results.csv")["seed"]) == [0, 1, 2]
    printed = capsys.readouterr().out
    assert "PSO, median of 3" in printed
    assert "PSO, worst of 3" in printed


def test_several_models_and_clusters(capsys):
    """Every model is run on every cluster."""
    assert main(["--model", "lenet5", "alexnet", "--cluster", "edge-x2", "--cluster", "pi4-x2", "--methods", "single", "--quiet"]) == 0
    printed = capsys.readouterr().out
    for title in ("lenet5 on edge-x2", "lenet5 on pi4-x2", "alexnet on edge-x2", "alexnet on pi4-x2"):
        assert title in printed


def test_explain_names_the_operators(capsys):
    """--explain says in words what the best plan does."""
    assert main(["--model", "lenet5", "--methods", "greedy", "--explain", "--quiet"]) == 0
    assert "Costliest operator" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "alxnet"], "unknown model 'alxnet'. Did you mean 'alexnet'?"),
        (["--model", "alexnet", "--cluster", "egde-x3"], "unknown cluster 'egde-x3'. Did you mean 'edge-x3'?"),
        (["--model", "alexnet", "--methods", "gredy"], "unknown method 'gredy'. Did you mean 'greedy'?"),
        (["--model", "alexnet", "--backend", "gurobi"], "unknown back end 'gurobi'"),
        (["--model", "alexnet", "--cluster", "missing.yaml"], "missing.yaml: cannot be read (No such file or directory)"),
        (["--model", "missing.json"], "missing.json: cannot be read"),
        (["--model", "alexnet", "--cluster", "pi4-x3@token-ring"], "unknown link 'token-ring'"),
        (["--model", "alexnet", "--methods", "no_such_module:solve"], "'no_such_module:solve' cannot be imported (ModuleNotFoundError"),
        (["--model", "alexnet", "--methods", "math:pi"], "method 'math:pi' is 3.14"),
        (["--model", "alexnet", "--team", "0,7"], "--team 0,7: edge-x3 has no device '7'"),
        (["--model", "alexnet", "--team", "0,0"], "team is [0, 0]"),
    ],
)
def test_bad_input_is_answered_in_a_line(arguments, message, capsys):
    """A name or file that does not exist gives exit code 2 and says what does, without a traceback."""
    assert main(arguments) == command.BAD_INPUT
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(
    "words",
    [
        "",
        "--model alexnet --seeds 0",
        "--model alexnet --gap 1.5",
        "--model alexnet --gap 150%",
        "--model alexnet --time-limit nan",
        "--model alexnet --input-size 0",
        "--model alexnet --input-size 1x2x3",
        "--model alexnet --bandwidth-mbit 0",
        "--model alexnet --setup-ms -1",
        "--model alexnet --threads 0",
    ],
)
def test_bad_options_are_refused_by_the_parser(words, capsys):
    """Options out of range end with exit code 2 and the usage."""
    with pytest.raises(SystemExit) as ended:
        main(words.split())
    assert ended.value.code == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize(("old", "new"), [("500_000", "-1"), ("500_000", "0"), ("500_000", ".nan"), ("1.25e6", "0"), ("sink: left", "sink: middle")])
def test_bad_cluster_files_are_answered_in_a_line(old, new, cluster_file, capsys):
    """A figure that is not allowed is answered with file, key and value."""
    cluster_file.write_text(CLUSTER.replace(old, new))
    assert main(["--model", "lenet5", "--cluster", str(cluster_file)]) == command.BAD_INPUT
    assert str(cluster_file) in capsys.readouterr().err.replace("\n", "")


def test_a_bandwidth_in_bits_is_warned_of(cluster_file, capsys):
    """100 Mbit/s written as bytes is run, with a warning."""
    cluster_file.write_text(CLUSTER.replace("1.25e6", "100_000_000"))
    assert main(["--model", "lenet5", "--cluster", str(cluster_file), "--methods", "single"]) == 0
    assert "100 Mbit/s" in capsys.readouterr().err


def test_nothing_fits(cluster_file, capsys):
    """Where no method's plan fits, the exit code says so, and the reason stands below the table."""
    cluster_file.write_text(CLUSTER.replace("500_000", "10_000"))
    assert main(["--model", "lenet5", "--cluster", str(cluster_file), "--methods", "coedge", "milp"]) == command.NOTHING_FITS
    printed = capsys.readouterr().out
    assert "violates memory" in printed
    assert "infeasible" in printed
    assert "no plan fits the memory" in printed


def test_a_failing_method_does_not_lose_the_others(capsys, monkeypatch):
    """An error in one method is shown in its row; the rest is finished; the exit code tells."""
    from iopopt.bench import run

    honest = run.solve

    def solve(graph, cluster, method, **options):
        if method == "greedy":
            raise SolverError("the back end fell over")
        return honest(graph, cluster, method, **options)

    monkeypatch.setattr(run, "solve", solve)
    assert main(["--model", "lenet5", "--methods", "coedge", "greedy", "dp"]) == command.METHOD_FAILED
    printed = capsys.readouterr().out
    assert "the back end fell over" in printed
    assert re.search(r"│ DP +│ +74\.", printed)


def test_earlier_results_are_not_overwritten(tmp_path, capsys):
    """A directory that holds results is refused before anything runs."""
    assert main(["--model", "lenet5", "--methods", "single", "--output", str(tmp_path), "--quiet"]) == 0
    before = (tmp_path / "results.csv").read_text()
    assert main(["--model", "lenet5", "--methods", "oc", "--output", str(tmp_path), "--quiet"]) == command.BAD_INPUT
    assert (tmp_path / "results.csv").read_text() == before
    assert "another directory" in capsys.readouterr().err


def test_ctrl_c_keeps_what_is_finished(tmp_path):
    """An interrupt during the MILP ends within two seconds with the table of all that is there, and its incumbent."""
    arguments = ["--model", "vgg19", "--cluster", "slow-link-x8-tight-0.3", "--methods", "coedge", "milp", "oc", "--gap", "0"]
    with subprocess.Popen(
        [sys.executable, "-m", "iopopt.bench", *arguments, "--output", str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        while "CoEdge: " not in child.stderr.readline():
            pass
        time.sleep(4)
        child.send_signal(signal.SIGINT)
        sent = time.monotonic()
        printed, _ = child.communicate(timeout=20)
    assert time.monotonic() - sent < 3
    assert child.returncode == command.INTERRUPTED
    assert "MILP" in printed
    assert "interrupted" in printed
    assert list(pd.read_csv(tmp_path / "results.csv")["method"]) == ["coedge", "milp"]


def test_the_console_script_leads_to_the_bench():
    """``iopopt bench`` is the same command; other words are answered with those that exist."""
    program = "from iopopt.__main__ import main; import sys; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", program, "bench", "--help"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert "reading the table" in done.stdout
    done = subprocess.run([sys.executable, "-c", program, "bensh"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "Did you mean 'bench'" in done.stderr


def test_a_reader_that_leaves_early_is_no_error():
    """As with ``| head``: the pipe is closed before anything is read, and nothing is said about it."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as closed:
        done = subprocess.run([sys.executable, "-m", "iopopt", "glossary"], stdout=closed, stderr=subprocess.PIPE, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, b"")


def test_more_plans_than_a_float_holds(capsys):
    """VGG19 on nine devices has some 10^325 plans, and the table comes all the same."""
    assert main(["--model", "vgg19", "--cluster", "edge-x9", "--methods", "single", "--quiet"]) == 0
    assert "best single device" in capsys.readouterr().out


def test_names_are_no_markup(cluster_file, capsys):
    """A device whose name looks like markup is shown as it is written."""
    cluster_file.write_text(CLUSTER.replace("name: right", 'name: "[red]r[/b]"'))
    assert main(["--model", "lenet5", "--cluster", str(cluster_file), "--methods", "single", "--quiet"]) == 0
    assert "[red]r[/b]" in capsys.readouterr().out


def test_no_column_is_lost_on_a_narrow_terminal(capsys, monkeypatch):
    """On 40 columns the status and every figure are still printed."""
    monkeypatch.setenv("COLUMNS", "40")
    assert main(["--model", "lenet5", "--methods", "single", "--quiet"]) == 0
    printed = capsys.readouterr().out
    assert "feasible" in printed
    assert "…" not in printed
