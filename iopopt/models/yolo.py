"""YOLOv2: Redmon and Farhadi, "YOLO9000: better, faster, stronger", CVPR 2017, as in darknet's ``yolov2.cfg`` for COCO."""

from __future__ import annotations

from collections.abc import Sequence

from iopopt.errors import GraphError
from iopopt.models.sizes import InputSize, build_at_size
from iopopt.network.builder import GraphBuilder
from iopopt.network.epilogue import Activation
from iopopt.network.graph import Graph

LEAKY = Activation("leaky_relu", (0.1,))

_STRIDE = 32
"""Pixels of the input under one cell of the last map, after five halvings."""

_OUTPUTS = 5 * (4 + 1 + 80)
"""For each of five anchors a box, its objectness and the 80 classes of COCO."""


def yolov2(input_size: InputSize = 608) -> Graph:
    """YOLOv2 for COCO, up to the convolution whose 425 channels are decoded to boxes.

    The passthrough turns the last map of twice the height and width into channels (darknet's ``reorg``), in the order that
    ``space_to_depth`` defines; they come first in the concatenation.

    Raises:
        GraphError: if height or width is not a multiple of 32, because the two maps would not match.
    """
    return build_at_size("yolov2", 3, input_size, _layers)


def _layers(net: GraphBuilder) -> GraphBuilder:
    _require_whole_cells(net)
    for channels in ((32,), (64,), (128, 64, 128), (256, 128, 256)):
        _alternate(net, channels).max_pool(2)
    fine = _alternate(net, (512, 256, 512, 256, 512)).tip
    _alternate(net.max_pool(2), (1024, 512, 1024, 512, 1024))
    _conv(net, 1024, 3)
    coarse = _conv(net, 1024, 3).tip
    passthrough = _conv(net.at(fine), 64, 1).space_to_depth(2).tip
    return _conv(net.concat(passthrough, coarse), 1024, 3).conv(_OUTPUTS, 1)


def _require_whole_cells(net: GraphBuilder) -> None:
    _, height, width = net.shape
    if height % _STRIDE or width % _STRIDE:
        raise GraphError(f"yolov2: an input of {height}x{width}; height and width must be multiples of {_STRIDE}")


def _alternate(net: GraphBuilder, channels: Sequence[int]) -> GraphBuilder:
    """Alternating 3x3 and 1x1 convolutions."""
    for number, count in enumerate(channels):
        _conv(net, count, 1 if number % 2 else 3)
    return net


def _conv(net: GraphBuilder, channels: int, kernel: int) -> GraphBuilder:
    return net.conv(channels, kernel, padding=kernel // 2, bias=False).batch_norm().step(LEAKY)
