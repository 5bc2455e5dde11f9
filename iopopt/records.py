"""What every file format here shares: schema versions, known keys, and messages that name the key and the value."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iopopt.errors import FileFormatError


def shown(value: Any, limit: int = 60) -> str:
    """``value`` as a message shows it: its repr, cut when long."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def check_keys(record: Any, where: str, required: set[str], optional: set[str] = frozenset()) -> None:  # type: ignore[assignment]
    """Refuse a record that is no mapping, lacks a key or has one too many.

    Raises:
        FileFormatError: the message names the key and, for an unknown one, the nearest that exists.
    """
    if not isinstance(record, Mapping):
        raise FileFormatError(f"{where}: found {shown(record)}; a mapping with the keys {', '.join(sorted(required | optional))} is expected")
    for key in record:
        if key not in required | optional:
            near = difflib.get_close_matches(str(key), sorted(required | optional), n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise FileFormatError(f"{where}: unknown key {key!r}.{hint} Allowed: {', '.join(sorted(required | optional))}.")
    missing = sorted(required - record.keys())
    if missing:
        raise FileFormatError(f"{where}: key {missing[0]!r} is missing" + (f" (so are {', '.join(missing[1:])})" if missing[1:] else ""))


def check_schema(record: Any, where: str, version: int) -> None:
    """Refuse a record whose ``schema_version`` is not ``version``.

    Raises:
        FileFormatError: if the version is missing or another.
    """
    if not isinstance(record, Mapping):
        raise FileFormatError(f"{where}: found {shown(record)}; a mapping is expected")
    found = record.get("schema_version")
    if found != version or isinstance(found, bool):
        raise FileFormatError(f"{where}: 'schema_version' is {shown(found)}; this release reads version {version}")


def read_json(path: str | Path) -> Any:
    """The content of a JSON file.

    Raises:
        FileFormatError: if the file cannot be read or is no JSON; the message names the file and the line.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise FileFormatError(f"{path}: is no UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise FileFormatError(f"{path}: line {error.lineno}, column {error.colno}: {error.msg}") from None


def write_json(path: str | Path, record: Mapping[str, Any]) -> None:
    """Write a record as JSON, indented; infinities and NaN are refused by the format."""
    Path(path).write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
