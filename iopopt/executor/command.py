"""The command line ``iopopt run``: runs a plan for real and compares it with its price.

Started by a user, it starts one process for each device on this machine; started by ``torchrun`` (or by itself), it is one of these.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from iopopt.cluster.cluster import Cluster
from iopopt.commands.command_line import WARNING, command_parser, print_error
from iopopt.commands.planned import add_planned, planned
from iopopt.errors import ExecutionError, IopoptError, UnsupportedError
from iopopt.executor.running import INSTALL_TORCH, require_torch
from iopopt.network.graph import Graph
from iopopt.network.records import write_json
from iopopt.plan.plan import Plan
from iopopt.processes import fault, python_child

OK, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

_EPILOG = f"""\
needs PyTorch, for which its CPU build is enough
  {INSTALL_TORCH}

examples
  iopopt run --model vgg11 --cluster pi4-x3 --plan plan.json
  iopopt run --model lenet5 --cluster mcu-x3 --method milp --repeat 20 --output measured/
  iopopt run --model vgg11 --cluster pi4-x3 --plan plan.json --overlap
on several machines, run this on each, with its own --node-rank:
  torchrun --nnodes 3 --nproc-per-node 1 --node-rank 0 --master-addr HOST --master-port 29500 -m iopopt.executor --model vgg11 ...

--plan takes what 'iopopt bench --output DIR' writes to DIR/plans, or to DIR/solutions. An .onnx file contains its weights; those of other networks
are random, from --seed, and so is the input. All devices use the same weights, and each holds only its shards.

exit codes
  0 done; 1 a worker failed or a message did not arrive in time; 2 bad input; 130 interrupted
"""


def main(arguments: Sequence[str] | None = None, program: str = "iopopt run") -> int:
    """Run a plan; returns the exit code."""
    options = _parser(program).parse_args(arguments)
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        require_torch()
        if options.overlap and options.calibrate is not None:
            raise UnsupportedError("--calibrate fits equation (6), in which devices wait for each other, so it needs runs without --overlap")
        graph, cluster, plan = planned(options)
        if options.overlap:
            from iopopt.executor.job import check_overlap

            check_overlap(plan)
        if os.environ.get("RANK") is not None:
            from iopopt.executor.rank import run_rank

            return run_rank(graph, cluster, plan, options)
        return _run_processes(graph, cluster, plan, words, options.deadline)
    except ExecutionError as error:
        print_error(error)
        return FAILED
    except IopoptError as error:
        print_error(error)
        return BAD_INPUT
    except KeyboardInterrupt:
        return INTERRUPTED


def _run_processes(graph: Graph, cluster: Cluster, plan: Plan, words: Sequence[str], deadline_s: float) -> int:
    """Start this command once for each device, and wait; none of them outlives this process.

    Raises:
        ExecutionError: if a process fails, or they do not end in time.
    """
    with tempfile.TemporaryDirectory(prefix="iopopt-") as directory:
        path = Path(directory) / "plan.json"
        write_json(path, plan.to_dict())
        environment = _rank_environment(len(cluster))
        with ExitStack() as stack:
            children = [
                stack.enter_context(
                    python_child(
                        "iopopt.executor",
                        [*words, "--plan", str(path)],
                        environment=environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
                        stdout=None if rank == cluster.sink else subprocess.DEVNULL,
                        stderr=subprocess.PIPE,
                    )
                )
                for rank in range(len(cluster))
            ]
            return _wait(children, deadline_s)


def _rank_environment(devices: int) -> dict[str, str]:
    """The environment of every rank: the meeting point, and one thread."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(devices), "OMP_NUM_THREADS": "1"}


def _wait(children: Sequence[subprocess.Popen[str]], deadline_s: float) -> int:
    """Wait until all have ended; the first failure ends the others."""
    until = time.monotonic() + deadline_s
    while time.monotonic() < until:
        if _failed(children):
            raise ExecutionError(_causes(children))
        if all(child.returncode == 0 for child in children):
            _pass_on_warnings(children)
            return OK
        time.sleep(0.05)
    raise ExecutionError(f"the run did not end within {deadline_s:g} s (--deadline)")


def _pass_on_warnings(children: Sequence[subprocess.Popen[str]]) -> None:
    """Print the warnings of ours among what the ranks say; their libraries say much that means nothing here."""
    for child in children:
        for line in child.stderr or ():
            if line.startswith(WARNING):
                sys.stderr.write(line)


def _failed(children: Sequence[subprocess.Popen[str]]) -> list[int]:
    """The ranks that have ended otherwise than well."""
    return [rank for rank, child in enumerate(children) if child.poll() not in (None, 0)]


def _causes(children: Sequence[subprocess.Popen[str]]) -> str:
    """The last output of the failed ranks; a killed rank has none, and is the cause. Who saw it first need not be the first to end."""
    time.sleep(1.0)
    said = {}
    for rank in _failed(children):
        child = children[rank]
        child.kill()
        text = child.stderr.read() if child.stderr else ""
        said[rank] = (text.strip().splitlines() or [f"process ended by {ended}" if (ended := fault(child.returncode)) else "no output"])[-1]
    return "; ".join(f"device {rank}: {line.removeprefix('error: ')}" for rank, line in said.items())


def _parser(program: str) -> argparse.ArgumentParser:
    parser = command_parser(program, "Run a plan on real processes, one for each device, and compare measured with predicted time.", _EPILOG)
    add_planned(parser)
    parser.add_argument("--overlap", action="store_true", help="compute while messages travel and wait only for what is needed, without barriers")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the random weights and input (default: 0)")
    parser.add_argument("--repeat", type=int, default=5, metavar="N", help="number of runs; the median of each operator is shown (default: 5)")
    parser.add_argument(
        "--timeout",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="time limit for one message (default: 30); with --overlap a device may spend 20 times as long in one operator",
    )
    parser.add_argument("--deadline", type=float, default=600.0, metavar="SECONDS", help="time limit for everything (default: 600)")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="write timings.csv, memory.csv, traffic.csv, timings.png; with --overlap timeline.csv, .json and .png and trace.json",
    )
    parser.add_argument("--calibrate", type=Path, metavar="FILE", help="fit speeds, bandwidths and set-up time to the run; write a cluster file")
    return parser
