"""Bias, activations, normalisations, pools and mixing steps: what runs after an operator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from iopopt.errors import UnsupportedError
from iopopt.executor.arithmetic.windows import pool
from iopopt.network.epilogue import Activation, Mixing, Normalisation
from iopopt.network.operators.operator import Operator
from iopopt.schedule.regions import Interval

_ACTIVATIONS: Mapping[str, Callable[..., Tensor]] = {
    "relu": functional.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "leaky_relu": lambda tensor, slope: functional.leaky_relu(tensor, slope),
    "prelu": lambda tensor, slopes: torch.where(tensor > 0, tensor, slopes * tensor),
    "clip": lambda tensor, least, most: tensor.clamp(least, most),
    "hard_sigmoid": lambda tensor, alpha, beta: (alpha * tensor + beta).clamp(0.0, 1.0),
    "hard_swish": lambda tensor: tensor * (tensor / 6 + 0.5).clamp(0.0, 1.0),
    "silu": functional.silu,
    "multiply": lambda tensor, factor: tensor * factor,
    "add": lambda tensor, term: tensor + term,
}
"""Functions of a tensor, their parameters, and the parameters of each channel."""

_NORMALISATIONS: Mapping[str, Callable[..., Tensor]] = {
    "batch": lambda tensor, scale, shift: tensor * scale + shift,
    "scale": lambda tensor, scale: tensor * scale,
    "shift": lambda tensor, shift: tensor + shift,
}


@dataclass(frozen=True)
class EpilogueParameters:
    """The parameters of bias and epilogue for an interval of channels."""

    bias: Tensor | None = None
    steps: Mapping[int, tuple[Tensor, ...]] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        parts = [part for parts in self.steps.values() for part in parts]
        return sum(part.nbytes for part in (*parts, *([] if self.bias is None else [self.bias])))

    def cut(self, channels: slice) -> EpilogueParameters:
        """The parameters of some of the channels."""
        bias = None if self.bias is None else self.bias[channels]
        return EpilogueParameters(bias, {number: tuple(part[channels] for part in parts) for number, parts in self.steps.items()})


def finish(operator: Operator, parameters: EpilogueParameters, tensor: Tensor, held: Interval, rows: Interval) -> Tensor:
    """The output rows ``rows`` of bias and epilogue on ``tensor``, which holds the pre-pool rows ``held``.

    A final mixing step is left to :func:`mix`, on a device with all channels.
    """
    if parameters.bias is not None:
        tensor = tensor + parameters.bias[:, None, None]
    for number, step in enumerate(operator.epilogue):
        arrays = [part[:, None, None] for part in parameters.steps.get(number, ())]
        if isinstance(step, Activation):
            tensor = _ACTIVATIONS[step.function](tensor, *step.parameters, *arrays)
        elif isinstance(step, Normalisation):
            tensor = _NORMALISATIONS[step.function](tensor, *arrays)
        elif not isinstance(step, Mixing):
            size = operator.pre_pool_shape.height, operator.pre_pool_shape.width
            tensor = pool(step.function, step.rows, step.columns, size, tensor, held, rows)
            held = rows
    return tensor


def mix(operator: Operator, tensor: Tensor) -> Tensor:
    """The mixing step at the end of the epilogue, on a tensor that holds all channels."""
    step = operator.epilogue[-1]
    if not tensor.numel():
        return tensor
    return _MIXINGS[step.function](tensor, *step.parameters) if isinstance(step, Mixing) else tensor


def _response_normalisation(tensor: Tensor, size: float, alpha: float, beta: float, bias: float) -> Tensor:
    """x / (bias + alpha / size * sum)^beta with the sum of squares over ``size`` channels around each (one more after than before if even)."""
    before = (int(size) - 1) // 2
    squares = functional.pad(tensor**2, (0, 0, 0, 0, before, int(size) - 1 - before))
    sums = squares.unfold(0, int(size), 1).sum(-1)
    return tensor / (bias + alpha / size * sums) ** beta


def _shuffle(tensor: Tensor, groups: float) -> Tensor:
    """Channel i C/groups + j becomes channel j groups + i."""
    return tensor.reshape(int(groups), -1, *tensor.shape[1:]).transpose(0, 1).reshape(tensor.shape)


_MIXINGS: Mapping[str, Callable[..., Tensor]] = {
    "lrn": _response_normalisation,
    "softmax": lambda tensor: tensor.softmax(0),
    "shuffle": _shuffle,
}


def check_epilogue(operator: Operator) -> None:
    """Refuse steps that the executor has no arithmetic for.

    Raises:
        UnsupportedError: naming the operator and the step.
    """
    for step in operator.epilogue:
        if isinstance(step, Activation):
            _check_known(operator, "activation", step.function, _ACTIVATIONS)
        elif isinstance(step, Mixing):
            _check_known(operator, "channel mixing", step.function, _MIXINGS)
        elif isinstance(step, Normalisation):
            _check_known(operator, "normalisation", step.function, _NORMALISATIONS)


def _check_known(operator: Operator, what: str, function: str, known: Iterable[str]) -> None:
    if function not in known:
        raise UnsupportedError(f"operator {operator.name!r}: {what} {function!r} cannot be run; known are {', '.join(known)}")
