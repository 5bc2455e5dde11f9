"""What an ONNX value stands for while a file is translated: a tensor of the network, or a constant."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

MOST_ELEMENTS = 2**31
"""More elements than any tensor here may have; what asks for more is a damaged or a hostile file."""

Constant = npt.NDArray[Any]
Dims = tuple[int, ...]


@dataclass(frozen=True)
class Tensor:
    """A tensor that the network computes.

    Attributes:
        operator: who makes it (``"input"`` for the graph's input); the operator's output is the map of (C, H, W) behind it.
        dims: the dimensions that ONNX gives it, batch included. The elements stand in the order of the map whatever the dimensions,
            which is why a reshape costs nothing.
        padding: zeros around the map that the convolution behind it takes over: rows before, columns before, rows and columns behind.
    """

    operator: str
    dims: Dims
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)


Value = Tensor | Constant


def written(dims: Dims) -> str:
    """Dimensions as messages show them: 1x3x224x224."""
    return "x".join(map(str, dims)) if dims else "one element"


def too_large(dims: Dims) -> bool:
    """Whether a tensor of these dimensions has more elements than any may have."""
    return math.prod(dims) > MOST_ELEMENTS


def is_real(constant: Constant) -> bool:
    """Whether the elements are floating-point numbers, of any width."""
    return bool(np.issubdtype(constant.dtype, np.floating)) or constant.dtype.name == "bfloat16"
