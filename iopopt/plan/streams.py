"""Which splits can be streamed, and plans in which all of them are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from iopopt.network.graph import Graph
from iopopt.plan.placement import Placement, Strategy

if TYPE_CHECKING:
    from iopopt.plan.plan import Plan


def stream_fault(graph: Graph, placements: Mapping[str, Placement], number: int) -> str | None:
    """Why the stream of an operator, by number, is impossible; None if it has none, or everybody can do its part.

    A two-phase IC split can always be streamed, an OC split if its input comes in channels or whole.
    """
    operator = graph.operators[number]
    placement = placements[operator.name]
    if not placement.streams_input:
        return None
    if "IC" not in operator.splittable_dims:
        return "its OC split is streamed, but only convolutions of one group and fully connected operators add up parts of their input"
    (edge,) = graph.edges_into[number]
    if edge.producer == graph.source:
        return None
    producer = graph.operators[edge.producer]
    owned = placements[producer.name].handed_on
    if owned.is_whole:
        return None
    if owned.strategy not in (Strategy.OC, Strategy.IC_TWO_PHASE) or owned.devices != placement.devices:
        return (
            f"its OC split over {list(placement.devices)} is streamed, but its input {producer.name!r} is {owned}; that must be whole, or an OC or "
            "two-phase IC split over the same devices in the same order"
        )
    if producer.mixes_channels:
        return (
            f"its OC split is streamed, but its input {producer.name!r} is split by channels and ends with a step that mixes them, for which nobody "
            "has all; compute that operator whole, or do not stream"
        )
    return None


def streamed(graph: Graph, plan: Plan, channels: int) -> Plan:
    """The same plan with every OC split and every two-phase IC split streamed that can be, so many channels at a time.

    Raises:
        PlanError: if ``channels`` is no positive integer.
    """
    placements = dict(plan)
    for number, operator in enumerate(graph.operators):
        old = placements[operator.name]
        if old.strategy in (Strategy.OC, Strategy.IC_TWO_PHASE):
            placements[operator.name] = replace(old, stream=channels)
            if stream_fault(graph, placements, number) is not None:
                placements[operator.name] = old
    return replace(plan, placements=tuple(placements.items()))
