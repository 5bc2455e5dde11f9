"""Orders of participants: random ones for plans that have the order of the cluster, and the renumbering of devices.

Every function draws from a ``random.Random`` alone, so a seed names an instance. Shares stay where they are in the order, so that what was
interleaved, aligned or a halo exchange often still is.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from iopopt import Cluster, Placement, Plan


def random_order(rng: random.Random, device_count: int) -> tuple[int, ...]:
    """The devices in any order."""
    return tuple(rng.sample(range(device_count), device_count))


def reordered(rng: random.Random, plan: Plan, device_count: int) -> Plan:
    """The same plan with its participants in other orders.

    Half of the time all operators follow one order of the devices. Otherwise an operator keeps the order of the one before it or draws its
    own, so that some edges lie between the same devices in two orders.
    """
    common, order = rng.random() < 0.5, random_order(rng, device_count)
    placements = []
    for name, placement in plan.items():
        if not common and rng.random() < 0.4:
            order = random_order(rng, device_count)
        placements.append((name, in_order(placement, order)))
    return Plan(tuple(placements))


def in_order(placement: Placement, order: Sequence[int]) -> Placement:
    """The placement with its participants as they stand in ``order``, which has all of them."""
    return _over(placement, [j for j in order if j in placement.devices])


def renumbered_plan(plan: Plan, numbers: Sequence[int]) -> Plan:
    """The plan where device j is called ``numbers[j]``."""
    return Plan(tuple((name, _renumbered(placement, numbers)) for name, placement in plan.items()))


def _renumbered(placement: Placement, numbers: Sequence[int]) -> Placement:
    other = _over(placement, [numbers[j] for j in placement.devices])
    return other if placement.gather is None else replace(other, gather=numbers[placement.gather])


def renumbered_cluster(cluster: Cluster, numbers: Sequence[int]) -> Cluster:
    """The cluster where device j is called ``numbers[j]``."""
    devices = tuple(cluster.devices[numbers.index(number)] for number in range(len(cluster)))
    source = None if cluster.source is None else numbers[cluster.source]
    return replace(cluster, devices=devices, source=source, sink=numbers[cluster.sink])


def _over(placement: Placement, devices: Sequence[int]) -> Placement:
    """The same shares over other devices."""
    if placement.dim is None:
        return Placement.whole(devices[0])
    return Placement.split(placement.dim, devices, placement.shares, placement.reduce or "direct", placement.gather)
