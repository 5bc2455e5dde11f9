"""Equation (1): what every device needs while each operator runs, bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from iopopt.cost.instance import Instance
from iopopt.network.terms import amount, positions
from iopopt.network.unit import Unit
from iopopt.plan.placement import Placement
from iopopt.plan.shares import even_shares


class DeviceDemand(NamedTuple):
    """Memory of one device while an operator runs: w_ij, a_ij and what it holds of live tensors, bytes (equation 1)."""

    weights: float = 0.0
    activations: float = 0.0
    live: float = 0.0


def memory_demands(instance: Instance, placements: Sequence[Placement]) -> list[list[DeviceDemand]]:
    """w_ij, a_ij and live_ij of equation (1), as ``[i][j]``; zero where a device takes no part and holds nothing.

    Args:
        placements: of every unit (:meth:`Instance.placements`).
    """
    e, nothing = instance.cluster.bytes_per_element, DeviceDemand()
    demands = [[nothing] * len(instance.cluster) for _ in instance.placed]
    for unit, placement, row in zip(instance.placed, placements, demands, strict=False):
        for j, demand in share_memory(unit, placement, e):
            row[j] = demand
    for producer, during in instance.live_tensors:
        for j, live in _live_bytes(instance, placements, producer):
            for i in during:
                demands[i][j] = demands[i][j]._replace(live=demands[i][j].live + live)
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


def share_memory(unit: Unit, placement: Placement, bytes_per_element: int) -> Iterator[tuple[int, DeviceDemand]]:
    """w_ij and a_ij: the memory of each participant, and of the device that gathers, bytes; an empty share still has the constant terms."""
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
