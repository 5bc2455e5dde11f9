"""The files of a benchmark: tidy CSVs, and every plan and solution as JSON, written after every run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from iopopt.bench.rows import Row, device_rows, run_row
from iopopt.bench.run import Run, best_latency_s
from iopopt.errors import FileFormatError
from iopopt.network.records import write_json

RESULTS, DEVICES = "results.csv", "devices.csv"
_LONGEST = 120
"""The longest stem of a file name, characters."""


class OutputDirectory:
    """A directory of results.

    Raises:
        FileFormatError: if it cannot be created or written, or holds the results of another run.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._names = path, list[str]()
        try:
            for folder in ("plans", "solutions"):
                (path / folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileFormatError(f"--output {path}: cannot be created as a directory ({error.strerror})") from None
        if (path / RESULTS).exists():
            raise FileFormatError(f"--output {path}: holds the {RESULTS} of another run; choose another directory, or move that file")

    def save(self, runs: Sequence[Run]) -> None:
        """Write the newest run's plan and solution, and the tables of all runs so far.

        Raises:
            FileFormatError: if a file cannot be written; the message names it.
        """
        newest = runs[-1].solution
        self._names.append(_unused(_stem(runs[-1]), self._names))
        try:
            if newest.plan is not None:
                write_json(self._path / "plans" / f"{self._names[-1]}.json", newest.plan.to_dict())
            write_json(self._path / "solutions" / f"{self._names[-1]}.json", newest.to_dict())
            self._write_tables(runs)
        except OSError as error:
            raise FileFormatError(f"{error.filename or self._path}: cannot be written ({error.strerror})") from None

    def _write_tables(self, runs: Sequence[Run]) -> None:
        """Rewrite whole tables, because the gap to the best depends on all methods."""
        by_instance: dict[int, list[Run]] = {}
        for run in runs:
            by_instance.setdefault(id(run.instance), []).append(run)
        best = {instance: best_latency_s(of_instance) for instance, of_instance in by_instance.items()}
        named = list(zip(runs, self._names, strict=True))
        self._write(DEVICES, (row for run, name in named for row in device_rows(run, name)))
        self._write(RESULTS, (run_row(run, name, best[id(run.instance)]) for run, name in named))

    def _write(self, name: str, rows: Iterable[Row]) -> None:
        """Replace a table atomically, so that nothing is lost."""
        import pandas as pd

        partial = self._path / f"{name}.part"
        pd.DataFrame(rows).astype({"seed": "Int64"}).to_csv(partial, index=False)
        partial.replace(self._path / name)


def _stem(run: Run) -> str:
    """The stem of a run's files, of characters that every file system takes."""
    text = "-".join([run.instance.model, run.instance.cluster_name, run.method, *([] if run.seed is None else [f"seed{run.seed}"])])
    return "".join(character if character.isalnum() or character in "-+@._" else "_" for character in text)[-_LONGEST:]


def _unused(stem: str, names: Iterable[str]) -> str:
    """The stem, numbered if it is taken; some file systems do not tell capitals from small letters."""
    taken, name, number = {name.casefold() for name in names}, stem, 1
    while name.casefold() in taken:
        number += 1
        name = f"{stem}-{number}"
    return name
