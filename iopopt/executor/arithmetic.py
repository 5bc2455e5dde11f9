"""Operators on slices of tensors, with PyTorch. Tensors have the axes (channel, row, column)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from iopopt.errors import UnsupportedError
from iopopt.network.operators import Activation, Mixing, Normalisation, Operator, PoolFunction
from iopopt.network.shapes import Window
from iopopt.schedule.regions import Interval, Region

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
"""Functions of a tensor, their parameters, and those that each channel has."""

_NORMALISATIONS: Mapping[str, Callable[..., Tensor]] = {
    "batch": lambda tensor, scale, shift: tensor * scale + shift,
    "scale": lambda tensor, scale: tensor * scale,
    "shift": lambda tensor, shift: tensor + shift,
}


class TensorSlice(NamedTuple):
    """A region of a feature map, and its elements."""

    region: Region
    tensor: Tensor


@dataclass(frozen=True)
class EpilogueParameters:
    """The parameters that turn summed-up kernels into finished channels: bias and those of the epilogue, for an interval of channels."""

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


# Before the epilogue.


def convolve(operator: Operator, kernel: Tensor, tensor: Tensor, held: Interval, rows: Interval, groups: int) -> Tensor:
    """The kernel (already cut) on ``tensor``, which holds the input rows ``held``: the rows ``rows`` before the pool.

    Rows of padding are added only where the input ends. Bias, normalisation, activation and pool come after.
    """
    if not rows or 0 in kernel.shape[:2]:
        return tensor.new_zeros(kernel.shape[0], len(rows), operator.pre_pool_shape.width)
    if operator.kind == "fc":  # a kernel as large as its map is a matrix product, which is many times faster than a convolution
        return functional.linear(tensor.reshape(1, -1), kernel.reshape(len(kernel), -1)).reshape(-1, 1, 1)
    span, inside = _under(operator.rows, rows, operator.in_shape.height)
    padded = _pad(tensor[:, inside.within(held)], span, inside, operator.columns, 0.0)
    strides, dilations = _of_both("stride", operator.rows, operator.columns), _of_both("dilation", operator.rows, operator.columns)
    out = functional.conv2d(padded[None], kernel, None, strides, 0, dilations, groups)[0]
    return out[:, : len(rows), : operator.pre_pool_shape.width]


def without_kernel(operator: Operator, inputs: Sequence[TensorSlice], region: Region) -> Tensor:
    """What an operator without a kernel makes of its inputs, of which it holds ``inputs``: ``region`` before its epilogue."""
    if not region:
        return inputs[0].tensor.new_zeros(len(region.channels), len(region.rows), operator.pre_pool_shape.width)
    return _WITHOUT_KERNEL[operator.kind](operator, inputs, region)


def _same(_: Operator, inputs: Sequence[TensorSlice], region: Region) -> Tensor:
    return cut(inputs[0], region)


def _join(operator: Operator, inputs: Sequence[TensorSlice], region: Region) -> Tensor:
    terms = [
        view(piece, Region(region.channels, piece.region.rows) if operator.is_gate(slot) else region)  # a gate is broadcast
        for slot, piece in enumerate(inputs)
    ]
    return reduce(torch.add if operator.kind == "add" else torch.mul, terms)


def _concatenate(operator: Operator, inputs: Sequence[TensorSlice], region: Region) -> Tensor:
    parts, start = [], 0
    for piece, shape in zip(inputs, operator.in_shapes, strict=True):
        channels = Interval(0, shape.channels).meet(region.channels.shifted(-start))
        parts.append(view(piece, Region(channels, region.rows)))
        start += shape.channels
    return torch.cat(parts)


def _slice(operator: Operator, inputs: Sequence[TensorSlice], region: Region) -> Tensor:
    return cut(inputs[0], Region(region.channels.shifted(operator.first_channel), region.rows))


def _pool_alone(operator: Operator, inputs: Sequence[TensorSlice], region: Region) -> Tensor:
    function: PoolFunction = operator.function  # type: ignore[assignment]
    tensor = inputs[0].tensor[region.channels.within(inputs[0].region.channels)]
    size = operator.in_shape.height, operator.in_shape.width
    return _pool(function, operator.rows, operator.columns, size, tensor, inputs[0].region.rows, region.rows)


def _upsample(operator: Operator, inputs: Sequence[TensorSlice], region: Region) -> Tensor:
    (held, tensor), (_, height, width) = inputs[0], operator.in_shape
    tensor = tensor[region.channels.within(held.channels)]
    along = _nearest if operator.function == "nearest" else _linear
    tensor = along(tensor, 1, operator.rows.upsampling, region.rows, held.rows, height)
    return along(tensor, 2, operator.columns.upsampling, Interval(0, operator.pre_pool_shape.width), Interval(0, width), width)


def _nearest(tensor: Tensor, axis: int, times: int, wanted: Interval, held: Interval, _: int) -> Tensor:
    """Each position ``times`` times, along one axis."""
    places = torch.arange(wanted.start, wanted.stop) // times
    return tensor.index_select(axis, places - held.start)


def _linear(tensor: Tensor, axis: int, times: int, wanted: Interval, held: Interval, size: int) -> Tensor:
    """Output i lies at (i + 1/2) / times - 1/2, between two positions; beyond the first and the last the map goes on as it ends."""
    doubled = 2 * torch.arange(wanted.start, wanted.stop) + 1 - times
    below = torch.div(doubled, 2 * times, rounding_mode="floor")
    shape = [1, 1, 1]
    shape[axis] = -1
    weight = ((doubled - below * 2 * times).to(tensor.dtype) / (2 * times)).reshape(shape)
    lower, upper = (tensor.index_select(axis, places.clamp(0, size - 1) - held.start) for places in (below, below + 1))
    return lower * (1 - weight) + upper * weight


def _space_to_depth(operator: Operator, inputs: Sequence[TensorSlice], region: Region) -> Tensor:
    block, across = operator.rows.kernel, operator.columns.kernel
    rows, width = Interval(region.rows.start * block, region.rows.stop * block), operator.pre_pool_shape.width
    tensor = view(inputs[0], Region(Interval(0, operator.in_shape.channels), rows))[:, :, : width * across]
    blocks = tensor.reshape(len(tensor), len(region.rows), block, width, across).permute(2, 4, 0, 1, 3)
    return blocks.reshape(operator.out_channels, len(region.rows), width)[region.channels.start : region.channels.stop].clone()


_WITHOUT_KERNEL: Mapping[str, Callable[[Operator, Sequence[TensorSlice], Region], Tensor]] = {
    "pool": _pool_alone,
    "elementwise": _same,
    "add": _join,
    "mul": _join,
    "concat": _concatenate,
    "slice": _slice,
    "upsample": _upsample,
    "space_to_depth": _space_to_depth,
}


# The epilogue.


def finish(operator: Operator, parameters: EpilogueParameters, tensor: Tensor, held: Interval, rows: Interval) -> Tensor:
    """Bias and epilogue on ``tensor``, which holds the rows ``held`` before the pool: the output rows ``rows``.

    A last step that mixes channels is left to :func:`mix`, for whoever has them all.
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
            tensor = _pool(step.function, step.rows, step.columns, size, tensor, held, rows)
            held = rows
    return tensor


def mix(operator: Operator, tensor: Tensor) -> Tensor:
    """The last step of the epilogue, which mixes channels, on a tensor that holds them all."""
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


def check_runnable(operator: Operator) -> None:
    """Refuse what the executor has no arithmetic for.

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


# Windows.


def _pool(function: PoolFunction, window: Window, columns: Window, size: tuple[int, int], tensor: Tensor, held: Interval, rows: Interval) -> Tensor:
    """The output rows ``rows`` of a pool over a map of ``size`` (height, width), of which ``tensor`` holds the rows ``held``.

    Max over what lies inside the map; average over the whole window, in which padding counts as 0, or over what lies inside.
    """
    height, width = size
    out_width = columns.output_size(width)
    if not rows or not tensor.shape[0]:
        return tensor.new_zeros(tensor.shape[0], len(rows), out_width)
    span, inside = _under(window, rows, height)
    padded = _pad(tensor[:, inside.within(held)], span, inside, columns, -torch.inf if function == "max" else 0.0)
    kernel, strides, dilations = (_of_both(name, window, columns) for name in ("kernel", "stride", "dilation"))
    if function == "max":
        return functional.max_pool2d(padded[None], kernel, strides, 0, dilations)[0][:, : len(rows), :out_width]
    ones = tensor.new_ones(1, 1, *kernel)
    sums = functional.conv2d(padded[:, None], ones, None, strides, 0, dilations)[:, 0, : len(rows), :out_width]
    if function == "average":
        return sums / (window.kernel * columns.kernel)
    counts = _counts(window, rows, height)[:, None] * _counts(columns, Interval(0, out_width), width)
    return sums / counts.clamp(min=1).to(tensor.dtype)


def _counts(window: Window, positions: Interval, size: int) -> Tensor:
    """How many of the elements under each position of the window lie inside the map."""
    starts = torch.arange(positions.start, positions.stop) * window.stride - window.before
    under = starts[:, None] + torch.arange(window.kernel) * window.dilation
    return ((under >= 0) & (under < size)).sum(1)


def _under(window: Window, rows: Interval, size: int) -> tuple[Interval, Interval]:
    """The rows under output rows, and those of them inside a map of ``size`` rows."""
    span = Interval(rows.start * window.stride - window.before, (rows.stop - 1) * window.stride - window.before + window.extent)
    return span, span.meet(Interval(0, size))


def _of_both(name: str, rows: Window, columns: Window) -> tuple[int, int]:
    return getattr(rows, name), getattr(columns, name)


def _pad(tensor: Tensor, rows: Interval, inside: Interval, columns: Window, filler: float) -> Tensor:
    """``tensor`` holds the rows ``inside`` the map; padded to ``rows``, which may reach beyond it or lie beyond it altogether."""
    above, below = (inside.start - rows.start, rows.stop - inside.stop) if inside else (len(rows), 0)
    return functional.pad(tensor, (columns.before, columns.after, above, below), value=filler)


def view(piece: TensorSlice, region: Region) -> Tensor:
    """A region of a piece, in the same memory."""
    channels, rows = region.within(piece.region)
    return piece.tensor[channels, rows]


def cut(piece: TensorSlice, region: Region) -> Tensor:
    """A region of a piece, as a copy of its own."""
    return view(piece, region).clone(memory_format=torch.contiguous_format)
