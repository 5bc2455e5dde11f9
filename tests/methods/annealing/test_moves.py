"""The moves of the annealing: valid plans of the space, all of which they reach."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from support.random_any import random_case

from iopopt import Cluster, Device, Graph, GraphBuilder, Placement, Plan, PlanError, load_cluster, load_model
from iopopt.methods.annealing.moves import MOVES, neighbour
from iopopt.methods.annealing.share_moves import shift
from iopopt.methods.annealing.space import Pieces, Space, like, split_by
from iopopt.plan.pieces import pieces_of, plan_of
from iopopt.plan.plan import validate_plan


def singly(graph: Graph) -> Pieces:
    return pieces_of(graph, Plan.of(graph, [Placement.whole(0)] * len(graph)))


@pytest.mark.parametrize("seed", range(60))
def test_every_neighbour_is_valid_and_in_the_space(seed: int) -> None:
    graph, cluster, _ = random_case(seed)
    rng = random.Random(seed)
    devices = tuple(sorted(rng.sample(range(len(cluster)), rng.randint(1, len(cluster)))))
    space, pieces = Space(graph, cluster, devices, rng.choice([1, 2, 5])), singly(graph)
    for _ in range(60):
        pieces = neighbour(space, rng, pieces)
        plan = plan_of(graph, pieces)
        validate_plan(graph, cluster, plan)
        space.check(plan)
        assert pieces_of(graph, plan) == pieces


@pytest.mark.parametrize("move", MOVES, ids=lambda move: move.__name__)
def test_each_move_makes_valid_plans(move) -> None:
    """Alone, from wherever the others lead."""
    graph = load_model("alexnet")
    cluster = load_cluster("board-x3", graph)
    space, rng, pieces, changes = Space(graph, cluster, (0, 1, 2), 4), random.Random(1), singly(graph), 0
    for _ in range(400):
        pieces = neighbour(space, rng, pieces)
        changed = move(space, rng, pieces)
        if changed is not None:
            validate_plan(graph, cluster, plan_of(graph, changed))
            changes += changed != pieces
    assert changes > 40


def ways_of(graph: Graph, number: int) -> int:
    """How an operator may be placed on two devices: whole on either, or split in either order, its input channels in two ways."""
    unit = graph.placed_units[number]
    return 2 + sum(2 * (unit.granules(dim) + 1) * (1 + (dim == "IC")) for dim in unit.dims)


@pytest.mark.parametrize("longest", [1, 2])
def test_a_walk_reaches_every_plan(longest: int) -> None:
    """Two convolutions of two rows and a single channel on two devices: every pair of placements, and with blocks every split of the block."""
    graph = GraphBuilder("tiny", (1, 2, 1)).conv(2, (3, 1), padding=(1, 0)).conv(1, (3, 1), padding=(1, 0)).build()
    cluster = Cluster((Device("a", 1e6, 1e9, 1e6), Device("b", 2e6, 1e9, 1e6)))
    space, rng, pieces, found = Space(graph, cluster, (0, 1), longest), random.Random(3), singly(graph), set[Plan]()
    for _ in range(15_000):
        pieces = neighbour(space, rng, pieces)
        found.add(plan_of(graph, pieces))
    alone = [plan for plan in found if not plan.blocks]
    for number, operator in enumerate(graph.operators):
        assert len({plan[operator.name] for plan in alone}) == ways_of(graph, number)
    assert len(found) - len(alone) == (6 if longest == 2 else 0)
    assert len(alone) > 0.5 * ways_of(graph, 0) * ways_of(graph, 1)


def test_boundaries_of_equal_proportions_coincide() -> None:
    """56 and 28 rows in the proportions 1 : 2 : 4 : 1.5: every boundary of the larger map lies at most a row beside twice that of the smaller."""
    graph = load_model("vgg16")
    small, large = (next(unit for unit in graph.placed_units if unit.sizes.get("H") == rows) for rows in (28, 56))
    weights = [1.0, 2.0, 4.0, 1.5]
    starts = [split_by(unit, "H", (0, 1, 2, 3), weights).starts for unit in (small, large)]
    assert all(abs(2 * one - other) <= 1 for one, other in zip(*starts, strict=True))
    assert like(large, split_by(large, "H", (0, 1, 2, 3), weights)) == split_by(large, "H", (0, 1, 2, 3), weights)


def test_a_shift_moves_a_run_of_equal_splits_together() -> None:
    """Of four operators split alike all, some or one change; nothing but the shares does."""
    graph = GraphBuilder("rows", (1, 64, 1)).conv(1, 3, padding=1).conv(1, 3, padding=1).conv(1, 3, padding=1).conv(1, 3, padding=1).build()
    cluster = load_cluster("edge-x3", graph)
    space, rng = Space(graph, cluster, (0, 1, 2), 1), random.Random(5)
    pieces = pieces_of(graph, Plan.of(graph, [Placement.split("H", (2, 0, 1), (20, 24, 20))] * 4))
    changed = Counter[int]()
    for _ in range(300):
        moved = shift(space, rng, pieces)
        assert moved is not None
        assert all((new.run, new.placement.devices, new.placement.dim) == (old.run, (2, 0, 1), "H") for new, old in zip(moved, pieces, strict=True))
        changed[sum(new != old for new, old in zip(moved, pieces, strict=True))] += 1
    assert changed[1] > 100
    assert changed[4] > 15
    assert changed[2] + changed[3] > 15


def test_plans_outside_the_space_are_refused() -> None:
    """A block that is too long, a device that is not in the team, and a gather; the message says what to ask for."""
    graph = GraphBuilder("rows", (1, 8, 1)).conv(1, 3, padding=1).conv(1, 3, padding=1).conv(1, 3, padding=1).build()
    cluster = load_cluster("edge-x3", graph)
    space, rows = Space(graph, cluster, (0, 1), 2), Placement.split("H", (0, 1), (4, 4))
    space.check(Plan.of(graph, [Placement.whole(2), rows], [1, 2]))
    with pytest.raises(PlanError, match="longest_block=3"):
        space.check(Plan.of(graph, [rows], [3]))
    with pytest.raises(PlanError, match=r"\[2\] are not in the team \[0, 1\]"):
        space.check(Plan.of(graph, [Placement.split("H", (0, 2), (4, 4))] * 3))
    with pytest.raises(PlanError, match="gathers"):
        space.check(Plan.of(graph, [Placement.split("H", (0, 1), (4, 4), gather=0)] * 3))
    sums = Placement.split("IC", (0, 1), (1, graph.operators[1].in_shape.channels - 1), "two_phase", stream=1)
    with pytest.raises(PlanError, match="streams the channels"):
        space.check(Plan.of(graph, [Placement.whole(0), sums, Placement.whole(0)]))
