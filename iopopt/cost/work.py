"""Equation (7): what each participant of a unit computes."""

from __future__ import annotations

from collections.abc import Iterator

from iopopt.network.terms import amount, positions
from iopopt.network.unit import Unit
from iopopt.plan.placement import Placement


def share_flops(unit: Unit, placement: Placement) -> Iterator[tuple[int, float]]:
    """C_ij: the FLOPs of each participant."""
    terms, places = unit.work[placement.dim], positions(len(placement.devices))
    for device, n, place in zip(placement.devices, placement.shares, places, strict=True):
        yield device, amount(terms, n, place)
