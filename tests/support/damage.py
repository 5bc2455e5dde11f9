"""Damaged copies of JSON records: what a reader has to refuse in its own words."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from iopopt import FileFormatError, GraphError

WRONG_VALUES: tuple[Any, ...] = (None, "x", -1, 1.5, True, [], {}, [[]], {"a": 1}, float("nan"), 10**400)

Path = tuple[str | int, ...]


def damaged(record: Any) -> Iterator[tuple[Path, Any, Any]]:
    """Where, what is put there, and the record with it: each part replaced by each wrong value."""
    for path in paths(record):
        for wrong in WRONG_VALUES:
            yield path, wrong, replaced(record, path, wrong)


def attempt(read: Callable[[Any], Any], record: Any) -> tuple[Any, str | None]:
    """What ``read`` makes of the record, or the message with which it is refused; any other exception escapes."""
    try:
        return read(record), None
    except (FileFormatError, GraphError) as error:
        return None, str(error)


def without_each_key(record: Any) -> Iterator[tuple[Path, Any]]:
    """The record without one of its keys, at any depth."""
    for path in paths(record):
        if path and isinstance(path[-1], str):
            yield path, without(record, path)


def without(record: Any, path: Path) -> Any:
    """The record without one of its parts."""
    result = copy.deepcopy(record)
    del part(result, path[:-1])[path[-1]]
    return result


def part(record: Any, path: Path) -> Any:
    """What stands in one place of a record."""
    for step in path:
        record = record[step]
    return record


def paths(record: Any, at: Path = ()) -> Iterator[Path]:
    """The place of every part of a record, the whole included."""
    yield at
    children = record.items() if isinstance(record, dict) else enumerate(record) if isinstance(record, list) else ()
    for key, value in children:
        yield from paths(value, (*at, key))


def replaced(record: Any, path: Path, value: Any) -> Any:
    """The record with another value in one place."""
    if not path:
        return copy.deepcopy(value)
    result = copy.deepcopy(record)
    part(result, path[:-1])[path[-1]] = copy.deepcopy(value)
    return result
