"""Lower bounds on time without barriers: no plan's simulated makespan is below them. ``events.md`` states and proves the inequalities."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from iopopt.cluster.cluster import Cluster, Device
from iopopt.cost.instance import Instance
from iopopt.cost.stopwatch import Stopwatch, TimeUpError
from iopopt.cost.work import whole_work
from iopopt.milp.barriers import BarrierBound
from iopopt.milp.needed_rows import least_work
from iopopt.milp.overlap_program import has_stages, program_bound_s
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
    backend: str | None = "highs",
    known_s: float | None = None,
) -> EventsBound:
    """What no plan can beat by the clock of :func:`iopopt.simulate`, whatever its dimensions, shares, blocks and devices; no gathers, no streams.

    Every operator may be split over any devices in any order. The first proof takes no time; the others are left out when the time is up. The program
    alone knows the memory limits: where every device has the memory for the whole model it proves no more than the others, and is left out.

    Args:
        longest_block: the most operators of a fused block.
        time_limit_s: for all proofs, seconds.
        backend: solves the program; with None it is left out.
        known_s: the makespan of a plan of that space that fits the memory, if one is known: the bound need not exceed it, which helps the program.

    Raises:
        GraphError, ClusterError: if graph or devices are neither.
        UnknownNameError: if there is no such back end.
        SolverError: if the back end fails.
    """
    instance, watch = Instance.of(graph, devices), Stopwatch(time_limit_s)
    proofs = {"work by speed": sum(least_work(graph)) / sum(device.flops_per_s for device in instance.cluster.devices)}
    with contextlib.suppress(TimeUpError):
        barriers = BarrierBound(instance, longest_block)
        proofs["barriers"] = barriers.seconds(watch)
        least_s, most_s = max(proofs.values()), _one_after_another_s(instance) if known_s is None else known_s
        if backend is not None and has_stages(instance) and not _all_fits(instance) and least_s < most_s:
            proved_s = program_bound_s(instance, barriers.stages, most_s, backend, watch)
            proofs |= {} if proved_s is None else {"program": proved_s}
    proofs = {name: seconds * (1 - _ROUNDING) for name, seconds in proofs.items()}
    return EventsBound(max(proofs.values()), proofs)


def _all_fits(instance: Instance) -> bool:
    """Whether each device has the memory for all operators, each of them whole on it."""
    needed = sum(instance.graph.whole_memory_bytes(instance.cluster.bytes_per_element))
    return all(device.memory_bytes >= needed for device in instance.cluster.devices)


def _one_after_another_s(instance: Instance) -> float:
    """More than a good plan takes, and therefore enough for a bound: all operators on the slowest device, and all tensors over the slowest link."""
    cluster = instance.cluster
    devices, e = cluster.devices, cluster.bytes_per_element
    computed = sum(max(device.compute_s(*whole_work(unit, e)) for device in devices) for unit in instance.placed)
    slowest = cluster.shared_medium_bytes_per_s or min(device.bandwidth_bytes_per_s for device in devices)
    edges = [edge for edges in instance.edges_into for edge in edges]
    return computed + sum(cluster.connection_setup_s + e * edge.shape.elements / slowest for edge in edges)
