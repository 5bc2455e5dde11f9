"""Timeline files: a simulated or measured timeline as JSON, to be drawn later."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iopopt.errors import FileFormatError
from iopopt.network.records import read_json, short_repr
from iopopt.simulation.timeline import Timeline


def read_timeline(path: str | Path) -> Timeline:
    """The timeline of a file that holds the record of :meth:`Timeline.to_dict`.

    Raises:
        FileFormatError: if the file cannot be read or is no timeline; the message names the file and the key.
    """
    record = read_json(path)
    if not isinstance(record, Mapping) or "spans" not in record:
        raise FileFormatError(f"{path}: {_found(record)}; a timeline is wanted, as Timeline.to_dict writes it")
    return Timeline.from_dict(record, str(path))


def _found(record: Any) -> str:
    """What a file holds instead."""
    if not isinstance(record, Mapping):
        return f"found {short_repr(record)}"
    for key, what in (("traceEvents", "this is a trace for Perfetto"), ("placements", "this is a plan"), ("plan", "this is a solution")):
        if key in record:
            return what
    return f"'spans' is not among its keys, {short_repr(list(record))}"
