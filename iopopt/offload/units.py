"""Figures of an offloading instance that look as if they were in another unit."""

from __future__ import annotations

from collections.abc import Iterator

from iopopt.cluster.units import doubt
from iopopt.offload.instance import OffloadInstance


def doubts(instance: OffloadInstance) -> Iterator[str]:
    """What is implausible, one sentence for each figure."""
    for client in instance.clients:
        links = {"uplink": client.uplink, "downlink": client.down} if client.downlink is not None else {"uplink": client.uplink}
        figures = [("flops_per_s", client.flops_per_s, "flops_per_s")]
        for name, link in links.items():
            figures += [(f"{name}: bytes_per_s", link.bytes_per_s, "bandwidth_bytes_per_s"), (f"{name}: delay_s", link.delay_s, "connection_setup_s")]
        yield from (f"device {client.name!r}: {found}" for figure in figures if (found := doubt(*figure)))
    yield from (f"server {server.name!r}: {found}" for server in instance.servers if (found := doubt("flops_per_s", server.flops_per_s)))
    if found := doubt("bytes_per_element", instance.bytes_per_element):
        yield found
