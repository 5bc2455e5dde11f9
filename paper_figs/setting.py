"""The one setting in which every table and figure of this package is computed.

Three unequal devices whose speeds are as 1 : 2 : 4, all with the same link, every device holding the input, the first wanting the output.
They are the toolkit's reference instances of default size, with memory for twice the whole model on each device:

* LeNet on ``mcu-x3``: 2, 4 and 8 MFLOP/s, 1.25 MB/s, 1 ms to set up a connection;
* AlexNet and the VGGs on ``edge-x3``: 0.5, 1 and 2 GFLOP/s, 12.5 MB/s, 1 ms.

This is not the setting of the IOP paper, which is not known, and nothing in it was chosen to meet published percentages. To look for a
setting that explains them is a separate piece of work.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

from iopopt import Cluster, Graph, load_cluster, load_model

METHODS_COMPARED = ("oc", "coedge", "greedy", "iop_segments", "milp")
"""Names of ``iopopt.METHODS``, in the order of the columns."""

BASELINES = ("oc", "coedge")
"""What the IOP paper compares with."""

VARIANTS = ("greedy", "iop_segments", "milp")
"""The paper's algorithm, the optimum over its segments, and the optimum over all plans of its space."""

SETUP_TIMES_MS = (1, 2, 3, 4, 5, 6, 7, 8)
"""t_est of equation (8) in the paper's sweep."""


class Instance(NamedTuple):
    """A network and the reference instance it runs on; ``label`` is how tables call the network."""

    label: str
    model: str
    cluster: str


LENET = Instance("LeNet", "lenet5", "mcu-x3")
TABLE_INSTANCES = (LENET, Instance("AlexNet", "alexnet", "edge-x3"), Instance("VGG11", "vgg11", "edge-x3"))
SWEEP_INSTANCES = tuple(Instance(f"VGG{depth}", f"vgg{depth}", "edge-x3") for depth in (11, 13, 16, 19))


def load(instance: Instance, connection_setup_s: float | None = None) -> tuple[Graph, Cluster]:
    """The network and its devices; ``connection_setup_s`` takes the place of the instance's own t_est."""
    graph = load_model(instance.model)
    cluster = load_cluster(instance.cluster, graph)
    return graph, cluster if connection_setup_s is None else dataclasses.replace(cluster, connection_setup_s=connection_setup_s)


def describe(instances: Sequence[Instance], *, swept: bool = False) -> tuple[str, ...]:
    """One sentence for each cluster in use, read off the cluster itself; ``swept`` where t_est is the axis of a figure."""
    labels: dict[str, list[str]] = {}
    for instance in instances:
        labels.setdefault(instance.cluster, []).append(instance.label)
    loaded = {instance.cluster: load(instance) for instance in instances}
    return tuple(f"{', '.join(labels[name])} on {name}: {_sentence(graph, cluster, swept)}" for name, (graph, cluster) in loaded.items())


def _sentence(graph: Graph, cluster: Cluster, swept: bool) -> str:
    speeds = ", ".join(f"{device.flops_per_s / 1e6:g}" for device in cluster.devices)
    bandwidths = ", ".join(dict.fromkeys(f"{device.bandwidth_bytes_per_s / 1e6:g}" for device in cluster.devices))
    setup = "the set-up time as swept" if swept else f"{cluster.connection_setup_s * 1e3:g} ms to set up a connection"
    memory = min(device.memory_bytes for device in cluster.devices) / sum(graph.whole_memory_bytes())
    return f"{len(cluster)} devices of {speeds} MFLOP/s, links of {bandwidths} MB/s, {setup}, {memory:.3g} times the memory of the whole model each."
