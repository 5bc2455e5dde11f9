"""The program of the fewest exchanged elements against enumeration, message by message, and what the evaluator counts of its plans."""

from __future__ import annotations

import random

import pytest
from support.deeperthings import every_choice, messages, random_layers

from iopopt import Cluster, Device, Graph, GraphBuilder, solve_deeperthings
from iopopt.cost.stopwatch import Stopwatch, TimeUpError
from iopopt.methods.weight_splits.communication import FUSE1, FUSE2, LIP, LOP, WeightSplit, exchanged_elements, least_communication
from iopopt.methods.weight_splits.layers import Layer, weight_layers

PAIR = [Layer("a", 6, 12, 1), Layer("b", 12, 9, 1, "a")]


@pytest.mark.parametrize(
    ("splits", "elements"),
    [
        ((LOP, LOP), 6 * 2 + 12 * 2 + 9 * 2 / 3),
        ((LOP, LIP), 6 * 2 + 12 * 2 / 3 + 12 * 2 / 3 + 9 * 2),
        ((LIP, LOP), 6 * 2 / 3 + 12 * 2 + 12 * 2 + 9 * 2 / 3),
        ((LIP, LIP), 6 * 2 / 3 + 12 * 2 + 12 * 2 / 3 + 9 * 2),
        ((FUSE1, FUSE2), 6 * 2 + 9 * 2),
    ],
)
def test_pairs_by_hand(splits: tuple[WeightSplit, WeightSplit], elements: float) -> None:
    """All choices for two layers on three devices."""
    assert exchanged_elements(PAIR, dict(zip("ab", splits, strict=True)), 3) == elements


@pytest.mark.parametrize("splits", [(FUSE1, LOP), (LOP, FUSE2), (FUSE2, FUSE1), (FUSE1, FUSE1)])
def test_broken_pairs_are_refused(splits: tuple[WeightSplit, WeightSplit]) -> None:
    """A FUSE1 without its FUSE2, and the other way round."""
    with pytest.raises(ValueError, match="a FUSE2 follows a FUSE1"):
        exchanged_elements(PAIR, dict(zip("ab", splits, strict=True)), 3)


@pytest.mark.parametrize("seed", range(8))
def test_the_program_finds_the_best_of_all_choices(seed: int) -> None:
    """Of all of them, counted message by message."""
    rng = random.Random(seed)
    layers, devices = random_layers(rng, rng.randint(1, 7)), rng.randint(2, 7)
    counts = [(messages(layers, splits, devices), splits) for splits in every_choice(layers)]
    assert all(float(exchanged_elements(layers, splits, devices)) == pytest.approx(count) for count, splits in counts)
    found = least_communication(layers, devices)
    assert messages(layers, found, devices) == pytest.approx(min(count for count, _ in counts), rel=1e-9)


def test_nothing_to_split() -> None:
    assert least_communication([], 4) == {}


def test_no_time() -> None:
    """The program ends when the time is up."""
    with pytest.raises(TimeUpError):
        least_communication(PAIR, 2, watch=Stopwatch(1e-9))


def chain(*channels: int, pools: frozenset[int] = frozenset()) -> Graph:
    """Convolutions of 3 x 3 on maps of 12 x 12, the numbers in ``pools`` with one of 2 x 2 after them."""
    net = GraphBuilder("chain", (6, 12, 12))
    for number, count in enumerate(channels):
        net.conv(count, 3, padding=1, bias=False)
        if number in pools:
            net.max_pool(2)
    return net.build()


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        (chain(12, 6, 12, 6), [FUSE1, FUSE2, FUSE1, FUSE2]),
        (chain(6, 6, 6), [LOP, FUSE1, FUSE2]),
        (chain(12, 6, 12, 18, 6, pools=frozenset([1])), [FUSE1, FUSE2, LOP, FUSE1, FUSE2]),
    ],
    ids=["pairs", "a LOP first", "a pool between"],
)
def test_the_evaluator_counts_the_same_elements(graph: Graph, expected: list[WeightSplit]) -> None:
    """Where nothing passes by the gateway that participants could exchange themselves, the plan moves what the program counts, to the unit.

    The gateway is the source and the sink, as in the paper.
    """
    layers = weight_layers(graph)
    splits = least_communication(layers, 3)
    assert list(splits.values()) == expected
    cluster = Cluster(tuple(Device(f"d{j}", 1e6, 1e9, 1e6) for j in range(3)), source=0, sink=0)
    solution = solve_deeperthings(graph, cluster, first_split=layers[0].name)
    assert solution.evaluation is not None
    assert solution.evaluation.transferred_bytes / 4 == exchanged_elements(layers, splits, 3)
