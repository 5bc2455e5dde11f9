"""``iopopt run``: real processes, what they report, and how they end when something goes wrong."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from support.onnx_files import save
from support.to_onnx import to_onnx

from iopopt import GraphBuilder, Placement, Plan, evaluate, load_cluster, load_model, simulate, solve
from iopopt.executor import command
from iopopt.executor.command import main
from iopopt.network.epilogue import Activation
from iopopt.network.records import write_json
from iopopt.network.weights import random_weights

pytest.importorskip("torch", reason="the extra 'run' is not installed")


MINE = "IOPOPT_TEST"
"""The variable by which the processes of these tests know each other: others may run plans on this machine, too."""


@pytest.fixture(autouse=True, scope="module")
def mark() -> Iterator[None]:
    """Mark the processes that these tests start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MINE, uuid.uuid4().hex)
        yield


def rank_processes() -> list[int]:
    """The processes of these tests that are ranks of a run."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):  # it has ended, or is another user's
            if "-m iopopt.executor" in " ".join(process.cmdline()) and process.environ().get(MINE) == os.environ[MINE]:
                found.append(process.pid)
    return found


def running_ranks() -> list[int]:
    """The command and its three ranks, some seconds after all of them have started."""
    until = time.monotonic() + 60
    while len(ranks := rank_processes()) < 4 and time.monotonic() < until:
        time.sleep(0.2)
    assert len(ranks) == 4
    time.sleep(5)
    return rank_processes()


@contextmanager
def run_command(*words: str) -> Iterator[subprocess.Popen[str]]:
    """``iopopt run`` in a process of its own, which a failing test ends."""
    command_line = [sys.executable, "-m", "iopopt.executor", *words]
    with subprocess.Popen(command_line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        try:
            yield child
        except BaseException:
            child.kill()
            raise


def finished(*words: str) -> tuple[int, str, str]:
    """Exit code, output and errors of ``iopopt run``."""
    with run_command(*words) as child:
        printed, said = child.communicate(timeout=120)
    return child.returncode, printed, said


def test_a_plan_runs_on_processes(tmp_path: Path) -> None:
    """A plan from a file runs with one process a device: the right result, the payload of its price, tables and a figure."""
    graph = load_model("lenet5")
    cluster = load_cluster("mcu-x3", graph)
    plan = solve(graph, cluster, "milp").plan
    assert plan is not None
    write_json(tmp_path / "plan.json", plan.to_dict())
    code, printed, said = finished("--model", "lenet5", "--plan", str(tmp_path / "plan.json"), "--repeat", "2", "--output", str(tmp_path / "out"))
    assert code == 0, said
    price = evaluate(graph, cluster, plan)
    assert f"Payload: {price.transferred_bytes:,.0f} bytes" in printed
    assert float(printed.split("largest error ")[1].split(" of")[0]) < 1e-4
    timings = pd.read_csv(tmp_path / "out" / "timings.csv")
    assert list(timings["operator"]) == [*plan, "(sink)"]
    assert timings["predicted_compute_s"].tolist()[:-1] == pytest.approx([cost.compute_s for cost in price.operators])
    traffic = pd.read_csv(tmp_path / "out" / "traffic.csv")
    assert traffic["received_bytes"].sum() == traffic["sent_bytes"].sum() == price.transferred_bytes
    assert traffic["connections"].sum() == price.connections
    assert (tmp_path / "out" / "timings.png").stat().st_size > 1000
    assert rank_processes() == []


def test_a_streamed_plan_runs_on_processes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Messages of a stream travel over the network one at a time; without barriers they do not, which is said before anything starts."""
    graph = GraphBuilder("streams", (4, 8, 8)).conv(6, 3, padding=1, name="a").relu().conv(5, 3, padding=1, name="b").conv(3, 1, name="c").build()
    channels, sums = Placement.split("OC", (2, 0, 1), (3, 2, 1), stream=2), Placement.split("IC", (2, 0, 1), (3, 2, 1), "two_phase", stream=1)
    plan = Plan.of(graph, [channels, sums, Placement.split("OC", (2, 0, 1), (1, 1, 1), stream=1)])
    write_json(tmp_path / "graph.json", graph.to_dict())
    write_json(tmp_path / "plan.json", plan.to_dict())
    words = ["--model", str(tmp_path / "graph.json"), "--cluster", "mcu-x3", "--plan", str(tmp_path / "plan.json"), "--repeat", "1"]
    code, printed, said = finished(*words)
    assert code == 0, said
    assert f"Payload: {evaluate(graph, load_cluster('mcu-x3', graph), plan).transferred_bytes:,.0f} bytes" in printed
    assert float(printed.split("largest error ")[1].split(" of")[0]) < 1e-4
    assert main([*words, "--overlap"]) == command.BAD_INPUT
    assert "operator 'a' is OC 3/2/1 on 2/0/1, streamed 2; streams run with barriers only" in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_a_graph_with_branches_runs_on_processes(tmp_path: Path) -> None:
    """Several tensors at once, gates, partial sums for two consumers and a softmax: processes give what the network in one piece does."""
    net = GraphBuilder("branches", (4, 8, 8)).conv(6, 3, padding=1, name="a").relu()
    net.global_average_pool().conv(6, 1).step(Activation("sigmoid")).mul("a", net.tip, name="b").softmax()
    graph = net.concat("a", "b", "a").conv(4, 1).add("input", net.tip).build()
    rows, channels = Placement.split("H", (0, 1, 2), (3, 3, 2)), Placement.split("OC", (0, 1, 2), (2, 2, 2))
    placements = [Placement.split("IC", (0, 1, 2), (2, 1, 1), "two_phase"), channels, Placement.split("IC", (0, 2), (3, 3)), channels]
    plan = Plan.of(graph, [*placements, rows, Placement.split("IC", (0, 1), (9, 9)), rows])
    write_json(tmp_path / "graph.json", graph.to_dict())
    write_json(tmp_path / "plan.json", plan.to_dict())
    words = ["--model", str(tmp_path / "graph.json"), "--cluster", "mcu-x3", "--plan", str(tmp_path / "plan.json"), "--repeat", "2"]
    code, printed, said = finished(*words, "--output", str(tmp_path / "out"))
    assert code == 0, said
    price = evaluate(graph, load_cluster("mcu-x3", graph), plan)
    assert f"Payload: {price.transferred_bytes:,.0f} bytes" in printed
    assert float(printed.split("largest error ")[1].split(" of")[0]) < 1e-4
    memory = pd.read_csv(tmp_path / "out" / "memory.csv")
    assert memory["live"].tolist() == memory["model_live"].tolist()
    assert memory["live"].sum() > 0
    assert rank_processes() == []


def test_an_onnx_file_runs_with_its_own_weights(tmp_path: Path) -> None:
    """The weights are those of the file, the sizes that it leaves open those of the command line."""
    graph = GraphBuilder("tiny", (2, 12, 9)).conv(4, 3, padding=1).relu().conv(3, 3).build()
    weights = random_weights(graph, seed=7)
    model = to_onnx(graph, weights)
    for axis in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = f"size{axis}"
    path = save(model, tmp_path / "tiny.onnx")
    words = ["--model", str(path), "--input-shape", "2x12x9", "--cluster", "mcu-x2", "--method", "coedge", "--repeat", "1"]
    code, printed, said = finished(*words)
    assert code == 0, said
    assert float(printed.split("largest error ")[1].split(" of")[0]) < 1e-4
    options = argparse.Namespace(model=str(path), input_shape=(2, 12, 9), seed=0)
    from iopopt.executor.rank import weights_of

    read = weights_of(load_model(path, input_shape=(2, 12, 9)), options)
    assert [np.array_equal(mine.kernel, theirs.kernel) for mine, theirs in zip(read.values(), weights.values(), strict=True)] == [True, True]


def test_calibration_gives_a_cluster_file(tmp_path: Path) -> None:
    """--calibrate writes a cluster that load_cluster reads: fitted speeds, the given memory and names, residuals as comments."""
    from iopopt.executor.calibration import TRUSTED_RESIDUAL

    path = tmp_path / "fitted.yaml"
    code, printed, said = finished("--model", "lenet5", "--method", "oc", "--repeat", "2", "--calibrate", str(path))
    assert code == 0, said
    fitted, given = load_cluster(path), load_cluster("mcu-x3", load_model("lenet5"))
    assert [device.name for device in fitted.devices] == [device.name for device in given.devices]
    assert all(new.flops_per_s > old.flops_per_s for new, old in zip(fitted.devices, given.devices, strict=True))
    text = path.read_text(encoding="utf-8")
    fitted_to = [float(figure) for figure in re.findall(r"(?:computation|communication) ([\d.]+)%", text.splitlines()[4])]
    assert text.splitlines()[4].removeprefix("# ") in printed
    assert len(fitted_to) == 2
    worst = [figure > 100 * TRUSTED_RESIDUAL for figure in fitted_to]
    assert text.count("# warning: ") == said.count("warning: the fitted cluster misses") == sum(worst)


def test_a_plan_runs_on_processes_without_barriers(tmp_path: Path) -> None:
    """--overlap: the right result and payload, simulated beside measured times, and the measured timeline as a table."""
    graph = load_model("lenet5")
    cluster = load_cluster("mcu-x3", graph)
    plan = solve(graph, cluster, "milp").plan
    assert plan is not None
    write_json(tmp_path / "plan.json", plan.to_dict())
    words = ["--model", "lenet5", "--plan", str(tmp_path / "plan.json"), "--repeat", "3", "--overlap", "--output", str(tmp_path / "out")]
    code, printed, said = finished(*words)
    assert code == 0, said
    simulated = simulate(graph, cluster, plan)
    assert f"Latency: simulated without barriers {simulated.makespan_s * 1e3:.4g} ms, measured " in printed
    assert f"Payload: {evaluate(graph, cluster, plan).transferred_bytes:,.0f} bytes" in printed
    assert float(printed.split("largest error ")[1].split(" of")[0]) < 1e-4
    error_s = float(printed.split("clocks agree within ")[1].split(" ms")[0]) * 1e-3
    assert 0 < error_s < 0.1
    measured, expected = pd.read_csv(tmp_path / "out" / "timeline.csv", keep_default_na=False), simulated.to_frame()
    for column in ("unit", "what", "device", "receiver", "bytes", "producer"):
        assert measured[column].tolist() == expected[column].tolist()
    transfers = measured[measured["bytes"] > 0]
    assert (transfers["end_s"] - transfers["start_s"] > -error_s * 1.1).all()  # the error is printed with two digits
    assert pd.read_csv(tmp_path / "out" / "traffic.csv")["received_bytes"].sum() == simulated.transferred_bytes
    assert rank_processes() == []


def test_calibration_refuses_runs_without_barriers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It fits equation (6), whose times such a run does not have."""
    assert main(["--model", "lenet5", "--overlap", "--calibrate", str(tmp_path / "fitted.yaml")]) == command.BAD_INPUT
    assert "--calibrate fits equation (6)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "lenett"], "unknown model 'lenett'"),
        (["--model", "lenet5", "--method", "gredy"], "unknown method 'gredy'"),
        (["--model", "lenet5", "--plan", "missing.json"], "missing.json: cannot be read"),
    ],
)
def test_bad_input_is_answered_in_a_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A name or file that does not exist gives exit code 2 before any process starts."""
    assert main(words) == command.BAD_INPUT
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_the_plan_of_a_solution_runs(tmp_path: Path) -> None:
    """--plan takes the file of a solution as well, and runs its plan."""
    graph = load_model("lenet5")
    solution = solve(graph, load_cluster("mcu-x3", graph), "oc")
    write_json(tmp_path / "solution.json", solution.to_dict())
    code, printed, said = finished("--model", "lenet5", "--plan", str(tmp_path / "solution.json"), "--repeat", "1")
    assert code == 0, said
    assert solution.evaluation is not None
    assert f"Payload: {solution.evaluation.transferred_bytes:,.0f} bytes" in printed


def test_a_plan_for_another_model_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A plan of AlexNet is refused for LeNet, by the names that do not fit."""
    graph = load_model("alexnet")
    plan = solve(graph, load_cluster("edge-x3", graph), "oc").plan
    assert plan is not None
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(plan.to_dict()))
    assert main(["--model", "lenet5", "--plan", str(path)]) == command.BAD_INPUT
    assert "conv3" in capsys.readouterr().err


def test_a_worker_that_dies_ends_the_run() -> None:
    """When one process is killed, the command fails within seconds, names the device, and leaves no process behind."""
    with run_command("--model", "vgg11", "--method", "oc", "--repeat", "1000", "--timeout", "20") as child:
        victim = max(pid for pid in running_ranks() if pid != child.pid)
        killed = time.monotonic()
        psutil.Process(victim).kill()
        _, said = child.communicate(timeout=60)
    assert time.monotonic() - killed < 30
    assert child.returncode == command.FAILED
    assert "device 2" in said
    assert "Traceback" not in said
    assert rank_processes() == []


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("SIGKILL", "device 2: process ended by SIGKILL"),
        ("SIGSTOP", "with device 2:|report of device 2:|device 2 has given no sign of life"),  # between two runs, or in one
    ],
)
@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="this system cannot stop processes")
def test_a_worker_that_falls_silent_ends_a_run_without_barriers(fault: str, message: str) -> None:
    """Killed or stopped, it is noticed within a few time limits, and no process is left, not even the stopped one."""
    with run_command("--model", "lenet5", "--method", "coedge", "--repeat", "1000000", "--timeout", "8", "--overlap") as child:
        (victim,) = [process for pid in running_ranks() if (process := psutil.Process(pid)).environ().get("RANK") == "2"]
        until = time.monotonic() + 60
        while victim.num_threads() < 6 and time.monotonic() < until:  # those of a run: one for each direction and neighbour, and the heartbeat
            time.sleep(0.2)
        stopped = time.monotonic()
        victim.send_signal(getattr(signal, fault))
        _, said = child.communicate(timeout=60)
    assert time.monotonic() - stopped < 30
    assert child.returncode == command.FAILED
    assert re.search(message, said)
    assert "Traceback" not in said
    assert rank_processes() == []


def test_an_interrupt_leaves_no_process_behind() -> None:
    """Ctrl-C ends the command and all its processes; so does its sudden death."""
    endings: list[Callable[[subprocess.Popen[str]], None]] = [lambda child: child.send_signal(signal.SIGINT), subprocess.Popen.kill]
    for end in endings:
        with run_command("--model", "vgg11", "--method", "oc", "--repeat", "1000") as child:
            running_ranks()
            end(child)
            child.communicate(timeout=30)
        until = time.monotonic() + 10
        while rank_processes() and time.monotonic() < until:
            time.sleep(0.2)
        assert rank_processes() == []


def test_a_run_that_does_not_end_is_ended() -> None:
    """The deadline bounds everything."""
    started = time.monotonic()
    code, _, said = finished("--model", "vgg11", "--method", "oc", "--repeat", "1000", "--deadline", "6")
    assert code == command.FAILED
    assert "did not end within 6 s" in said
    assert time.monotonic() - started < 30
    assert rank_processes() == []
