"""Which splits can be streamed: by the placement alone, and with the producer's."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from iopopt import Cluster, Device, Graph, GraphBuilder, Placement, Plan, PlanBatch, evaluate
from iopopt.errors import FileFormatError, PlanError, UnsupportedError
from iopopt.plan.placement import placement_from, placement_record
from iopopt.plan.plan import validate_plan
from iopopt.plan.streams import streamed
from iopopt.plan.team import check_in_space

CLUSTER = Cluster(tuple(Device(f"d{j}", 1e6, 1e9, 1e6) for j in range(3)))
ALL = (0, 1, 2)
OC = Placement.split("OC", ALL, (2, 1, 1))
STREAMED = replace(OC, stream=2)


def _chain() -> Graph:
    """a, a depthwise b, and c; four channels everywhere."""
    net = GraphBuilder("chain", (4, 6, 6)).conv(4, 3, padding=1, name="a")
    return net.conv(4, 3, padding=1, groups=4, name="b").conv(4, 1, name="c").build()


def _refusal(graph: Graph, *placements: Placement) -> str:
    with pytest.raises(PlanError) as refused:
        validate_plan(graph, CLUSTER, Plan.of(graph, placements))
    return str(refused.value)


def test_a_streamed_split() -> None:
    """The channels at a time are part of the placement, of its text and of its record; records without them are as they were."""
    sums = Placement.split("IC", (1, 0), (3, 1), "two_phase", stream=4)
    assert (str(STREAMED), str(sums)) == ("OC 2/1/1 on 0/1/2, streamed 2", "IC 3/1 on 1/0, two-phase, streamed 4")
    assert (STREAMED.streams_input, STREAMED.streams_sums, sums.streams_input, sums.streams_sums) == (True, False, False, True)
    assert (OC.streams_input, OC.streams_sums) == (False, False)
    assert STREAMED != OC
    assert len({OC, STREAMED, replace(OC, stream=3)}) == 3
    assert placement_record(sums) == placement_record(replace(sums, stream=None)) | {"stream": 4}
    assert "stream" not in placement_record(OC)
    for placement in (STREAMED, sums, OC):
        assert placement_from(json.loads(json.dumps(placement_record(placement))), "here") == placement
    plan = Plan.of(_chain(), [OC, OC, STREAMED])
    assert Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan
    assert Placement.split("OC", ALL, (2, 1, 1), stream=np.int64(2)) == STREAMED  # type: ignore[arg-type]


@pytest.mark.parametrize("stream", [0, -1, 1.5, "2", True])
def test_channels_at_a_time_are_a_positive_integer(stream: Any) -> None:
    """Anything else is refused, with its place where it is read from a record."""
    with pytest.raises(PlanError, match=r"stream is .*; it must be a positive integer, the most channels at a time"):
        replace(OC, stream=stream)
    with pytest.raises(FileFormatError, match=r"^here: placement: stream is"):
        placement_from(placement_record(OC) | {"stream": stream}, "here")


def test_only_channels_are_streamed() -> None:
    """Rows, partial sums of a direct reduce and whole operators have no stream."""
    with pytest.raises(PlanError, match="stream is 2, but the operator is split by 'H'; only OC and two-phase IC splits are streamed"):
        Placement.split("H", (0, 1), (1, 1), stream=2)
    with pytest.raises(PlanError, match="split by 'IC', reduced directly; only OC and two-phase IC"):
        Placement.split("IC", (0, 1), (1, 1), stream=2)
    with pytest.raises(PlanError, match="stream is 2, but the operator is whole"):
        replace(Placement.whole(0), stream=2)
    with pytest.raises(PlanError, match="one participant means the operator is whole"):
        Placement.split("OC", (0,), (4,), stream=2)


def test_what_can_be_streamed() -> None:
    """An OC split behind the input, a whole or gathered operator, or a split by channels over the same devices; a two-phase IC split always."""
    graph, rows = _chain(), Placement.split("H", ALL, (2, 2, 2))
    sums = Placement.split("IC", ALL, (2, 1, 1), "two_phase")
    for placements in (
        (STREAMED, OC, STREAMED),
        (STREAMED, Placement.whole(1), STREAMED),
        (OC, replace(rows, gather=2), STREAMED),
        (replace(sums, stream=1), rows, replace(sums, stream=3)),
    ):
        validate_plan(graph, CLUSTER, Plan.of(graph, placements))
    pair = GraphBuilder("pair", (4, 6, 6)).conv(4, 1, name="a").conv(4, 1, name="b").build()
    for first in (sums, replace(sums, stream=1)):
        validate_plan(pair, CLUSTER, Plan.of(pair, [first, STREAMED]))


def test_what_cannot_be_streamed() -> None:
    """The message names the operator, what its input is, and what it must be."""
    graph = _chain()
    assert _refusal(graph, OC, STREAMED, OC) == (
        "operator 'b': its OC split is streamed, but only convolutions of one group and fully connected operators add up parts of their input"
    )
    rows = Placement.split("H", ALL, (2, 2, 2))
    for found in (rows, Placement.split("OC", (0, 2, 1), (2, 1, 1)), Placement.split("OC", (0, 1), (2, 2))):
        named = f"operator 'c': its OC split over [0, 1, 2] is streamed, but its input 'b' is {found}; that must be whole, or an OC or two-phase IC"
        assert _refusal(graph, OC, found, STREAMED) == f"{named} split over the same devices in the same order"
    pair = GraphBuilder("pair", (4, 6, 6)).conv(4, 1, name="a").conv(4, 1, name="b").build()
    assert "its input 'a' is IC 2/1/1" in _refusal(pair, Placement.split("IC", ALL, (2, 1, 1)), STREAMED)
    mixed = GraphBuilder("mixed", (4, 6, 6)).conv(4, 1, name="a").softmax().conv(4, 1, name="b").build()
    assert "its input 'a' is split by channels and ends with a step that mixes them" in _refusal(mixed, OC, STREAMED)
    validate_plan(mixed, CLUSTER, Plan.of(mixed, [Placement.whole(1), STREAMED]))
    joined = GraphBuilder("joined", (4, 6, 6)).conv(4, 1, name="a").add("a", "a", name="b").build()
    assert "'b': its OC split is streamed, but only convolutions" in _refusal(joined, OC, STREAMED)


def test_streaming_all_of_a_plan() -> None:
    """Every split that can be streamed is; the others stay as they are."""
    graph, rows = _chain(), Placement.split("H", ALL, (2, 2, 2))
    sums = Placement.split("IC", ALL, (2, 1, 1), "two_phase")
    assert list(streamed(graph, Plan.of(graph, [OC, OC, sums]), 3).values()) == [replace(OC, stream=3), OC, replace(sums, stream=3)]
    assert list(streamed(graph, Plan.of(graph, [sums, rows, OC]), 1).values()) == [replace(sums, stream=1), rows, OC]
    plan = Plan.of(graph, [Placement.whole(0), OC, replace(OC, stream=1)])
    assert list(streamed(graph, plan, 2).values()) == [Placement.whole(0), OC, STREAMED]


def test_no_space_has_streams() -> None:
    """A plan of the team is refused if anything is streamed, with the operator; arrays of plans refuse it too, and the evaluator does not."""
    graph = _chain()
    plan = Plan.of(graph, [OC, OC, STREAMED])
    for team in ("all", ALL, "best"):
        with pytest.raises(PlanError, match="streams the channels of 'c', which no method searches"):
            check_in_space(plan, team, CLUSTER)  # type: ignore[arg-type]
    with pytest.raises(UnsupportedError, match="operator 'c' is OC 2/1/1 on 0/1/2, streamed 2, which arrays of plans do not know"):
        PlanBatch.from_plans(graph, [plan], 3)
    with pytest.raises(UnsupportedError, match="OC 2/1/1 on 0/1/2, streamed 2 is streamed, which arrays of plans do not know"):
        PlanBatch.of([[STREAMED]], 3)
    assert evaluate(graph, CLUSTER, plan).latency_s > 0
