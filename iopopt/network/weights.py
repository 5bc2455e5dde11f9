"""The parameters of a network: their shapes, checks, and random ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from iopopt.errors import GraphError
from iopopt.network.epilogue import Activation, EpilogueStep, Normalisation
from iopopt.network.graph import Graph, as_graph
from iopopt.network.operators.operator import Operator
from iopopt.network.typical_values import Values, after_epilogue, typical_input

Array = npt.NDArray[np.float32] | npt.NDArray[np.float64]


@dataclass(frozen=True)
class OperatorWeights:
    """One operator's parameters.

    Attributes:
        kernel: shape (OC, C_in / groups, kernel rows, kernel columns), or None for a kind without one; a fully connected operator's
            kernel covers its whole input map.
        bias: shape (OC,), or None without one.
        steps: parameters of the epilogue's steps, by step number, each of shape (OC,): scale and shift of a batch normalisation, the
            scale or the shift of one with only that, the slope of a ``prelu``.
    """

    kernel: Array | None = None
    bias: Array | None = None
    steps: Mapping[int, tuple[Array, ...]] = field(default_factory=dict)


Weights = Mapping[str, OperatorWeights]
"""Every operator's parameters, by name; an operator that has none may be missing."""

NO_WEIGHTS = OperatorWeights()


def random_weights(graph: Graph, seed: int = 0) -> dict[str, OperatorWeights]:
    """Parameters that differ per element and keep activations near 1, so that no error hides in saturation.

    Each kernel is scaled by the typical size of its input, which is propagated through the network.
    """
    rng = np.random.default_rng(seed)
    values = {as_graph(graph).source: typical_input(rng)}
    weights = {}
    for i, operator in enumerate(graph.operators):
        inputs = [values[edge.producer] for edge in graph.edges_into[i]]
        weights[operator.name] = _random_operator(operator, inputs[0], rng)
        values[i] = after_epilogue(operator.epilogue, operator.typical(inputs, rng), operator.out_channels, rng)
    return weights


def _random_operator(operator: Operator, values: Values, rng: np.random.Generator) -> OperatorWeights:
    shape, channels, kernel, bias = operator.kernel_shape, operator.out_channels, None, None
    if shape is not None:
        size = max(1e-3, float(np.sqrt(np.mean(values**2))))
        kernel = (rng.standard_normal(shape) / (np.sqrt(np.prod(shape[1:])) * size)).astype(np.float32)
    if operator.bias_elements:
        bias = rng.uniform(-0.5, 0.5, channels).astype(np.float32)
    steps = {
        number: tuple(rng.uniform(low, high, channels).astype(np.float32) for low, high in _ranges(step))
        for number, step in enumerate(operator.epilogue)
        if step.arrays
    }
    return OperatorWeights(kernel, bias, steps)


def _ranges(step: EpilogueStep) -> tuple[tuple[float, float], ...]:
    """The bounds between which the parameters of a step are drawn."""
    scale, shift, slope = (0.5, 1.5), (-0.5, 0.5), (0.1, 0.5)
    if isinstance(step, Normalisation):
        return {"batch": (scale, shift), "scale": (scale,), "shift": (shift,)}[step.function]
    return (slope,) if isinstance(step, Activation) else ()


def random_input(graph: Graph, seed: int = 0) -> npt.NDArray[np.float32]:
    """An input of standard normal elements, shape (C, H, W)."""
    return np.random.default_rng(seed + 1).standard_normal(tuple(as_graph(graph).input_shape)).astype(np.float32)


def check_weights(graph: Graph, weights: Weights) -> None:
    """Refuse parameters that do not fit the network.

    Raises:
        GraphError: naming the operator, the shape found and the shape expected.
    """
    for operator in graph.operators:
        if operator.name not in weights and operator.parameters:
            raise GraphError(f"weights: operator {operator.name!r} is missing; are these the weights of {graph.name}?")
        for part, found, shape in _parts(operator, weights.get(operator.name, NO_WEIGHTS)):
            if (None if found is None else np.shape(found)) != shape:
                has = "is missing" if found is None else f"has shape {np.shape(found)}"
                raise GraphError(f"weights: {part} of operator {operator.name!r} {has}; {shape} is expected")


def _parts(operator: Operator, mine: OperatorWeights) -> Iterator[tuple[str, Array | None, tuple[int, ...] | None]]:
    """Each parameter by name: its value and its expected shape."""
    channels = (operator.out_channels,)
    yield "kernel", mine.kernel, operator.kernel_shape
    yield "bias", mine.bias, channels if operator.bias_elements else None
    for number in sorted({*range(len(operator.epilogue)), *mine.steps}):
        step = operator.epilogue[number] if 0 <= number < len(operator.epilogue) else None
        found, expected = mine.steps.get(number, ()), 0 if step is None else step.arrays
        for place in range(max(len(found), expected)):
            name = f"array {place} of step {number} ({'none' if step is None else step.function})"
            yield name, found[place] if place < len(found) else None, channels if place < expected else None
