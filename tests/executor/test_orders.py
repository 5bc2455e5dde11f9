"""Real runs follow the order of the participants: the output is the whole network's, the payload the model's."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter

import numpy as np
import pytest
from support.branched_cases import branched_cases
from support.edge_payload import assert_payload
from support.overlapped import assert_overlaps
from support.random_branches import random_branched_graph, random_branched_plan
from support.random_gathers import with_gathers
from support.random_instances import random_cluster, random_graph, random_plan
from support.random_orders import reordered
from support.whole_run import WITHIN, relative_error, whole_run

from iopopt import Cluster, Graph, Plan
from iopopt.executor.execution import Execution
from iopopt.network.weights import random_input, random_weights
from iopopt.schedule.rounds import TransferKind


def _run(graph: Graph, cluster: Cluster, plan: Plan, seed: int) -> Execution | None:
    """The run of a plan whose output was found right; None where the whole run has an output that is not finite."""
    weights, inputs = random_weights(graph, seed), random_input(graph, seed)
    reference = whole_run(graph, weights, inputs)
    if not np.isfinite(reference).all():
        return None
    within = WITHIN if cluster.bytes_per_element == 4 else 1e-10
    execution = assert_overlaps(graph, cluster, plan, weights, inputs, reference, within)
    assert relative_error(execution.outputs, reference) < within
    assert execution.connections == execution.evaluation.connections
    return execution


@pytest.mark.parametrize("branched", [False, True], ids=["chain", "branched"])
def test_ordered_plans_compute_the_whole_network(branched: bool) -> None:
    """On random plans in random orders the output is right and no byte more is moved than counted, exactly as many where that must be."""
    rng, seen = random.Random(71 + branched), Counter[str]()
    for seed in range(50):
        graph = random_branched_graph(rng, tiny=seed % 5 == 0) if branched else random_graph(rng)
        cluster = dataclasses.replace(random_cluster(rng), bytes_per_element=rng.choice([4, 8]))
        ascending = (random_branched_plan if branched else random_plan)(rng, graph, len(cluster))
        plan = with_gathers(rng, reordered(rng, ascending, len(cluster)), len(cluster))
        if all(list(placement.devices) == sorted(placement.devices) for placement in plan.values()):
            continue
        execution = _run(graph, cluster, plan, seed)
        if execution is not None:
            seen["exact" if assert_payload(graph, cluster, plan, execution) else "less"] += 1
            seen.update({kind for cost in execution.evaluation.operators for case in cost.cases for kind in case.split("+")})
    assert seen["exact"] + seen["less"] >= 30
    assert seen["exact"] >= 10
    assert all(seen[kind] for kind in TransferKind if not kind.is_streamed), seen


def test_host_in_the_middle() -> None:
    """The worked case sends 5 elements to c, 4 rows of 2 to d and 4 elements to the sink: 17, of 4 bytes each, and all of them are sent."""
    graph, plan, cluster = branched_cases()["host in the middle"]
    execution = _run(graph, dataclasses.replace(cluster, bytes_per_element=4), plan, 1)
    assert execution is not None
    assert execution.transferred_bytes == execution.evaluation.transferred_bytes == 4 * 17
    assert assert_payload(graph, dataclasses.replace(cluster, bytes_per_element=4), plan, execution)
