"""The instances of a benchmark: a model, a cluster, and the baselines of speed-ups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from iopopt.cluster.cluster import Cluster
from iopopt.cluster.files import load_cluster
from iopopt.cluster.reference import default_reference
from iopopt.cost.evaluation import evaluate
from iopopt.methods.coedge import coedge_placements
from iopopt.methods.single import single_plan
from iopopt.models import load_model
from iopopt.network.graph import Graph
from iopopt.plan.plan import Plan
from iopopt.plan.team import resolve_team


@dataclass(frozen=True)
class Instance:
    """One model on one cluster, with the latencies of CoEdge and of the best single device, seconds."""

    model: str
    cluster_name: str
    graph: Graph
    cluster: Cluster
    coedge_s: float
    single_s: float


def load_instance(model: str, cluster_name: str | None, input_shape: Sequence[int] | None = None) -> Instance:
    """An instance by names, the model for an ``input_shape`` if one is given; without a cluster, the reference instance for the model.

    Raises:
        IopoptError: if a name is unknown or a file is not valid.
    """
    graph = load_model(model, input_shape=input_shape)
    name = cluster_name or default_reference(graph)
    cluster = load_cluster(name, graph)
    coedge = Plan.of(graph, coedge_placements(graph, cluster, resolve_team("all", cluster), "fastest"))
    return Instance(
        model=graph.name,
        cluster_name=name,
        graph=graph,
        cluster=cluster,
        coedge_s=evaluate(graph, cluster, coedge).latency_s,
        single_s=evaluate(graph, cluster, single_plan(graph, cluster)).latency_s,
    )
