"""A cluster as HTML, for notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iopopt.network.html import heading, table

if TYPE_CHECKING:
    from iopopt.cluster.cluster import Cluster

_POWERS = {"idle_watts": "idle, W", "compute_watts": "computing, + W", "transmit_watts": "sending, + W", "receive_watts": "receiving, + W"}


def cluster_html(cluster: Cluster) -> str:
    """A row for each device, below the figures that all share."""
    rows: list[tuple[object, ...]] = [
        (j, device.name, f"{device.flops_per_s / 1e9:.4g}", f"{device.memory_bytes / 1e6:,.4g}", f"{device.bandwidth_bytes_per_s / 1e6:.4g}")
        for j, device in enumerate(cluster.devices)
    ]
    figures: tuple[str, ...] = ("", "GFLOP/s", "memory, MB", "link, MB/s")
    rates = [device.memory_bytes_per_s for device in cluster.devices]
    if any(rates):
        figures = (*figures, "memory, GB/s")
        rows = [(*row, f"{rate / 1e9:.4g}" if rate else "") for row, rate in zip(rows, rates, strict=True)]
    for key, name in _POWERS.items():
        watts = [getattr(device, key) for device in cluster.devices]
        if any(power is not None for power in watts):
            figures = (*figures, name)
            rows = [(*row, "" if power is None else f"{power:.4g}") for row, power in zip(rows, watts, strict=True)]
    source = "every device has the input" if cluster.source is None else f"input on {cluster.devices[cluster.source].name}"
    shared = (
        f"{source}, output on {cluster.devices[cluster.sink].name}; {cluster.connection_setup_s * 1e3:g} ms for a connection, "
        f"counted by {cluster.connections}; {cluster.bytes_per_element} bytes an element"
    )
    return heading(f"{len(cluster)} device{'s' if len(cluster) > 1 else ''}", shared) + table(("", "device", *figures[1:]), rows, figures)
