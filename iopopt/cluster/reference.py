"""The reference instances: unequal clusters by name, on which every figure of this project can be reproduced.

A name is ``<tier>-x<count>[-loose | -tight-<x>]``, for example ``edge-x3``, ``slow-link-x4`` or ``edge-x4-tight-0.5``.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from iopopt.cluster.cluster import Cluster, Device
from iopopt.cluster.units import trust_units
from iopopt.errors import ClusterError
from iopopt.network.graph import Graph

SPEED_RATIOS = (1.0, 2.0, 4.0, 1.5, 3.0, 2.5, 1.0, 2.0)
"""Speeds of the devices relative to the base speed of the tier; repeated for more than eight devices."""


class Tier(NamedTuple):
    """Base speed, link bandwidth and connection set-up time of a family of instances."""

    flops_per_s: float
    bandwidth_bytes_per_s: float
    connection_setup_s: float


TIERS = {
    "edge": Tier(0.5e9, 12.5e6, 1e-3),
    "slow-link": Tier(0.5e9, 1.25e6, 4e-3),
    "fast": Tier(5e9, 125e6, 1e-3),
    "mcu": Tier(2e6, 1.25e6, 1e-3),
}

_NAME = re.compile(r"(?P<tier>" + "|".join(TIERS) + r")-x(?P<count>\d{1,3})(-(?P<memory>loose|tight-(?P<factor>\d+(\.\d+)?)))?")


def is_reference_name(name: str) -> bool:
    """Whether ``name`` follows the grammar of this module."""
    return _NAME.fullmatch(name) is not None


def reference_cluster(name: str, graph: Graph) -> Cluster:
    """The reference instance of that name; the memory of its devices depends on the size of ``graph``.

    ``loose`` (the default) gives every device twice what the whole model needs; ``tight-x`` gives it x times the weights plus the
    largest ``in + pre`` of an operator.

    Raises:
        ClusterError: if the name does not follow the grammar or has a count of 0.
    """
    match = _NAME.fullmatch(name)
    if match is None or int(match["count"]) < 1:
        raise ClusterError(f"{name!r} is not a reference instance; the form is <tier>-x<count>[-loose|-tight-<x>], with tiers {', '.join(TIERS)}")
    tier = TIERS[match["tier"]]
    weights, activations = graph.whole_memory_bytes()
    memory = float(match["factor"]) * weights + activations if match["factor"] else 2 * (weights + activations)
    devices = (
        Device(f"{match['tier']}{j}", tier.flops_per_s * SPEED_RATIOS[j % len(SPEED_RATIOS)], memory, tier.bandwidth_bytes_per_s)
        for j in range(int(match["count"]))
    )
    cluster = Cluster(tuple(devices), connection_setup_s=tier.connection_setup_s)
    trust_units(cluster)  # the memory of a toy network may be a few bytes
    return cluster


def default_reference(graph: Graph) -> str:
    """The bench's instance for a model: three microcontrollers for the smallest networks, three edge boards for the rest."""
    return "mcu-x3" if graph.macs < 5_000_000 else "edge-x3"
