"""The energy of a plan: what its devices draw, by the rule of ``cost_model.md``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from iopopt.cluster.cluster import WATTS, Cluster


@dataclass(frozen=True)
class Energy:
    """What each device of the cluster draws, joules.

    Attributes:
        idle_j: all the time, whatever it does.
        compute_j, transmit_j, receive_j: in addition, by what it does.
    """

    idle_j: tuple[float, ...]
    compute_j: tuple[float, ...]
    transmit_j: tuple[float, ...]
    receive_j: tuple[float, ...]

    @property
    def device_j(self) -> tuple[float, ...]:
        """The sum of its parts for each device."""
        return tuple(map(sum, zip(self.idle_j, self.compute_j, self.transmit_j, self.receive_j, strict=True)))

    @property
    def total_j(self) -> float:
        """The sum over all devices."""
        return sum(self.device_j)


def has_power(cluster: Cluster) -> bool:
    """Whether any device has a power; otherwise nothing has an energy."""
    return any(getattr(device, key) is not None for device in cluster.devices for key in WATTS)


def energy_of(cluster: Cluster, seconds: float, compute_s: Sequence[float], sent_bytes: Sequence[float], received_bytes: Sequence[float]) -> Energy:
    """The energy of so many seconds in which each device computes, sends and receives so much.

    Bytes count at the rated speed b_j of the device's link, however long they really take: a power over b_j is joules per byte.
    """
    figures = list(zip(cluster.devices, compute_s, sent_bytes, received_bytes, strict=True))
    return Energy(
        idle_j=tuple((device.idle_watts or 0.0) * seconds for device in cluster.devices),
        compute_j=tuple((device.compute_watts or 0.0) * busy for device, busy, _, _ in figures),
        transmit_j=tuple((device.transmit_watts or 0.0) * sent / device.bandwidth_bytes_per_s for device, _, sent, _ in figures),
        receive_j=tuple((device.receive_watts or 0.0) * received / device.bandwidth_bytes_per_s for device, _, _, received in figures),
    )
