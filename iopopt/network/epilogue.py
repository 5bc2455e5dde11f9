"""The epilogue of an operator: the steps that run after it on the same device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from iopopt.errors import GraphError
from iopopt.network.records import short_repr
from iopopt.network.shapes import NO_WINDOW, Window, window_text

PoolFunction = Literal["max", "average", "average_inside"]
"""An average counts padding as zeros (``average``), or only elements inside the map (``average_inside``)."""

_PARAMETERS = {
    **dict.fromkeys(("relu", "tanh", "sigmoid", "prelu", "silu", "hard_swish", "softmax"), 0),
    **dict.fromkeys(("leaky_relu", "multiply", "add", "shuffle"), 1),
    **dict.fromkeys(("clip", "hard_sigmoid"), 2),
    "lrn": 4,
}
"""The number of parameters of each function that the executor knows; other functions can still be priced."""


def _check_parameters(function: str, parameters: tuple[float, ...]) -> None:
    count = _PARAMETERS.get(function, len(parameters))
    if len(parameters) != count:
        raise GraphError(f"{function}: found {len(parameters)} parameters {short_repr(parameters)}; it has {count}")


def _call_text(function: str, parameters: tuple[float, ...]) -> str:
    return function + (f"({', '.join(f'{value:.4g}' for value in parameters)})" if parameters else "")


@dataclass(frozen=True)
class Activation:
    """An elementwise function, with its parameters.

    The executor knows ``relu``, ``tanh``, ``sigmoid``, ``silu``, ``hard_swish``, ``prelu`` (a slope for each channel among the weights),
    ``leaky_relu`` (slope), ``clip`` (least, most; ReLU6 is ``clip`` 0, 6), ``hard_sigmoid`` (alpha, beta), ``multiply`` and ``add`` (a number).

    Raises:
        GraphError: if one of these has the wrong number of parameters.
    """

    function: str = "relu"
    parameters: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        _check_parameters(self.function, self.parameters)

    @property
    def arrays(self) -> int:
        """How many parameters each channel has."""
        return int(self.function == "prelu")

    @property
    def text(self) -> str:
        """The step in words: ``relu``, ``clip(0, 6)``."""
        return _call_text(self.function, self.parameters)


@dataclass(frozen=True)
class Normalisation:
    """Constants per channel: ``batch`` normalisation as one scale and one shift, or a ``scale`` or a ``shift`` alone."""

    function: str = "batch"

    @property
    def arrays(self) -> int:
        """How many parameters each channel has."""
        return 2 if self.function == "batch" else 1

    @property
    def text(self) -> str:
        """The step in words: ``batch norm``, ``shift``."""
        return "batch norm" if self.function == "batch" else self.function


@dataclass(frozen=True)
class Pool:
    """Max or average pooling on the same device as its operator.

    Raises:
        GraphError: if the function is unknown or a window upsamples.
    """

    function: PoolFunction = "max"
    rows: Window = field(default_factory=lambda: Window(2, 2))
    columns: Window = field(default_factory=lambda: Window(2, 2))

    def __post_init__(self) -> None:
        if self.rows.upsampling * self.columns.upsampling > 1:
            raise GraphError("pool: a pool does not upsample")
        allowed = get_args(PoolFunction)
        if self.function not in allowed:
            raise GraphError(f"pool: function is {short_repr(self.function)}; allowed are {', '.join(map(repr, allowed))}")

    @property
    def arrays(self) -> int:
        """How many parameters each channel has."""
        return 0

    @property
    def text(self) -> str:
        """The step in words: ``max 3x3/2``; both averages are ``average``."""
        return pool_text(self.function, self.rows, self.columns)


@dataclass(frozen=True)
class Mixing:
    """A function of all channels at a position; it ends an epilogue, because the device that runs it must hold all channels.

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

    @property
    def text(self) -> str:
        """The step in words: ``lrn``, ``shuffle(2)``."""
        return _call_text(self.function, self.parameters if self.function == "shuffle" else ())


EpilogueStep = Activation | Normalisation | Pool | Mixing
NO_POOL = Pool("max", NO_WINDOW, NO_WINDOW)


def pool_text(function: str, rows: Window, columns: Window) -> str:
    """A pool in words: ``max 3x3/2``."""
    return f"{'max' if function == 'max' else 'average'} {window_text(rows, columns)}"


def epilogue_fault(epilogue: Sequence[EpilogueStep], channels: int) -> str | None:
    """Why these steps cannot be the epilogue of an operator with that many output channels; None if they can."""
    if sum(isinstance(step, Pool) for step in epilogue) > 1:
        return "an epilogue has at most one pool"
    mixing = [step for step in epilogue if isinstance(step, Mixing)]
    if mixing and mixing[0] is not epilogue[-1]:
        return f"{mixing[0].function} mixes channels and must end its epilogue"
    if mixing and mixing[0].function == "shuffle":
        groups = mixing[0].parameters[0]
        if groups < 1 or not float(groups).is_integer() or channels % groups:
            return f"{channels} channels cannot be shuffled in {groups:g} groups"
    return None
