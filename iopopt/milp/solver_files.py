"""The files with which parent and child communicate: the request and the outcome."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from iopopt.milp.backends import Options, Outcome
from iopopt.milp.program import Program

_ARRAYS = ("objective", "lower", "upper", "integer", "rows", "columns", "values", "row_lower", "row_upper")


def write_request(directory: Path, program: Program, options: Options) -> None:
    """Save a program and its options for the child."""
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
    """The outcome that the child wrote, or None if it wrote none."""
    path = directory / "outcome.npz"
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as data:
        record = json.loads(str(data["record"]))
        x = data["x"] if record.pop("has_x") else None
        return Outcome(x=x, **record)


def read_request(directory: Path) -> tuple[Program, Options]:
    """What :func:`write_request` saved."""
    with np.load(directory / "request.npz", allow_pickle=False) as data:
        settings: dict[str, Any] = json.loads(str(data["settings"]))
        program = Program(**{name: data[name] for name in _ARRAYS}, names=(), row_names=())
    settings["start"] = {int(index): float(value) for index, value in settings["start"]}
    return program, Options(**settings, directory=str(directory))


def write_outcome(directory: Path, outcome: Outcome) -> None:
    """Save an outcome atomically."""
    record = {name: getattr(outcome, name) for name in ("status", "objective", "bound", "message", "version")} | {"has_x": outcome.x is not None}
    partial = directory / "outcome.part.npz"
    np.savez(partial, record=np.array(json.dumps(record)), x=np.zeros(0) if outcome.x is None else outcome.x)
    partial.replace(directory / "outcome.npz")
