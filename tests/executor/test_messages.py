"""The messages of a plan without barriers, by hand: when they are sent, and until when devices need tensors."""

from __future__ import annotations

import pytest

from iopopt import Graph, GraphBuilder, Placement, Plan
from iopopt.executor.messages import BEFORE, last_uses, messages
from iopopt.schedule.region_transfers import UnitInputs, unit_inputs

ALL = (0, 1, 2)


@pytest.fixture(scope="module")
def fork() -> Graph:
    """b and c read a, d adds a, b and c."""
    net = GraphBuilder("fork", (2, 8, 4)).conv(4, 1, name="a")
    net.conv(4, 1, name="b").at("a").conv(4, 1, name="c")
    return net.add("a", "b", "c", name="d").build()


def inputs_of(graph: Graph, *placements: Placement, source: int | None = None) -> list[UnitInputs]:
    plan = Plan.of(graph, placements)
    return unit_inputs(graph, [plan[operator.name] for operator in graph.operators], source, 0)


def listed(graph: Graph, inputs: list[UnitInputs]) -> list[tuple[int, str, int, int]]:
    """When each is sent, the unit that it is for, sender and receiver."""
    found = messages(inputs, graph.source)
    return [(message.sent, inputs[message.turn].name, message.transfer.sender, message.transfer.receiver) for message in found]


def test_what_is_made_is_sent_to_everybody_at_once(fork: Graph) -> None:
    """The input before everything, then each tensor in its turn, to the units in order."""
    inputs = inputs_of(fork, *(Placement.whole(device) for device in (0, 1, 2, 1)), source=2)
    assert listed(fork, inputs) == [(BEFORE, "a", 2, 0), (0, "b", 0, 1), (0, "c", 0, 2), (0, "d", 0, 1), (2, "d", 2, 1), (3, "(sink)", 1, 0)]
    assert not any(message.completes or message.completed for message in messages(inputs, fork.source))


def test_what_is_completed_is_sent_when_it_is(fork: Graph) -> None:
    """A gather of the rows of a takes place in the turn of its first reader, which b is; then all readers get what they need."""
    inputs = inputs_of(fork, Placement.split("H", (0, 2), (4, 4), gather=1), *(Placement.whole(device) for device in (2, 1, 0)))
    found = messages(inputs, fork.source)
    assert listed(fork, inputs) == [(0, "b", 0, 1), (0, "b", 2, 1), (1, "b", 1, 2), (1, "d", 1, 0), (1, "d", 2, 0), (2, "d", 1, 0)]
    assert [message.completes for message in found] == [True, True, False, False, False, False]
    assert [message.completed for message in found] == [False, False, True, True, False, False]


def test_every_pair_has_the_same_order_at_both_ends(fork: Graph) -> None:
    """Messages are sent turn after turn, within a turn what is completed first: a receiver can count those of each sender."""
    split = Placement.split("IC", ALL, (1, 1, 0), "two_phase")
    found = messages(inputs_of(fork, split, split, Placement.whole(1), Placement.whole(2)), fork.source)
    keys = [(message.sent, not message.completed) for message in found]
    assert keys == sorted(keys)
    assert len({(message.turn, message.slot, message.completes, message.transfer) for message in found}) == len(found)


def test_tensors_are_needed_until_they_are_read_or_sent_last(fork: Graph) -> None:
    """Device 0 has a until c reads it there; device 1, which gathers a, until d reads it."""
    inputs = inputs_of(fork, *(Placement.whole(device) for device in (0, 0, 0, 1)))
    assert last_uses(inputs, fork.source, 0) == {0: (fork.source,), 2: (0, 2), 1: (1,), 4: (3,)}  # the output until the sink has it
    inputs = inputs_of(fork, Placement.split("H", (0, 2), (4, 4), gather=1), *(Placement.whole(device) for device in (2, 1, 1)))
    uses = last_uses(inputs, fork.source, 1)
    assert 0 in uses[3]
    assert 0 in last_uses(inputs, fork.source, 0)[0]
