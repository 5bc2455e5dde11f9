"""The child process that runs a back end: ``python -m iopopt.milp.worker BACKEND DIRECTORY``.

It reads ``request.npz`` from the directory, prints the solver's log line by line, and writes ``outcome.npz``. The parent may kill it at
any time; incumbents saved by then are in ``incumbents.sol``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path

import numpy as np

from iopopt.milp.backends import Options, Outcome, load_backend
from iopopt.milp.program import Program

_ARRAYS = ("objective", "lower", "upper", "integer", "rows", "columns", "values", "row_lower", "row_upper")


def write_request(directory: Path, program: Program, options: Options) -> None:
    """Save a programme and its options for the child."""
    settings = {
        "time_limit_s": options.time_limit_s,
        "gap": options.gap,
        "seed": options.seed,
        "threads": options.threads,
        "start": [[index, value] for index, value in options.start.items()],
    }
    arrays = {name: getattr(program, name) for name in _ARRAYS}
    np.savez(directory / "request.npz", settings=np.array(json.dumps(settings)), **arrays)


def read_outcome(directory: Path) -> Outcome | None:
    """What the child wrote, or None where it did not come to that."""
    path = directory / "outcome.npz"
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as data:
        record = json.loads(str(data["record"]))
        x = data["x"] if record.pop("has_x") else None
        return Outcome(x=x, **record)


def read_incumbents(directory: Path, size: int) -> list[tuple[float, np.ndarray[tuple[int], np.dtype[np.float64]]]]:
    """The complete (objective, x) pairs that HiGHS has saved so far, the best last; a half-written one is left out."""
    path = directory / "incumbents.sol"
    incumbents = []
    for block in path.read_text(encoding="utf-8").split("Objective ")[1:] if path.exists() else []:
        objective, _, *values = block.split("\n", size + 2)
        if len(values) == size + 1:  # the last of them is what stands behind the last line end
            incumbents.append((float(objective), np.array([float(value) for value in values[:size]])))
    return incumbents


def main(backend: str, directory: Path) -> None:
    """Run one request."""
    with np.load(directory / "request.npz", allow_pickle=False) as data:
        settings = json.loads(str(data["settings"]))
        program = Program(**{name: data[name] for name in _ARRAYS}, names=(), row_names=())
    settings["start"] = {int(index): float(value) for index, value in settings["start"]}
    options = Options(**settings, directory=str(directory))
    outcome = load_backend(backend)(program, options, lambda line: print(line, flush=True))
    record = {name: getattr(outcome, name) for name in ("status", "objective", "bound", "message", "version")} | {"has_x": outcome.x is not None}
    partial = directory / "outcome.part.npz"
    np.savez(partial, record=np.array(json.dumps(record)), x=np.zeros(0) if outcome.x is None else outcome.x)
    partial.rename(directory / "outcome.npz")


def _end_with_parent() -> None:
    """Leave when the parent does: its end closes our standard input.

    The descriptor is read bare, for a thread that waits inside ``sys.stdin`` would hold up the interpreter's own end.
    """
    os.read(0, 1)
    os.killpg(os.getpgid(0), signal.SIGKILL)  # we lead a group of our own, in which a solver may be a further process


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    main(sys.argv[1], Path(sys.argv[2]))
