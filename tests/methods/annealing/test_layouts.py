"""Layouts: valid plans of the space, of which rows throughout, blocks in front and one device at the end are some."""

from __future__ import annotations

import math
import random

import pytest
from support.clocks import TickingClock
from support.random_any import random_case

from iopopt import Cluster, Device, Graph, GraphBuilder, load_cluster, load_model
from iopopt.cost.stopwatch import Stopwatch
from iopopt.methods.annealing.layouts import Layout, offer_layouts
from iopopt.methods.annealing.objective import Objective
from iopopt.methods.annealing.space import Pieces, Space
from iopopt.plan.pieces import plan_of
from iopopt.plan.plan import validate_plan


def offered(space: Space, seed: int = 0, watch: Stopwatch | None = None) -> list[Pieces]:
    """What is offered; each plan costs what it takes."""
    found: list[Pieces] = []
    objective = Objective(space)

    def offer(name: str, pieces: Pieces) -> float:
        assert name == "rows, then one device"
        found.append(pieces)
        return objective.cost(pieces)

    offer_layouts(space, random.Random(seed), offer, watch or Stopwatch(math.inf))
    return found


def rows_then_whole(graph: Graph, pieces: Pieces) -> bool:
    """Whether what is split is split by rows, over one team, all that has rows up to some operator, and the others are whole on one device."""
    split = [piece for piece in pieces if piece.placement.dim]
    whole = {piece.placement.devices for piece in pieces if not piece.placement.dim}
    end = split[-1].run.stop if split else 0
    in_front = all(piece.placement.dim for piece in pieces if piece.run.start < end and "H" in graph.placed_units[piece.run.start].dims)
    return (
        in_front and {piece.placement.dim for piece in split} <= {"H"} and len({piece.placement.devices for piece in split}) <= 1 and len(whole) <= 1
    )


@pytest.mark.parametrize("seed", range(24))
def test_every_layout_is_a_valid_plan_of_the_pattern(seed: int) -> None:
    """Chains, branches and fusible networks, some of the devices, blocks of several lengths."""
    graph, cluster, _ = random_case(seed, gathers=False)
    rng = random.Random(seed)
    team = tuple(sorted(rng.sample(range(len(cluster)), rng.randint(2, len(cluster)))))
    space = Space(graph, cluster, team, rng.choice([1, 2, 5]))
    for pieces in offered(space, seed):
        plan = plan_of(graph, pieces)
        validate_plan(graph, cluster, plan)
        space.check(plan)
        assert rows_then_whole(graph, pieces)


def column() -> tuple[Space, Graph]:
    """Four convolutions, on maps of 16, 8, 8 and 8 rows, and two layers without rows; three devices with speeds of 1 : 4 : 2, to which links are
    nothing: the more is split the better."""
    net = GraphBuilder("column", (1, 16, 1)).conv(1, 3, padding=1).conv(1, (2, 1), stride=(2, 1)).conv(1, (3, 1), padding=(1, 0))
    graph = net.conv(1, (3, 1), padding=(1, 0)).fc(4).fc(2).build()
    cluster = Cluster(
        tuple(Device(name, speed, 1e6, 1e9) for name, speed in zip("abc", (1e6, 4e6, 2e6), strict=True)), connection_setup_s=0.0, sink=2
    )
    return Space(graph, cluster, (0, 1, 2), 3), graph


def test_one_device_rows_throughout_and_blocks_are_among_them() -> None:
    """Every end of the rows, with either last device; blocks of every length in front; every set of devices, and every order of all."""
    space, graph = column()
    found = offered(space)
    ends = {(sum(bool(piece.placement.dim) for piece in pieces), pieces[-1].placement.devices) for pieces in found if len(pieces) == len(graph)}
    assert ends == {(count, (last,)) for count in (1, 2, 3, 4) for last in (1, 2)}  # the fastest and the sink
    blocks = {tuple(len(piece.run) for piece in pieces) for pieces in found}
    assert (1, 1, 1, 1, 1, 1) in blocks
    assert {spans[0] for spans in blocks} == {1, 2, 3}
    teams = {pieces[0].placement.devices for pieces in found}
    assert {frozenset(team) for team in teams} == {frozenset(team) for team in ((0, 1), (0, 2), (1, 2), (0, 1, 2))}
    assert {min(team, team[::-1]) for team in teams if len(team) == 3} == {(0, 1, 2), (0, 2, 1), (1, 0, 2)}


def test_a_network_without_rows_is_left_whole() -> None:
    """Two layers: all that is offered is one device, the fastest or the sink."""
    graph = GraphBuilder("rowless", (4, 1, 1)).fc(4).fc(2).build()
    space = Space(graph, column()[0].cluster, (0, 1, 2), 3)
    assert {tuple(piece.placement.devices for piece in pieces) for pieces in offered(space)} == {((1,), (1,)), ((2,), (2,))}


def test_a_layout_by_hand() -> None:
    """Blocks up to the third operator, rows up to the fourth, then device 2: shares in the proportions 1 : 4 : 2, those of maps of 8 rows by quarters
    2 : 4 : 2, and by the power 2 of the speeds 1 : 16 : 4."""
    space, _ = column()
    layout = Layout((0, 1, 2), front=3, end=4, last=2)

    def of(layout: Layout) -> list[tuple[int, tuple[int, ...]]]:
        return [(len(piece.run), piece.placement.shares) for piece in layout.pieces(space)]

    ends = [(1, (1,)), (1, (1,))]
    assert of(layout) == [(3, (1, 5, 2)), (1, (1, 5, 2)), *ends]  # boundaries at 8/7 and 40/7 rows
    assert of(layout._replace(level=4)) == [(3, (2, 4, 2)), (1, (2, 4, 2)), *ends]
    assert of(layout._replace(power=2.0)) == [(3, (0, 6, 2)), (1, (0, 6, 2)), *ends]  # at 8/21 and 136/21
    assert of(layout._replace(front=0, end=1)) == [(1, (2, 9, 5)), *[(1, (1,))] * 3, *ends]  # at 16/7 and 80/7
    assert layout.pieces(space)[-1].placement.devices == (2,)


@pytest.mark.parametrize("ticks", [1, 30, 90])
def test_each_step_takes_a_third_of_the_time(ticks: int) -> None:
    """Where every look at the clock takes a second, and one is taken at each layout: three times a third of them, and one at least."""
    graph = load_model("vgg16")
    space = Space(graph, load_cluster("edge-x4", graph), (0, 1, 2, 3), 8)
    clock = TickingClock()
    assert len(offered(space, watch=Stopwatch(ticks, clock))) == 3 * max(1, ticks // 3)
