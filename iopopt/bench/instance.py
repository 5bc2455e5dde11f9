"""The instances of a benchmark: a model, a cluster, the team to split over, and the baselines of speed-ups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from iopopt.cluster.cluster import Cluster
from iopopt.cluster.files import load_cluster
from iopopt.cluster.reference import default_reference
from iopopt.commands.command_line import named_team
from iopopt.cost.evaluation import evaluate
from iopopt.methods.coedge import coedge_placements
from iopopt.methods.single import single_plan
from iopopt.models import load_model
from iopopt.network.graph import Graph
from iopopt.plan.plan import Plan
from iopopt.plan.team import Team, resolve_team


@dataclass(frozen=True)
class Instance:
    """One model on one cluster.

    Attributes:
        model, cluster_name: names that no other instance of the benchmark shares both of.
        bandwidth_mbit: what every link was set to, Mbit/s; None if links are as the cluster says.
        coedge_s, single_s: the latencies of CoEdge over all devices, and of the best single device, seconds.
        perfect_s: the latency of the perfect split, seconds: all FLOPs at the sum of all speeds, and nothing to transfer or to read from memory.
    """

    model: str
    cluster_name: str
    graph: Graph
    cluster: Cluster
    team: Team
    bandwidth_mbit: float | None
    coedge_s: float
    single_s: float
    perfect_s: float


@dataclass(frozen=True)
class Variations:
    """What the command line changes of models and clusters; None, or an empty sequence, changes nothing.

    Attributes:
        input_size: height and width.
        input_shape: channels, height and width.
        bandwidths_mbit: bandwidths of every link, Mbit/s, one instance each.
        setups_ms: connection set-up times, milliseconds, one instance each.
        team: ``all``, ``best``, or devices by name or index, separated by commas.
    """

    input_size: tuple[int, int] | None = None
    input_shape: tuple[int, int, int] | None = None
    bandwidths_mbit: Sequence[float] = ()
    setups_ms: Sequence[float] = ()
    team: str = "all"


def load_instances(models: Sequence[str], clusters: Sequence[str], variations: Variations) -> list[Instance]:
    """Every model on every variation of every cluster; without clusters, of the reference cluster for the model.

    Raises:
        IopoptError: if a name is unknown, a file is not valid, or the team names a device that a cluster does not have.
    """
    graphs = [load_model(word, input_size=variations.input_size, input_shape=variations.input_shape) for word in models]
    names = _distinct([graph.name for graph in graphs], models)
    return [
        _instance(name, graph, cluster_name, cluster, bandwidth, variations.team)
        for name, graph in zip(names, graphs, strict=True)
        for given in clusters or [default_reference(graph)]
        for cluster_name, cluster, bandwidth in _varied(given, load_cluster(given, graph), variations)
    ]


def _distinct(names: Sequence[str], words: Sequence[str]) -> list[str]:
    """The networks' own names; where several share one, the words by which they were given."""
    count = Counter(names)
    return [name if count[name] == 1 else word for name, word in zip(names, words, strict=True)]


def _varied(name: str, cluster: Cluster, variations: Variations) -> Iterator[tuple[str, Cluster, float | None]]:
    """The cluster at every bandwidth and set-up time, each with its name and the bandwidth that was set."""
    unchanged: Sequence[float | None] = (None,)
    for bandwidth in variations.bandwidths_mbit or unchanged:
        for setup in variations.setups_ms or unchanged:
            varied, texts = cluster, []
            if bandwidth is not None:
                devices = tuple(replace(device, bandwidth_bytes_per_s=bandwidth * 1e6 / 8) for device in cluster.devices)
                varied, texts = replace(varied, devices=devices), [f"{bandwidth:g} Mbit/s"]
            if setup is not None:
                varied, texts = replace(varied, connection_setup_s=setup / 1e3), [*texts, f"t_est {setup:g} ms"]
            yield ", ".join([name, *texts]), varied, bandwidth


def _instance(name: str, graph: Graph, cluster_name: str, cluster: Cluster, bandwidth_mbit: float | None, team: str) -> Instance:
    coedge = Plan.of(graph, coedge_placements(graph, cluster, resolve_team("all", cluster), "fastest"))
    return Instance(
        model=name,
        cluster_name=cluster_name,
        graph=graph,
        cluster=cluster,
        team=named_team(team, cluster, cluster_name),
        bandwidth_mbit=bandwidth_mbit,
        coedge_s=evaluate(graph, cluster, coedge).latency_s,
        single_s=evaluate(graph, cluster, single_plan(graph, cluster)).latency_s,
        perfect_s=sum(unit.flops for unit in graph.placed_units) / sum(device.flops_per_s for device in cluster.devices),
    )
