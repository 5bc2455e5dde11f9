"""Windows of convolutions and pools from their attributes."""

from __future__ import annotations

from collections.abc import Sequence

from iopopt.models.onnx_import.node import Node
from iopopt.models.onnx_import.values import MOST_ELEMENTS
from iopopt.network.builder import ceiled
from iopopt.network.shapes import Window


def windows(node: Node, kernel: Sequence[int], sizes: Sequence[int]) -> tuple[Window, Window]:
    """The windows along rows and columns, padded as ``auto_pad`` or ``pads`` say; ``sizes`` are those of the map."""
    strides, dilations = _figures(node, "strides", 1, 2), _figures(node, "dilations", 1, 2)
    if len(kernel) != 2:
        node.refuse(f"its window has {len(kernel)} dimensions; only 2-D convolutions and pools are supported")
    if min(*kernel, *strides, *dilations) < 1 or max(*kernel, *strides, *dilations) > MOST_ELEMENTS:
        node.reject(f"kernel {list(kernel)}, strides {strides} and dilations {dilations} must be positive, and no larger than a tensor")
    mode = node.text("auto_pad", "NOTSET")
    node.one_of("auto_pad", mode, ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"))
    pads = _figures(node, "pads", 0, 4) if mode == "NOTSET" else [0] * 4
    if min(pads) < 0 or max(pads) > MOST_ELEMENTS:
        node.refuse(f"pads is {pads}; negative padding cuts the map, which is not supported")
    rows, columns = (
        Window(kernel[axis], strides[axis], pads[axis], pads[axis + 2], dilations[axis])
        if not mode.startswith("SAME")
        else _same(Window(kernel[axis], strides[axis], 0, 0, dilations[axis]), sizes[axis], mode == "SAME_UPPER")
        for axis in range(2)
    )
    return rows, columns


def ceiled_windows(node: Node, plain: tuple[Window, Window], sizes: Sequence[int]) -> tuple[Window, Window]:
    """The windows of a pool with ``ceil_mode``: a last position that extends past the edge counts."""
    if not node.flag("ceil_mode", 0) or node.text("auto_pad", "NOTSET").startswith("SAME"):
        return plain
    if node.text("auto_pad", "NOTSET") == "VALID":
        node.refuse("ceil_mode together with auto_pad VALID, which contradict each other; write the pads out")
    return ceiled(plain[0], sizes[0]), ceiled(plain[1], sizes[1])


def _same(window: Window, size: int, upper: bool) -> Window:
    """Padded so that there are ceil(size / stride) outputs; an odd row goes after the map (``upper``) or before."""
    outputs = -(-size // window.stride)
    total = max(0, (outputs - 1) * window.stride + window.extent - size)
    before = total // 2 if upper else total - total // 2
    return Window(window.kernel, window.stride, before, total - before, window.dilation)


def _figures(node: Node, name: str, default: int, count: int) -> list[int]:
    figures = node.integers(name) or [default] * count
    if len(figures) != count:
        node.refuse(f"{name} has {len(figures)} figures, {count} are expected; only 2-D convolutions and pools are supported")
    return figures
