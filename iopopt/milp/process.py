"""Runs a back end in a child process and watches it: trajectory, time limit, cancellation."""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from iopopt.errors import SolverError
from iopopt.milp.backends import BACKENDS, Backend, Options, Outcome, Progress, place_of
from iopopt.milp.backends.checking import checked_outcome
from iopopt.milp.program import Program
from iopopt.milp.solver_files import read_outcome, write_request
from iopopt.processes import fault, python_child

GRACE_S = 5.0
"""Grace period after the time limit before the child is killed, seconds."""

_START_S = 10.0
"""How long a child may take to import its libraries on a loaded machine, seconds."""


class TimedProgress(NamedTuple):
    """A point of a trajectory, seconds after the child was started."""

    seconds: float
    progress: Progress


@dataclass
class Run:
    """The result of one child: its outcome, trajectory, and how it ended; ``crash`` names the signal that killed it, if one did."""

    outcome: Outcome
    trajectory: list[TimedProgress] = field(default_factory=list)
    interrupted: bool = False
    timed_out: bool = False
    crash: str | None = None


def run_backend(name: str, program: Program, options: Options, *, grace_s: float | None = None) -> Run:
    """Solve ``program`` in a child process, with a back end by its name or ``package.module:Class``.

    Ctrl-C ends the child at once; the result then has the last incumbent that it saved. The same happens if the child exceeds its time limit
    or is killed by a signal (a fault in the solver's code).

    Args:
        name: of the back end, or ``package.module:Class``.
        program, options: what it solves, and how.
        grace_s: how long after its time limit the child is ended, seconds; by default long enough to start on a loaded machine.

    Raises:
        UnknownNameError: if no back end has that name.
        PluginError: if a back end of the user's cannot be imported.
        SolverError: if the back end fails or returns no valid Outcome; the message names it and says why.
    """
    backend = BACKENDS.find(name)
    with tempfile.TemporaryDirectory(prefix="iopopt-") as text:
        directory = Path(text)
        write_request(directory, program, replace(options, directory=text))
        patience_s = options.time_limit_s + (_START_S + GRACE_S if grace_s is None else grace_s)
        with (
            open(directory / "errors.txt", "w", encoding="utf-8") as errors,
            python_child("iopopt.milp.worker", [place_of(backend), text], stdout=subprocess.PIPE, stderr=errors) as child,
        ):
            return _watch(name, backend, child, directory, len(program.objective), patience_s)


def _watch(name: str, backend: type[Backend], child: subprocess.Popen[str], directory: Path, size: int, patience_s: float) -> Run:
    trajectory: list[TimedProgress] = []
    reader = threading.Thread(target=_read_trajectory, args=(child, trajectory), daemon=True)
    reader.start()
    interrupted = timed_out = False
    try:
        child.wait(timeout=patience_s)
    except KeyboardInterrupt:
        interrupted = True
    except subprocess.TimeoutExpired:
        timed_out = True
    crash = None if child.returncode is None else fault(child.returncode)
    child.kill()
    reader.join(timeout=1.0)
    outcome = read_outcome(directory)
    if outcome is None and not (interrupted or timed_out or crash):
        said = (directory / "errors.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise SolverError(f"back end {name!r} ended with code {child.returncode}: {' | '.join(said[-3:]) or 'it printed nothing'}")
    if outcome is None:
        return Run(_last_incumbent(name, backend, directory, size, trajectory), trajectory, interrupted, timed_out, crash)
    if outcome.status == "error":
        raise SolverError(f"back end {name!r} failed: {outcome.message}")
    return Run(outcome, trajectory, interrupted, timed_out)


def _last_incumbent(name: str, backend: type[Backend], directory: Path, size: int, trajectory: list[TimedProgress]) -> Outcome:
    """The best incumbent on disk and the best bound reported, for a child that was killed."""
    bound = max((point.progress.bound for point in trajectory if point.progress.bound is not None), default=None)
    try:
        incumbents = backend().saved_incumbents(directory, size)
        if not incumbents:
            return Outcome("unknown", None, None, bound, "ended from outside without an incumbent", "")
        objective, x = min(incumbents, key=lambda pair: pair[0])
        return checked_outcome(Outcome("feasible", x, objective, bound, "ended from outside", ""), size)
    except Exception as error:  # of a class that may be another author's
        raise SolverError(f"back end {name!r}: the incumbents that it saved cannot be read: {type(error).__name__}: {error}") from error


def _read_trajectory(child: subprocess.Popen[str], trajectory: list[TimedProgress]) -> None:
    """The points that the child prints, with the time at which they arrive."""
    assert child.stdout is not None
    started = time.perf_counter()
    for line in child.stdout:
        if not line.endswith("\n"):  # a child that was killed had begun it
            return
        trajectory.append(TimedProgress(time.perf_counter() - started, Progress(*json.loads(line))))
