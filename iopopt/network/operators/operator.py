"""The base class of all operators.

The symbols of the cost model (``iopopt/cost_model.md``) are properties: ``K``, ``S`` and ``P`` of the composite field, ``H_c`` before and
``H_o`` after the pool, MACs and weights.
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import ClassVar

import numpy as np

from iopopt.errors import GraphError
from iopopt.network.epilogue import NO_POOL, EpilogueStep, Mixing, Pool, epilogue_fault
from iopopt.network.operators.figures import unfit_figures
from iopopt.network.records import is_integer, short_repr
from iopopt.network.shapes import NO_WINDOW, Dim, Shape, Window
from iopopt.network.terms import Term, Terms, fixed, proportional
from iopopt.network.typical_values import Values
from iopopt.network.unit import Field, PoolRows, Read, Unit

INPUT = "input"
"""The reserved name under which edges refer to the graph's input tensor."""


@dataclass(frozen=True)
class Operator(ABC):
    """One operation of a network, with the epilogue that runs after it on the same device.

    A kind of operator is a subclass with a ``kind``, in a separate file of this package, which registers it. Its fields are the keys of its
    record. Unless a subclass overrides them, these defaults hold: the operator reads ``in_shape`` (the first of several inputs), keeps the
    number of channels, and has no window, kernel, groups or parameters except those of its epilogue.

    Raises:
        GraphError: if a figure is out of range or a window does not fit.
    """

    kind: ClassVar[str]
    former_kinds: ClassVar[tuple[str, ...]] = ()
    """Names of the kind in older records."""
    channel_by_channel: ClassVar[bool] = False
    """Whether each output channel depends only on the input channels with the same index."""

    name: str
    in_shape: Shape
    epilogue: tuple[EpilogueStep, ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        named = isinstance(self.name, str) and self.name not in ("", INPUT)
        self._require(named, f"the name {short_repr(self.name)} is not a string, is empty or is reserved")
        unfit = next(unfit_figures(self), None)
        self._require(unfit is None, str(unfit))
        for shape in self.in_shapes:
            self._require(all(is_integer(size) and size > 0 for size in shape), f"the sizes of input {shape} must be positive integers")
        self._check()
        fault = epilogue_fault(self.epilogue, self.out_channels)
        self._require(fault is None, str(fault))
        for what, shape in (("its window", self.pre_pool_shape), ("its pool", self.out_shape)):
            self._require(min(shape) > 0, f"input {self.in_shape} is too small for {what}: the result would be {shape}")

    def _check(self) -> None:
        """Checks of the kind, after types and input sizes have been checked; by default, windows must not upsample."""
        self._require(self.rows.upsampling == self.columns.upsampling == 1, f"this {self.kind} does not upsample")

    def _require(self, holds: bool, message: str) -> None:
        if not holds:
            raise GraphError(f"operator {self.name!r}: {message}")

    @cached_property
    def structural_key(self) -> Operator:
        """The operator without its name: equal for operators that differ only in name."""
        return dataclasses.replace(self, name="operator")

    @property
    def text(self) -> str:
        """The kind with its distinguishing figures: ``conv 3x3/2``, ``pool average 7x7/7``, ``slice from 58``."""
        return self.kind

    @abstractmethod
    def typical(self, inputs: Sequence[Values], rng: np.random.Generator) -> Values:
        """A sample of the output before the epilogue, from samples of the inputs; kernels give elements of variance 1."""

    # Figures that some kinds have as fields (a field overrides a cached_property, but not a property).

    @cached_property
    def out_channels(self) -> int:
        return self.in_shape.channels

    @cached_property
    def rows(self) -> Window:
        return NO_WINDOW

    @cached_property
    def columns(self) -> Window:
        return NO_WINDOW

    @cached_property
    def groups(self) -> int:
        return 1

    @cached_property
    def bias(self) -> bool:
        return False

    @cached_property
    def more_inputs(self) -> tuple[Shape, ...]:
        """The inputs after the first."""
        return ()

    # Shapes.

    @cached_property
    def pool(self) -> Pool:
        """The pool of the epilogue, or one of kernel and stride 1 if there is none."""
        return next((step for step in self.epilogue if isinstance(step, Pool)), NO_POOL)

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
        """Whether input ``slot`` is a gate: one element for each channel of a larger map, all needed by every row."""
        return False

    def read_channels(self, slot: int = 0) -> range:
        """The channels of input ``slot`` that the operator reads."""
        return range(self.in_shapes[slot].channels)

    def read_shape(self, slot: int = 0) -> Shape:
        """The shape of what the operator reads of input ``slot``."""
        return self.in_shapes[slot]._replace(channels=len(self.read_channels(slot)))

    @cached_property
    def in_elements(self) -> int:
        """The number of elements that the operator reads of all inputs."""
        return sum(self.read_shape(slot).elements for slot in range(len(self.in_shapes)))

    @cached_property
    def gate_elements(self) -> int:
        """The number of elements of the gates, which every row needs whole."""
        return sum(shape.elements for slot, shape in enumerate(self.in_shapes) if self.is_gate(slot))

    @cached_property
    def in_row_elements(self) -> int:
        """The number of elements of one row of every input except gates."""
        return (self.in_elements - self.gate_elements) // self.in_shape.height

    # The composite receptive field of convolution and pool, in rows.

    @cached_property
    def K(self) -> int | Fraction:
        """Rows of input under one output row: k + (k_p - 1) s."""
        return self.rows.extent + (self.pool.rows.extent - 1) * self.rows.stride

    @cached_property
    def S(self) -> int | Fraction:
        """Input rows between two output rows: s s_p."""
        return self.rows.stride * self.pool.rows.stride

    @cached_property
    def P(self) -> int:
        """Padding rows above: p + p_p s."""
        return self.rows.before + self.pool.rows.before * self.rows.stride

    # Work and parameters.

    @cached_property
    def kernel_shape(self) -> tuple[int, ...] | None:
        """The axes of the kernel, output channels first; None without a kernel."""
        return None

    @property
    def has_kernel(self) -> bool:
        """Whether the operator multiplies by a kernel; without one it has no FLOPs and no weights."""
        return self.kernel_shape is not None

    @cached_property
    def kernel_elements(self) -> int:
        return 0 if self.kernel_shape is None else math.prod(self.kernel_shape)

    @cached_property
    def bias_elements(self) -> int:
        return self.out_channels if self.bias else 0

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

    @cached_property
    def fusible(self) -> bool:
        """Whether a fused block may have it as a member: its rows need some rows of its input, and not a gate or a whole map."""
        pool = self.pool.rows
        is_global = self.pool is not NO_POOL and pool.extent >= self.pre_pool_shape.height
        return not is_global and not any(map(self.is_gate, range(len(self.in_shapes))))

    def size(self, dim: Dim) -> int:
        """The extent that the shares of ``dim`` sum to (equations 3 to 5): H_o, OC or C_in."""
        return {"H": self.out_shape.height, "OC": self.out_channels, "IC": self.in_shape.channels}[dim]

    @cached_property
    def splittable_dims(self) -> tuple[Dim, ...]:
        """The dimensions in which the operator may be split over several devices: H needs at least two rows, IC an ungrouped kernel."""
        rows: tuple[Dim, ...] = ("H",) if self.out_shape.height >= 2 else ()
        return (*rows, "OC", "IC") if self.has_kernel and self.groups == 1 else (*rows, "OC")

    def refusal(self, dim: Dim) -> str | None:
        """Why the operator cannot be split by ``dim``; None if it can."""
        if dim in self.splittable_dims:
            return None
        groups = f"{self.groups} groups" if self.has_kernel else "no kernel"
        found = f"{self.size(dim)} rows" if dim == "H" else groups
        return f"cannot be split by {dim}, it has {found}; allowed are {', '.join(self.splittable_dims)}"

    @property
    def is_channel_local(self) -> bool:
        """Whether the output channels form groups, each of which reads only some input channels."""
        return self.groups > 1 or self.channel_by_channel

    @property
    def mixes_channels(self) -> bool:
        """Whether the epilogue ends with a mixing step, so that consumers need all channels of the tensor or of rows of it."""
        return bool(self.epilogue) and isinstance(self.epilogue[-1], Mixing)

    @cached_property
    def channel_unit(self) -> int:
        """The granularity of an OC share: the output channels of one group, OC / g, of a grouped convolution."""
        return self.out_channels // self.groups if self.groups > 1 else 1

    def granularity(self, dim: Dim) -> int:
        """What every share of ``dim`` is a multiple of: the channels of one group, the rows of one upsampled row."""
        return {"H": self.rows.upsampling, "OC": self.channel_unit, "IC": 1}[dim]

    def reads_part(self, dim: Dim | None) -> bool:
        """Whether a share of ``dim`` needs only some of the input channels: an IC share does, and an OC share of a channel-local operator."""
        return dim == "IC" or (dim == "OC" and self.is_channel_local)

    def input_channels(self, dim: Dim | None, share: int, slot: int = 0) -> int:
        """How many channels of input ``slot`` a share of ``dim``, or the whole operator (None), needs."""
        channels = self.read_shape(slot).channels
        return share * channels // self.size(dim) if dim and self.reads_part(dim) else channels

    # For the cost model.

    @cached_property
    def unit(self) -> Unit:
        """The operator as the cost model knows it: equations (7) and (1) of ``cost_model.md``, by dimension."""
        pool = self.pool.rows
        granularities: dict[Dim, int] = {dim: self.granularity(dim) for dim in ("H", "OC", "IC")}
        slots = range(len(self.in_shapes))
        overlap = int(self.K - self.S)
        weights, activations = self._weights, self._activations
        end = int((self.out_shape.height - 1) * self.S - self.P + self.K)
        return Unit(
            name=self.name,
            key=self.structural_key,
            reads=tuple(Read(self.in_shapes[slot], self.read_shape(slot), not self.is_gate(slot)) for slot in slots),
            out_shape=self.out_shape,
            pre_pool_shape=self.pre_pool_shape,
            field=Field(int(self.S * granularities["H"]), overlap, self.P, min(self.in_shape.height, end)),
            pool=PoolRows(pool.extent, pool.stride, pool.before),
            sizes={dim: self.size(dim) for dim in granularities},
            dims=self.splittable_dims,
            granularities=granularities,
            part_dims=frozenset(dim for dim in granularities if self.reads_part(dim)),
            mixes_channels=self.mixes_channels,
            flops=self.flops,
            work=self._work,
            touched={dim: (*weights[dim], *activations[dim][0]) for dim in weights},
            weights=weights,
            activations=activations,
            output=self._output,
        )

    @property
    def _work(self) -> dict[Dim | None, Terms]:
        """C_ij of equation (7); rows under overlapping pool windows are computed twice."""
        F, pool = self.flops, self.pool.rows
        return {
            None: (fixed(F),),
            "H": (Term(F / self.pre_pool_shape.height, pool.stride, pool.extent - pool.stride),),
            "OC": (proportional(F, self.out_channels),),
            "IC": (proportional(F, self.in_shape.channels),),
        }

    @property
    def _weights(self) -> dict[Dim | None, Terms]:
        """w_ij of equation (1)."""
        W, B = self.kernel_elements, self.bias_elements
        return {
            None: (fixed(W + B),),
            "H": (fixed(W + B),),
            "OC": (proportional(W + B, self.out_channels),),
            "IC": (proportional(W, self.in_shape.channels), fixed(B)),
        }

    @property
    def _activations(self) -> dict[Dim | None, tuple[Terms, ...]]:
        """a_ij of equation (1): the input and the pre-pool output."""
        C, OC, pool = self.in_shape.channels, self.out_channels, self.pool.rows
        whole_in, pre = self.in_elements, self.pre_pool_shape.elements
        S, overlap = float(self.S), float(self.K - self.S)
        input_rows = Term(self.in_row_elements, S, overlap)
        pre_pool_rows = Term(OC * self.pre_pool_shape.width, pool.stride, pool.extent - pool.stride)
        inputs = proportional(whole_in, OC) if self.is_channel_local else fixed(whole_in)
        return {
            None: ((fixed(whole_in), fixed(pre)),),
            "H": ((input_rows, pre_pool_rows, fixed(self.gate_elements)),),
            "OC": ((inputs, proportional(pre, OC)),),
            "IC": ((proportional(whole_in, C), fixed(pre)),),
        }

    @property
    def _output(self) -> dict[Dim | None, Terms]:
        """What a participant owns of the output."""
        post = self.out_shape.elements
        by_channels = (proportional(post, self.out_channels),)
        return {None: (fixed(post),), "H": (proportional(post, self.out_shape.height),), "OC": by_channels, "IC": by_channels}
