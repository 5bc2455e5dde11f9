"""GoogLeNet (Inception v1): Szegedy et al., "Going deeper with convolutions", CVPR 2015.

The same as in the paper and in Caffe's ``bvlc_googlenet``: biases, local response normalisation, 5x5 convolutions. torchvision's has
batch normalisation and 3x3 convolutions instead. The auxiliary classifiers, which are for training only, are omitted.
"""

from __future__ import annotations

from typing import NamedTuple

from iopopt.models.sizes import InputSize, build_at_size
from iopopt.network.builder import GraphBuilder
from iopopt.network.epilogue import Mixing
from iopopt.network.graph import Graph

LRN = Mixing("lrn", (5.0, 1e-4, 0.75, 1.0))


class Inception(NamedTuple):
    """Output channels of a module's six convolutions, named as the columns of table 1 of the paper."""

    n1x1: int
    reduce3x3: int
    n3x3: int
    reduce5x5: int
    n5x5: int
    pool_projection: int


_STAGES = (
    (Inception(64, 96, 128, 16, 32, 32), Inception(128, 128, 192, 32, 96, 64)),
    (
        Inception(192, 96, 208, 16, 48, 64),
        Inception(160, 112, 224, 24, 64, 64),
        Inception(128, 128, 256, 24, 64, 64),
        Inception(112, 144, 288, 32, 64, 64),
        Inception(256, 160, 320, 32, 128, 128),
    ),
    (Inception(256, 160, 320, 32, 128, 128), Inception(384, 192, 384, 48, 128, 128)),
)
"""The modules 3a to 5b, in stages with a pool before each."""


def googlenet(input_size: InputSize = 224) -> Graph:
    """GoogLeNet without auxiliary classifiers; its pools count a last window that extends past the edge."""
    return build_at_size("googlenet", 3, input_size, _layers)


def _layers(net: GraphBuilder) -> GraphBuilder:
    net.conv(64, 7, stride=2, padding=3).relu().max_pool(3, 2, ceil=True).step(LRN)
    net.conv(64, 1).relu()
    net.conv(192, 3, padding=1).relu().step(LRN)
    for modules in _STAGES:
        net.max_pool(3, 2, ceil=True)
        for module in modules:
            _inception(net, module)
    return net.global_average_pool().fc(1000)


def _inception(net: GraphBuilder, module: Inception) -> None:
    """Four branches side by side: 1x1, 3x3 and 5x5 convolutions, the larger ones after a 1x1, and a pool before a 1x1."""
    entry = net.tip
    branches = [
        net.conv(module.n1x1, 1).relu().tip,
        net.at(entry).conv(module.reduce3x3, 1).relu().conv(module.n3x3, 3, padding=1).relu().tip,
        net.at(entry).conv(module.reduce5x5, 1).relu().conv(module.n5x5, 5, padding=2).relu().tip,
        net.at(entry).max_pool(3, 1, 1).conv(module.pool_projection, 1).relu().tip,
    ]
    net.concat(*branches)
