"""The moves of the annealing: valid plans of the space, all of which they reach."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest
from support.random_any import random_case

from iopopt import Cluster, Device, Graph, GraphBuilder, Placement, Plan, PlanError, load_cluster, load_model
from iopopt.methods.annealing.moves import MOVES, neighbour
from iopopt.methods.annealing.run_moves import follow
from iopopt.methods.annealing.share_moves import align, enlist, exchange, reweigh, shift, swap
from iopopt.methods.annealing.space import Pieces, Space, like, replaced, split_by
from iopopt.plan.pieces import Piece, pieces_of, plan_of
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


def halving_rows() -> tuple[Space, Pieces]:
    """Maps of 64, 64, 32 and 16 rows, split alike over three of four devices that are listed in another order."""
    net = GraphBuilder("halving", (1, 64, 1)).conv(1, 3, padding=1).conv(1, 3, padding=1)
    graph = net.conv(1, (2, 1), stride=(2, 1)).conv(1, (2, 1), stride=(2, 1)).build()
    space = Space(graph, load_cluster("edge-x4", graph), (0, 1, 2, 3), 1)
    return space, [Piece(range(i, i + 1), split_by(space.unit(range(i, i + 1)), "H", (2, 0, 1), (3, 3, 2))) for i in range(4)]


def two_phase_channels() -> tuple[Space, Pieces]:
    """Three layers over their input channels, whose sums are added up in two phases."""
    graph = GraphBuilder("channels", (30, 1, 1)).fc(30).fc(30).fc(30).build()
    channels = Placement.split("IC", (0, 1, 2), (10, 15, 5), "two_phase")
    return Space(graph, load_cluster("edge-x4", graph), (0, 1, 2, 3), 1), pieces_of(graph, Plan.of(graph, [channels] * 3))


def changes(move, space: Space, pieces: Pieces, count: int = 300) -> Iterator[list[tuple[Placement, Placement]]]:
    """What a move makes of single operators, time and again: the placements that it changes, before and after."""
    for seed in range(count):
        changed = move(space, random.Random(seed), pieces)
        assert [piece.run for piece in changed] == [piece.run for piece in pieces]
        yield [(old.placement, new.placement) for old, new in zip(pieces, changed, strict=True) if new != old]


@pytest.mark.parametrize("move", [shift, align, reweigh, enlist, swap, exchange, follow], ids=lambda move: move.__name__)
def test_moves_that_keep_the_dimension_keep_the_reduce(move) -> None:
    """Partial sums that were added up in two phases still are, wherever there are any."""
    space, pieces = two_phase_channels()
    if move is follow:  # another operator's dimension is taken over with its reduce
        pieces = [pieces[0], *space.singly(range(1, 3), Placement.whole(0))]
    after = [new for changed in changes(move, space, pieces) for _, new in changed if new.dim]
    assert len(after) > 50
    assert {(new.dim, new.reduce) for new in after} == {("IC", "two_phase")}


def test_a_shift_of_one_piece_moves_a_boundary() -> None:
    """A map of two rows, whose smallest part is far below one: a boundary between them always moves by one row, to either side."""
    graph = GraphBuilder("two rows", (1, 2, 1)).conv(1, 1).build()
    space = Space(graph, load_cluster("edge-x3", graph), (0, 1, 2), 1)
    pieces = pieces_of(graph, Plan.of(graph, [Placement.split("H", (0, 1), (1, 1))]))
    found = Counter(new.shares for changed in changes(shift, space, pieces, 100) for _, new in changed)
    assert sum(found.values()) == 100
    assert found.keys() == {(2, 0), (0, 2)}


def test_align_cuts_maps_of_several_sizes_at_the_same_part() -> None:
    """One boundary goes to the nearest granule of one part in all pieces that change; where the others are not in its way they stay."""
    space, pieces = halving_rows()
    together = 0
    for changed in changes(align, space, pieces):
        together += len(changed) > 2
        parts = set(range(257))  # of 256, of which all parts that are tried are multiples
        for old, new in changed:
            assert new.devices == old.devices
            (to,) = {start for start, before in zip(new.starts, old.starts, strict=True) if start != before}
            parts &= {part for part in range(257) if round(part / 256 * sum(new.shares)) == to}
        assert parts
    assert together > 100


def test_reweigh_changes_one_device_and_keeps_the_proportions_of_the_others() -> None:
    """3 : 3 : 2 before: one of the three changes its share of all pieces alike; the other two keep theirs to each other, but for rounding."""
    space, pieces = halving_rows()
    nothing = more = less = 0
    for changed in changes(reweigh, space, pieces):
        for old, new in changed:
            assert new.devices == old.devices
            assert any(in_proportion(old.shares, new.shares, left_out=place) for place in range(3))
            nothing += 0 in new.shares
        totals = [sum(new.shares[place] - old.shares[place] for old, new in changed) for place in range(3)]
        gains = [total > 0 for total in totals]
        more += all(totals) and gains.count(True) == 1
        less += all(totals) and gains.count(True) == 2 and all(all(new.shares) for _, new in changed)
    assert min(nothing, more, less) > 30


def in_proportion(old: Sequence[int], new: Sequence[int], left_out: int) -> bool:
    """Whether all but one of the shares have kept their proportions: by rounding, a share may be off by one, and so may be their sum."""
    before, after = ([share for place, share in enumerate(shares) if place != left_out] for shares in (old, new))
    scale = sum(after) / sum(before)
    return all(abs(share * scale - kept) <= 1.5 for share, kept in zip(before, after, strict=True))


def test_enlist_adds_or_removes_one_participant() -> None:
    """The others keep their order and, but for rounding, their proportions; of 64 rows the new one gets at most 0.3 / 1.3."""
    space, pieces = halving_rows()
    sizes, newcomers = Counter[int](), set[int]()
    for changed in changes(enlist, space, pieces):
        assert len({new.devices for _, new in changed}) <= 1
        for old, new in changed:
            joined, left = set(new.devices) - set(old.devices), set(old.devices) - set(new.devices)
            assert len(joined) + len(left) == 1
            kept = [dict(zip(placement.devices, placement.shares, strict=True)) for placement in (old, new)]
            assert [j for j in new.devices if j not in joined] == [j for j in old.devices if j not in left]
            before, after = ([shares[j] for j in old.devices if j not in left] for shares in kept)
            assert in_proportion([*before, 0], [*after, 0], left_out=len(before))
            assert all(kept[1][j] <= 0.3 / 1.3 * sum(new.shares) + 1 for j in joined)
            sizes[len(new.devices)] += 1
            newcomers |= joined
    assert sizes.keys() == {2, 4}
    assert min(sizes.values()) > 100
    assert newcomers == {3}


def test_swap_changes_the_order_with_the_shares_or_without() -> None:
    """With them every device keeps its rows and the places change; without them the places keep their rows."""
    space, pieces = halving_rows()
    found = Counter[str]()
    for changed in changes(swap, space, pieces):
        for old, new in changed:
            if set(new.devices) != set(old.devices):  # one of the two took no part: it takes over
                assert new.shares == old.shares
                found["other"] += 1
            elif sorted(zip(new.devices, new.shares, strict=True)) == sorted(zip(old.devices, old.shares, strict=True)):
                found["with"] += 1
            else:
                assert new.shares == old.shares
                found["without"] += 1
    assert found.keys() == {"other", "with", "without"}
    assert min(found.values()) > 50


@pytest.mark.parametrize("seed", range(20))
def test_exchange_undoes_itself(seed: int) -> None:
    """The same two devices once more: everything is where it was, and in between each has had its shares in the other's place, in all pieces."""
    space, pieces = halving_rows()
    once = exchange(space, random.Random(seed), pieces)
    assert once != pieces
    assert exchange(space, random.Random(seed), once) == pieces
    assert len({piece.placement.devices for piece in once}) == 1


@pytest.mark.parametrize(
    ("run", "numbers"),
    [(range(1, 3), [0, 1, 1, 2, 2, 3]), (range(-2, 1), [0, 0, 1, 2, 3]), (range(3, 9), [0, 1, 2, 3, 3]), (range(4, 6), [0, 1, 2, 3])],
)
def test_only_the_pieces_of_a_run_are_replaced(run: range, numbers: list[int]) -> None:
    """Each of them by as many as are wanted; numbers before the first piece and after the last mean none."""
    _, pieces = halving_rows()
    assert [piece.run.start for piece in replaced(pieces, run, lambda piece: [piece, piece])] == numbers


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
