"""Residual networks of 18, 34 and 50 layers: He et al., "Deep residual learning for image recognition", CVPR 2016.

The same as in torchvision: batch normalisation instead of biases, shortcuts projected by 1x1 convolutions if the shape changes, and in
the 50-layer network the stride in the 3x3 convolution ("v1.5"), not in the 1x1 before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from iopopt.models.sizes import InputSize, build_at_size
from iopopt.network.builder import GraphBuilder
from iopopt.network.graph import Graph

_CHANNELS = (64, 128, 256, 512)
_EXPANSION = 4
"""The output channels of a bottleneck block, as a multiple of those of its 3x3 convolution."""

_Block = Callable[[GraphBuilder, int, int], None]
"""Builds a block with given channels and stride."""


def resnet18(input_size: InputSize = 224) -> Graph:
    """ResNet-18."""
    return _resnet("resnet18", _basic_block, (2, 2, 2, 2), input_size)


def resnet34(input_size: InputSize = 224) -> Graph:
    """ResNet-34."""
    return _resnet("resnet34", _basic_block, (3, 4, 6, 3), input_size)


def resnet50(input_size: InputSize = 224) -> Graph:
    """ResNet-50 v1.5."""
    return _resnet("resnet50", _bottleneck_block, (3, 4, 6, 3), input_size)


def _resnet(name: str, block: _Block, depths: Sequence[int], input_size: InputSize) -> Graph:
    """``depths`` blocks in each of the four stages; every stage except the first halves the map."""

    def layers(net: GraphBuilder) -> GraphBuilder:
        _conv(net, 64, 7, stride=2).relu().max_pool(3, 2, 1)
        for stage, (channels, depth) in enumerate(zip(_CHANNELS, depths, strict=True)):
            for number in range(depth):
                block(net, channels, 2 if stage > 0 and number == 0 else 1)
        return net.global_average_pool().fc(1000)

    return build_at_size(name, 3, input_size, layers)


def _basic_block(net: GraphBuilder, channels: int, stride: int) -> None:
    """Two 3x3 convolutions and the shortcut past them."""
    entry = net.tip
    _conv(net, channels, 3, stride).relu()
    _conv(net, channels, 3)
    _add_shortcut(net, entry, stride)


def _bottleneck_block(net: GraphBuilder, channels: int, stride: int) -> None:
    """A 3x3 convolution between 1x1 ones that narrow and widen, and the shortcut past them."""
    entry = net.tip
    _conv(net, channels, 1).relu()
    _conv(net, channels, 3, stride).relu()
    _conv(net, _EXPANSION * channels, 1)
    _add_shortcut(net, entry, stride)


def _add_shortcut(net: GraphBuilder, entry: str, stride: int) -> None:
    """Add the block's input to its output, through a 1x1 convolution if their shapes differ."""
    path, shape = net.tip, net.shape
    if net.at(entry).shape != shape:
        _conv(net, shape.channels, 1, stride)
    net.add(path, net.tip).relu()


def _conv(net: GraphBuilder, channels: int, kernel: int, stride: int = 1) -> GraphBuilder:
    return net.conv(channels, kernel, stride=stride, padding=kernel // 2, bias=False).batch_norm()
