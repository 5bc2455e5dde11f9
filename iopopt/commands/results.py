"""The results of commands that run many methods: a directory with tidy CSVs and JSON files, written after every run."""

from __future__ import annotations

import os
import platform
import traceback
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from iopopt.errors import FileFormatError
from iopopt.network.records import write_json

Row = dict[str, Any]

_LONGEST = 120
"""The longest stem of a file name, characters."""


class ResultsDirectory:
    """A directory of results, with a folder for each kind of JSON file.

    Attributes:
        path: of the directory.
        names: the stems of the files of each run so far.

    Raises:
        FileFormatError: if it cannot be created or written, or holds the results of another run.
    """

    def __init__(self, path: Path, folders: Sequence[str], results: str) -> None:
        self.path, self.names = path, list[str]()
        try:
            for folder in folders:
                (path / folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileFormatError(f"--output {path}: cannot be created as a directory ({error.strerror})") from None
        if (path / results).exists():
            raise FileFormatError(f"--output {path}: holds the {results} of another run; choose another directory, or move that file")

    def save(self, records: Mapping[str, Mapping[str, Any]], tables: Mapping[str, Iterable[Row]]) -> None:
        """Write JSON files (``plans/x``) and whole tables (``results.csv``).

        Raises:
            FileFormatError: if a file cannot be written; the message names it.
        """
        try:
            for name, record in records.items():
                write_json(self.path / f"{name}.json", record)
            for name, rows in tables.items():
                self._write(name, rows)
        except OSError as error:
            raise FileFormatError(f"{error.filename or self.path}: cannot be written ({error.strerror})") from None

    def add_name(self, words: Sequence[str]) -> str:
        """The stem of the next run's files, added to :attr:`names`."""
        self.names.append(unused_stem(words, self.names))
        return self.names[-1]

    def _write(self, name: str, rows: Iterable[Row]) -> None:
        """Replace a table atomically, so that nothing is lost."""
        import pandas as pd

        partial = self.path / f"{name}.part"
        pd.DataFrame(rows).astype({"seed": "Int64"}).to_csv(partial, index=False)
        partial.replace(self.path / name)


def unused_stem(words: Sequence[str], names: Iterable[str]) -> str:
    """The stem of a file's name, of characters that every file system takes; numbered if it is taken, in capitals or small letters."""
    text = "".join(character if character.isalnum() or character in "-+@._" else "_" for character in "-".join(words))[-_LONGEST:]
    taken, name, number = {name.casefold() for name in names}, text, 1
    while name.casefold() in taken:
        number += 1
        name = f"{text}-{number}"
    return name


def cause(error: BaseException) -> str:
    """An unexpected exception in a line: its type, its message, and where it was raised."""
    place, message = traceback.extract_tb(error.__traceback__)[-1], " ".join(str(error).split())
    return f"{type(error).__name__}: {message} ({Path(place.filename).name}:{place.lineno}, in {place.name})"


@cache
def environment() -> Row:
    """The machine and the versions."""
    return {
        "iopopt_version": version("iopopt"),
        "python_version": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "processors": os.cpu_count(),
    }
