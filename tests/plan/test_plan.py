"""Placements and plans: their one canonical form, and their records."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest
from support.damage import attempt, damaged, without_each_key
from support.random_instances import random_graph, random_plan

from iopopt import Cluster, FileFormatError, Graph, GraphBuilder, Placement, Plan, PlanError, Shard
from iopopt.plan.plan import validate_plan


def test_split_makes_consecutive_intervals() -> None:
    """Shares become consecutive intervals in device order, empty ones included."""
    placement = Placement.split("H", (0, 2, 3), (2, 0, 3))
    assert placement.shards == (Shard(0, 0, 2), Shard(2, 2, 2), Shard(3, 2, 5))
    assert (placement.devices, placement.shares, placement.reduce, placement.is_whole) == ((0, 2, 3), (2, 0, 3), None, False)


def test_whole_is_one_form() -> None:
    """A split over one device is the same as running whole on it, whatever dimension was meant."""
    whole = Placement.whole(2)
    assert (whole.dim, whole.devices, whole.is_whole) == (None, (2,), True)
    assert Placement.split("H", (2,), (7,)) == Placement.split("IC", (2,), (3,), "two_phase") == whole


def test_reduce_belongs_to_input_channels() -> None:
    """The reduce counts for IC only, so plans that mean the same are equal."""
    assert Placement.split("OC", (0, 1), (1, 2), "two_phase") == Placement.split("OC", (0, 1), (1, 2))
    assert Placement.split("IC", (0, 1), (1, 2)).reduce == "direct"
    assert Placement.split("IC", (0, 1), (1, 2), "two_phase") != Placement.split("IC", (0, 1), (1, 2))


def test_numpy_numbers_become_integers() -> None:
    """Devices and shares from numpy are written to JSON as integers."""
    placements = (Placement.whole(np.int64(1)), Placement.split("H", np.array([0, 1]), np.array([2.0, 1.0])))  # type: ignore[arg-type]
    plan = Plan(tuple(zip("ab", placements, strict=True)))
    assert Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


@pytest.mark.parametrize("shares", [(1.5, 1.5), (2.999999, 0.0), (float("nan"), 1), (float("inf"), 1)])
def test_fractions_of_rows_are_refused(shares: Any) -> None:
    """Shares that are not integers are refused, not cut off."""
    with pytest.raises(PlanError, match="not all integers"):
        Placement.split("H", (0, 1), shares)


@pytest.mark.parametrize(
    ("dim", "shards", "reduce", "message"),
    [
        ("H", (), None, "participants"),
        ("H", ((1, 0, 1), (1, 1, 2)), None, "distinct"),
        ("H", ((0, 0, 1), (0, 1, 2)), None, "distinct"),
        ("H", ((-1, 0, 1), (0, 1, 2)), None, "participants"),
        ("H", ((0, 0, 1), (1, 2, 3)), None, "not consecutive"),
        ("H", ((0, 0, 2), (1, 1, 3)), None, "not consecutive"),
        ("H", ((0, 1, 2), (1, 2, 3)), None, "not consecutive from 0"),
        ("H", ((0, 0, 2), (1, 2, 1)), None, "negative share"),
        ("H", ((0, 0, 2),), None, "Placement.whole"),
        ("W", ((0, 0, 2), (1, 2, 3)), None, "'W'; allowed are H, OC, IC"),
        ("OC", ((0, 0, 2), (1, 2, 3)), "direct", "reduce is 'direct'"),
        ("IC", ((0, 0, 2), (1, 2, 3)), None, "reduce is None"),
        ("IC", ((0, 0, 2), (1, 2, 3)), "ring", "reduce is 'ring'"),
        (None, ((0, 0, 2),), None, "Placement.whole"),
        (None, ((0, 0, 1), (1, 1, 2)), None, "Placement.whole"),
        (None, ((0, 0, 1),), "direct", "Placement.whole"),
    ],
)
def test_wrong_placements_are_refused(dim: Any, shards: tuple[tuple[int, int, int], ...], reduce: Any, message: str) -> None:
    """Anything but the canonical form is refused."""
    with pytest.raises(PlanError, match=message):
        Placement(dim, tuple(Shard(*shard) for shard in shards), reduce)


def test_shares_and_devices_must_match() -> None:
    """As many shares as devices."""
    with pytest.raises(PlanError, match="3 shares for 2 devices"):
        Placement.split("H", (0, 1), (1, 1, 1))


def test_placements_in_words() -> None:
    """A placement says its dimension, shares, devices and reduce."""
    assert str(Placement.whole(1)) == "whole on 1"
    assert str(Placement.split("H", (0, 2), (3, 4))) == "H 3/4 on 0/2"
    assert str(Placement.split("IC", (0, 2), (3, 4), "two_phase")) == "IC 3/4 on 0/2, two-phase"


def test_plan_is_a_mapping_in_graph_order(trio_graph: Graph, trio_plan: Plan) -> None:
    """A plan maps names to placements in the order of the graph, and knows which operators are split."""
    assert list(trio_plan) == ["a", "b", "c"]
    assert trio_plan["c"] == Placement.whole(1)
    assert trio_plan.split_operators == ("a", "b")
    assert len({trio_plan, Plan.of(trio_graph, list(trio_plan.values()))}) == 1
    with pytest.raises(PlanError, match="2 placements for the 3 operators"):
        Plan.of(trio_graph, [Placement.whole(0)] * 2)


def test_round_trips() -> None:
    """Random plans come back from JSON as they were, equal in hash too."""
    rng = random.Random(4)
    for _ in range(200):
        plan = random_plan(rng, random_graph(rng), rng.randint(1, 4))
        again = Plan.from_dict(json.loads(json.dumps(plan.to_dict())))
        assert again == plan
        assert hash(again) == hash(plan)


def test_damaged_records_are_refused(trio_graph: Graph) -> None:
    """No damage to a record raises anything but FileFormatError, and what is accepted says the same as the record."""
    placements = [Placement.split("H", (0, 1, 2), (1, 1, 2)), Placement.split("IC", (0, 2), (2, 2), "two_phase"), Placement.whole(1)]
    record = Plan.of(trio_graph, placements).to_dict()
    refused = 0
    for path, wrong, broken in damaged(record):
        accepted, message = attempt(Plan.from_dict, broken)
        if message is not None:
            refused += 1
            assert message.startswith("plan"), path
        else:
            # A reduce of null is the absence of one.
            assert accepted.to_dict() == broken or (path[-1:] == ("reduce",) and wrong is None), (path, wrong)
    assert refused > 300
    for path, broken in without_each_key(record):
        if len(path) != 2:  # a plan of fewer operators is a plan
            with pytest.raises(FileFormatError, match=str(path[-1])):
                Plan.from_dict(broken)


@pytest.mark.parametrize("device", [1.5, "1", True, None])
def test_a_device_that_is_no_index_is_refused(device: Any) -> None:
    """A device is named by an integer, never by what could be turned into one."""
    with pytest.raises(PlanError, match="index of a device"):
        Placement.whole(device)


def test_fractional_intervals_are_refused() -> None:
    """Shards hold integers, as equations (3) to (5) ask."""
    with pytest.raises(PlanError, match="is not a Shard"):
        Placement("H", (Shard(0, 0, 8.5), Shard(1, 8.5, 16)))  # type: ignore[arg-type]


def test_a_plan_holds_placements() -> None:
    """A mapping or a text in the place of placements is refused."""
    graph = GraphBuilder("two", (1, 4, 4)).conv(2, 3).fc(2).build()
    with pytest.raises(PlanError, match="is not a Placement"):
        Plan.of(graph, {"conv1": Placement.whole(0), "fc1": Placement.whole(0)})  # type: ignore[arg-type]


def test_records_are_of_jsons_types() -> None:
    """A record is what JSON would make of it, and is read back without JSON."""
    rng = random.Random(5)
    for _ in range(200):
        plan = random_plan(rng, random_graph(rng), rng.randint(1, 4))
        record = plan.to_dict()
        assert json.loads(json.dumps(record)) == record
        assert Plan.from_dict(record) == plan


@pytest.mark.parametrize(
    "make",
    [
        lambda: Placement.whole(10_000),
        lambda: Placement.whole(10**400),
        lambda: Placement.split("H", (0, 10_000), (1, 1)),
        lambda: Placement("H", (Shard(0, 0, 2**62), Shard(1, 2**62, 2**63))),
    ],
)
def test_figures_beyond_any_plan_are_refused(make: Any) -> None:
    """Devices that no cluster has, and shares beyond the integers of arrays."""
    with pytest.raises(PlanError, match=r"below 10000|beyond 2\*\*63"):
        make()


def test_operators_are_named_by_strings() -> None:
    """A record made in Python may have other keys; they are refused."""
    record = {"schema_version": 1, "placements": {3: {"dim": None, "shards": [{"device": 0, "start": 0, "stop": 1}]}}}
    with pytest.raises(FileFormatError, match=r"operator 3 \(an int\) is not named by a string"):
        Plan.from_dict(record)


def test_the_device_that_gathers_must_exist(trio_graph: Graph, trio_cluster: Cluster) -> None:
    """As the participants must."""
    rows = Placement.split("H", (0, 1, 2), (1, 1, 2), gather=3)
    plan = Plan.of(trio_graph, [rows, Placement.whole(0), Placement.whole(0)])
    with pytest.raises(PlanError, match="operator 'a': device 3 does not exist; the cluster has devices 0 to 2"):
        validate_plan(trio_graph, trio_cluster, plan)
