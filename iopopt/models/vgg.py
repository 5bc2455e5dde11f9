"""VGG configurations A, B, D and E: Simonyan and Zisserman, "Very deep convolutional networks", ICLR 2015."""

from __future__ import annotations

from collections.abc import Sequence

from iopopt.models.sizes import InputSize, build_at_size
from iopopt.network.builder import GraphBuilder
from iopopt.network.graph import Graph

_CHANNELS = (64, 128, 256, 512, 512)


def vgg11(input_size: InputSize = 224) -> Graph:
    """VGG11, configuration A."""
    return _vgg("vgg11", (1, 1, 2, 2, 2), input_size)


def vgg13(input_size: InputSize = 224) -> Graph:
    """VGG13, configuration B."""
    return _vgg("vgg13", (2, 2, 2, 2, 2), input_size)


def vgg16(input_size: InputSize = 224) -> Graph:
    """VGG16, configuration D."""
    return _vgg("vgg16", (2, 2, 3, 3, 3), input_size)


def vgg19(input_size: InputSize = 224) -> Graph:
    """VGG19, configuration E."""
    return _vgg("vgg19", (2, 2, 4, 4, 4), input_size)


def _vgg(name: str, depths: Sequence[int], input_size: InputSize) -> Graph:
    """``depths`` convolutions in each of the five stages; the first fully connected operator grows with the map."""

    def layers(net: GraphBuilder) -> GraphBuilder:
        for channels, depth in zip(_CHANNELS, depths, strict=True):
            for _ in range(depth):
                net.conv(channels, 3, padding=1).relu()
            net.max_pool(2)
        return net.fc(4096).relu().fc(4096).relu().fc(1000)

    return build_at_size(name, 3, input_size, layers)
