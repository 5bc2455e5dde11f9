"""The memory breakpoint: before it devices split the maps and hold all weights, from it on they split the weights and hold whole maps.

With b_l in {0, 1}, which never falls from layer to layer, over N devices:

    min  max_l [b_l (M_l + K_l) + (1 - b_l) (M_l + K_l) / N] + sum_l [b_l W_l / N + (1 - b_l) W_l]

The objective is the elements that each device holds: its part of the largest pair of maps, and its weights.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction

from iopopt.cost.stopwatch import NO_LIMIT, Stopwatch
from iopopt.methods.weight_splits.layers import Layer
from iopopt.methods.weight_splits.optimum import optimum
from iopopt.milp.affine import constant, times
from iopopt.milp.program import ProgramBuilder


def held_elements(layers: Sequence[Layer], first: int, devices: int) -> Fraction:
    """The objective where the weights are split from layer number ``first`` on; ``len(layers)`` if none are."""
    maps = [Fraction(layer.inputs + layer.outputs, 1 if number >= first else devices) for number, layer in enumerate(layers)]
    weights = [Fraction(layer.weights, devices if number >= first else 1) for number, layer in enumerate(layers)]
    return max(maps, default=Fraction(0)) + sum(weights)


def memory_breakpoint(layers: Sequence[Layer], devices: int, *, backend: str = "highs", watch: Stopwatch = NO_LIMIT) -> int:
    """The number of the first layer whose weights are split, at the optimum; ``len(layers)`` if none are.

    Raises:
        SolverError: if the back end fails.
        TimeUpError: if the time is up.
    """
    if not layers:
        return 0
    unit = max(layer.inputs + layer.outputs for layer in layers) + sum(layer.weights for layer in layers)
    builder = ProgramBuilder(watch)
    largest = builder.variable(("largest maps",), cost=1)
    split = [builder.variable(("b", layer.name), upper=1, integer=True, cost=-layer.weights * (1 - 1 / devices) / unit) for layer in layers]
    for layer, b in zip(layers, split, strict=True):
        maps = (layer.inputs + layer.outputs) / unit
        builder.at_least(("maps", layer.name), times(1, largest), times(maps * (1 - 1 / devices), b) + constant(maps / devices))
    for before, after in itertools.pairwise(split):
        builder.at_least(("non-decreasing", after), times(1, after), times(1, before))
    found = optimum(builder, backend, watch)
    return sum(found[b] < 0.5 for b in split)
