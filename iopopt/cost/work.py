"""Equation (7): what each participant of a unit computes, and the bytes that it touches."""

from __future__ import annotations

from collections.abc import Iterator

from iopopt.network.shapes import Dim
from iopopt.network.terms import Position, amount, positions
from iopopt.network.unit import Unit
from iopopt.plan.placement import Placement
from iopopt.schedule.rounds import Work


def share_work(unit: Unit, placement: Placement, bytes_per_element: int) -> Iterator[tuple[int, Work]]:
    """C_ij and D_ij of each participant; an empty share still has the constant terms."""
    for device, n, place in zip(placement.devices, placement.shares, positions(len(placement.devices)), strict=True):
        yield device, work_of(unit, placement.dim, n, place, bytes_per_element)


def whole_work(unit: Unit, bytes_per_element: int) -> Work:
    """C_ij and D_ij of a whole unit."""
    return work_of(unit, None, 1, Position.FIRST, bytes_per_element)


def work_of(unit: Unit, dim: Dim | None, n: float, place: Position, bytes_per_element: int) -> Work:
    """C_ij and D_ij of a share of ``n`` at a position in the order."""
    return Work(amount(unit.work[dim], n, place), bytes_per_element * amount(unit.touched[dim], n, place))
