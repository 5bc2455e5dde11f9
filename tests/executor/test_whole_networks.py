"""Networks of the zoo, and one of depthwise convolutions: every quick method's plan computes what the whole network does.

Networks with branches run random plans, which reach more of the executor than a method's.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest
from support.edge_payload import assert_payload
from support.overlapped import assert_overlaps
from support.random_branches import random_branched_plan
from support.whole_run import WITHIN, Array, relative_error, whole_run

from iopopt import Cluster, Graph, Plan, load_cluster, load_model, solve
from iopopt.methods.pso import SwarmSettings
from iopopt.models.googlenet import googlenet
from iopopt.models.mobilenet import mobilenet_v2
from iopopt.models.resnet import resnet50
from iopopt.models.squeezenet import squeezenet1_1
from iopopt.models.yolo import yolov2
from iopopt.network.weights import Weights, random_input, random_weights

METHODS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "single": ("single", {}),
    "oc": ("oc", {}),
    "coedge": ("coedge", {"fully_connected": "fastest"}),
    "coedge, fully connected by oc": ("coedge", {"fully_connected": "oc"}),
    "halp": ("halp", {"zone": "min"}),
    "greedy": ("greedy", {}),
    "segments, direct": ("iop_segments", {"reduce": "direct"}),
    "segments, two-phase": ("iop_segments", {"reduce": "two_phase"}),
    "dp": ("dp", {}),
    "milp": ("milp", {"time_limit_s": 20.0}),
    "pso": ("pso", {"settings": SwarmSettings(10, 5, 1)}),
}
NETWORKS: Mapping[str, tuple[int | None, str]] = {"lenet5": (None, "mcu-x3"), "alexnet": (127, "edge-x4"), "vgg11": (64, "edge-x3")}
"""Input size and cluster; AlexNet and VGG11 on small images, which changes nothing of their structure."""


@cache
def _network(name: str) -> tuple[Graph, Cluster, Weights, Array, Array]:
    """A network of the zoo, its cluster, weights, input, and its output in one piece."""
    size, cluster = NETWORKS[name]
    graph = load_model(name, input_size=size)
    return _with_output(graph, load_cluster(cluster, graph))


def _with_output(graph: Graph, cluster: Cluster) -> tuple[Graph, Cluster, Weights, Array, Array]:
    weights, inputs = random_weights(graph), random_input(graph)
    reference = whole_run(graph, weights, inputs)
    assert np.ptp(reference) > 0.1  # an output that is the same everywhere would hide errors
    return graph, cluster, weights, inputs, reference


def _assert_runs(graph: Graph, cluster: Cluster, plan: Plan, weights: Weights, inputs: Array, reference: Array) -> None:
    execution = assert_overlaps(graph, cluster, plan, weights, inputs, reference, WITHIN)
    assert execution.outputs.dtype == np.float32
    assert relative_error(execution.outputs, reference) < WITHIN
    assert_payload(graph, cluster, plan, execution)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", NETWORKS)
def test_method_runs(name: str, method: str) -> None:
    """A method's plan of a real network gives the whole run's output and moves the bytes that the model counts."""
    graph, cluster, weights, inputs, reference = _network(name)
    function, options = METHODS[method]
    plan = solve(graph, cluster, function, **options).plan
    assert plan is not None
    _assert_runs(graph, cluster, plan, weights, inputs, reference)


@pytest.mark.parametrize("method", METHODS)
def test_method_runs_depthwise_convolutions(mobile_graph: Graph, method: str) -> None:
    """The same of a network of depthwise and pointwise convolutions with normalisation."""
    graph, cluster, weights, inputs, reference = _with_output(mobile_graph, load_cluster("mcu-x3", mobile_graph))
    function, options = METHODS[method]
    plan = solve(graph, cluster, function, **options).plan
    assert plan is not None
    _assert_runs(graph, cluster, plan, weights, inputs, reference)


@pytest.mark.parametrize("name", ["alexnet", "vgg11"])
def test_fused_rows_before_split_weights_run(name: str) -> None:
    """DeeperThings' plan with the first three operators in one block of rows: the output is the whole run's, with barriers and without."""
    graph, cluster, weights, inputs, reference = _network(name)
    plan = solve(graph, cluster, "deeperthings", first_split=graph.operators[3].name).plan
    assert plan is not None
    assert [len(block) for block in plan.blocks] == [3]
    assert {placement.dim for placement in plan.values()} == {"H", "OC", "IC"}
    execution = assert_overlaps(graph, cluster, plan, weights, inputs, reference, WITHIN)
    assert relative_error(execution.outputs, reference) < WITHIN


@pytest.mark.parametrize("network", [resnet50, mobilenet_v2, googlenet, squeezenet1_1, yolov2])
def test_random_plans_of_networks_with_branches(network: Callable[..., Graph]) -> None:
    """Any plan of a real network with branches gives the whole run's output and moves no byte more than the model counts."""
    graph = network(input_size=64)
    cluster = load_cluster("edge-x3", graph)
    graph, cluster, weights, inputs, reference = _with_output(graph, cluster)
    for seed in range(3):
        plan = random_branched_plan(random.Random(seed), graph, len(cluster))
        _assert_runs(graph, cluster, plan, weights, inputs, reference)
