"""Seeded random instances of any sort: chains, branches, fused blocks, gathers and orders in turn."""

from __future__ import annotations

import random

from support.random_blocks import random_fused_plan, random_fusible_graph
from support.random_branches import random_branched_graph, random_branched_plan
from support.random_gathers import with_gathers
from support.random_instances import random_cluster, random_graph, random_plan
from support.random_orders import reordered

from iopopt import Cluster, Graph, Plan


def random_case(seed: int, gathers: bool = True) -> tuple[Graph, Cluster, Plan]:
    """An instance and a valid plan of it; the number names them."""
    rng = random.Random(seed)
    graph = (random_graph, random_branched_graph, random_fusible_graph)[seed % 3](rng)
    cluster = random_cluster(rng)
    plan = (random_plan, random_branched_plan, random_fused_plan)[seed % 3](rng, graph, len(cluster))
    plan = reordered(rng, plan, len(cluster)) if seed % 2 and not plan.blocks else plan
    return graph, cluster, with_gathers(rng, plan, len(cluster)) if gathers else plan
