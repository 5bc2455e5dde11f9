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
    for path in _paths(record):
        for wrong in WRONG_VALUES:
            yield path, wrong, _replaced(record, path, wrong)


def attempt(read: Callable[[Any], Any], record: Any) -> tuple[Any, str | None]:
    """What ``read`` makes of the record, or the message with which it is refused; any other exception escapes."""
    try:
        return read(record), None
    except (FileFormatError, GraphError) as error:
        return None, str(error)


def without_each_key(record: Any) -> Iterator[tuple[Path, Any]]:
    """The record without one of its keys, at any depth."""
    for path in _paths(record):
        if path and isinstance(path[-1], str):
            damaged_record = copy.deepcopy(record)
            parent = damaged_record
            for step in path[:-1]:
                parent = parent[step]
            del parent[path[-1]]
            yield path, damaged_record


def _paths(record: Any, at: Path = ()) -> Iterator[Path]:
    yield at
    children = record.items() if isinstance(record, dict) else enumerate(record) if isinstance(record, list) else ()
    for key, value in children:
        yield from _paths(value, (*at, key))


def _replaced(record: Any, path: Path, value: Any) -> Any:
    if not path:
        return copy.deepcopy(value)
    result = copy.deepcopy(record)
    parent = result
    for step in path[:-1]:
        parent = parent[step]
    parent[path[-1]] = copy.deepcopy(value)
    return result
