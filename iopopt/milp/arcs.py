"""The ways in which a tensor passes from one placement to the next: the arcs of the program and what each one costs.

Every row of the communication table of ``cost_model.md`` is an arc from a *node* of the producer to a node of the consumer. A node is
a dimension over the team, or the whole operator on one device. Arcs whose cost depends on shares form a *group* that has copies of
those shares of its own; see :mod:`iopopt.milp.formulation`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from iopopt.cost.communication import TensorEdge
from iopopt.network.operators import Operator
from iopopt.network.shapes import Dim
from iopopt.plan.placement import Placement
from iopopt.plan.shares import even_shares

Mode = Literal["send", "interleaved", "aligned", "halo", "gather", "direct", "two_phase", "two_phase_interleaved"]


class Node(NamedTuple):
    """What a placement is to the program: a dimension over the team, or whole (``dim`` None) on ``device``."""

    dim: Dim | None
    device: int | None

    def __str__(self) -> str:
        return self.dim or f"whole{self.device}"


class Arc(NamedTuple):
    """One way of handing the tensor on from ``source`` to ``target``."""

    source: Node
    target: Node
    mode: Mode


def whole(device: int) -> Node:
    return Node(None, device)


def split(dim: Dim) -> Node:
    return Node(dim, None)


def nodes_of(operator: Operator, device_count: int, team: Sequence[int]) -> list[Node]:
    """Whole on any device, or split over the team by each dimension that can be."""
    return [*map(whole, range(device_count)), *(split(dim) for dim in operator.splittable_dims if len(team) > 1)]


def node_of(placement: Placement) -> Node:
    """The node that a placement over the team, or on one device, belongs to."""
    return whole(placement.devices[0]) if placement.dim is None else split(placement.dim)


def arcs_between(source: Node, handover: TensorEdge, target: Node, team_size: int) -> Iterator[Arc]:
    """Every arc from ``source`` to ``target``; parallel ones are alternatives of which a plan takes one."""
    for mode in _modes(source, handover, target, team_size):
        yield Arc(source, target, mode)


def reads_part(handover: TensorEdge, target: Node) -> bool:
    """Whether a share of the target needs but some of the channels."""
    return handover.consumer is not None and handover.by_channels and handover.consumer.reads_part(target.dim)


def shares_of_even_slices(consumer: Operator, target: Node, team_size: int) -> tuple[int, ...] | None:
    """The shares that need just the slices of a two-phase reduce, in units of ``target``; None where the slices are no whole units."""
    assert target.dim is not None
    slices = even_shares(consumer.in_shape.channels, team_size)
    each = consumer.input_channels(target.dim, consumer.granularity(target.dim))
    return None if any(part % each for part in slices) else tuple(part // each for part in slices)


def _modes(source: Node, handover: TensorEdge, target: Node, team_size: int) -> Iterator[Mode]:
    consumer, part_read = handover.consumer, reads_part(handover, target)
    if source.dim is None:
        yield "send"
    elif source.dim == "IC":
        yield from ("direct", "two_phase")
        if consumer is not None and part_read and shares_of_even_slices(consumer, target, team_size) is not None:
            yield "two_phase_interleaved"
    elif source.dim == target.dim == "H":
        assert consumer is not None  # the sink is whole
        yield "halo"
        if consumer.K <= consumer.S:
            yield "aligned"
    else:
        yield "gather"
        if source.dim == "OC" and part_read:
            yield "interleaved"


_TWO_PHASE = ("two_phase", "two_phase_interleaved")


def completes(arc: Arc) -> bool:
    """Whether a two-phase reduce goes before what the arc hands on."""
    return arc.mode in _TWO_PHASE


def mode_of(case: str, producer_placement: Placement) -> Mode:
    """The mode under which the evaluator priced an edge, from the case of its last phase."""
    if producer_placement.reduce == "two_phase":
        return "two_phase_interleaved" if case == "interleaved" else "two_phase"
    names: dict[str, Mode] = {
        "whole": "send",
        "interleaved": "interleaved",
        "row-aligned": "aligned",
        "halo": "halo",
        "reduce": "direct",
        "concatenate": "gather",
    }
    return names[case]
