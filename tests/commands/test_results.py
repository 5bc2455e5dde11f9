"""Directories of results, and the reasons why a method failed."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from iopopt.commands.results import ResultsDirectory, cause, unused_stem
from iopopt.errors import FileFormatError


def test_stems_are_fit_for_every_file_system() -> None:
    """Other characters become underscores, long names keep their end, and a taken one, also in capitals, gets a number."""
    assert unused_stem(["vgg16", "at 5/8: x"], []) == "vgg16-at_5_8__x"
    assert unused_stem(["a" * 200, "end"], []) == "a" * 116 + "-end"
    assert unused_stem(["Best"], ["best", "best-2"]) == "Best-3"


def test_tables_and_records(tmp_path: Path) -> None:
    """A later table replaces the earlier one, and nothing else is left; seeds stay integers where others have none."""
    directory = ResultsDirectory(tmp_path / "new" / "results", ["plans"], "results.csv")
    for rows in ([{"seed": None}], [{"seed": None}, {"seed": 3}]):
        directory.save({f"plans/{directory.add_name(['a'])}": {"x": 1}}, {"results.csv": rows})
    assert directory.names == ["a", "a-2"]
    assert sorted(path.name for path in directory.path.iterdir()) == ["plans", "results.csv"]
    assert (directory.path / "results.csv").read_text() == 'seed\n""\n3\n'
    assert len(pd.read_csv(directory.path / "results.csv", skip_blank_lines=False)) == 2
    assert json.loads((directory.path / "plans" / "a-2.json").read_text()) == {"x": 1}
    with pytest.raises(FileFormatError, match=r"holds the results\.csv of another run"):
        ResultsDirectory(directory.path, ["plans"], "results.csv")


def test_what_cannot_be_written(tmp_path: Path) -> None:
    """A file in the place of the directory, and a directory in the place of a file, are named."""
    (tmp_path / "file").write_text("")
    with pytest.raises(FileFormatError, match=r"file: cannot be created as a directory"):
        ResultsDirectory(tmp_path / "file", ["plans"], "results.csv")
    directory = ResultsDirectory(tmp_path / "results", ["plans"], "results.csv")
    (tmp_path / "results" / "plans" / "a.json").mkdir()
    with pytest.raises(FileFormatError, match=r"a\.json: cannot be written"):
        directory.save({"plans/a": {}}, {})


def test_the_cause_of_an_unexpected_exception() -> None:
    """Its type, its message in a line, and where it was raised."""
    with pytest.raises(ValueError, match="two") as caught:
        raise ValueError("two\nlines")
    assert cause(caught.value).startswith("ValueError: two lines (test_results.py:")
