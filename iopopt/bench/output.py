"""The files of a benchmark: a tidy CSV, and every plan and solution as JSON, written after every run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from iopopt.bench.run import Run, best_latency_s, row
from iopopt.errors import FileFormatError
from iopopt.network.records import write_json

RESULTS = "results.csv"


class OutputDirectory:
    """A directory of results.

    Raises:
        FileFormatError: if it cannot be created or written, or holds the results of another run.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            for folder in ("plans", "solutions"):
                (path / folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileFormatError(f"--output {path}: cannot be created as a directory ({error.strerror})") from None
        if (path / RESULTS).exists():
            raise FileFormatError(f"--output {path}: holds the {RESULTS} of another run; choose another directory, or move that file")

    def save(self, runs: Sequence[Run]) -> None:
        """Write the newest run's plan and solution, and the table of all runs so far.

        Raises:
            FileFormatError: if a file cannot be written; the message names it.
        """
        newest = runs[-1]
        try:
            if newest.solution.plan is not None:
                write_json(self._path / "plans" / f"{newest.name}.json", newest.solution.plan.to_dict())
            write_json(self._path / "solutions" / f"{newest.name}.json", newest.solution.to_dict())
            self._write_table(runs)
        except OSError as error:
            raise FileFormatError(f"{error.filename or self._path}: cannot be written ({error.strerror})") from None

    def _write_table(self, runs: Sequence[Run]) -> None:
        """Rewrite the whole table, because the gap to the best depends on all methods; atomically, so that nothing is lost."""
        import pandas as pd

        by_instance: dict[int, list[Run]] = {}
        for run in runs:
            by_instance.setdefault(id(run.instance), []).append(run)
        rows = [row(run, best_latency_s(of_instance)) for of_instance in by_instance.values() for run in of_instance]
        partial = self._path / f"{RESULTS}.part"
        pd.DataFrame(rows).astype({"seed": "Int64"}).to_csv(partial, index=False)
        partial.replace(self._path / RESULTS)
