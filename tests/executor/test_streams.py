"""Streamed plans, really run: output, bytes, and what is resident."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from support.edge_payload import assert_payload
from support.random_chains import Instance, instances
from support.random_streams import streamed_plan, with_streams
from support.whole_run import WITHIN, relative_error, whole_run

from iopopt.executor.execution import Execution
from iopopt.executor.threads import execute
from iopopt.network.weights import random_input, random_weights


def test_random_streamed_plans_compute_the_whole_network() -> None:
    """The output is the whole run's, the payload is the model's to the byte where a stream is, and nothing streamed is larger than (1) counts."""
    reached: Counter[str] = Counter()

    @settings(max_examples=200, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
    @given(instances())
    def check(instance: Instance) -> None:
        graph, cluster, plan, seed = instance
        rng = random.Random(seed)
        plan = with_streams(rng, graph, plan) if rng.random() < 0.3 else streamed_plan(rng, graph, len(cluster))
        assume(any(placement.stream is not None for placement in plan.values()))
        weights, inputs = random_weights(graph, seed), random_input(graph, seed)
        reference = whole_run(graph, weights, inputs)
        assume(np.isfinite(reference).all())
        execution = execute(graph, cluster, plan, weights, inputs)
        assert relative_error(execution.outputs, reference) < (WITHIN if cluster.bytes_per_element == 4 else 1e-10)
        assert_payload(graph, cluster, plan, execution)
        assert execution.connections == execution.evaluation.connections
        rows = {(row.operator, row.device): row for row in execution.ledger}
        for demand in execution.demands:
            row, placement = rows[demand.operator, demand.device], plan[demand.operator]
            if placement.stream is not None:
                if not (placement.streams_sums and _holds_more(execution, demand.operator)):
                    assert row.inputs + row.outputs == demand.activations_bytes, (row, demand)
                reached[str(placement.dim)] += 1
            if placement.streams_input:
                assert row.live == demand.live_bytes, (row, demand)
                assert row.send_buffers <= max(_input_bytes(instance, demand.operator), 0)
        reached["plans"] += 1

    check()
    assert min(reached["plans"], reached["OC"], reached["IC"]) >= 100, reached


def _holds_more(execution: Execution, name: str) -> bool:
    """An IC participant holds the whole of a tensor that it gets by all-gather."""
    (cost,) = (cost for cost in execution.evaluation.operators if cost.name == name)
    return "all-gather" in cost.cases


def _input_bytes(instance: Instance, name: str) -> int:
    """The largest message of an operator's input."""
    shape = instance.graph[name].in_shape
    return instance.cluster.bytes_per_element * shape.elements
