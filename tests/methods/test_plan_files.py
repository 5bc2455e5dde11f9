"""What --plan takes: a plan or a solution; any other file is answered with the one that is wanted."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest

from iopopt import Cluster, Device, FileFormatError, Graph, Plan, Solution, solve
from iopopt.methods.plan_files import read_plan
from iopopt.network.records import write_json

WANTED = "--plan takes a plan or a solution, as 'iopopt bench --output DIR' writes them to DIR/plans and DIR/solutions"


def refused(record: Any, path: Path) -> str:
    """The message with which a file is refused."""
    write_json(path, record)
    with pytest.raises(FileFormatError) as refusal:
        read_plan(path)
    assert str(refusal.value).startswith(str(path))
    return str(refusal.value)


def test_a_plan_and_a_solution_give_the_same_plan(tmp_path: Path, trio_plan: Plan, trio_solution: Solution) -> None:
    """Either file of the benchmark will do."""
    write_json(tmp_path / "plan.json", trio_plan.to_dict())
    write_json(tmp_path / "solution.json", trio_solution.to_dict())
    assert read_plan(tmp_path / "plan.json") == read_plan(str(tmp_path / "solution.json")) == trio_plan


def test_a_solution_without_a_plan_says_why(tmp_path: Path, trio_graph: Graph) -> None:
    """The reason of the solution is the reason of the refusal; one without a reason is refused by its status."""
    tiny = Cluster(tuple(Device(f"d{j}", 1.0, 1.0, 1.0) for j in range(2)))
    nothing = solve(trio_graph, tiny, "exhaustive")
    assert nothing.reason
    message = refused(nothing.to_dict(), tmp_path / "solution.json")
    assert f"this solution of 'exhaustive' has no plan (it is 'infeasible'): {nothing.reason}" in message
    unknown = dataclasses.replace(nothing, status="unknown", reason=None)
    assert math.isinf(unknown.latency_s)
    assert refused(unknown.to_dict(), tmp_path / "unknown.json").endswith("has no plan (it is 'unknown')")


def test_other_files_are_answered_with_the_one_that_is_wanted(tmp_path: Path, trio_graph: Graph, trio_cluster: Cluster) -> None:
    """A network and a cluster are named with the option that takes them, anything else by what was found."""
    others: dict[str, Any] = {
        "this is a network, which --model takes": trio_graph.to_dict(),
        "this is a cluster, which --cluster takes": trio_cluster.to_dict(),
        "neither 'placements' nor 'plan' is among its keys, ['schema_version', 'placement']": {"schema_version": 1, "placement": {}},
        "found [1, 2]": [1, 2],
        "found 'plan'": "plan",
    }
    for found, record in others.items():
        assert refused(record, tmp_path / "other.json") == f"{tmp_path / 'other.json'}: {found}; {WANTED}"


def test_a_damaged_plan_is_named_by_its_operator(tmp_path: Path, trio_plan: Plan, trio_solution: Solution) -> None:
    """What looks like a plan or a solution is read as one, down to the key that is wrong."""
    record = trio_plan.to_dict()
    del record["placements"]["b"]["dim"]
    assert "b: key 'dim' is missing" in refused(record, tmp_path / "plan.json")
    assert "key 'status' is missing" in refused(
        {key: value for key, value in trio_solution.to_dict().items() if key != "status"}, tmp_path / "solution.json"
    )
