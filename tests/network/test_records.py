"""What all file formats share."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from iopopt import FileFormatError
from iopopt.network.records import as_list, check_keys, foreign, is_integer, is_number, plain, read_json, short_repr, typed, write_json
from iopopt.network.shapes import Window


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


def test_long_values_are_shortened() -> None:
    """A message shows the beginning of a value, also of one that would not fit in memory as text, and mappings in their order."""
    bomb: list[Any] = ["x"] * 9
    for _ in range(30):
        bomb = [bomb] * 9
    assert short_repr(bomb) == "[[[[[...], [...], [...], [...], [...], [...], [...], [......"
    assert short_repr({"b": 1, "a": {"c": [1, 2]}}) == "{'b': 1, 'a': {'c': [1, 2]}}"
    assert len(short_repr("x" * 10**6)) == 60
    assert short_repr({"a" * 9: bomb}).startswith("{'aaaaaaaaa': [[[[...")
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    assert short_repr(nested) == "[[[[[...]]]]]"
    while nested:  # an interpreter may overflow its stack where it frees so deep a list at once
        nested = nested.pop()


def test_foreign_values_are_named_with_their_type() -> None:
    """What was found and its type; of nothing, only that."""
    assert [foreign(value) for value in ("x", 3, None, {"a": 1})] == ["'x' (a str)", "3 (an int)", "None", "{'a': 1} (a dict)"]


def test_integers_have_64_bits() -> None:
    """The largest is read, one more is refused; numbers become floats where a float is meant."""
    assert typed(2**63 - 1, int, "here") == 2**63 - 1
    with pytest.raises(FileFormatError, match="it must be an integer"):
        typed(2**63, int, "here")
    assert type(typed(3, float | None, "here")) is float


def test_plain_values() -> None:
    """Tuples become lists and dataclasses mappings, at any depth."""
    assert plain({"a": (1, (Window(kernel=3),)), "b": [None, "x"]}) == {
        "a": [1, [{"kernel": 3, "stride": 1, "before": 0, "after": 0, "dilation": 1, "upsampling": 1}]],
        "b": [None, "x"],
    }


def test_lists_and_tuples_are_lists() -> None:
    """Both are read; a text is neither."""
    assert as_list([1], "here") == [1]
    assert as_list((1,), "here") == (1,)
    with pytest.raises(FileFormatError, match="here is 'ab'; it must be a list"):
        as_list("ab", "here")


def test_strange_keys_are_named_briefly() -> None:
    """A key may be a tuple in YAML, or very long."""
    for key in (("a",), "k" * 10**5, 3, None):
        with pytest.raises(FileFormatError, match="unknown key") as caught:
            check_keys({key: 1}, "file", {"a"})
        assert len(str(caught.value)) < 200
