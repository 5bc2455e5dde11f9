"""Comparing with the whole run is sharp: an executor with one typical mistake fails it by a wide margin."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from edge_payload import assert_payload
from whole_run import WITHIN, relative_error, torch, whole_run

from iopopt import Cluster, Device, Graph, GraphBuilder, Operator, Placement, Plan
from iopopt.executor import threads, worker
from iopopt.executor.arithmetic import Finish, convolve, finish
from iopopt.executor.execution import Execution
from iopopt.executor.regions import Interval, Region
from iopopt.executor.schedule import Edge, Transfer
from iopopt.executor.threads import execute
from iopopt.executor.weights import random_input, random_weights
from iopopt.executor.worker import Worker
from iopopt.operators import Pool

CLUSTER = Cluster(tuple(Device(f"d{j}", 1e6, 1e9, 1e6) for j in range(3)))
EVERYBODY = (0, 1, 2)
WIDE = 100 * WITHIN
Patch = pytest.MonkeyPatch


@pytest.fixture(scope="module")
def graph() -> Graph:
    """Two convolutions; the pool between them keeps the size of the map, so that a mutant may put it elsewhere."""
    net = GraphBuilder("mutants", (4, 12, 6)).conv(6, 3, padding=1, name="a").max_pool(3, 1, 1).relu()
    return net.conv(5, 3, padding=1, name="b").relu().build()


@pytest.fixture(scope="module")
def rows_plan(graph: Graph) -> Plan:
    """Rows after rows: the edge is a halo."""
    return Plan.of(graph, [Placement.split("H", EVERYBODY, (4, 4, 4))] * 2)


@pytest.fixture(scope="module")
def pair_plan(graph: Graph) -> Plan:
    """Input channels, added up directly, before output channels."""
    return Plan.of(graph, [Placement.split("IC", EVERYBODY, (2, 1, 1)), Placement.split("OC", EVERYBODY, (2, 2, 1))])


def _run(graph: Graph, plan: Plan) -> tuple[Execution, float]:
    """A run and its error."""
    weights, inputs = random_weights(graph, 3), random_input(graph, 3)
    execution = execute(graph, CLUSTER, plan, weights, inputs)
    return execution, relative_error(execution.outputs, whole_run(graph, weights, inputs))


def test_the_executor_itself_passes(graph: Graph, rows_plan: Plan, pair_plan: Plan) -> None:
    """Without a mutant both plans compute the whole network and move exactly the model's bytes."""
    for plan in (rows_plan, pair_plan):
        execution, error = _run(graph, plan)
        assert error < WITHIN
        assert assert_payload(graph, CLUSTER, plan, execution)


@pytest.mark.parametrize("partial", [False, True])
def test_permuted_channels_are_noticed(graph: Graph, rows_plan: Plan, pair_plan: Plan, partial: bool, monkeypatch: Patch) -> None:
    """Messages in which two channels have changed places, of finished tensors or of partial sums, give another output."""
    original = Worker._piece

    def permuted(self: Worker, region: Region, *, partial: bool) -> torch.Tensor:
        tensor = original(self, region, partial=partial)
        return tensor[[1, 0, *range(2, len(tensor))]] if len(tensor) > 1 else tensor

    monkeypatch.setattr(Worker, "_piece", permuted)
    assert _run(graph, pair_plan if partial else rows_plan)[1] > WIDE


def test_a_dropped_halo_row_is_noticed(graph: Graph, rows_plan: Plan, monkeypatch: Patch) -> None:
    """Halos that lack one row (zeros stand in for it) give another output, and fewer bytes than the model counts."""

    def shorter(transfer: Transfer) -> Transfer:
        rows = transfer.region.rows
        return dataclasses.replace(transfer, region=Region(transfer.region.channels, Interval(rows.start, rows.stop - 1)))

    _change_edge(monkeypatch, "b", shorter)
    execution, error = _run(graph, rows_plan)
    assert error > WIDE
    assert execution.transferred_bytes == execution.evaluation.transferred_bytes - 4 * 6 * 6 * 4  # four messages: a row of 6 channels x 6 columns
    with pytest.raises(AssertionError, match="edge='b'"):
        assert_payload(graph, CLUSTER, rows_plan, execution)


def _change_edge(monkeypatch: Patch, name: str, change: Callable[[Transfer], Transfer]) -> None:
    """Schedules in which every transfer of one edge is changed."""
    original = threads.edges

    def changed(*arguments: object) -> list[Edge]:
        result = []
        for edge in original(*arguments):
            rounds = [dataclasses.replace(round_, transfers=tuple(map(change, round_.transfers))) for round_ in edge.rounds]
            result.append(dataclasses.replace(edge, rounds=tuple(rounds)) if edge.name == name else edge)
        return result

    monkeypatch.setattr(threads, "edges", changed)


@pytest.mark.parametrize("dim", ["H", "IC", "OC"])
def test_a_bias_added_twice_is_noticed(graph: Graph, dim: str, monkeypatch: Patch) -> None:
    """A bias that is added twice gives another output, whatever the split."""

    def twice(operator: Operator, parameters: Finish, *arguments: object) -> torch.Tensor:
        assert parameters.bias is not None
        return finish(operator, dataclasses.replace(parameters, bias=2 * parameters.bias), *arguments)

    monkeypatch.setattr(worker, "finish", twice)
    shares = {"H": (4, 4, 4), "IC": (2, 1, 1), "OC": (2, 2, 2)}[dim]
    assert _run(graph, Plan.of(graph, [Placement.split(dim, EVERYBODY, shares), Placement.whole(0)]))[1] > WIDE


def test_a_bias_added_by_every_participant_is_noticed(graph: Graph, pair_plan: Plan, monkeypatch: Patch) -> None:
    """A bias that every owner of partial sums adds, instead of whoever adds them up, gives another output."""

    def with_bias(operator: Operator, *arguments: object) -> torch.Tensor:
        tensor = convolve(operator, *arguments)
        return tensor + biases[operator.name][:, None, None] if operator.name == "a" else tensor

    biases = {name: torch.tensor(mine.bias) for name, mine in random_weights(graph, 3).items()}
    monkeypatch.setattr(worker, "convolve", with_bias)
    assert _run(graph, pair_plan)[1] > WIDE


@pytest.mark.parametrize("reduce", ["direct", "two_phase"])
def test_a_pool_before_the_sum_is_noticed(graph: Graph, reduce: str, monkeypatch: Patch) -> None:
    """Partial sums that are pooled before they are added up, instead of after, give another output."""

    def pooled(operator: Operator, kernel: torch.Tensor, tensor: torch.Tensor, held: Interval, rows: Interval, groups: int) -> torch.Tensor:
        partial = convolve(operator, kernel, tensor, held, rows, groups)
        just_pool = dataclasses.replace(operator, epilogue=tuple(step for step in operator.epilogue if isinstance(step, Pool)))
        return finish(just_pool, Finish(None, None, None), partial, rows, rows)

    def unpooled(operator: Operator, *arguments: object) -> torch.Tensor:
        return finish(dataclasses.replace(operator, epilogue=tuple(step for step in operator.epilogue if not isinstance(step, Pool))), *arguments)

    monkeypatch.setattr(worker, "convolve", pooled)
    monkeypatch.setattr(worker, "finish", unpooled)
    plan = Plan.of(graph, [Placement.split("IC", EVERYBODY, (2, 1, 1), reduce), Placement.whole(1)])
    assert _run(graph, plan)[1] > WIDE


def test_an_activation_before_the_sum_is_noticed(graph: Graph, pair_plan: Plan, monkeypatch: Patch) -> None:
    """Partial sums that go through the activation before they are added up give another output."""

    def activated(operator: Operator, *arguments: object) -> torch.Tensor:
        return torch.relu(convolve(operator, *arguments)) if operator.name == "a" else convolve(operator, *arguments)

    monkeypatch.setattr(worker, "convolve", activated)
    assert _run(graph, pair_plan)[1] > WIDE


def test_a_missing_partial_sum_is_noticed(graph: Graph, pair_plan: Plan, monkeypatch: Patch) -> None:
    """A device that forgets its own partial sums gives another output, though every message comes."""
    original = Worker._add_up

    def forgetful(self: Worker, *arguments: object) -> int:
        self._partial = None
        return original(self, *arguments)

    monkeypatch.setattr(Worker, "_add_up", forgetful)
    assert _run(graph, pair_plan)[1] > WIDE
