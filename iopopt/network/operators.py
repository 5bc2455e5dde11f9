"""Operators: what one step of a network computes, with the epilogue that runs behind it on the same device.

The symbols of the cost model (``iopopt/cost_model.md``) are properties of :class:`Operator`: ``K``, ``S`` and ``P`` of the
composite field, ``H_c`` before and ``H_o`` after the pool, MACs and weights.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import Literal

from iopopt.errors import GraphError
from iopopt.network.shapes import Dim, Shape, Window
from iopopt.network.unit import Unit, operator_unit
from iopopt.records import is_integer, short_repr

INPUT = "input"
"""The reserved name under which edges refer to the graph's input tensor."""

PoolFunction = Literal["max", "average", "average_inside"]
"""An average counts padding as zeros (``average``), or only what lies inside the map (``average_inside``)."""


_PARAMETERS = {
    **dict.fromkeys(("relu", "tanh", "sigmoid", "prelu", "silu", "hard_swish", "softmax"), 0),
    **dict.fromkeys(("leaky_relu", "multiply", "add", "shuffle"), 1),
    **dict.fromkeys(("clip", "hard_sigmoid"), 2),
    "lrn": 4,
}
"""How many parameters the functions have that the executor knows; others can be priced all the same."""


def _check_parameters(function: str, parameters: tuple[float, ...]) -> None:
    count = _PARAMETERS.get(function, len(parameters))
    if len(parameters) != count:
        raise GraphError(f"{function}: found {len(parameters)} parameters {short_repr(parameters)}; it has {count}")


@dataclass(frozen=True)
class Activation:
    """An elementwise function, with its parameters.

    The executor knows ``relu``, ``tanh``, ``sigmoid``, ``silu``, ``hard_swish``, ``prelu`` (a slope for each channel among the weights),
    ``leaky_relu`` (slope), ``clip`` (least, most; ReLU6 is ``clip`` 0, 6), ``hard_sigmoid`` (alpha, beta), ``multiply`` and ``add`` (a number).

    Raises:
        GraphError: if one of these has another count of parameters.
    """

    function: str = "relu"
    parameters: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        _check_parameters(self.function, self.parameters)

    @property
    def arrays(self) -> int:
        """How many parameters each channel has."""
        return int(self.function == "prelu")


@dataclass(frozen=True)
class Normalisation:
    """Constants per channel: ``batch`` normalisation as one scale and one shift, or a ``scale`` or a ``shift`` alone."""

    function: str = "batch"

    @property
    def arrays(self) -> int:
        """How many parameters each channel has."""
        return 2 if self.function == "batch" else 1


@dataclass(frozen=True)
class Pool:
    """Max or average pooling on the same device as its operator."""

    function: PoolFunction = "max"
    rows: Window = field(default_factory=lambda: Window(2, 2))
    columns: Window = field(default_factory=lambda: Window(2, 2))

    def __post_init__(self) -> None:
        if self.function not in _POOLS:
            raise GraphError(f"pool: function is {short_repr(self.function)}; allowed are {', '.join(map(repr, _POOLS))}")

    @property
    def arrays(self) -> int:
        """How many parameters each channel has."""
        return 0


@dataclass(frozen=True)
class Mixing:
    """A function of all channels at a position; it ends an epilogue, for whoever runs it must hold all channels.

    ``lrn`` (parameters: size, alpha, beta, bias), ``softmax``, and ``shuffle`` (parameter: groups), which turns channel
    ``i C/groups + j`` into channel ``j groups + i``.
    """

    function: str = "softmax"
    parameters: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        _check_parameters(self.function, self.parameters)

    @property
    def arrays(self) -> int:
        """How many parameters each channel has."""
        return 0


EpilogueStep = Activation | Normalisation | Pool | Mixing
_POOLS = ("max", "average", "average_inside")
_NO_POOL = Pool("max", Window(), Window())

WITH_KERNEL = ("conv", "fc")
"""Kinds that multiply by a kernel; the others have no FLOPs and no weights."""

_CHANNEL_BY_CHANNEL = ("pool", "elementwise", "add", "mul", "upsample")
_SEVERAL_INPUTS = ("add", "mul", "concat")
KINDS = (*WITH_KERNEL, *_CHANNEL_BY_CHANNEL, "concat", "slice", "space_to_depth")
_WINDOWED = (*WITH_KERNEL, "pool", "upsample", "space_to_depth")
_FUNCTIONS = {"pool": _POOLS, "upsample": ("nearest", "linear")}


@dataclass(frozen=True)
class Operator:
    """One operator with the epilogue that runs behind it on the same device.

    Kinds: ``conv`` and ``fc`` have a kernel. A fully connected operator is a convolution whose kernel is its whole input map: it has one
    output row, and after a flatten its input channels are still the channels of the feature map, so that an IC split of it can match an
    OC split before it. ``pool`` stands alone, ``elementwise`` is nothing but its epilogue; ``add`` and ``mul`` join tensors of one shape, or a
    map and a gate of one element a channel; ``concat`` joins channels; ``slice`` takes some of them; ``upsample`` repeats or interpolates;
    ``space_to_depth`` turns blocks of pixels into channels.

    Attributes:
        in_shape: the input; the first of several.
        groups: of a conv.
        bias: whether a conv or fc has one.
        function: what a ``pool`` (max, average, average_inside) or an ``upsample`` (nearest, linear) computes.
        more_inputs: the further inputs of an ``add``, ``mul`` or ``concat``.
        first_channel: where a ``slice`` begins.

    Raises:
        GraphError: if a figure is out of range or a window does not fit.
    """

    name: str
    kind: str
    in_shape: Shape
    out_channels: int
    rows: Window = field(default_factory=Window)
    columns: Window = field(default_factory=Window)
    groups: int = 1
    bias: bool = True
    epilogue: tuple[EpilogueStep, ...] = ()
    function: str = ""
    more_inputs: tuple[Shape, ...] = ()
    first_channel: int = 0

    def __post_init__(self) -> None:
        named = isinstance(self.name, str) and self.name not in ("", INPUT)
        self._require(named, f"the name {short_repr(self.name)} is no text, empty or reserved")
        self._require(self.kind in KINDS, f"kind is {short_repr(self.kind)}; allowed are {', '.join(KINDS)}")
        sizes = [size for shape in self.in_shapes for size in shape]
        positive = all(is_integer(size) and size > 0 for size in (*sizes, self.out_channels, self.groups))
        self._require(positive, f"input {self.in_shape}, {self.out_channels} output channels and {self.groups} groups must be positive integers")
        self._require(self.groups == 1 or self.kind == "conv", f"a {self.kind} has no groups")
        divides = self.in_shape.channels % self.groups == 0 and self.out_channels % self.groups == 0
        self._require(
            divides, f"{self.groups} groups divide neither or only one of {self.in_shape.channels} input and {self.out_channels} output channels"
        )
        self._check_inputs()
        self._check_channels()
        self._check_function()
        self._check_epilogue()
        for what, shape in (("its window", self.pre_pool_shape), ("its pool", self.out_shape)):
            self._require(min(shape) > 0, f"input {self.in_shape} is too small for {what}: the result would be {shape}")

    def _require(self, holds: bool, message: str) -> None:
        if not holds:
            raise GraphError(f"operator {self.name!r}: {message}")

    def _check_inputs(self) -> None:
        several = self.kind in _SEVERAL_INPUTS
        self._require(several or not self.more_inputs, f"a {self.kind} has one input, found {len(self.in_shapes)}")
        self._require(bool(self.more_inputs) or not several, f"a {self.kind} has several inputs, found one")
        for slot, shape in enumerate(self.in_shapes):
            if self.kind == "concat":
                self._require(shape[1:] == self.in_shape[1:], f"a concat joins maps of one height and width; found {self.in_shape} and {shape}")
            else:
                fits = shape == self.in_shape or self.is_gate(slot)
                gate = Shape(self.in_shape.channels, 1, 1)
                self._require(fits, f"a {self.kind} of {self.in_shape} and {shape}; the second must be {self.in_shape} or {gate}")

    def _check_channels(self) -> None:
        C, expected = self.in_shape.channels, self.out_channels
        if self.kind in _CHANNEL_BY_CHANNEL:
            expected = C
        elif self.kind == "concat":
            expected = sum(shape.channels for shape in self.in_shapes)
        elif self.kind == "space_to_depth":
            expected = C * self.rows.kernel * self.columns.kernel
        self._require(self.out_channels == expected, f"a {self.kind} of this input has {expected} output channels, not {self.out_channels}")
        starts = is_integer(self.first_channel) and (self.first_channel == 0 or self.kind == "slice")
        inside = starts and self.first_channel >= 0 and (self.kind != "slice" or self.first_channel + self.out_channels <= C)
        self._require(inside, f"{self.out_channels} channels from {short_repr(self.first_channel)} on lie outside the {C} of the input")

    def _check_function(self) -> None:
        allowed = _FUNCTIONS.get(self.kind, ("",))
        self._require(
            self.function in allowed, f"function of a {self.kind} is {short_repr(self.function)}; allowed are {', '.join(map(repr, allowed))}"
        )
        windows = (self.rows, self.columns)
        self._require(self.kind in _WINDOWED or windows == (Window(), Window()), f"a {self.kind} has no window")
        if self.kind == "upsample":
            kernel = 3 if self.function == "linear" else 1
            plain = all(window == Window(kernel, 1, kernel // 2, kernel // 2, 1, window.upsampling) for window in windows)
            self._require(plain, f"an upsampling by {self.function} has windows of kernel {kernel}, padding {kernel // 2} and stride 1")
        else:
            self._require(all(window.upsampling == 1 for window in windows), f"a {self.kind} does not upsample")
        blocks = self.kind != "space_to_depth" or all(window == Window(window.kernel, window.kernel) for window in windows)
        self._require(blocks, "space_to_depth takes blocks: its stride is its kernel")
        sizes = zip(self.in_shape[1:], windows, strict=True)
        divides = self.kind != "space_to_depth" or all(size % window.kernel == 0 for size, window in sizes)
        self._require(divides, f"blocks of {self.rows.kernel}x{self.columns.kernel} do not divide the input {self.in_shape}")

    def _check_epilogue(self) -> None:
        pools = sum(isinstance(step, Pool) for step in self.epilogue)
        self._require(pools <= 1, "an epilogue holds one pool at most")
        self._require(pools == 0 or self.kind != "upsample", "behind an upsampling a pool is an operator of its own")
        mixing = [step for step in self.epilogue[:-1] if isinstance(step, Mixing)]
        self._require(not mixing, f"{mixing[0].function if mixing else ''} mixes channels and must end its epilogue")
        for step in self.epilogue:
            if isinstance(step, Mixing) and step.function == "shuffle":
                groups = step.parameters[0]
                whole = groups >= 1 and float(groups).is_integer() and self.out_channels % groups == 0
                self._require(whole, f"{self.out_channels} channels cannot be shuffled in {groups:g} groups")

    @cached_property
    def structural_key(self) -> Operator:
        """The same operator under a name that says nothing: equal for all that differ in their names alone."""
        return replace(self, name="operator")

    @cached_property
    def unit(self) -> Unit:
        """The operator as the cost model knows it."""
        return operator_unit(self)

    # Shapes.

    @cached_property
    def pool(self) -> Pool:
        """The pool of the epilogue, or one of kernel and stride 1 where there is none."""
        return next((step for step in self.epilogue if isinstance(step, Pool)), _NO_POOL)

    @cached_property
    def pre_pool_shape(self) -> Shape:
        """(OC, H_c, W_c): the output before the pool."""
        height, width = self.in_shape.height, self.in_shape.width
        return Shape(self.out_channels, self.rows.output_size(height), self.columns.output_size(width))

    @cached_property
    def out_shape(self) -> Shape:
        """(OC, H_o, W_o): the output after the pool."""
        conv = self.pre_pool_shape
        return Shape(self.out_channels, self.pool.rows.output_size(conv.height), self.pool.columns.output_size(conv.width))

    # Inputs.

    @property
    def in_shapes(self) -> tuple[Shape, ...]:
        """The shapes of all inputs, in the order of the operator's edges."""
        return (self.in_shape, *self.more_inputs)

    def is_gate(self, slot: int) -> bool:
        """Whether input ``slot`` of an add or mul holds one element a channel for a larger map: every row needs all of it."""
        gate = Shape(self.in_shape.channels, 1, 1)
        return self.kind in ("add", "mul") and slot > 0 and self.in_shapes[slot] == gate != self.in_shape

    def read_shape(self, slot: int = 0) -> Shape:
        """What the operator reads of input ``slot``: all of it, but for a slice, which reads its own channels."""
        shape = self.in_shapes[slot]
        return shape._replace(channels=self.out_channels) if self.kind == "slice" else shape

    @cached_property
    def in_elements(self) -> int:
        """What the operator reads of all inputs, elements."""
        return sum(self.read_shape(slot).elements for slot in range(len(self.in_shapes)))

    @cached_property
    def gate_elements(self) -> int:
        """The elements of those inputs that every row needs whole."""
        return sum(shape.elements for slot, shape in enumerate(self.in_shapes) if self.is_gate(slot))

    @cached_property
    def in_row_elements(self) -> int:
        """One row of every input but the gates, elements."""
        return (self.in_elements - self.gate_elements) // self.in_shape.height

    # The composite receptive field of convolution and pool, in rows.

    @cached_property
    def K(self) -> int | Fraction:
        """Rows of input under one output row: k + (k_p - 1) s; a part of a row less where rows are upsampled."""
        if self.rows.upsampling > 1:
            return self.rows.extent - 1 + Fraction(1, self.rows.upsampling)
        return self.rows.extent + (self.pool.rows.extent - 1) * self.rows.stride

    @cached_property
    def S(self) -> int | Fraction:
        """Input rows between two output rows: s s_p, or 1/u where rows are upsampled by u."""
        return Fraction(1, self.rows.upsampling) if self.rows.upsampling > 1 else self.rows.stride * self.pool.rows.stride

    @cached_property
    def P(self) -> int:
        """Padding rows above: p + p_p s."""
        return self.rows.before + self.pool.rows.before * self.rows.stride

    # Work and parameters.

    @property
    def has_kernel(self) -> bool:
        return self.kind in WITH_KERNEL

    @cached_property
    def kernel_elements(self) -> int:
        per_output = (self.in_shape.channels // self.groups) * self.rows.kernel * self.columns.kernel
        return self.out_channels * per_output if self.has_kernel else 0

    @cached_property
    def bias_elements(self) -> int:
        return self.out_channels if self.bias and self.has_kernel else 0

    @cached_property
    def parameters(self) -> int:
        """Kernel and bias, and the parameters of the epilogue."""
        return self.kernel_elements + self.bias_elements + self.out_channels * sum(step.arrays for step in self.epilogue)

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of the kernel; bias and epilogue are not counted."""
        return self.kernel_elements * self.pre_pool_shape.height * self.pre_pool_shape.width

    @property
    def flops(self) -> int:
        """F_i = 2 x MACs."""
        return 2 * self.macs

    # Splitting.

    def size(self, dim: Dim) -> int:
        """The extent that the shares of ``dim`` sum to (equations 3 to 5): H_o, OC or C_in."""
        return {"H": self.out_shape.height, "OC": self.out_channels, "IC": self.in_shape.channels}[dim]

    @cached_property
    def splittable_dims(self) -> tuple[Dim, ...]:
        """The dimensions in which the operator may be split over several devices: rows need at least two of them, IC one ungrouped kernel."""
        rows: tuple[Dim, ...] = ("H",) if self.out_shape.height >= 2 else ()
        return (*rows, "OC", "IC") if self.has_kernel and self.groups == 1 else (*rows, "OC")

    @property
    def is_channel_local(self) -> bool:
        """Whether the output channels fall into groups that read some of the input channels each."""
        return self.groups > 1 or self.kind in _CHANNEL_BY_CHANNEL

    @property
    def mixes_channels(self) -> bool:
        """Whether the epilogue ends with a step that mixes channels: what follows sees the whole tensor or rows of it."""
        return bool(self.epilogue) and isinstance(self.epilogue[-1], Mixing)

    @cached_property
    def channel_unit(self) -> int:
        """What an OC share is a multiple of: the output channels of one group, OC / g, of a grouped convolution."""
        return self.out_channels // self.groups if self.groups > 1 else 1

    def granularity(self, dim: Dim) -> int:
        """What every share of ``dim`` is a multiple of: whole groups of channels, all rows that come of one row upsampled."""
        return {"H": self.rows.upsampling, "OC": self.channel_unit, "IC": 1}[dim]

    def reads_part(self, dim: Dim | None) -> bool:
        """Whether a share of ``dim`` needs but some of the input channels: one of IC does, and one of OC if the operator is channel-local."""
        return dim == "IC" or (dim == "OC" and self.is_channel_local)

    def input_channels(self, dim: Dim | None, share: int, slot: int = 0) -> int:
        """How many channels of input ``slot`` a share of ``dim``, or the whole operator (None), needs."""
        channels = self.read_shape(slot).channels
        return share * channels // self.size(dim) if dim and self.reads_part(dim) else channels
