"""Schemes that put memory first, really run: outputs, and what is resident beside what equation (1) counts."""

from __future__ import annotations

from typing import Any

import pytest
from support.whole_run import WITHIN, relative_error, whole_run

from iopopt import Cluster, Device, Graph, Plan, load_model, solve
from iopopt.executor.execution import Execution
from iopopt.executor.threads import execute
from iopopt.network.weights import random_input, random_weights

SCHEMES: dict[str, tuple[str, dict[str, Any]]] = {
    "stages for memory": ("stages", {}),
    "stages for throughput": ("stages", {"aim": "throughput"}),
    "data": ("data", {}),
    "horizontal": ("horizontal", {}),
    "vps": ("vps", {}),
    "deeperthings": ("deeperthings", {}),
}
NETWORKS = {"alexnet": 127, "resnet18": 64, "yolov2": 96, "mobilenet_v2": 64}


def equal_devices(count: int) -> Cluster:
    return Cluster(tuple(Device(f"d{j}", 1e9, 1e9, 1e7) for j in range(count)))


def run(graph: Graph, cluster: Cluster, scheme: str) -> tuple[Plan, Execution]:
    """The scheme's plan, run; its output is the whole network's."""
    method, options = SCHEMES[scheme]
    plan = solve(graph, cluster, method, **options).plan
    assert plan is not None
    weights, inputs = random_weights(graph), random_input(graph)
    execution = execute(graph, cluster, plan, weights, inputs)
    assert relative_error(execution.outputs, whole_run(graph, weights, inputs)) < WITHIN
    return plan, execution


def resident_bytes(execution: Execution, device: int) -> int:
    """The weights of a device, and the most that it holds at once of what equation (1) counts."""
    rows = [row for row in execution.ledger if row.device == device]
    return sum(row.weights for row in rows) + max(row.inputs + row.outputs + row.live for row in rows)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", NETWORKS)
def test_scheme_runs_within_the_memory_of_its_plan(name: str, scheme: str) -> None:
    """Beyond the evaluator's demand a device holds only what equation (1) leaves out of what these columns count: the parameters of epilogues.

    The other classes that it leaves out have columns of their own: pooled outputs, receive buffers, partial sums that have arrived, send buffers.
    """
    graph, cluster = load_model(name, input_size=NETWORKS[name]), equal_devices(3)
    _, execution = run(graph, cluster, scheme)
    epilogues = cluster.bytes_per_element * sum(
        operator.parameters - operator.kernel_elements - operator.bias_elements for operator in graph.operators
    )
    for device in range(len(cluster)):
        assert resident_bytes(execution, device) <= execution.evaluation.memory_bytes[device] + epilogues


def test_vertical_partitioning_shrinks_with_the_devices() -> None:
    """YOLOv2 on small images: what the fullest of N workers really holds is 1 / N of the whole, within 15 %."""
    graph = load_model("yolov2", input_size=96)
    _, alone = run(graph, equal_devices(1), "stages for memory")
    whole = resident_bytes(alone, 0)
    for count in (2, 4):
        _, execution = run(graph, equal_devices(count), "vps")
        fullest = max(resident_bytes(execution, device) for device in range(count))
        assert fullest == pytest.approx(whole / count, rel=0.15)
