"""The ledger of real buffers beside the memory that equation (1) counts.

Weights equal w_ij and inputs + outputs equal a_ij, except where the model says something else than what a run holds:

- Parameters of the epilogue are held and not counted.
- The model gives every participant of an IC split the whole bias; a run gives it to those who finish the channels, be they participants
  or not: the consumers of a direct reduce, or the participants for their even slices in a two-phase one.
- Rows: the model counts fields that reach beyond the tensor in full, and gives an empty share a field; a run holds rows of the tensor.
- The device that gathers an output receives it with the inputs of its first consumer; the model counts it with the operator.
- After a concatenation an H or IC participant (and an OC one of a grouped operator) holds the whole tensor, not its part.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from support.edge_payload import fields_inside
from support.random_chains import Instance, instances
from support.whole_run import whole_run

from iopopt import Cluster, Device, Graph, GraphBuilder, Operator, Placement, Plan
from iopopt.executor.execution import Execution
from iopopt.executor.report import LedgerRow
from iopopt.executor.threads import execute
from iopopt.network.weights import random_input, random_weights

CLUSTER = Cluster(tuple(Device(f"d{j}", 1e6, 1e9, 1e6) for j in range(3)))
ALL = (0, 1, 2)


def _pair() -> Graph:
    """a: 2x8x4 -> conv 6x8x4, pooled 6x4x2; b: kernel 3, padding 1, 6x4x2 -> 3x4x2. A float has four bytes."""
    net = GraphBuilder("pair", (2, 8, 4)).conv(6, 3, padding=1, name="a").relu().max_pool(2)
    return net.conv(3, 3, padding=1, name="b").build()


def _run(graph: Graph, cluster: Cluster, plan: Plan, seed: int = 0) -> Execution:
    return execute(graph, cluster, plan, random_weights(graph, seed), random_input(graph, seed))


def _ledger(*placements: Placement) -> dict[tuple[str, int], LedgerRow]:
    graph = _pair()
    return {(row.operator, row.device): row for row in _run(graph, CLUSTER, Plan.of(graph, placements)).ledger}


def test_ledger_equals_equation_1_where_the_model_makes_no_exception() -> None:
    """On random plans weights are w_ij and inputs + outputs a_ij to the byte, wherever none of the exceptions above applies."""
    compared: Counter[str] = Counter()

    @settings(max_examples=100, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
    @given(instances())
    def check(instance: Instance) -> None:
        graph, cluster, plan, seed = instance
        assume(np.isfinite(whole_run(graph, random_weights(graph, seed), random_input(graph, seed))).all())
        execution = _run(graph, cluster, plan, seed)
        rows = {(row.operator, row.device): row for row in execution.ledger}
        assert len(rows) == len(execution.ledger) == (len(graph) + 1) * len(cluster)
        for demand in execution.demands:
            row, operator, way = rows[demand.operator, demand.device], graph[demand.operator], str(plan[demand.operator].dim)
            gathered = cluster.bytes_per_element * operator.out_shape.elements if row.device == plan[operator.name].gather else 0
            if row.device not in plan[operator.name].devices:
                assert (demand.weights_bytes, demand.activations_bytes, row.inputs, row.outputs) == (0, gathered, 0, 0)
                continue
            if _weights_as_modelled(graph, cluster, plan, operator, row.device):
                assert row.weights == demand.weights_bytes, row
                compared[f"{way} weights"] += 1
            if _activations_as_modelled(execution, operator, plan[operator.name], row.device):
                assert max(row.inputs + row.outputs, gathered) == demand.activations_bytes, row
                compared[f"{way} activations"] += 1

    check()
    for way in ("None", "H", "OC", "IC"):
        for what in ("weights", "activations"):
            assert compared[f"{way} {what}"] >= 20, compared


def _weights_as_modelled(graph: Graph, cluster: Cluster, plan: Plan, operator: Operator, device: int) -> bool:
    if any(step.arrays for step in operator.epilogue):
        return False
    placement = plan[operator.name]
    if placement.dim != "IC" or not operator.bias:
        return True
    following = graph.operators.index(operator) + 1
    consumer = Placement.whole(cluster.sink) if following == len(graph) else plan[graph.operators[following].name]
    needs_all = following == len(graph) or not graph.operators[following].reads_part(consumer.dim)
    return placement.reduce == "direct" and device in consumer.devices and needs_all


def _activations_as_modelled(execution: Execution, operator: Operator, placement: Placement, device: int) -> bool:
    (cost,) = (cost for cost in execution.evaluation.operators if cost.name == operator.name)
    if placement.dim != "H":
        return not (operator.reads_part(placement.dim) and cost.cases[-1] == "all-gather")
    (shard,) = (shard for shard in placement.shards if shard.device == device)
    return shard.size > 0 and cost.cases[-1] != "all-gather" and fields_inside(operator, shard)


def test_whole_operators_by_hand() -> None:
    """Whole operators hold kernel and bias, the input, the output before and after the pool; the others hold nothing."""
    rows = _ledger(Placement.whole(1), Placement.whole(1))
    assert rows["a", 1] == LedgerRow("a", 1, weights=456, inputs=256, outputs=768, pooled=192)  # 6 x 2 x 9 + 6; 2x8x4; 6x8x4; 6x4x2
    assert rows["b", 1] == LedgerRow("b", 1, weights=660, inputs=192, outputs=96, pooled=96)  # 3 x 6 x 9 + 3; 6x4x2; 3x4x2
    assert all(rows[name, j] == LedgerRow(name, j) for name in "ab" for j in (0, 2))


def test_receive_buffers_by_hand() -> None:
    """What a concatenation brings is a receive buffer beside the whole tensor, which an H participant then holds as its input."""
    rows = _ledger(Placement.split("OC", ALL, (3, 2, 1)), Placement.split("H", ALL, (2, 1, 1)))
    assert [rows["a", j].pooled for j in ALL] == [96, 64, 32]  # channels of 4x2
    assert [rows["b", j].receive_buffers for j in ALL] == [96, 128, 160]
    assert [rows["b", j].inputs for j in ALL] == [192, 192, 192]
    assert [rows["b", j].partial_sums for j in ALL] == [0, 0, 0]


def test_halo_rows_by_hand() -> None:
    """A halo's rows are receive buffers, and part of the input afterwards."""
    split = Placement.split("H", ALL, (2, 1, 1))
    rows = _ledger(split, split)
    assert [rows["a", j].inputs for j in ALL] == [160, 128, 96]  # rows 0-5, 3-7 and 5-8 of 2 channels x 4 columns
    assert [rows["a", j].outputs for j in ALL] == [384, 192, 192]  # 4, 2 and 2 rows of 6 x 4
    assert [rows["b", j].receive_buffers for j in ALL] == [48, 96, 48]  # rows of 6 x 2
    assert [rows["b", j].inputs for j in ALL] == [144, 144, 96]


def test_partial_sums_of_a_direct_reduce_by_hand() -> None:
    """A consumer of a direct reduce holds the partial sums that came, and their sum; it also finishes, so the bias is with it."""
    rows = _ledger(Placement.split("IC", (0, 1), (1, 1)), Placement.split("H", ALL, (2, 1, 1)))
    assert [rows["a", j].weights for j in ALL] == [240, 240, 24]  # 6 x 1 x 9 + 6; device 2 takes no part, but finishes rows of its own
    assert [rows["a", j].inputs for j in ALL] == [128, 128, 0]
    assert [rows["a", j].outputs for j in ALL] == [768, 768, 0]  # before the pool, all of it
    assert [rows["a", j].pooled for j in ALL] == [0, 0, 0]
    # Rows 0-6, 2-8 and 4-8 before the pool, 96 bytes each, from one other device (device 2: from both), and the sum.
    assert [rows["b", j].partial_sums for j in ALL] == [2 * 576, 2 * 576, 3 * 384]
    assert [rows["b", j].receive_buffers for j in ALL] == [0, 0, 0]
    assert [rows["b", j].inputs for j in ALL] == [144, 144, 96]


def test_two_phase_reduce_by_hand() -> None:
    """In a two-phase reduce each holds two slices that came and their sum, and then receives the other slices, finished."""
    rows = _ledger(Placement.split("IC", ALL, (2, 0, 0), "two_phase"), Placement.split("OC", ALL, (1, 1, 1)))
    assert [rows["a", j].weights for j in ALL] == [432 + 8, 8, 8]  # the whole kernel on device 0; the bias of two channels each
    assert [rows["a", j].inputs for j in ALL] == [256, 0, 0]
    assert [rows["a", j].outputs for j in ALL] == [768, 768, 768]
    assert [rows["b", j].partial_sums for j in ALL] == [3 * 256] * 3  # two channels of 8x4
    assert [rows["b", j].receive_buffers for j in ALL] == [2 * 64] * 3  # two channels of 4x2


def test_who_only_adds_up_holds_partial_sums() -> None:
    """A device that completes a slice of a two-phase reduce but takes no part in the consumer holds partial sums all the same."""
    rows = _ledger(Placement.split("IC", ALL, (1, 1, 0), "two_phase"), Placement.whole(0))
    assert [rows["b", j].partial_sums for j in ALL] == [3 * 256] * 3


def _fork() -> Graph:
    """a: 2x8x4 -> 4x8x4; b and c read it, d adds a, b and c. A tensor of theirs has 512 bytes."""
    net = GraphBuilder("fork", (2, 8, 4)).conv(4, 1, name="a")
    net.conv(4, 1, name="b").at("a").conv(4, 1, name="c")
    return net.add("a", "b", "c", name="d").build()


def _kept(graph: Graph, cluster: Cluster, *placements: Placement) -> dict[str, list[int]]:
    """What each device keeps while each operator runs; the model must say the same."""
    frame = _run(graph, cluster, Plan.of(graph, placements)).memory_frame()
    assert list(frame["live"]) == list(frame["model_live"])
    return {name: list(rows.sort_values("device")["live"]) for name, rows in frame.groupby("operator", sort=False)}


def test_kept_tensors_by_hand() -> None:
    """Owners keep their parts of a tensor while the operators between it and its last consumer run, and partial sums whole."""
    b, c, d = Placement.whole(1), Placement.whole(2), Placement.whole(0)
    graph = _fork()
    kept = _kept(graph, CLUSTER, Placement.whole(0), b, c, d)
    assert kept == {"a": [0, 0, 0], "b": [512, 0, 0], "c": [512, 512, 0], "d": [0, 0, 0], "(sink)": [0, 0, 0]}
    kept = _kept(graph, CLUSTER, Placement.split("H", ALL, (4, 3, 1)), b, c, d)
    assert kept["b"] == [256, 192, 64]
    kept = _kept(graph, CLUSTER, Placement.split("IC", (0, 1), (1, 1)), b, c, d)
    assert (kept["b"], kept["c"], kept["d"]) == ([512, 512, 0], [512, 1024, 0], [0, 0, 0])
    kept = _kept(graph, CLUSTER, Placement.split("IC", (0, 1), (1, 1), "two_phase"), b, c, d)
    assert (kept["b"], kept["c"]) == ([256, 256, 0], [256, 768, 0])


def test_an_input_that_is_read_again_is_kept() -> None:
    """The source keeps the graph's input, or every device does where all have it."""
    graph = GraphBuilder("again", (2, 8, 4)).conv(2, 1, name="a").conv(2, 1, name="b").add("input", "b", name="c").build()
    whole = Placement.whole(1)
    for source, expected in ((2, [0, 0, 256]), (None, [256, 256, 256])):
        kept = _kept(graph, Cluster(CLUSTER.devices, source=source), whole, whole, whole)
        assert (kept["a"], kept["b"], kept["c"]) == (expected, expected, [0, 0, 0])


def test_partial_sums_that_wait_for_their_first_consumer_are_held_whole() -> None:
    """Until the first phase of a two-phase reduce its participants hold all partial sums; the model counts the slices behind it."""
    net = GraphBuilder("waits", (2, 8, 4)).conv(4, 1, name="a").at("input").conv(4, 1, name="b")
    graph = net.add("b", "a", name="c").build()
    plan = Plan.of(graph, [Placement.split("IC", (0, 1), (1, 1), "two_phase"), Placement.whole(2), Placement.whole(2)])
    frame = _run(graph, CLUSTER, plan).memory_frame().set_index(["operator", "device"])
    assert list(frame.loc["b"]["live"]) == [512, 512, 0]
    assert list(frame.loc["b"]["model_live"]) == [256, 256, 0]


def test_rows_that_wait_for_their_gather_are_held_by_their_participants() -> None:
    """Until the gather just before the first consumer; the model counts the whole tensor, 512 bytes, where it will be.

    The device that gathers receives what it lacks with the inputs of that consumer, and nobody holds anything when the tensor has been read.
    """
    net = GraphBuilder("waits", (2, 8, 4)).conv(4, 1, name="a").at("input").conv(4, 1, name="b")
    graph = net.add("b", "a", name="c").add("a", "c", name="d").build()
    plan = Plan.of(graph, [Placement.split("H", (0, 1), (6, 2), gather=1), *[Placement.whole(2)] * 3])
    frame = _run(graph, CLUSTER, plan).memory_frame().set_index(["operator", "device"])
    assert list(frame.loc["b"]["live"]) == [384, 128, 0]
    assert [list(frame.loc[name]["model_live"]) for name in "bcd"] == [[0, 512, 0], [0, 512, 0], [0, 0, 0]]
    assert [list(frame.loc[name]["live"]) for name in "cd"] == [[0, 512, 0], [0, 0, 0]]
    assert list(frame.loc["c"]["receive_buffers"]) == [0, 384, 512]


def test_memory_frame() -> None:
    """The table has a row for each operator (and the sink) and device, with the model's figures beside the measured ones."""
    graph = _pair()
    frame = _run(graph, CLUSTER, Plan.of(graph, [Placement.split("OC", (0, 2), (4, 2)), Placement.whole(0)])).memory_frame()
    assert len(frame) == 9
    frame = frame[frame["operator"] != "(sink)"]
    assert dict(frame.groupby("device")["model_weights"].sum()) == {0: 304 + 660, 1: 0, 2: 152}
    assert dict(frame.groupby("device")["weights"].sum()) == {0: 304 + 660, 1: 0, 2: 152}
    assert list(frame["inputs"] + frame["outputs"]) == list(frame["model_activations"])
