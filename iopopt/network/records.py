"""Shared by all file formats: schema versions, known keys, and messages that name the key and the value."""

from __future__ import annotations

import dataclasses
import difflib
import itertools
import json
import math
import numbers
import reprlib
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from iopopt.errors import FileFormatError


class _Beginning(reprlib.Repr):
    """Writes out the beginning of a value only: with aliases, the whole of a small YAML file may be larger than memory."""

    def repr_dict(self, x: Mapping[Any, Any], level: int) -> str:
        """In the order of the mapping, which the base class sorts."""
        if level <= 0:
            return "{...}"
        items = [f"{self.repr1(key, level - 1)}: {self.repr1(value, level - 1)}" for key, value in itertools.islice(x.items(), self.maxdict)]
        return "{" + ", ".join(items + ["..."] * (len(x) > self.maxdict)) + "}"


_SHORT = _Beginning()
_SHORT.maxlevel, _SHORT.maxlist, _SHORT.maxtuple, _SHORT.maxdict, _SHORT.maxset, _SHORT.maxfrozenset = 4, 8, 8, 8, 8, 8
_SHORT.maxstring, _SHORT.maxlong, _SHORT.maxother = 200, 200, 200


def short_repr(value: Any, limit: int = 60) -> str:
    """The repr of ``value`` for a message, shortened if long."""
    try:
        text = _SHORT.repr(value)
    except ValueError:  # an integer of more digits than Python writes out
        return "a number of thousands of digits"
    return text if len(text) <= limit else text[: limit - 3] + "..."


def short_text(text: str, limit: int = 60) -> str:
    """A name on one line, without quotes, shortened if long."""
    escaped = repr(text)[1:-1]
    return escaped if len(escaped) <= limit else escaped[: limit - 3] + "..."


def foreign(value: Any) -> str:
    """A value that is of the wrong type, for a message: what it is, and its type."""
    name = type(value).__name__
    return "None" if value is None else f"{short_repr(value)} (a {name})" if name[0] not in "aeiou" else f"{short_repr(value)} (an {name})"


def is_number(value: Any) -> bool:
    """Whether ``value`` is a finite real number; bool does not count."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond the floats
        return False


def is_integer(value: Any) -> bool:
    """Whether ``value`` is an integer; bool does not count."""
    return isinstance(value, int) and not isinstance(value, bool)


def as_list(value: Any, where: str) -> Sequence[Any]:
    """A list of a record, or the tuple in its place.

    Raises:
        FileFormatError: if it is neither; the message begins with ``where``.
    """
    if not isinstance(value, (list, tuple)):
        raise FileFormatError(f"{where} is {short_repr(value)}; it must be a list")
    return value


def plain(value: Any) -> Any:
    """A value as JSON knows it: dataclasses become mappings, tuples lists, at any depth."""
    if dataclasses.is_dataclass(value):
        return {item.name: plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (tuple, list)) else value


def check_keys(record: Any, where: str, required: set[str], optional: set[str] = frozenset()) -> None:  # type: ignore[assignment]
    """Refuse a record that is not a mapping, lacks a key or has an unknown one.

    Raises:
        FileFormatError: the message names the key and, for an unknown one, the nearest that exists.
    """
    if not isinstance(record, Mapping):
        raise FileFormatError(f"{where}: found {short_repr(record)}; a mapping with the keys {', '.join(sorted(required | optional))} is expected")
    for key in record:
        if key not in required | optional:
            near = difflib.get_close_matches(key[:80], sorted(required | optional), n=1) if isinstance(key, str) else []
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise FileFormatError(f"{where}: unknown key {short_repr(key)}.{hint} Allowed: {', '.join(sorted(required | optional))}.")
    missing = sorted(required - record.keys())
    if missing:
        raise FileFormatError(f"{where}: key {missing[0]!r} is missing" + (f" (so are {', '.join(missing[1:])})" if missing[1:] else ""))


def check_schema(record: Any, where: str, version: int) -> None:
    """Refuse a record whose ``schema_version`` is not ``version``.

    Raises:
        FileFormatError: if the version is missing or differs.
    """
    if not isinstance(record, Mapping):
        raise FileFormatError(f"{where}: found {short_repr(record)}; a mapping is expected")
    found = record.get("schema_version")
    if found != version or isinstance(found, bool):
        raise FileFormatError(f"{where}: 'schema_version' is {short_repr(found)}; this release reads version {version}")


_CHECKS = {
    float: ("a finite number", is_number),
    int: ("an integer (of 64 bits)", lambda value: is_integer(value) and -(2**63) <= value < 2**63),
    types.NoneType: ("null", lambda value: value is None),
}


def typed(value: Any, hint: Any, where: str) -> Any:
    """A value of a JSON record, checked against the type hint of its field; lists become tuples, and numbers floats where a float is meant.

    Hints are float, int, bool, str, None, Literals of strings, unions of these, and tuples of one type.

    Raises:
        FileFormatError: if it is anything else; the message begins with ``where`` and says what is allowed.
    """
    if get_origin(hint) is tuple:
        return tuple(typed(item, get_args(hint)[0], f"{where}[{number}]") for number, item in enumerate(as_list(value, where)))
    options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    for option in options:
        if isinstance(value, str) and value in get_args(option) if get_origin(option) is Literal else _fits(value, option):
            return float(value) if option is float else value
    raise FileFormatError(f"{where} is {short_repr(value)}; it must be {' or '.join(_described(option) for option in options)}")


def typed_fields(record: Mapping[str, Any], cls: type[Any], where: str) -> dict[str, Any]:
    """The fields of ``cls`` that ``record`` holds, each checked by :func:`typed`."""
    hints = get_type_hints(cls)
    return {key: typed(value, hints[key], f"{where}: {key!r}") for key, value in record.items()}


def _fits(value: Any, option: Any) -> bool:
    return _CHECKS[option][1](value) if option in _CHECKS else isinstance(value, option)


def _described(option: Any) -> str:
    if get_origin(option) is Literal:
        return "one of " + ", ".join(get_args(option))
    return _CHECKS[option][0] if option in _CHECKS else {bool: "true or false", str: "a text"}[option]


def read_text(path: str | Path) -> str:
    """The text of a file.

    Raises:
        FileFormatError: if the file cannot be read or is not UTF-8; the message names the file.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise FileFormatError(f"{path}: is not UTF-8 text") from None
    except ValueError as error:  # an impossible path
        raise FileFormatError(f"{str(path)!r}: cannot be read ({error})") from None


def read_json(path: str | Path) -> Any:
    """The content of a JSON file.

    Raises:
        FileFormatError: if the file cannot be read, is not JSON or gives a key twice; the message names the file and the line.
    """

    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        record: dict[str, Any] = {}
        for key, value in pairs:
            if key in record:
                raise FileFormatError(f"{path}: key {key!r} is given twice")
            record[key] = value
        return record

    text = read_text(path)
    try:
        return json.loads(text, object_pairs_hook=mapping)
    except json.JSONDecodeError as error:
        raise FileFormatError(f"{path}: line {error.lineno}, column {error.colno}: {error.msg}") from None
    except FileFormatError:
        raise
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or nesting thousands of levels deep
        raise FileFormatError(f"{path}: is not readable JSON ({error})") from None


def json_text(record: Mapping[str, Any]) -> str:
    """A record as JSON, indented; infinities and NaN are refused by the format."""
    return json.dumps(record, indent=1, allow_nan=False) + "\n"


def write_json(path: str | Path, record: Mapping[str, Any]) -> None:
    """Write a record as JSON."""
    Path(path).write_text(json_text(record), encoding="utf-8")
