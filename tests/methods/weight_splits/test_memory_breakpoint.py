"""The program of the memory breakpoint against enumeration, and by hand."""

from __future__ import annotations

import random

import pytest
from support.deeperthings import random_layers

from iopopt.cost.stopwatch import Stopwatch, TimeUpError
from iopopt.methods.weight_splits.layers import Layer
from iopopt.methods.weight_splits.memory_breakpoint import held_elements, memory_breakpoint

BY_HAND = [Layer("a", 40, 80, 4), Layer("b", 20, 20, 60), Layer("c", 20, 10, 80)]


def test_what_is_held_by_hand() -> None:
    """Two devices: halves of the maps and whole weights before the breakpoint, the other way round after it."""
    assert [held_elements(BY_HAND, first, 2) for first in range(4)] == [
        120 + 2 + 30 + 40,
        60 + 4 + 30 + 40,
        60 + 4 + 60 + 40,
        60 + 4 + 60 + 80,
    ]
    assert memory_breakpoint(BY_HAND, 2) == 1
    assert memory_breakpoint([], 2) == 0


@pytest.mark.parametrize("seed", range(8))
def test_the_program_finds_the_best_breakpoint(seed: int) -> None:
    """Of all of them, counted layer by layer; where several are best, one of these."""
    rng = random.Random(seed)
    layers, devices = random_layers(rng, rng.randint(1, 9)), rng.randint(2, 7)
    held = []
    for first in range(len(layers) + 1):
        rows, weights = layers[:first], layers[first:]
        maps = [(layer.inputs + layer.outputs) / devices for layer in rows] + [layer.inputs + layer.outputs for layer in weights]
        held.append(max(maps) + sum(layer.weights for layer in rows) + sum(layer.weights for layer in weights) / devices)
    assert [float(held_elements(layers, first, devices)) for first in range(len(layers) + 1)] == pytest.approx(held, rel=1e-12)
    assert held[memory_breakpoint(layers, devices)] == pytest.approx(min(held), rel=1e-12)


def test_seeds_reach_both_ends_and_the_middle() -> None:
    """The instances above are not all of one kind."""
    kinds = set()
    for seed in range(8):
        rng = random.Random(seed)
        layers, devices = random_layers(rng, rng.randint(1, 9)), rng.randint(2, 7)
        best = min(range(len(layers) + 1), key=lambda first: held_elements(layers, first, devices))
        kinds.add("first" if best == 0 else "inside")
    assert kinds == {"first", "inside"}


def test_no_time() -> None:
    """The program ends when the time is up."""
    watch = Stopwatch(1e-9)
    with pytest.raises(TimeUpError):
        memory_breakpoint(BY_HAND, 2, watch=watch)
    assert watch.cut_short
