"""SqueezeNet 1.1: Iandola et al., arXiv 1602.07360, 2016, in the authors' later form with 2.4 times fewer MACs."""

from __future__ import annotations

from iopopt.models.sizes import InputSize, build_at_size
from iopopt.network.builder import GraphBuilder
from iopopt.network.graph import Graph

_FIRES = (((16, 64), (16, 64)), ((32, 128), (32, 128)), ((48, 192), (48, 192), (64, 256), (64, 256)))
"""Squeeze channels and channels of each expansion, in groups with a pool before each."""


def squeezenet1_1(input_size: InputSize = 224) -> Graph:
    """SqueezeNet 1.1; its pools count a last window that extends past the edge."""
    return build_at_size("squeezenet1_1", 3, input_size, _layers)


def _layers(net: GraphBuilder) -> GraphBuilder:
    net.conv(64, 3, stride=2).relu()
    for fires in _FIRES:
        net.max_pool(3, 2, ceil=True)
        for squeeze, expand in fires:
            _fire(net, squeeze, expand)
    return net.conv(1000, 1).relu().global_average_pool()


def _fire(net: GraphBuilder, squeeze: int, expand: int) -> None:
    """A 1x1 convolution that narrows, then 1x1 and 3x3 convolutions side by side."""
    squeezed = net.conv(squeeze, 1).relu().tip
    expanded_1x1 = net.conv(expand, 1).relu().tip
    expanded_3x3 = net.at(squeezed).conv(expand, 3, padding=1).relu().tip
    net.concat(expanded_1x1, expanded_3x3)
