"""Lower bounds on time without barriers: no plan's simulated makespan is below them. ``events.md`` states and proves the inequalities."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from iopopt.cluster.cluster import Cluster, Device
from iopopt.cost.instance import Instance
from iopopt.cost.stopwatch import Stopwatch, TimeUpError
from iopopt.milp.barriers import BarrierBound
from iopopt.milp.needed_rows import least_work
from iopopt.network.graph import Graph

_ROUNDING = 1e-9
"""Simulated times are sums of rounded floats, which may come out below the exact ones by this part."""


class EventsBound(NamedTuple):
    """A proven lower bound on the makespan, seconds, and the bound of each proof by its name; the largest is ``bound_s``."""

    bound_s: float
    proofs: Mapping[str, float]


def events_bound(
    graph: Graph,
    devices: Cluster | Sequence[Device],
    *,
    longest_block: int = 1,
    time_limit_s: float = 10.0,
) -> EventsBound:
    """What no plan can beat by the clock of :func:`iopopt.simulate`, whatever its dimensions, shares, blocks and participants, gathers excepted.

    Every operator may be split over any devices in any order. One of the proofs takes no time; the others are left out when the time is up.

    Args:
        longest_block: the most operators of a fused block.

    Raises:
        GraphError, ClusterError: if graph or devices are neither.
    """
    instance, watch = Instance.of(graph, devices), Stopwatch(time_limit_s)
    proofs = {"work by speed": sum(least_work(graph)) / sum(device.flops_per_s for device in instance.cluster.devices)}
    with contextlib.suppress(TimeUpError):
        proofs["barriers"] = BarrierBound(instance, longest_block).seconds(watch)
    proofs = {name: seconds * (1 - _ROUNDING) for name, seconds in proofs.items()}
    return EventsBound(max(proofs.values()), proofs)
