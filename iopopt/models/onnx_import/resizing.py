"""Resize and Upsample by whole factors."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction

import numpy as np

from iopopt.models.onnx_import.network import Network
from iopopt.models.onnx_import.node import Node
from iopopt.models.onnx_import.values import Tensor, written
from iopopt.network.shapes import Window

_HALF = Fraction(1, 2)
_FIRST_WITH_MODES = 11

# The position of an output among the inputs: offset j of u within its block, in inputs from the block's own one.
_COORDINATES: Mapping[str, Callable[[int, int], Fraction]] = {
    "asymmetric": lambda j, u: Fraction(j, u),
    "half_pixel": lambda j, u: (j + _HALF) / u - _HALF,
    "pytorch_half_pixel": lambda j, u: (j + _HALF) / u - _HALF,
    "half_pixel_symmetric": lambda j, u: (j + _HALF) / u - _HALF,
    "tf_half_pixel_for_nn": lambda j, u: (j + _HALF) / u,
}
_ROUNDINGS: Mapping[str, Callable[[Fraction], int]] = {
    "floor": math.floor,
    "ceil": math.ceil,
    "round_prefer_floor": lambda x: math.ceil(x - _HALF),
    "round_prefer_ceil": lambda x: math.floor(x + _HALF),
}
_LINEAR = ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric")
_LARGEST_FACTOR = 4096


def resize(node: Node, network: Network) -> Tensor:
    """Repetition of rows and columns, or interpolation between them, by whole factors."""
    tensor = network.map(node)
    node.one_of("antialias", node.integer("antialias", 0), (0,))
    factors = _factors(node, tensor)
    if factors == (1, 1):
        return tensor
    mode = node.text("mode", "nearest")
    node.one_of("mode", mode, ("nearest", "linear", "bilinear"))
    linear = mode != "nearest"
    (_check_linear if linear else _check_repetition)(node, factors)
    kernel = 3 if linear else 1
    rows, columns = (Window(kernel, 1, kernel // 2, kernel // 2, 1, factor) for factor in factors)
    channels, function = network.shape(tensor).channels, "linear" if linear else "nearest"
    return network.operator(node, tensor, "upsample", channels, rows=rows, columns=columns, function=function)


def _coordinates(node: Node) -> str:
    """Before the attribute existed, outputs started where their inputs did."""
    new = node.type == "Resize" and node.opset >= _FIRST_WITH_MODES
    return node.text("coordinate_transformation_mode", "half_pixel") if new else "asymmetric"


def _check_linear(node: Node, factors: tuple[int, int]) -> None:
    hint = "export with align_corners=False (half_pixel)"
    if _coordinates(node) not in _LINEAR:
        node.refuse(f"linear with coordinate_transformation_mode {_coordinates(node)!r}; supported: {', '.join(_LINEAR)}. {hint}")
    node.one_of("exclude_outside", node.integer("exclude_outside", 0), (0,))


def _check_repetition(node: Node, factors: tuple[int, int]) -> None:
    """Every output of a block must come from the block's own input."""
    new = node.type == "Resize" and node.opset >= _FIRST_WITH_MODES
    coordinates, rounding = _coordinates(node), node.text("nearest_mode", "round_prefer_floor") if new else "floor"
    node.one_of("coordinate_transformation_mode", coordinates, tuple(_COORDINATES))
    node.one_of("nearest_mode", rounding, tuple(_ROUNDINGS))
    if any(_ROUNDINGS[rounding](_COORDINATES[coordinates](j, factor)) for factor in factors for j in range(factor)):
        node.refuse(
            f"nearest with {coordinates!r} and {rounding!r} does not repeat each row {factors[0]} and each column {factors[1]} times; only plain "
            "repetition is supported, for example 'asymmetric' and 'floor'"
        )


def _factors(node: Node, tensor: Tensor) -> tuple[int, int]:
    """The factors by which rows and columns grow, from the scales or the sizes."""
    rank, slot = len(tensor.dims), 2 if node.type == "Resize" and node.opset >= _FIRST_WITH_MODES else 1
    axes = [node.axis(axis, rank) for axis in node.integers("axes", range(rank))]
    if node.has(3):
        node.one_of("keep_aspect_ratio_policy", node.text("keep_aspect_ratio_policy", "stretch"), ("stretch",))
        wanted = node.whole_numbers(3)
        scales = [size / tensor.dims[axis] for axis, size in zip(axes, wanted, strict=False)]
    else:
        given = node.parameters(slot) if node.has(slot) else np.asarray(node.attribute("scales", ()))
        scales = [float(scale) for scale in given.reshape(-1)[: rank + 1]]
    if len(scales) != len(axes):
        node.reject(f"it has {len(scales)} scales or sizes for {len(axes)} axes")
    by_axis = dict.fromkeys(range(rank), 1.0) | dict(zip(axes, scales, strict=True))
    whole = all(scale.is_integer() and 1 <= scale <= _LARGEST_FACTOR for scale in by_axis.values())
    if not whole or by_axis[0] != 1 or by_axis[1] != 1:
        node.refuse(f"it resizes {written(tensor.dims)} by {scales}; rows and columns by whole factors of 1 to {_LARGEST_FACTOR} are supported")
    return int(by_axis[2]), int(by_axis[3])
