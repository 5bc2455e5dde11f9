"""MobileNet-V1 (Howard et al., arXiv 1704.04861, 2017) and MobileNet-V2 (Sandler et al., CVPR 2018).

Every convolution has a batch normalisation instead of a bias, and a ReLU6. Maps are padded by one row and column on all sides, as in
the ports to Caffe and PyTorch; TensorFlow's checkpoints pad only below and to the right, which gives maps of the same sizes.
"""

from __future__ import annotations

from iopopt.errors import GraphError
from iopopt.models.sizes import InputSize, build_at_size
from iopopt.network.builder import GraphBuilder
from iopopt.network.epilogue import Activation
from iopopt.network.graph import Graph
from iopopt.network.records import is_number, short_repr

RELU6 = Activation("clip", (0.0, 6.0))

_LEAST_CHANNELS = 8
"""The least number of channels of MobileNet-V1 at any width, as in the published checkpoints."""

_V1_BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))
"""Output channels at width 1 and stride of each depthwise separable convolution: table 1 of the paper."""

_V2_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion t, output channels c, blocks n and stride s of the first of them: table 2 of the paper."""


def mobilenet_v1(input_size: InputSize = 224, width: float = 1.0) -> Graph:
    """MobileNet-V1, a chain of depthwise 3x3 and pointwise 1x1 convolutions.

    Args:
        input_size: height and width of the input; the published resolutions are 224, 192, 160 and 128.
        width: the multiplier of all channels (rounded down, at least 8); 1, 0.75, 0.5 and 0.25 are published. Widths other than 1 are
            part of the graph's name: ``mobilenet_v1-0.75``.

    Raises:
        GraphError: if ``width`` is not a positive number, or the input is too small.
    """
    if not is_number(width) or width <= 0:
        raise GraphError(f"mobilenet_v1: width is {short_repr(width)}; it must be a positive number")

    def layers(net: GraphBuilder) -> GraphBuilder:
        _conv(net, _scaled(32, width), 3, stride=2).step(RELU6)
        for channels, stride in _V1_BLOCKS:
            _depthwise(net, stride)
            _conv(net, _scaled(channels, width), 1).step(RELU6)
        return net.global_average_pool().fc(1000)

    return build_at_size("mobilenet_v1" if width == 1 else f"mobilenet_v1-{float(width)}", 3, input_size, layers)


def mobilenet_v2(input_size: InputSize = 224) -> Graph:
    """MobileNet-V2 of width 1: inverted residuals with linear bottlenecks."""
    return build_at_size("mobilenet_v2", 3, input_size, _v2_layers)


def _v2_layers(net: GraphBuilder) -> GraphBuilder:
    _conv(net, 32, 3, stride=2).step(RELU6)
    for expansion, channels, blocks, stride in _V2_STAGES:
        for block in range(blocks):
            _inverted_residual(net, expansion, channels, stride if block == 0 else 1)
    return _conv(net, 1280, 1).step(RELU6).global_average_pool().fc(1000)


def _inverted_residual(net: GraphBuilder, expansion: int, channels: int, stride: int) -> None:
    """Widen, filter each channel, and project without activation; the input is added if the shape does not change."""
    entry, entry_channels = net.tip, net.shape.channels
    if expansion > 1:
        _conv(net, expansion * entry_channels, 1).step(RELU6)
    _depthwise(net, stride)
    _conv(net, channels, 1)
    if stride == 1 and channels == entry_channels:
        net.add(net.tip, entry)


def _depthwise(net: GraphBuilder, stride: int) -> GraphBuilder:
    channels = net.shape.channels
    return _conv(net, channels, 3, stride=stride, groups=channels).step(RELU6)


def _conv(net: GraphBuilder, channels: int, kernel: int, stride: int = 1, groups: int = 1) -> GraphBuilder:
    return net.conv(channels, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False).batch_norm()


def _scaled(channels: int, width: float) -> int:
    return max(int(channels * width), _LEAST_CHANNELS)
