"""Typical elements of a network's tensors, so that random kernels can be scaled by their inputs.

A tensor is represented by a sample of independent elements. The effect of an operator is approximated, well enough that the values of fifty
layers with additions, gates and normalisations neither explode nor vanish.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from iopopt.network.epilogue import Activation, EpilogueStep, Mixing, Normalisation
from iopopt.network.shapes import Window

Values = npt.NDArray[np.float64]

COUNT = 1024
"""Elements of a sample."""

_FUNCTIONS: Mapping[str, Callable[..., Values]] = {
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "leaky_relu": lambda x, slope: np.where(x > 0, x, slope * x),
    "prelu": lambda x: np.where(x > 0, x, 0.3 * x),
    "clip": np.clip,
    "hard_sigmoid": lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1),
    "hard_swish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "multiply": lambda x, factor: x * factor,
    "add": lambda x, term: x + term,
}


def typical_input(rng: np.random.Generator) -> Values:
    """Elements of the network's input: standard normal."""
    return rng.standard_normal(COUNT)


def after_epilogue(epilogue: Sequence[EpilogueStep], values: Values, channels: int, rng: np.random.Generator) -> Values:
    """The result of the steps on ``values``, a sample of a map with that many channels."""
    for step in epilogue:
        values = _after_step(step, values, channels, rng)
    return values


def _after_step(step: EpilogueStep, values: Values, channels: int, rng: np.random.Generator) -> Values:
    if isinstance(step, Activation):
        return _FUNCTIONS[step.function](values, *step.parameters) if step.function in _FUNCTIONS else values
    if isinstance(step, Normalisation):
        scale = 1.0 if step.function == "shift" else rng.uniform(0.5, 1.5, COUNT)
        shift = 0.0 if step.function == "scale" else rng.uniform(-0.5, 0.5, COUNT)
        return values * scale + shift
    if isinstance(step, Mixing):
        return _mixed(step, values, channels)
    return pooled(values, step.function, step.rows, step.columns, rng)


def _mixed(step: Mixing, values: Values, channels: int) -> Values:
    if step.function == "softmax":
        powers: Values = np.exp(values - values.max())
        return powers / (channels * float(powers.mean()))
    if step.function == "lrn":
        size, alpha, beta, bias = step.parameters
        power = alpha * min(1.0, channels / size) * float(np.mean(values**2))
        return values / float((bias + power) ** beta)
    return values


def pooled(values: Values, function: str, rows: Window, columns: Window, rng: np.random.Generator) -> Values:
    """The maximum or the mean of as many elements as the window has (at most a hundred)."""
    under = np.stack([values, *(rng.permutation(values) for _ in range(min(100, rows.kernel * columns.kernel) - 1))])
    pooled: Values = under.max(0) if function == "max" else under.mean(0)
    return pooled
