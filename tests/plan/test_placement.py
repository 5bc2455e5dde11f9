"""Placements: the order of the participants is part of them, in records too."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.random_branches import random_branched_graph, random_branched_plan
from support.random_gathers import with_gathers
from support.random_instances import random_graph, random_plan
from support.random_orders import reordered

from iopopt import FileFormatError, Graph, Placement, Plan, PlanError, Shard
from iopopt.plan.placement import Strategy, placement_from, placement_record


def test_intervals_follow_the_order_of_the_participants() -> None:
    """The first device named has the first interval, whatever its number; shares and devices are listed in that order."""
    placement = Placement.split("H", (2, 0, 3), (2, 0, 3))
    assert placement.shards == (Shard(2, 0, 2), Shard(0, 2, 2), Shard(3, 2, 5))
    assert (placement.devices, placement.shares) == ((2, 0, 3), (2, 0, 3))
    assert str(placement) == "H 2/0/3 on 2/0/3"


def test_another_order_is_another_placement() -> None:
    """Placements are equal where devices, shares and order are: not where each device has as much, but of other rows."""
    assert Placement.split("OC", (1, 0), (2, 1)) == Placement("OC", (Shard(1, 0, 2), Shard(0, 2, 3)))
    assert Placement.split("OC", (1, 0), (2, 1)) != Placement.split("OC", (0, 1), (1, 2))


def test_intervals_must_begin_with_the_first_participant() -> None:
    """Shards listed in another order than that of their intervals are refused: they are not consecutive."""
    with pytest.raises(PlanError, match="not consecutive from 0"):
        Placement("H", (Shard(0, 2, 5), Shard(1, 0, 2)))
    with pytest.raises(PlanError, match=r"\[1, 0, 1\] must be distinct device indices \(equation 2\)"):
        Placement.split("H", (1, 0, 1), (1, 1, 1))


@pytest.mark.parametrize(
    ("placement", "strategy"),
    [
        (Placement.whole(3), Strategy.WHOLE),
        (Placement.split("H", (1, 0), (1, 1)), Strategy.H),
        (Placement.split("OC", (1, 0), (1, 1)), Strategy.OC),
        (Placement.split("IC", (1, 0), (1, 1)), Strategy.IC),
        (Placement.split("IC", (1, 0), (1, 1), "two_phase"), Strategy.IC_TWO_PHASE),
        (Placement.split("IC", (1,), (1,), "two_phase"), Strategy.WHOLE),
    ],
)
def test_strategies(placement: Placement, strategy: Strategy) -> None:
    """Dimension and reduce make the strategy; a split over one device is none."""
    assert placement.strategy == strategy


def test_a_record_lists_the_shards_in_order() -> None:
    """By hand: JSON holds the shards in the order of the participants, and reads them back as they are."""
    placement = Placement.split("IC", (1, 0), (3, 1), "two_phase")
    record = {"dim": "IC", "shards": [{"device": 1, "start": 0, "stop": 3}, {"device": 0, "start": 3, "stop": 4}], "reduce": "two_phase"}
    assert placement_record(placement) == record
    assert placement_from(json.loads(json.dumps(record)), "here") == placement


def test_a_record_in_no_order_is_refused() -> None:
    """Shards whose intervals are not consecutive as listed are an error that says where."""
    record = {"dim": "H", "shards": [{"device": 0, "start": 3, "stop": 4}, {"device": 1, "start": 0, "stop": 3}]}
    with pytest.raises(FileFormatError, match=r"^here: placement: intervals .* not consecutive from 0"):
        placement_from(record, "here")


def test_plans_of_any_order_survive_json() -> None:
    """Random plans whose operators have orders of their own come back from JSON equal, in hash too."""
    rng, ordered = random.Random(5), 0
    for number in range(200):
        branched = number % 2 == 0
        graph = random_branched_graph(rng) if branched else random_graph(rng)
        plan = with_gathers(rng, reordered(rng, (random_branched_plan if branched else random_plan)(rng, graph, 4), 4), 4)
        again = Plan.from_dict(json.loads(json.dumps(plan.to_dict())))
        assert again == plan
        assert hash(again) == hash(plan)
        assert [again[name].devices for name in again] == [plan[name].devices for name in plan]
        ordered += any(list(placement.devices) != sorted(placement.devices) for placement in plan.values())
    assert ordered > 120


def test_an_older_plan_file_is_read(trio_graph: Graph) -> None:
    """A file from when participants always ascended means what it meant."""
    text = """{
      "schema_version": 1,
      "placements": {
        "a": {"dim": "H", "shards": [{"device": 0, "start": 0, "stop": 1}, {"device": 2, "start": 1, "stop": 4}]},
        "b": {"dim": "IC", "shards": [{"device": 0, "start": 0, "stop": 4}, {"device": 1, "start": 4, "stop": 4}], "reduce": "direct"},
        "c": {"dim": null, "shards": [{"device": 1, "start": 0, "stop": 1}]}
      }
    }"""
    placements = [Placement.split("H", (0, 2), (1, 3)), Placement.split("IC", (0, 1), (4, 0)), Placement.whole(1)]
    assert Plan.from_dict(json.loads(text)) == Plan.of(trio_graph, placements)


def test_a_gathered_split() -> None:
    """The device that gathers is part of the placement, of its text and of its record; readers meet the output whole on it."""
    rows = Placement.split("H", (1, 0), (3, 1), gather=2)
    assert rows == Placement("H", (Shard(1, 0, 3), Shard(0, 3, 4)), gather=2) != Placement.split("H", (1, 0), (3, 1))
    assert str(rows) == "H 3/1 on 1/0, gathered on 2"
    assert (rows.devices, rows.holders, rows.handed_on) == ((1, 0), {0, 1, 2}, Placement.whole(2))
    record = {"dim": "H", "shards": [{"device": 1, "start": 0, "stop": 3}, {"device": 0, "start": 3, "stop": 4}], "gather": 2}
    assert placement_record(rows) == record
    assert placement_from(json.loads(json.dumps(record)), "here") == rows
    assert "gather" not in placement_record(replace(rows, gather=None))
    assert Placement.split("H", (1, 0), (3, 1), gather=np.int64(2)) == rows  # type: ignore[arg-type]


def test_what_is_not_gathered_is_handed_on_as_it_is() -> None:
    """Its holders are its participants."""
    rows = Placement.split("H", (1, 0), (3, 1))
    assert rows.handed_on is rows
    assert rows.holders == {0, 1}


def test_only_rows_are_gathered() -> None:
    """Another split or a whole operator with a gather is refused; one device that keeps what it has is whole."""
    for dim in ("OC", "IC"):
        with pytest.raises(PlanError, match=f"gather is 1, but the operator is split by '{dim}'; only a split by H is gathered"):
            Placement.split(dim, (0, 1), (1, 1), gather=1)  # type: ignore[arg-type]
    with pytest.raises(PlanError, match="gather is 1, but the operator is whole; only a split by H is gathered"):
        Placement(None, (Shard(0, 0, 1),), gather=1)
    assert Placement.split("H", (1,), (4,), gather=1) == Placement.whole(1)
    with pytest.raises(PlanError, match="one participant means the operator is whole"):
        Placement.split("H", (1,), (4,), gather=0)


@pytest.mark.parametrize("gather", [-1, 10_000, 0.5, "0", True])
def test_a_gather_on_no_device_is_refused(gather: Any) -> None:
    """By the placement, and with its place where it is read from a record."""
    shards = (Shard(0, 0, 1), Shard(1, 1, 2))
    with pytest.raises(PlanError, match=r"gather is .*; it must be the index of a device, below 10000"):
        Placement("H", shards, gather=gather)
    record = placement_record(Placement("H", shards)) | {"gather": gather}
    with pytest.raises(FileFormatError, match=r"^here: placement: gather is"):
        placement_from(record, "here")
