"""Task graphs: what the simulation of events runs, whatever it stands for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from iopopt.cluster.cluster import Cluster


class ComputeTask(NamedTuple):
    """``device`` computes for so many seconds, once the tasks ``after`` are done; a device runs its tasks one at a time, by number."""

    device: int
    seconds: float
    after: tuple[int, ...] = ()


class TransferTask(NamedTuple):
    """So many bytes go from one device to another, once the tasks ``after`` are done and a connection is set up, by default in the network's time."""

    sender: int
    receiver: int
    size_bytes: float
    after: tuple[int, ...] = ()
    setup_s: float | None = None


class Milestone(NamedTuple):
    """Reached when the tasks ``after`` are done; takes no time."""

    after: tuple[int, ...]


Task: TypeAlias = ComputeTask | TransferTask | Milestone


@dataclass(frozen=True)
class Network:
    """What transfers share.

    Attributes:
        up, down: of each device's full-duplex link, bytes/s.
        setup_s: how long a transfer waits before it flows, seconds.
        shared_bytes_per_s: the capacity of one half-duplex medium that all transfers share instead of the links; None if there is none.
    """

    up: Sequence[float]
    down: Sequence[float]
    setup_s: float
    shared_bytes_per_s: float | None = None

    @classmethod
    def of(cls, cluster: Cluster, shared_bytes_per_s: float | None = None) -> Network:
        """The links of a cluster, or its shared medium."""
        links = tuple(device.bandwidth_bytes_per_s for device in cluster.devices)
        return cls(links, links, cluster.connection_setup_s, shared_bytes_per_s)

    def fastest(self, sender: int, receiver: int) -> float:
        """The rate of a transfer that shares nothing, bytes/s."""
        return min(self.up[sender], self.down[receiver]) if self.shared_bytes_per_s is None else self.shared_bytes_per_s
