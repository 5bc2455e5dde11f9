"""The values of a file during the import: tensors of the network, and constants."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

MOST_ELEMENTS = 2**31
"""The most elements that a tensor may have; a file with more is damaged or hostile."""

Constant = npt.NDArray[Any]
Dims = tuple[int, ...]


@dataclass(frozen=True)
class Tensor:
    """A tensor that the network computes.

    Attributes:
        operator: the operator whose output (C, H, W) is the tensor's map (``"input"`` for the graph's input).
        dims: the dimensions that ONNX gives it, including the batch. The elements have the order of the map for any dimensions, so a
            reshape costs nothing.
        padding: zeros around the map that become padding of the next convolution: rows before, columns before, rows after, columns after.
    """

    operator: str
    dims: Dims
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)


Value = Tensor | Constant


def written(dims: Dims) -> str:
    """Dimensions for a message: 1x3x224x224."""
    return "x".join(map(str, dims)) if dims else "one element"


def too_large(dims: Dims) -> bool:
    """Whether a tensor of these dimensions has more elements than any may have."""
    return math.prod(dims) > MOST_ELEMENTS


def is_real(constant: Constant) -> bool:
    """Whether the elements are floating-point numbers, of any width."""
    return bool(np.issubdtype(constant.dtype, np.floating)) or constant.dtype.name == "bfloat16"
