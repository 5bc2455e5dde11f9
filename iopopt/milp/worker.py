"""The child process that runs a back end: ``python -m iopopt.milp.worker PLACE DIRECTORY``, where PLACE is ``package.module:class``.

It reads ``request.npz`` from the directory, prints the points of its trajectory, a line of JSON each, and writes ``outcome.npz``. The parent
may kill it at any time.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from iopopt.errors import IopoptError
from iopopt.milp.backends import BACKENDS, LEAST_SOLVE_S, Outcome, Progress
from iopopt.milp.backends.checking import checked_outcome, checked_point
from iopopt.milp.solver_files import read_request, write_outcome
from iopopt.processes import end_with_parent


def main(place: str, directory: Path, trajectory: TextIO) -> None:
    """Run one request; whatever the back end raises is its outcome.

    The time since the request was written, which this process took to start and read it, counts towards its limit.
    """
    program, options = read_request(directory)

    def report(progress: Progress) -> None:
        print(json.dumps(checked_point(progress)), file=trajectory, flush=True)

    try:
        backend = BACKENDS.find(place)()
        spent_s = time.time() - (directory / "request.npz").stat().st_mtime
        options = replace(options, time_limit_s=max(LEAST_SOLVE_S, options.time_limit_s - spent_s))
        outcome = checked_outcome(backend.solve(program, options, report), len(program.objective))
    except Exception as error:  # of the solver or the class, which may be another author's
        traceback.print_exc()
        outcome = Outcome("error", None, None, None, _described(error), version="")
    write_outcome(directory, outcome)


def _described(error: Exception) -> str:
    """An exception in one line; an unforeseen one with its place."""
    if isinstance(error, IopoptError):
        return str(error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({place.filename}, line {place.lineno})"


def _own_output() -> TextIO:
    """Standard output for the trajectory alone: what a solver's library prints goes where errors go."""
    trajectory = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return trajectory


if __name__ == "__main__":
    threading.Thread(target=end_with_parent, daemon=True).start()
    main(sys.argv[1], Path(sys.argv[2]), _own_output())
