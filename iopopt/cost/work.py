"""Equation (7): what each participant of a unit computes."""

from __future__ import annotations

from collections.abc import Iterator

from iopopt.network.terms import amount, position
from iopopt.network.unit import Unit
from iopopt.plan.placement import Placement


def share_flops(unit: Unit, placement: Placement) -> Iterator[tuple[int, float]]:
    """C_ij: the FLOPs of each participant."""
    terms, count = unit.work[placement.dim], len(placement.devices)
    for rank, (device, n) in enumerate(zip(placement.devices, placement.shares, strict=True)):
        yield device, amount(terms, n, position(rank, count))
