"""Equation (1) of one participant."""

from __future__ import annotations

from dataclasses import replace

from iopopt import GraphBuilder, Placement
from iopopt.cost.memory import DeviceDemand, share_memory
from iopopt.network.terms import fixed, proportional


def test_the_largest_of_several_amounts_counts() -> None:
    """Activations of 6 n/4 or of 5 elements, whichever is more: 5 at one channel of four, 6 at four; two bytes an element."""
    unit = GraphBuilder("x", (1, 1, 1)).conv(4, 1, bias=False).build().units[0]
    either = replace(unit, activations={**unit.activations, "OC": ((proportional(6, 4),), (fixed(5),))})
    found = {share: dict(share_memory(either, Placement.split("OC", (1, 0), (share, 4 - share)), 2)) for share in (1, 4)}
    assert found[1] == {1: DeviceDemand(2.0, 10.0), 0: DeviceDemand(6.0, 10.0)}
    assert found[4] == {1: DeviceDemand(8.0, 12.0), 0: DeviceDemand(0.0, 10.0)}
