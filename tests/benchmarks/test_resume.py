"""A CSV file that every run continues."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.resume import RowFile, finished
from iopopt import FileFormatError, heuristic_solution, load_cluster, load_model, solve_single

KEY = {"model": "vgg16", "limit": 60.0}


def measured(values: dict[str, object], log: list[str]) -> Callable[[], dict[str, object]]:
    def measure() -> dict[str, object]:
        log.append("measured")
        return values

    return measure


def refuse() -> dict[str, object]:
    raise AssertionError("measured again")


def test_a_row_is_measured_once(tmp_path: Path) -> None:
    """Within a run and by the next; a float comes back exactly, None as an empty cell, and text with commas whole."""
    path, log = tmp_path / "new" / "rows.csv", list[str]()
    values = {"gap": 0.1 + 0.2, "bound": None, "reason": 'a, "b"\nc'}
    first = RowFile(path)
    row = first.row(KEY, measured(values, log))
    assert row == {"model": "vgg16", "limit": "60.0", "gap": "0.30000000000000004", "bound": "", "reason": 'a, "b" c'}
    assert first.row(KEY, refuse) == row
    assert RowFile(path).row(KEY, refuse) == row
    assert log == ["measured"]
    assert RowFile(path).frame(KEY)["gap"].item() == 0.1 + 0.2


def test_other_keys_stay_and_are_not_shown(tmp_path: Path) -> None:
    """Rows of other settings are kept in the file, and do not answer for these."""
    path, log = tmp_path / "rows.csv", list[str]()
    RowFile(path).row(KEY, measured({"gap": 0.5}, log))
    other = KEY | {"limit": 6.0}
    again = RowFile(path)
    again.row(other, measured({"gap": 0.25}, log))
    assert len(log) == 2
    assert again.frame(KEY)["gap"].tolist() == [0.5]
    assert again.frame({"model": "vgg16"})["gap"].tolist() == [0.5, 0.25]
    assert path.read_text().count("\n") == 3


def test_an_interrupted_measurement_leaves_the_rows_before_it(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    rows = RowFile(path)
    rows.row(KEY, lambda: {"gap": 1})

    def interrupted() -> dict[str, object]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rows.row(KEY | {"model": "alexnet"}, interrupted)
    assert path.read_text() == "model,limit,gap\nvgg16,60.0,1\n"


@pytest.mark.parametrize("rest", ["alexn", "alexnet,60.0,1"])
def test_an_unfinished_row_is_cut_off(rest: str, tmp_path: Path) -> None:
    """What was being written when the machine stopped is measured again, on a line of its own."""
    path = tmp_path / "rows.csv"
    RowFile(path).row(KEY, lambda: {"gap": 1})
    path.write_text(path.read_text() + rest)
    rows = RowFile(path)
    rows.row(KEY | {"model": "alexnet"}, lambda: {"gap": 2})
    assert path.read_text() == "model,limit,gap\nvgg16,60.0,1\nalexnet,60.0,2\n"


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    """Other columns, ragged rows and directories are named with the file; the file is not touched."""
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(FileFormatError, match=r"rows\.csv: has the columns a, b; this run has model, limit, gap"):
        RowFile(path).row(KEY, lambda: {"gap": 1})
    assert path.read_text() == "a,b\n1,2\n"
    path.write_text("a,b\n1\n")
    with pytest.raises(FileFormatError, match=r"rows\.csv: row 2 has 1 cells, but there are 2 columns"):
        RowFile(path)
    with pytest.raises(FileFormatError, match="cannot be read"):
        RowFile(tmp_path)


def test_without_a_file_rows_are_kept_in_memory() -> None:
    rows = RowFile(None)
    assert rows.frame({}).empty
    rows.row(KEY, lambda: {"gap": 1})
    assert rows.row(KEY, refuse)["gap"] == "1"
    assert rows.frame(KEY)["gap"].tolist() == [1]


def test_an_interrupted_search_is_no_result() -> None:
    graph = load_model("lenet5")
    cluster = load_cluster("mcu-x2", graph)
    single = solve_single(graph, cluster)
    assert finished(single) is single
    assert single.plan is not None
    with pytest.raises(KeyboardInterrupt):
        finished(heuristic_solution(graph, cluster, single.plan, method="own", termination="interrupted"))
