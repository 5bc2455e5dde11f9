"""The one setting in which every table and figure of this package is computed.

Three unequal devices of 5, 10 and 20 GFLOP/s on links of 125 MB/s (the reference instance ``fast-x3``), with memory for twice the whole
model each, and 2 ms to set up a connection; the figure sweeps these 1 to 8 ms. Every device has the input, the first needs the output.

This is not the setting of the IOP paper, which is unknown. It is one of the reference instances in which the paper's order of methods (IOP,
then CoEdge, then OC) holds; on ``edge-x3``, whose devices are slower relative to their links, OC is the fastest of them on AlexNet. How the gains
go with the set-up time is printed by ``figure_setup_time``. No figure was chosen to match published percentages: finding a setting that explains
them is a separate task.
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
    """A network and the reference instance it runs on; ``label`` is the network's name in tables."""

    label: str
    model: str
    cluster: str


CLUSTER = "fast-x3"
TABLE_SETUP_S = 2e-3
"""t_est of the tables, seconds."""

LENET = Instance("LeNet", "lenet5", CLUSTER)
TABLE_INSTANCES = (LENET, Instance("AlexNet", "alexnet", CLUSTER), Instance("VGG11", "vgg11", CLUSTER))
SWEEP_INSTANCES = tuple(Instance(f"VGG{depth}", f"vgg{depth}", CLUSTER) for depth in (11, 13, 16, 19))


def load(instance: Instance, connection_setup_s: float = TABLE_SETUP_S) -> tuple[Graph, Cluster]:
    """The network and its devices, with this t_est."""
    graph = load_model(instance.model)
    cluster = load_cluster(instance.cluster, graph)
    return graph, dataclasses.replace(cluster, connection_setup_s=connection_setup_s)


def describe(instances: Sequence[Instance], *, swept: bool = False) -> tuple[str, ...]:
    """One sentence for each cluster in use, from the cluster itself; ``swept`` if t_est is the axis of a figure."""
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
