"""Streamed plans, really run: output, bytes, and what is resident."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from support.edge_payload import assert_payload
from support.random_branches import random_branched_graph
from support.random_chains import Instance, instances
from support.random_instances import random_cluster
from support.random_streams import streamed_plan, with_streams
from support.whole_run import WITHIN, relative_error, whole_run

from iopopt import Cluster, Device, Graph, GraphBuilder, Placement, Plan
from iopopt.errors import UnsupportedError
from iopopt.executor.execution import Execution
from iopopt.executor.report import LedgerRow
from iopopt.executor.threads import execute
from iopopt.network.weights import random_input, random_weights
from iopopt.plan.shares import even_shares
from iopopt.plan.streams import streamed

CLUSTER = Cluster(tuple(Device(f"d{j}", 1e6, 1e9, 1e6) for j in range(3)))
ALL = (0, 1, 2)


def test_random_streamed_plans_compute_the_whole_network() -> None:
    """The output is the whole run's, the payload is the model's to the byte where a stream is, and nothing streamed is larger than (1) counts."""
    reached: Counter[str] = Counter()

    @settings(max_examples=140, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
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


def test_random_branched_graphs() -> None:
    """The same where tensors have several consumers, some of which stream them: the output is right, and nothing is left at the end."""
    streams = 0
    for seed in range(120):
        rng = random.Random(seed)
        graph, cluster = random_branched_graph(rng), replace(random_cluster(rng), bytes_per_element=4)
        plan = streamed_plan(rng, graph, len(cluster))
        weights, inputs = random_weights(graph, seed), random_input(graph, seed)
        reference = whole_run(graph, weights, inputs)
        if not np.isfinite(reference).all():
            continue
        execution = execute(graph, cluster, plan, weights, inputs)
        assert relative_error(execution.outputs, reference) < WITHIN
        assert_payload(graph, cluster, plan, execution)
        rows = {(row.operator, row.device): row for row in execution.ledger}
        for demand in execution.demands:
            if plan[demand.operator].streams_input:
                row = rows[demand.operator, demand.device]
                assert row.inputs + row.outputs == demand.activations_bytes, (row, demand)
        assert all(row.live == 0 for row in execution.ledger if row.operator == "(sink)")
        streams += sum(placement.stream is not None for placement in plan.values())
    assert streams >= 90, streams


def _ledger(graph: Graph, *placements: Placement) -> tuple[dict[str, list[LedgerRow]], list[tuple[float, float]]]:
    """What each device holds for each operator, and what the model counts for the last one: a_ij and live tensors."""
    plan = Plan.of(graph, placements)
    execution = execute(graph, CLUSTER, plan, random_weights(graph, 0), random_input(graph, 0))
    rows = {name: [row for row in execution.ledger if row.operator == name] for name in plan}
    last = graph.operators[-1].name
    return rows, [(demand.activations_bytes, demand.live_bytes) for demand in execution.demands if demand.operator == last]


def _pair() -> Graph:
    """a: 2x8x4 -> 4x8x4; b: 6x8x4, pooled to 6x4x2. A channel before the pool has 128 bytes."""
    net = GraphBuilder("pair", (2, 8, 4)).conv(4, 1, name="a").conv(6, 3, padding=1, name="b")
    return net.max_pool(2).build()


def test_a_streamed_input_by_hand() -> None:
    """One channel of the others at a time, the sums of the own output channels, and the own channels of the input; all else has its own column."""
    rows, model = _ledger(_pair(), Placement.split("OC", ALL, (2, 1, 1)), Placement.split("OC", ALL, (3, 2, 1), stream=1))
    assert [row.inputs for row in rows["b"]] == [128, 128, 128]
    assert [row.outputs for row in rows["b"]] == [row.partial_sums for row in rows["b"]] == [384, 256, 128]
    assert [row.live for row in rows["b"]] == [256, 128, 128]
    assert [row.send_buffers for row in rows["b"]] == [128, 128, 128]
    assert [row.pooled for row in rows["b"]] == [96, 64, 32]
    assert [row.receive_buffers for row in rows["b"]] == [0, 0, 0]
    assert [row.weights for row in rows["b"]] == [(share * 4 * 9 + share) * 4 for share in (3, 2, 1)]
    assert model == [(512, 256), (384, 128), (256, 128)]


def test_streamed_sums_by_hand() -> None:
    """The own slice and the message that is made; a message that has come to be added is a partial sum."""
    rows, model = _ledger(_pair(), Placement.split("OC", ALL, (2, 1, 1)), Placement.split("IC", ALL, (2, 1, 1), "two_phase", stream=1))
    assert [row.inputs for row in rows["b"]] == [256, 128, 128]
    assert [row.outputs for row in rows["b"]] == [384, 384, 384]
    assert [row.partial_sums for row in rows["b"]] == [128, 128, 128]
    assert [row.live for row in rows["b"]] == [row.send_buffers for row in rows["b"]] == [0, 0, 0]
    assert [row.pooled for row in rows["b"]] == [64, 64, 64]
    assert [row.weights for row in rows["b"]] == [(6 * 9 * share + 2) * 4 for share in (2, 1, 1)]  # the bias of its own slice
    assert model == [(640, 0), (512, 0), (512, 0)]


def test_who_takes_no_part_holds_what_it_sends() -> None:
    """A whole tensor on a device that only sends it is live there until all have had it."""
    rows, model = _ledger(_pair(), Placement.whole(2), Placement.split("OC", (0, 1), (3, 3), stream=3))
    assert [(row.inputs, row.outputs, row.live, row.send_buffers) for row in rows["b"]] == [(384, 384, 0, 0), (384, 384, 0, 0), (0, 0, 512, 384)]
    assert model == [(768, 0), (768, 0), (0, 512)]


def test_streams_need_barriers() -> None:
    """A run without them names the operator."""
    graph = _pair()
    plan = Plan.of(graph, [Placement.whole(2), Placement.split("OC", (0, 1), (3, 3), stream=3)])
    with pytest.raises(UnsupportedError, match="operator 'b' is OC 3/3 on 0/1, streamed 3; streams run with barriers only"):
        execute(graph, CLUSTER, plan, random_weights(graph, 0), random_input(graph, 0), overlap=True)


def _net(width: int) -> Graph:
    """Convolutions, a depthwise one, pools and an activation; YOLO's shape, on a small map."""
    net = GraphBuilder("net", (3, 32, 32)).conv(width, 3, padding=1).relu().max_pool(2)
    net.conv(2 * width, 3, padding=1).relu().conv(2 * width, 3, padding=1, groups=2 * width).relu().max_pool(2)
    return net.conv(4 * width, 3, padding=1).relu().conv(2 * width, 1).relu().conv(4 * width, 3, padding=1).relu().build()


@pytest.mark.parametrize("reduces", [False, True])
def test_resident_tensors_shrink_with_the_devices(reduces: bool) -> None:
    """All that is measured, the parts that (1) leaves out included, is 1/N of what it would be on two devices but for the messages and the input."""
    graph, most = _net(32), {}
    for count in (2, 4, 8):
        cluster = Cluster(tuple(Device(f"d{j}", 1e6, 1e9, 1e6) for j in range(count)), source=0)
        placements = []
        for operator in graph.operators:
            dim: Literal["OC", "IC"] = "IC" if reduces and len(placements) % 2 and "IC" in operator.splittable_dims else "OC"
            placements.append(Placement.split(dim, range(count), even_shares(operator.size(dim), count), "two_phase"))
        plan = streamed(graph, Plan.of(graph, placements), 1)
        assert sum(placement.stream is not None for placement in plan.values()) == len(graph) - 1
        execution = execute(graph, cluster, plan, random_weights(graph, 0), random_input(graph, 0))
        device = [row for row in execution.ledger if row.device == 1 and row.operator != "(sink)"]  # neither source nor sink
        held = [row.inputs + row.outputs + row.live + row.pooled + row.receive_buffers + row.partial_sums + row.send_buffers for row in device]
        most[count] = sum(row.weights for row in device) + max(held)
        assert most[count] <= execution.evaluation.memory_bytes[1] + max(_left_out(row) for row in device) + _epilogues(graph)
    assert most[4] == pytest.approx(most[2] / 2, rel=0.15)
    assert most[8] == pytest.approx(most[2] / 4, rel=0.15)


def _left_out(row: LedgerRow) -> int:
    """What (1) does not count."""
    return row.pooled + row.receive_buffers + row.partial_sums + row.send_buffers


def _epilogues(graph: Graph) -> int:
    """The bytes of all parameters of epilogues and biases, which (1) counts elsewhere or not at all."""
    return 4 * sum(operator.parameters - operator.kernel_elements for operator in graph.operators)


def _holds_more(execution: Execution, name: str) -> bool:
    """An IC participant holds the whole of a tensor that it gets by all-gather."""
    (cost,) = (cost for cost in execution.evaluation.operators if cost.name == name)
    return "all-gather" in cost.cases


def _input_bytes(instance: Instance, name: str) -> int:
    """The largest message of an operator's input."""
    shape = instance.graph[name].in_shape
    return instance.cluster.bytes_per_element * shape.elements
