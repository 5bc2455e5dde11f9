"""Equation (1): what every device needs while each operator runs, bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from iopopt.cost.instance import Instance
from iopopt.cost.streams import input_activations, owned_channels, sum_activations
from iopopt.network.tensor_edge import LiveTensor
from iopopt.network.terms import amount, positions
from iopopt.network.unit import Unit
from iopopt.plan.placement import Placement
from iopopt.plan.shares import even_shares


class DeviceDemand(NamedTuple):
    """Memory of one device while an operator runs: w_ij, a_ij and what it holds of live tensors, bytes (equation 1)."""

    weights: float = 0.0
    activations: float = 0.0
    live: float = 0.0


def memory_demands(instance: Instance, placements: Sequence[Placement], numbers: range | None = None) -> list[list[DeviceDemand]]:
    """w_ij, a_ij and live_ij of equation (1), as ``[i][j]``; zero where a device takes no part and holds nothing.

    Args:
        placements: of every unit (:meth:`Instance.placements`).
        numbers: consecutive units, whose rows alone are wanted; all by default.
    """
    numbers = range(len(instance.placed)) if numbers is None else numbers
    nothing = DeviceDemand()
    demands = [[nothing] * len(instance.cluster) for _ in numbers]
    for number, row in zip(numbers, demands, strict=True):
        for j, demand in unit_memory(instance, placements, number):
            row[j] = demand
    for producer, during in (*instance.live_tensors, *_streamed_tensors(instance, placements)):
        rows = demands[max(during.start - numbers.start, 0) : max(during.stop - numbers.start, 0)]
        for j, live in _live_bytes(instance, placements, producer) if rows else ():
            for row in rows:
                row[j] = row[j]._replace(live=row[j].live + live)
    return demands


def peak_bytes(demands: Sequence[Sequence[DeviceDemand]]) -> tuple[float, ...]:
    """All weights of each device, and the largest sum of an operator's activations and live tensors."""
    return tuple(
        [sum([demand.weights for demand in of]) + max([demand.activations + demand.live for demand in of]) for of in zip(*demands, strict=True)]
    )


def _live_bytes(instance: Instance, placements: Sequence[Placement], producer: int) -> Iterator[tuple[int, float]]:
    """What each device holds of a live tensor; the input is held by the source, or by every device if all have it."""
    unit, e = instance.units[producer], instance.cluster.bytes_per_element
    if producer == instance.source:
        return iter([(device, e * unit.out_shape.elements) for device in instance.input_holders])
    return share_output(unit, placements[producer], e)


def _streamed_tensors(instance: Instance, placements: Sequence[Placement]) -> Iterator[LiveTensor]:
    """The tensors that their owners hold while their last consumer runs as well, because it streams them."""
    for number, edges in enumerate(instance.network.edges_into[: instance.sink]):
        if placements[number].streams_input:
            (edge,) = edges
            last = max([other.consumer for other in instance.network.edges_from[edge.producer]])
            if last == number:
                yield LiveTensor(edge.producer, range(number, number + 1))


def unit_memory(instance: Instance, placements: Sequence[Placement], number: int) -> Iterator[tuple[int, DeviceDemand]]:
    """w_ij and a_ij of a unit by number, streamed or not."""
    unit, placement, e = instance.units[number], placements[number], instance.cluster.bytes_per_element
    demands = share_memory(unit, placement, e)
    if placement.stream is None:
        return demands
    if placement.streams_sums:
        activations = sum_activations(unit, placement, e)
    else:
        (edge,) = instance.network.edges_into[number]
        everywhere = edge.producer == instance.source and instance.cluster.source is None
        owned = None if everywhere else owned_channels(edge.p, placements[edge.producer])
        activations = input_activations(unit, placement, owned, e)
    pairs = zip(demands, activations, strict=True)
    return ((device, demand._replace(activations=held)) for (device, demand), (_, held) in pairs)


def share_memory(unit: Unit, placement: Placement, bytes_per_element: int) -> Iterator[tuple[int, DeviceDemand]]:
    """w_ij and a_ij of what is not streamed, for each participant and the device that gathers, bytes; an empty share still has the constant terms."""
    weights, activations = unit.weights[placement.dim], unit.activations[placement.dim]
    for device, n, place in zip(placement.devices, placement.shares, positions(len(placement.devices)), strict=True):
        largest = max([amount(terms, n, place) for terms in activations])
        largest = max(largest, unit.out_shape.elements) if device == placement.gather else largest
        yield device, DeviceDemand(bytes_per_element * amount(weights, n), bytes_per_element * largest)
    if placement.gather is not None and placement.gather not in placement.devices:
        yield placement.gather, DeviceDemand(activations=bytes_per_element * unit.out_shape.elements)


def share_output(unit: Unit, placement: Placement, bytes_per_element: int) -> Iterator[tuple[int, float]]:
    """What each participant, or the device that has gathered it, holds of the unit's output while it is live, bytes.

    Partial sums of a direct reduce stay whole on every participant until the last consumer has received them.
    """
    if placement.gather is not None:
        yield placement.gather, bytes_per_element * unit.out_shape.elements
        return
    shares: Sequence[int] = placement.shares
    if placement.reduce == "two_phase":
        shares = even_shares(unit.sizes["OC"], len(placement.devices))
    for device, n in zip(placement.devices, shares, strict=True):
        held = unit.pre_pool_shape.elements if placement.reduce == "direct" else amount(unit.output[placement.dim], n)
        yield device, bytes_per_element * held
