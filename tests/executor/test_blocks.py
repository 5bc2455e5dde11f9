"""Fused blocks really run: the output is the whole network's, nothing crosses inside a block, and mistakes in a block are noticed."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from support.overlapped import assert_overlaps
from support.random_blocks import random_fused_plan, random_fusible_graph
from support.random_gathers import with_gathers
from support.random_instances import random_cluster
from support.whole_run import WITHIN, relative_error, torch, whole_run

from iopopt import Cluster, Device, Graph, GraphBuilder, Operator, Placement, Plan
from iopopt.executor import computing
from iopopt.executor.arithmetic import EpilogueParameters, convolve, finish
from iopopt.executor.execution import Execution
from iopopt.executor.threads import execute
from iopopt.network.unit import SINK
from iopopt.network.weights import random_input, random_weights
from iopopt.schedule.region_transfers import block_rows
from iopopt.schedule.regions import Interval

Patch = pytest.MonkeyPatch
WIDE = 1e-2
"""An error that no rounding explains."""


@pytest.mark.parametrize("count", [60, pytest.param(400, marks=pytest.mark.slow)])
def test_random_plans_with_blocks_compute_the_whole_network(count: int) -> None:
    """Within 1e-4 of the whole network on two to five devices; the payload is never more than the model counts."""
    reached: Counter[str] = Counter()

    @settings(max_examples=count, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 2**32))
    def check(seed: int) -> None:
        rng = random.Random(seed)
        graph, cluster = random_fusible_graph(rng), random_cluster(rng, devices=rng.randint(2, 5))
        cluster = dataclasses.replace(cluster, bytes_per_element=4)
        plan = with_gathers(rng, random_fused_plan(rng, graph, len(cluster)), len(cluster))
        assume(plan.blocks)
        weights, inputs = random_weights(graph, seed % 1000), random_input(graph, seed % 1000)
        reference = whole_run(graph, weights, inputs)
        assume(np.isfinite(reference).all())
        execution = assert_overlaps(graph, cluster, plan, weights, inputs, reference, WITHIN)
        assert relative_error(execution.outputs, reference) < WITHIN
        assert_nothing_crosses_inside(plan, execution)
        reached.update(features(graph, plan, execution))

    check()
    for name in ("plans", "empty share", "stride", "pool", "dilation", "groups", "several inputs", "gathered", "equal payload"):
        assert reached[name] >= count // 20, (name, reached)
    assert reached["equal payload"] > reached["plans"] // 3


def assert_nothing_crosses_inside(plan: Plan, execution: Execution) -> None:
    """All payload belongs to edges into units, and is at most what the evaluator counts there."""
    assert {row.edge for row in execution.traffic} == {*plan.by_unit, SINK}
    assert execution.transferred_bytes <= execution.evaluation.transferred_bytes * (1 + 1e-9)


def features(graph: Graph, plan: Plan, execution: Execution) -> set[str]:
    """What a plan exercises."""
    members = [graph[name] for block in plan.blocks for name in block]
    found = {
        "plans": True,
        "equal payload": execution.transferred_bytes == execution.evaluation.transferred_bytes,
        "empty share": any(0 in plan[block[-1]].shares for block in plan.blocks),
        "stride": any(operator.rows.stride > 1 for operator in members),
        "pool": any(operator.pool.rows.extent > 1 for operator in members),
        "dilation": any(operator.rows.dilation > 1 and operator.rows.kernel > 1 for operator in members),
        "groups": any(operator.groups > 1 for operator in members),
        "gathered": any(plan[block[-1]].gather is not None for block in plan.blocks),
        "several inputs": any(len(operator.in_shapes) > 1 for operator in members),
    }
    return {name for name, holds in found.items() if holds}


@pytest.fixture(scope="module")
def graph() -> Graph:
    """Three convolutions of nine rows, the first with bias and activation, then one that reads them."""
    net = GraphBuilder("fused", (2, 9, 5))
    net.conv(3, 3, padding=1, name="a").relu().conv(3, 3, padding=1, name="b").conv(3, 3, padding=1, name="c")
    return net.conv(2, 3, padding=1, name="d").build()


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    return Cluster(tuple(Device(f"d{j}", 1e6, 1e9, 1e6) for j in range(3)))


@pytest.fixture(scope="module")
def plan(graph: Graph) -> Plan:
    """a to c as one block, then rows."""
    rows = Placement.split("H", (0, 1, 2), (3, 3, 3))
    return Plan.of(graph, [rows, rows], [3, 1])


def run(graph: Graph, cluster: Cluster, plan: Plan) -> tuple[Execution, float]:
    """A run, and its error relative to the whole network."""
    weights, inputs = random_weights(graph, 5), random_input(graph, 5)
    execution = execute(graph, cluster, plan, weights, inputs)
    return execution, relative_error(execution.outputs, whole_run(graph, weights, inputs))


def test_the_executor_itself_passes(graph: Graph, cluster: Cluster, plan: Plan) -> None:
    """Without a mutant: the output is right, and exactly the model's bytes move: none into or inside the block, whose input everybody has."""
    execution, error = run(graph, cluster, plan)
    assert error < WITHIN
    assert execution.transferred_bytes == execution.evaluation.transferred_bytes
    assert {row.edge for row in execution.traffic if row.received_bytes} == {"d", SINK}
    frame = execution.memory_frame()
    block = frame[frame["operator"] == "a to c"]
    assert (block["inputs"] + block["outputs"] == block["model_activations"]).all()
    assert (block["weights"] == block["model_weights"]).all()


def test_an_inner_halo_that_is_a_row_short_is_noticed(graph: Graph, cluster: Cluster, plan: Plan, monkeypatch: Patch) -> None:
    """The middle member computes one row less below than the last needs; what is missing counts as zero."""

    def short(graph: Graph, members: range, share: Interval) -> dict[int, Interval]:
        rows = block_rows(graph, members, share)
        inner = rows[members[1]]
        return rows | {members[1]: Interval(inner.start, inner.stop - 1)}

    monkeypatch.setattr(computing, "block_rows", short)
    monkeypatch.setattr(computing, "convolve", padded_where_rows_are_missing)
    assert run(graph, cluster, plan)[1] > WIDE


def test_padding_inside_a_block_is_noticed(graph: Graph, cluster: Cluster, plan: Plan, monkeypatch: Patch) -> None:
    """Members compute only the rows of the share, and pad at its edges as if they were those of the map."""

    def without_halo(graph: Graph, members: range, share: Interval) -> dict[int, Interval]:
        return block_rows(graph, members, share) | dict.fromkeys(members, share)

    monkeypatch.setattr(computing, "block_rows", without_halo)
    monkeypatch.setattr(computing, "convolve", padded_where_rows_are_missing)
    assert run(graph, cluster, plan)[1] > WIDE


def padded_where_rows_are_missing(
    operator: Operator, kernel: torch.Tensor, tensor: torch.Tensor, held: Interval, rows: Interval, groups: int
) -> torch.Tensor:
    """A convolution that takes rows which the device does not hold for zeros."""
    height = operator.in_shape.height
    padded = torch.nn.functional.pad(tensor, (0, 0, held.start, height - held.stop))
    return convolve(operator, kernel, padded, Interval(0, height), rows, groups)


def test_the_padding_convolution_is_no_mutant_by_itself(graph: Graph, cluster: Cluster, plan: Plan, monkeypatch: Patch) -> None:
    """Where no row is missing it computes the same."""
    monkeypatch.setattr(computing, "convolve", padded_where_rows_are_missing)
    assert run(graph, cluster, plan)[1] < WITHIN


@pytest.mark.parametrize("member", ["a", "b", "c"])
def test_a_members_bias_that_is_added_twice_is_noticed(member: str, graph: Graph, cluster: Cluster, plan: Plan, monkeypatch: Patch) -> None:
    """Of any member."""

    def twice(operator: Operator, parameters: EpilogueParameters, *arguments: object) -> torch.Tensor:
        assert parameters.bias is not None
        bias = 2 * parameters.bias if operator.name == member else parameters.bias
        return finish(operator, dataclasses.replace(parameters, bias=bias), *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(computing, "finish", twice)
    assert run(graph, cluster, plan)[1] > WIDE
