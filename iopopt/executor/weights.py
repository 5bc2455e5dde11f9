"""The parameters of a network, and the shards of them that a device owns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from iopopt.errors import GraphError
from iopopt.graph import Graph
from iopopt.operators import Normalisation, Operator

Array = npt.NDArray[np.float32] | npt.NDArray[np.float64]


@dataclass(frozen=True)
class OperatorWeights:
    """One operator's parameters.

    Attributes:
        kernel: shape (OC, C_in / groups, kernel rows, kernel columns); a fully connected operator's kernel covers its whole input map.
        bias: shape (OC,), or None without one.
        scale, shift: of its normalisation, shape (OC,), or None without one.
    """

    kernel: Array
    bias: Array | None = None
    scale: Array | None = None
    shift: Array | None = None


Weights = Mapping[str, OperatorWeights]
"""Every operator's parameters, by name."""


def kernel_shape(operator: Operator) -> tuple[int, int, int, int]:
    """(OC, C_in / groups, kernel rows, kernel columns)."""
    return operator.out_channels, operator.in_shape.channels // operator.groups, operator.rows.kernel, operator.columns.kernel


def has_normalisation(operator: Operator) -> bool:
    """Whether the epilogue normalises."""
    return any(isinstance(step, Normalisation) for step in operator.epilogue)


def random_weights(graph: Graph, seed: int = 0) -> dict[str, OperatorWeights]:
    """Parameters that differ per element and keep activations near 1, so that no error hides in saturation."""
    rng = np.random.default_rng(seed)
    weights = {}
    for operator in graph.operators:
        shape = kernel_shape(operator)
        kernel = rng.standard_normal(shape) * np.sqrt(2.0 / np.prod(shape[1:]))
        bias = rng.uniform(-0.5, 0.5, shape[0]) if operator.bias else None
        scale, shift = (rng.uniform(0.5, 1.5, shape[0]), rng.uniform(-0.5, 0.5, shape[0])) if has_normalisation(operator) else (None, None)
        weights[operator.name] = OperatorWeights(*(None if part is None else part.astype(np.float32) for part in (kernel, bias, scale, shift)))  # type: ignore[arg-type]
    return weights


def random_input(graph: Graph, seed: int = 0) -> npt.NDArray[np.float32]:
    """An input of standard normal elements, shape (C, H, W)."""
    return np.random.default_rng(seed + 1).standard_normal(tuple(graph.input_shape)).astype(np.float32)


def check_weights(graph: Graph, weights: Weights) -> None:
    """Refuse parameters that do not fit the network.

    Raises:
        GraphError: naming the operator, the shape found and the shape expected.
    """
    for operator in graph.operators:
        if operator.name not in weights:
            raise GraphError(f"weights: operator {operator.name!r} has none; are they those of {graph.name}?")
        mine, channels = weights[operator.name], (operator.out_channels,)
        normalised = channels if has_normalisation(operator) else None
        expected = {"kernel": kernel_shape(operator), "bias": channels if operator.bias else None, "scale": normalised, "shift": normalised}
        for part, shape in expected.items():
            found = getattr(mine, part)
            if (None if found is None else np.shape(found)) != shape:
                has = "is missing" if found is None else f"has shape {np.shape(found)}"
                raise GraphError(f"weights: {part} of operator {operator.name!r} {has}; {shape} is expected")
