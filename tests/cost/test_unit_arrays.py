"""Equations (7) and (1) as arrays, against the rules for one share."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from support.random_branches import random_branched_graph, random_branched_plan
from support.random_gathers import with_gathers
from support.random_instances import random_graph, random_plan
from support.random_orders import reordered

from iopopt import Graph, GraphBuilder, Placement, PlanBatch
from iopopt.cost.memory import share_memory, share_output
from iopopt.cost.unit_arrays import TermArrays, UnitArrays, column, even_slices, table_places
from iopopt.cost.work import share_work
from iopopt.network.terms import Term, fixed, proportional
from iopopt.network.unit import Unit
from iopopt.plan.shares import even_shares


def test_columns_lie_along_the_middle_axis() -> None:
    """Figures of units: one row for each, against all devices and plans."""
    assert column([1, 2]).tolist() == [[1], [2]]


def test_terms_by_hand() -> None:
    """Of two units at strategies whole and OC: 5; 2 n + max(0, 3 n - 4); nothing where a dimension has no terms."""
    arrays = TermArrays([{None: (fixed(5),)}, {None: (fixed(1),), "OC": (proportional(4, 2), Term(1, 3, -4))}])
    batch = PlanBatch.of([[Placement.whole(0), Placement.split("OC", (0, 1), (3, 1))], [Placement.whole(1), Placement.whole(1)]], 2)
    amounts = np.asarray(arrays.amounts(table_places(batch.strategies), batch.shares, batch)) * batch.participants
    assert amounts[:, :, 0].tolist() == [[5, 6 + 5], [0, 2]]
    assert amounts[:, :, 1].tolist() == [[0, 0], [5, 1]]


def _batches(seed: int) -> list[tuple[Graph, list[list[Placement]], PlanBatch]]:
    """Plans of chains and branched graphs, in the order of the cluster and in others, over gaps too."""
    rng, found = random.Random(seed), []
    for number in range(40):
        graph = random_branched_graph(rng) if number % 2 else random_graph(rng)
        plans = [(random_branched_plan if number % 2 else random_plan)(rng, graph, 4) for _ in range(8)]
        plans = [with_gathers(rng, reordered(rng, plan, 4) if number % 4 > 1 else plan, 4) for plan in plans]
        found.append((graph, [list(plan.values()) for plan in plans], PlanBatch.from_plans(graph, plans, 4)))
    return found


def _by_device(figures: dict[int, float]) -> list[float]:
    return [figures.get(j, 0.0) for j in range(4)]


def _demands(unit: Unit, placement: Placement, e: int) -> tuple[list[float], list[float]]:
    found = dict(share_memory(unit, placement, e))
    return _by_device({j: demand.weights for j, demand in found.items()}), _by_device({j: demand.activations for j, demand in found.items()})


@pytest.mark.parametrize("e", [1, 4])
def test_arrays_agree_with_the_rules(e: int) -> None:
    """FLOPs, bytes touched, weights, activations and what is held of outputs, of every operator and device; nothing where a device takes no part."""
    placed = set()
    for graph, plans, batch in _batches(e):
        arrays = UnitArrays(graph.placed_units, e)
        flops, touched = arrays.flops(batch), arrays.touched_bytes(batch)
        (weights, activations), live = arrays.memory(batch), arrays.live(batch)
        for i, unit in enumerate(graph.placed_units):
            for number, plan in enumerate(plans):
                w, a = _demands(unit, plan[i], e)
                works = dict(share_work(unit, plan[i], e))
                np.testing.assert_allclose(flops[:, i, number], _by_device({j: work.flops for j, work in works.items()}), rtol=1e-12)
                np.testing.assert_allclose(touched[:, i, number], _by_device({j: work.touched_bytes for j, work in works.items()}), rtol=1e-12)
                np.testing.assert_allclose(weights[:, i, number], w, rtol=1e-12)
                np.testing.assert_allclose(activations[:, i, number], a, rtol=1e-12)
                np.testing.assert_allclose(live[:, i, number], _by_device(dict(share_output(unit, plan[i], e))), rtol=1e-12)
                placed.add(plan[i].strategy)
    assert len(placed) == 5


def test_the_largest_of_several_amounts_counts() -> None:
    """Activations of n or of 5 elements, whichever is more, next to a unit that has one amount only; two bytes an element."""
    first, second = GraphBuilder("x", (1, 1, 1)).conv(8, 1, bias=False).conv(8, 1, bias=False).build().placed_units
    either = replace(first, activations={**first.activations, "OC": ((proportional(8, 8),), (fixed(5),))})
    plan = [Placement.split("OC", (0, 1), (7, 1)), Placement.whole(1)]
    for units, expected in ([either], [[14], [10]]), ([either, second], [[14, 0], [10, 2 * (8 + 8)]]):
        _, activations = UnitArrays(units, 2).memory(PlanBatch.of([plan[: len(units)]], 2))
        assert activations[:, :, 0].tolist() == expected


def test_even_slices_follow_the_order() -> None:
    """Seven channels over (2, 0, 3) are 3, 2 and 2; over the same in the cluster's order device 0 has the larger."""
    for devices in ((2, 0, 3), (0, 2, 3)):
        batch = PlanBatch.of([[Placement.split("IC", devices, (1, 1, 1), "two_phase")]], 4)
        slices = even_slices(column([7]), batch.participants.sum(axis=0), batch.ranks)[:, 0, 0]
        assert [slices[j] for j in (*devices, 1)] == [*even_shares(7, 3), 0]


def test_random_even_slices() -> None:
    """They are the even shares of the output channels in the order of the participants."""
    for graph, plans, batch in _batches(9):
        slices = even_slices(column([unit.sizes["OC"] for unit in graph.placed_units]), batch.participants.sum(axis=0), batch.ranks)
        for i, unit in enumerate(graph.placed_units):
            for number, plan in enumerate(plans):
                expected = dict(zip(plan[i].devices, even_shares(unit.sizes["OC"], len(plan[i].devices)), strict=True))
                assert slices[:, i, number].tolist() == _by_device(expected)  # type: ignore[arg-type]
