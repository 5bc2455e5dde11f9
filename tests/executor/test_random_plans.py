"""Random valid plans: whatever the partitioning, the output is the whole network's and no byte more is moved than the model counts."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from support.edge_payload import assert_payload
from support.random_chains import Instance, instances
from support.whole_run import WITHIN, relative_error, whole_run

from iopopt.executor.threads import execute
from iopopt.network.weights import random_input, random_weights

CASES = {"send", "interleaved", "row-aligned", "halo exchange", "reduce", "reduce-scatter", "all-gather", "gather", "free"}
"""Every row of the cost model's communication table, the first phase of a two-phase reduce, and input that everybody has."""


@pytest.mark.parametrize("count", [320, pytest.param(2500, marks=pytest.mark.slow)])
def test_random_plans_compute_the_whole_network(count: int) -> None:
    """On random plans the output is the whole run's and the payload the model's; the plans reach every case and every structure."""
    reached: Counter[str] = Counter()

    @settings(max_examples=count, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
    @given(instances())
    def check(instance: Instance) -> None:
        graph, cluster, plan, seed = instance
        weights, inputs = random_weights(graph, seed), random_input(graph, seed)
        reference = whole_run(graph, weights, inputs)
        assume(np.isfinite(reference).all())
        execution = execute(graph, cluster, plan, weights, inputs)
        assert np.isfinite(execution.outputs).all()
        assert relative_error(execution.outputs, reference) < (WITHIN if cluster.bytes_per_element == 4 else 1e-10)
        exact = assert_payload(graph, cluster, plan, execution)
        assert execution.connections == execution.evaluation.connections
        reached.update(_features(instance, reference, exact))
        reached.update({case for cost in execution.evaluation.operators for case in cost.cases} | set(execution.evaluation.sink_cases))

    check()
    assert reached["plans"] >= 300
    features = {
        "empty share",
        "dilation",
        "stride 3",
        "groups",
        "depthwise",
        "overlapping pool",
        "average",
        "five devices",
        "subset",
        "bystander gathers",
        "8 bytes",
    }
    for name in CASES | features:
        assert reached[name] >= count // 40, (name, reached)
    assert reached["exact"] > 0.4 * reached["plans"]
    assert reached["output varies"] > 0.6 * reached["plans"]


def _features(instance: Instance, reference: np.ndarray, exact: bool) -> set[str]:
    """What this plan exercises."""
    graph, cluster, plan, _ = instance
    operators, splits = graph.operators, [placement for placement in plan.values() if not placement.is_whole]
    found = {
        "plans": True,
        "exact": exact,
        "output varies": reference.size > 1 and float(np.ptp(reference)) > 1e-3,
        "empty share": any(0 in placement.shares for placement in splits),
        "dilation": any(operator.rows.dilation > 1 and operator.rows.kernel > 1 for operator in operators),
        "stride 3": any(operator.rows.stride == 3 for operator in operators),
        "groups": any(1 < operator.groups < operator.in_shape.channels for operator in operators),
        "depthwise": any(1 < operator.groups == operator.in_shape.channels for operator in operators),
        "overlapping pool": any(operator.pool.rows.extent > operator.pool.rows.stride for operator in operators),
        "average": any(operator.pool.function == "average" for operator in operators),
        "five devices": any(len(placement.devices) == 5 for placement in splits),
        "subset": any(len(placement.devices) < len(cluster) for placement in splits),
        "bystander gathers": any(placement.gather is not None and placement.gather not in placement.devices for placement in splits),
        "8 bytes": cluster.bytes_per_element == 8,
    }
    return {name for name, holds in found.items() if holds}
