"""Random parameters keep activations near 1 in networks of every structure, and parameters that do not fit are refused."""

from __future__ import annotations

import sys
from subprocess import run

import numpy as np
import pytest
from support.whole_run import whole_tensors

from iopopt import Graph, GraphBuilder, GraphError
from iopopt.network.epilogue import Activation, Mixing, Normalisation
from iopopt.network.weights import OperatorWeights, check_weights, random_input, random_weights


def _residual(blocks: int) -> Graph:
    """Bottleneck blocks with batch normalisation, three convolutions each, and as many additions."""
    net = GraphBuilder("residual", (3, 16, 16)).conv(32, 3, padding=1, bias=False).batch_norm().relu()
    for _ in range(blocks):
        skip = net.tip
        net.conv(8, 1, bias=False).batch_norm().relu().conv(8, 3, padding=1, bias=False).batch_norm().relu()
        net.conv(32, 1, bias=False).batch_norm().add(skip, net.tip).relu()
    return net.global_average_pool().fc(10).build()


def _dense(layers: int) -> Graph:
    """Every layer reads the channels of all before it."""
    net = GraphBuilder("dense", (3, 12, 12)).conv(8, 3, padding=1)
    for _ in range(layers):
        before = net.tip
        net.conv(4, 3, padding=1, bias=False).batch_norm().relu().concat(before, net.tip)
    return net.fc(10).build()


def _gated(blocks: int) -> Graph:
    """Inverted bottlenecks with squeeze and excitation, hard swish, and a softmax at the end."""
    net = GraphBuilder("gated", (3, 16, 16)).conv(16, 3, padding=1)
    for _ in range(blocks):
        skip = net.tip
        net.conv(48, 1).step(Activation("hard_swish")).conv(48, 3, padding=1, groups=48, bias=False).batch_norm()
        body = net.step(Activation("hard_swish")).tip
        net.global_average_pool().conv(12, 1).relu().conv(48, 1).step(Activation("hard_sigmoid", (1 / 6, 0.5))).mul(body, net.tip)
        net.conv(16, 1, bias=False).batch_norm().add(skip, net.tip)
    return net.fc(10).softmax().build()


@pytest.mark.parametrize("graph", [_residual(17), _dense(24), _gated(12)], ids=lambda graph: graph.name)
@pytest.mark.parametrize("seed", [0, 1])
def test_activations_stay_near_one(graph: Graph, seed: int) -> None:
    """Fifty layers deep no tensor's elements explode (sums of many grow a little) or vanish, and a map's still differ from place to place."""
    tensors = whole_tensors(graph, random_weights(graph, seed), random_input(graph, seed))
    for operator in graph.operators:
        tensor = tensors[operator.name]
        size = float(np.sqrt(np.mean(tensor**2)))
        assert 0.1 < size < 10, operator.name
        assert tensor.shape[1] == 1 or float(tensor.std(axis=(1, 2)).mean()) > 0.05 * size, operator.name


def test_parameters_of_every_step() -> None:
    """Each step has as many arrays as it needs, under its number, and operators without a kernel have none of it."""
    net = GraphBuilder("steps", (2, 4, 4)).conv(3, 1, bias=False).step(Normalisation("shift")).relu().batch_norm().step(Activation("prelu"))
    graph = net.slice(0, 2).step(Normalisation("scale")).step(Mixing("softmax")).build()
    weights = random_weights(graph)
    assert {number: len(arrays) for number, arrays in weights["conv1"].steps.items()} == {0: 1, 2: 2, 3: 1}
    assert weights["conv1"].bias is None
    assert weights["slice1"].kernel is None
    assert {number: [array.shape for array in arrays] for number, arrays in weights["slice1"].steps.items()} == {0: [(2,)]}
    check_weights(graph, weights)


def test_operators_without_parameters_may_be_missing() -> None:
    """Parameters are complete with or without an entry for an operator that has none, and one that it does not have is refused."""
    graph = GraphBuilder("pair", (2, 4, 4)).conv(3, 1, bias=False, name="a").concat("a", "a", name="b").build()
    kernel = OperatorWeights(np.ones((3, 2, 1, 1), np.float32))
    check_weights(graph, {"a": kernel})
    check_weights(graph, {"a": kernel, "b": OperatorWeights()})
    with pytest.raises(GraphError, match=r"kernel of operator 'b' has shape \(3, 2, 1, 1\); None is expected"):
        check_weights(graph, {"a": kernel, "b": kernel})
    with pytest.raises(GraphError, match="operator 'a' is missing; are these the weights of"):
        check_weights(graph, {})


def test_weights_need_no_torch() -> None:
    """Parameters can be read, drawn and checked where PyTorch is not installed."""
    code = (
        "import sys; from iopopt import GraphBuilder; from iopopt.network.weights import random_weights, check_weights;"
        "g = GraphBuilder('n', (2, 4, 4)).conv(3, 1).build(); check_weights(g, random_weights(g)); sys.exit('torch' in sys.modules)"
    )
    assert run([sys.executable, "-c", code], check=False).returncode == 0
