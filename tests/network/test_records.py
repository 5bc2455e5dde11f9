"""What all file formats share."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from iopopt import FileFormatError
from iopopt.network.records import check_keys, is_integer, is_number, read_json, short_repr, typed, write_json


def test_numbers() -> None:
    """Finite reals are numbers and ints are integers; truth values, texts and what floats cannot hold are neither."""
    assert all(map(is_number, (0, -1, 2.5, Fraction(1, 3), np.float32(1), np.int64(3))))
    assert not any(map(is_number, (True, "1", None, math.nan, math.inf, 10**400, 1j, [1])))
    assert [is_integer(value) for value in (3, True, 3.0, "3", None)] == [True, False, False, False, False]


def test_shown_is_short() -> None:
    """A message shows a long value cut, and one that Python cannot write out in words."""
    assert short_repr("a") == "'a'"
    assert len(short_repr("a" * 500)) == 60
    assert "digits" in short_repr(16**6000)


@pytest.mark.parametrize(
    ("value", "hint", "read"),
    [
        (1, float, 1),
        (1.5, float | None, 1.5),
        (None, float | None, None),
        ("up", Literal["up", "down"], "up"),
        ([1, 2], tuple[int, ...], (1, 2)),
        ([["a"], []], tuple[tuple[str, ...], ...], (("a",), ())),
    ],
)
def test_typed(value: Any, hint: Any, read: Any) -> None:
    """Values pass as they are, lists become tuples."""
    assert typed(value, hint, "here") == read


@pytest.mark.parametrize(
    ("value", "hint", "message"),
    [
        ("1", float, "here is '1'; it must be a finite number"),
        (True, int, "here is True; it must be an integer"),
        (1, bool, "here is 1; it must be true or false"),
        ("x", int | None, "here is 'x'; it must be an integer .* or null"),
        ([], Literal["up", "down"], "here is .*; it must be one of up, down"),
        ("ab", tuple[str, ...], "here is 'ab'; it must be a list"),
        ([1, "b"], tuple[int, ...], r"here\[1\] is 'b'; it must be an integer"),
    ],
)
def test_wrong_types_are_refused(value: Any, hint: Any, message: str) -> None:
    """The message says where, what was found and what is allowed."""
    with pytest.raises(FileFormatError, match=message):
        typed(value, hint, "here")


def test_missing_keys_are_all_named() -> None:
    """All missing keys are named at once."""
    with pytest.raises(FileFormatError, match=r"file: key 'a' is missing \(so are b, c\)"):
        check_keys({}, "file", {"a", "b", "c"})


def test_written_json_is_read_back(tmp_path: Path) -> None:
    """What is written is read back; a NaN is refused before the file is touched."""
    path = tmp_path / "record.json"
    write_json(path, {"a": [1, None, "ü"]})
    assert read_json(path) == {"a": [1, None, "ü"]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": math.nan})
    assert read_json(path) == {"a": [1, None, "ü"]}
