"""Which splits a space has: names, counts and shares."""

from __future__ import annotations

import pytest

from iopopt import Cluster, Device, Graph, GraphBuilder, Placement, Plan, PlanError, space_name
from iopopt.plan.placement import Strategy
from iopopt.plan.splits import ALL_SPLITS, STRATEGIES, Splits, check_splits, stranger_to


@pytest.fixture
def pair() -> Cluster:
    """One device three times as fast as the other."""
    return Cluster((Device("slow", 1e6, 1e9, 1e6), Device("fast", 3e6, 1e9, 1e6)))


@pytest.fixture
def graph() -> Graph:
    """A convolution of 6 rows and 10 channels, and a depthwise one."""
    return GraphBuilder("two", (4, 6, 5)).conv(10, 3, padding=1).conv(10, 3, padding=1, groups=10).build()


def test_names() -> None:
    """Any collection of names, or one; what they leave out is in the name of the space."""
    assert Splits.named(STRATEGIES, "free") == ALL_SPLITS
    assert str(ALL_SPLITS) == ""
    assert Splits.named("OC", "free") == Splits.named(["OC", "OC"], "free") == Splits(frozenset({Strategy.OC}))
    assert str(Splits.named({"OC", "H"}, "free")) == ", only H and OC splits"
    assert str(Splits.named((), "by_speed")) == ", no splits, shares by speed"
    assert str(Splits.named(STRATEGIES, "by_speed")) == ", shares by speed"


def test_the_name_of_a_space_has_its_splits(pair: Cluster) -> None:
    named = Splits.named(("IC two-phase", "OC"), "free")
    assert space_name("all", pair, 1, named) == "team=(0, 1), only OC and IC two-phase splits"
    assert space_name("best", pair, 3, Splits(shares="by_speed")) == "team=best, blocks of up to 3, shares by speed"


def test_dimensions_and_reduces(graph: Graph) -> None:
    """A depthwise convolution has no input channels to split; an IC split keeps the reduces that are allowed."""
    pairs = Splits.named(("OC", "IC"), "free")
    assert [pairs.dims(unit) for unit in graph.placed_units] == [["OC", "IC"], ["OC"]]
    assert [*pairs.of_dim("IC")] == [Strategy.IC]
    assert [*ALL_SPLITS.of_dim("IC")] == [Strategy.IC, Strategy.IC_TWO_PHASE]
    assert [*pairs.of_dim("H")] == []
    assert [*pairs.of_dim(None)] == [Strategy.WHOLE]


def test_shares_by_speed(graph: Graph, pair: Cluster) -> None:
    """By hand: 1 : 3 of ten channels is 2.5 : 7.5, of which the tie goes to the first; of six rows 1.5 : 4.5; in the order of the devices."""
    splits, unit = Splits(shares="by_speed"), graph.placed_units[0]
    assert splits.only_shares(unit, "OC", pair, (0, 1)) == (3, 7)
    assert splits.only_shares(unit, "OC", pair, (1, 0)) == (8, 2)
    assert splits.only_shares(unit, "H", pair, (0, 1)) == (2, 4)
    assert ALL_SPLITS.only_shares(unit, "H", pair, (0, 1)) is None


def test_the_first_stranger_of_a_plan(graph: Graph, pair: Cluster) -> None:
    """Whole operators are at home everywhere; a fused block is split by rows, and its shares are those of its last operator."""
    rows = Splits.named("H", "by_speed")
    whole, even, fitting = Placement.whole(1), Placement.split("H", (0, 1), (3, 3)), Placement.split("H", (0, 1), (2, 4))
    assert stranger_to(rows, graph, pair, Plan.of(graph, [whole, fitting])) is None
    assert stranger_to(rows, graph, pair, Plan.of(graph, [fitting], [2])) is None
    assert stranger_to(rows, graph, pair, Plan.of(graph, [fitting, even])) == (graph.placed_units[1], even)
    with pytest.raises(PlanError, match=r"has conv1 to conv2 H 3/3 on 0/1, but by speed its shares are 2/4; ask for shares='free'"):
        check_splits(rows, graph, pair, Plan.of(graph, [even], [2]))
    with pytest.raises(PlanError, match=r"the space has only OC splits; ask for strategies=\('H', 'OC'\)"):
        check_splits(Splits.named("OC", "free"), graph, pair, Plan.of(graph, [fitting], [2]))
