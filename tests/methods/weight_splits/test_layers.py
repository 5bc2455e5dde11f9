"""The layers of a network, as DeeperThings' programs know them."""

from __future__ import annotations

from iopopt import GraphBuilder, load_model
from iopopt.methods.weight_splits.layers import Layer, weight_layers


def test_sizes_by_hand() -> None:
    """Maps before the pool, kernels without bias; a grouped convolution is no layer, and a pool or a second reader parts two layers."""
    net = GraphBuilder("net", (2, 8, 8)).conv(4, 3, padding=1).relu().conv(6, 3, padding=1).max_pool(2).conv(6, 1).conv(6, 3, padding=1, groups=6)
    graph = net.conv(8, 1).fc(5).fc(3).build()
    assert weight_layers(graph) == (
        Layer("conv1", 2 * 64, 4 * 64, 2 * 4 * 9),
        Layer("conv2", 4 * 64, 6 * 64, 4 * 6 * 9, "conv1"),
        Layer("conv3", 6 * 16, 6 * 16, 36),
        Layer("conv5", 6 * 16, 8 * 16, 48),
        Layer("fc1", 8 * 16, 5, 8 * 16 * 5, "conv5"),
        Layer("fc2", 5, 3, 15, "fc1"),
    )


def test_branches_part_layers() -> None:
    """A residual block: the convolution whose tensor is read twice, and the one that the sum reads, hand on to no layer."""
    net = GraphBuilder("block", (2, 4, 4)).conv(2, 1)
    start = net.tip
    graph = net.conv(2, 3, padding=1).conv(2, 3, padding=1).add(start, net.tip).conv(3, 1).build()
    assert [layer.after for layer in weight_layers(graph)] == [None, None, "conv2", None]


def test_yolov2_has_its_convolutions() -> None:
    """All 23. Darknet's yolov2.weights has 50,983,561 numbers after its header of 16 bytes: kernels, four for each of the 10,336 normalised channels,
    and 425 biases."""
    layers = weight_layers(load_model("yolov2"))
    assert len(layers) == 23
    assert sum(layer.weights for layer in layers) == 50_983_561 - 4 * 10_336 - 425
