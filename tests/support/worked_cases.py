"""The worked cases of the cost model: instances with the price that each must have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from iopopt import Cluster, Device, Graph, Operator, Placement, Plan
from iopopt.network.epilogue import EpilogueStep, Pool
from iopopt.network.operators.conv import Conv
from iopopt.network.operators.fc import FullyConnected
from iopopt.network.shapes import Shape, Window


class WorkedCase(NamedTuple):
    name: str
    graph: Graph
    cluster: Cluster
    plan: Plan
    expected: dict[str, Any]


def worked_cases() -> list[WorkedCase]:
    """All cases of ``data/cost_model.json``: plans without fused blocks."""
    return _cases("cost_model")


def block_cases() -> list[WorkedCase]:
    """All cases of ``data/blocks.json``: chains, most with fused blocks."""
    return _cases("blocks")


def event_cases() -> list[WorkedCase]:
    """The plans of ``data/events.json``: what they take without barriers, in one piece and boundary rows first."""
    return [_case(item) for item in _record("events")["plans"]]


def task_graphs() -> list[dict[str, Any]]:
    """The task graphs of ``data/events.json``, as they are."""
    graphs: list[dict[str, Any]] = _record("events")["task_graphs"]
    return graphs


def _cases(name: str) -> list[WorkedCase]:
    return [_case(item) for item in _record(name)["cases"]]


def _record(name: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((Path(__file__).parent / "data" / f"{name}.json").read_text(encoding="utf-8"))
    return record


def _case(record: dict[str, Any]) -> WorkedCase:
    operators: list[Operator] = []
    for number, item in enumerate(record["operators"]):
        operators.append(_operator(f"op{number}", item, operators[-1].out_shape if operators else None))
    graph = Graph(record["name"], operators[0].in_shape, tuple(operators))
    devices = tuple(Device(f"d{j}", **device) for j, device in enumerate(record["cluster"]["devices"]))
    cluster = Cluster(**{**record["cluster"], "devices": devices})
    plan = Plan.of(graph, [_placement(item) for item in record["plan"]], [_span(item) for item in record["plan"]])
    return WorkedCase(record["name"], graph, cluster, plan, record["expected"])


def _operator(name: str, record: dict[str, Any], shape: Shape | None) -> Operator:
    if record["kind"] == "fc":
        assert shape is not None
        assert (shape.channels, shape.height * shape.width) == (record["in_channels"], record["columns_per_channel"])
        return FullyConnected(name, shape, record["out_channels"])
    epilogue: tuple[EpilogueStep, ...] = ()
    if "pool" in record:
        window = _window(record["pool"])
        epilogue = (Pool("max", window, window),)
    in_shape = Shape(record["in_channels"], record["in_height"], record["in_width"])
    return Conv(name, in_shape, record["out_channels"], _window(record), _window(record), epilogue=epilogue)


def _span(record: dict[str, Any]) -> int:
    """How many operators a placement places."""
    first, last = record.get("operators", (0, 0))
    return int(last) - int(first) + 1


def _window(record: dict[str, Any]) -> Window:
    return Window(record["kernel"], record["stride"], record["padding"], record["padding"])


def _placement(record: dict[str, Any]) -> Placement:
    if "whole" in record:
        return Placement.whole(record["whole"])
    return Placement.split(record["dim"], record["participants"], record["shares"], record.get("reduce", "direct"))
