"""The cost of a unit for each of its participants: computation (equation 7) and memory (equation 1) of ``cost_model.md``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from iopopt.network.terms import amount
from iopopt.network.unit import Unit
from iopopt.plan.placement import Placement
from iopopt.plan.shares import even_shares


class DeviceDemand(NamedTuple):
    """Memory of one device while an operator runs: w_ij, a_ij and what it holds of live tensors, bytes (equation 1)."""

    weights: float = 0.0
    activations: float = 0.0
    live: float = 0.0


def share_flops(unit: Unit, placement: Placement) -> Iterator[tuple[int, float]]:
    """C_ij: the FLOPs of each participant."""
    terms = unit.work[placement.dim]
    for device, n in zip(placement.devices, placement.shares, strict=True):
        yield device, amount(terms, n)


def share_memory(unit: Unit, placement: Placement, bytes_per_element: int) -> Iterator[tuple[int, DeviceDemand]]:
    """w_ij and a_ij: the memory of each participant, bytes; an empty share still has the constant terms."""
    weights, activations = unit.weights[placement.dim], unit.activations[placement.dim]
    for device, n in zip(placement.devices, placement.shares, strict=True):
        largest = max([amount(terms, n) for terms in activations])
        yield device, DeviceDemand(bytes_per_element * amount(weights, n), bytes_per_element * largest)


def share_output(unit: Unit, placement: Placement, bytes_per_element: int) -> Iterator[tuple[int, float]]:
    """What each participant holds of the unit's output while it is live, bytes.

    Partial sums of a direct reduce stay whole on every participant until the last consumer has received them.
    """
    shares: Sequence[int] = placement.shares
    if placement.reduce == "two_phase":
        shares = even_shares(unit.sizes["OC"], len(placement.devices))
    for device, n in zip(placement.devices, shares, strict=True):
        held = unit.pre_pool_shape.elements if placement.reduce == "direct" else amount(unit.output[placement.dim], n)
        yield device, bytes_per_element * held
