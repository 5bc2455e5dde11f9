"""How each layer after the breakpoint is split, so that N devices exchange the fewest elements.

Each layer is one of LOP (by output channels, o_l), LIP (by input channels, i_l), FUSE1 (f_l) and FUSE2 (s_l): a pair of which the first is split by
output and the second by input channels, with nothing exchanged between them, so that s_l = f_{l-1}. The gateway, one of the devices, hands out what
a layer reads and collects what it gives, unless the output of a LOP is read at once by a LOP or a FUSE1: r_l = o_l (o_{l+1} + f_{l+1}). Then every
device sends its part to every other.

    min  sum_l  o_l [M_l (N-1) + K_l (N-1)/N] - o_l r_{l-1} M_l (N-1) + r_l [K_l (N-1) - K_l (N-1)/N]
              + i_l [M_l (N-1)/N + K_l (N-1)] + f_l M_l (N-1) - f_l r_{l-1} M_l (N-1) + s_l K_l (N-1)

Layers l and l + 1 are those of which one reads the other's output as it is (:attr:`Layer.after`); with a pool between them they are not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from fractions import Fraction

from iopopt.cost.stopwatch import NO_LIMIT, Stopwatch
from iopopt.methods.weight_splits.layers import Layer
from iopopt.methods.weight_splits.optimum import optimum
from iopopt.milp.affine import Affine, constant, times
from iopopt.milp.program import ProgramBuilder


class WeightSplit(StrEnum):
    """How the weights of a layer are split, by the names of the paper."""

    LOP = "LOP"
    LIP = "LIP"
    FUSE1 = "FUSE1"
    FUSE2 = "FUSE2"


LOP, LIP, FUSE1, FUSE2 = WeightSplit


def exchanged_elements(layers: Sequence[Layer], splits: Mapping[str, WeightSplit], devices: int) -> Fraction:
    """The objective at given splits, by name of the layer.

    Raises:
        ValueError: if a FUSE2 does not follow a FUSE1, or a FUSE1 has no FUSE2.
    """
    others = devices - 1
    followers = {layer.after: layer for layer in layers if layer.after is not None}
    names = {layer.name for layer in layers}
    count = Fraction(0)
    for layer in layers:
        split = splits[layer.name]
        before = splits[layer.after] if layer.after in names else None
        after = splits[followers[layer.name].name] if layer.name in followers else None
        if (split is FUSE2) != (before is FUSE1) or (split is FUSE1) != (after is FUSE2):
            raise ValueError(f"{layer.name} is {split} after {before} and before {after}; a FUSE2 follows a FUSE1, and nothing else does")
        if split is LIP:
            count += layer.inputs * Fraction(others, devices) + layer.outputs * others
        elif split is FUSE2:
            count += layer.outputs * others
        elif before is not LOP:
            count += layer.inputs * others
        if split is LOP:
            count += layer.outputs * (others if after in (LOP, FUSE1) else Fraction(others, devices))
    return count


def least_communication(layers: Sequence[Layer], devices: int, *, backend: str = "highs", watch: Stopwatch = NO_LIMIT) -> dict[str, WeightSplit]:
    """The splits that exchange the fewest elements, by name of the layer.

    Raises:
        SolverError: if the back end fails.
        TimeUpError: if the time is up.
    """
    if not layers:
        return {}
    builder = ProgramBuilder(watch)
    unit, others = max(devices * (layer.inputs + layer.outputs) for layer in layers), devices - 1
    is_split: dict[str, dict[WeightSplit, int]] = {}
    for layer in layers:
        M, K = layer.inputs * others / unit, layer.outputs * others / unit
        costs = {LOP: M + K / devices, LIP: M / devices + K, FUSE1: M, FUSE2: K}
        is_split[layer.name] = {split: builder.variable((split, layer.name), upper=1, integer=True, cost=cost) for split, cost in costs.items()}
        builder.equal(("one of", layer.name), times(1, *is_split[layer.name].values()), constant(1))
    followers = {layer.after: layer for layer in layers if layer.after in is_split}
    for layer in layers:
        own, follower = is_split[layer.name], followers.get(layer.name)
        if layer.after not in is_split:
            builder.equal(("no FUSE1 before", layer.name), times(1, own[FUSE2]), constant(0))
        if follower is None:
            builder.equal(("no FUSE2 after", layer.name), times(1, own[FUSE1]), constant(0))
            continue
        following = is_split[follower.name]
        builder.equal(("pair", layer.name), times(1, following[FUSE2]), times(1, own[FUSE1]))
        # r_l is 1 only if the follower is a LOP or a FUSE1, so r_l stands for both products of the follower with it.
        saved = follower.inputs * others - layer.outputs * (others - others / devices)
        handed_on = builder.variable(("r", layer.name), upper=1, cost=-saved / unit)
        _product(builder, layer.name, handed_on, times(1, own[LOP]), times(1, following[LOP], following[FUSE1]))
    found = optimum(builder, backend, watch)
    return {name: next(split for split, variable in own.items() if found[variable] > 0.5) for name, own in is_split.items()}


def _product(builder: ProgramBuilder, name: str, product: int, one: Affine, other: Affine) -> None:
    """The product of two expressions that are 0 or 1."""
    builder.at_most(("r at most", name, 1), times(1, product), one)
    builder.at_most(("r at most", name, 2), times(1, product), other)
    builder.at_least(("r at least", name), times(1, product), one + other - constant(1))
