"""The file that ``--plan`` takes: a plan, or a solution, whose plan it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iopopt.errors import FileFormatError
from iopopt.methods.solution import Solution
from iopopt.network.records import read_json, short_repr
from iopopt.plan.plan import Plan

_WANTED = "--plan takes a plan or a solution, as 'iopopt bench --output DIR' writes them to DIR/plans and DIR/solutions"


def read_plan(path: str | Path) -> Plan:
    """The plan of a plan file or solution file.

    Raises:
        FileFormatError: if the file cannot be read, is neither, or is a solution without a plan; the message says which file is wanted.
    """
    record = read_json(path)
    if isinstance(record, Mapping) and "placements" in record:
        return Plan.from_dict(record, str(path))
    if isinstance(record, Mapping) and "plan" in record:
        solution = Solution.from_dict(record, str(path))
        if solution.plan is None:
            why = f": {solution.reason}" if solution.reason else ""
            raise FileFormatError(f"{path}: this solution of {solution.method!r} has no plan (it is {solution.status!r}){why}")
        return solution.plan
    raise FileFormatError(f"{path}: {_found(record)}; {_WANTED}")


def _found(record: Any) -> str:
    """What a file holds instead."""
    if not isinstance(record, Mapping):
        return f"found {short_repr(record)}"
    if "operators" in record:
        return "this is a network, which --model takes"
    if "devices" in record:
        return "this is a cluster, which --cluster takes"
    return f"neither 'placements' nor 'plan' is among its keys, {short_repr(list(record))}"
