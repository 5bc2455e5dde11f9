"""Comparing with the whole run is sharp: an executor with one typical mistake fails it by a wide margin."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from support.edge_payload import assert_payload
from support.whole_run import WITHIN, relative_error, torch, whole_run

from iopopt import Cluster, Device, ExecutionError, Graph, GraphBuilder, Operator, Placement, Plan
from iopopt.executor import computing, holdings, overlapping, threads
from iopopt.executor.arithmetic import EpilogueParameters, TensorSlice, convolve, finish
from iopopt.executor.execution import Execution
from iopopt.executor.holdings import Holdings, Received, Taken
from iopopt.executor.threads import execute
from iopopt.network.epilogue import Pool
from iopopt.network.weights import random_input, random_weights
from iopopt.schedule.region_transfers import EdgeTransfers, RegionRound, RegionTransfer, UnitInputs
from iopopt.schedule.regions import Interval, Region

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


@pytest.fixture(autouse=True, params=[False, True], ids=["barriers", "overlap"])
def overlap(request: pytest.FixtureRequest, monkeypatch: Patch) -> bool:
    """Every mutant runs with barriers and without."""
    monkeypatch.setitem(_OPTIONS, "overlap", request.param)
    return bool(request.param)


_OPTIONS = {"overlap": False}


def _run(graph: Graph, plan: Plan) -> tuple[Execution, float]:
    """A run and its error."""
    weights, inputs = random_weights(graph, 3), random_input(graph, 3)
    execution = execute(graph, CLUSTER, plan, weights, inputs, **_OPTIONS)
    return execution, relative_error(execution.outputs, whole_run(graph, weights, inputs))


def replace_arithmetic(monkeypatch: Patch, name: str, function: object) -> None:
    """Put a mutant in place of a function, wherever the executor uses it."""
    for module in (computing, holdings):
        if hasattr(module, name):
            monkeypatch.setattr(module, name, function)


def test_the_executor_itself_passes(graph: Graph, rows_plan: Plan, pair_plan: Plan) -> None:
    """Without a mutant both plans compute the whole network and move exactly the model's bytes."""
    for plan in (rows_plan, pair_plan):
        execution, error = _run(graph, plan)
        assert error < WITHIN
        assert assert_payload(graph, CLUSTER, plan, execution)


@pytest.mark.parametrize("partial", [False, True])
def test_permuted_channels_are_noticed(graph: Graph, rows_plan: Plan, pair_plan: Plan, partial: bool, monkeypatch: Patch) -> None:
    """Messages in which two channels have changed places, of finished tensors or of partial sums, give another output."""
    original = Holdings.piece

    def permuted(self: Holdings, producer: int, region: Region, *, partial: bool) -> torch.Tensor:
        tensor = original(self, producer, region, partial=partial)
        return tensor[[1, 0, *range(2, len(tensor))]] if len(tensor) > 1 else tensor

    monkeypatch.setattr(Holdings, "piece", permuted)
    assert _run(graph, pair_plan if partial else rows_plan)[1] > WIDE


def test_a_dropped_halo_row_is_noticed(graph: Graph, rows_plan: Plan, overlap: bool, monkeypatch: Patch) -> None:
    """Halos that lack one row (zeros stand in for it) give another output, and fewer bytes than the model counts.

    They have only one, so that without barriers no row comes first any more, which does not suit the simulated timeline.
    """

    def shorter(transfer: RegionTransfer) -> RegionTransfer:
        rows = transfer.region.rows
        return dataclasses.replace(transfer, region=Region(transfer.region.channels, Interval(rows.start, rows.stop - 1)))

    _change_transfers(monkeypatch, "b", shorter)
    if overlap:
        with pytest.raises(ExecutionError, match="device 0 ran no task 'boundary' for 'a', which the simulation expects"):
            _run(graph, rows_plan)
        return
    execution, error = _run(graph, rows_plan)
    assert error > WIDE
    assert execution.transferred_bytes == execution.evaluation.transferred_bytes - 4 * 6 * 6 * 4  # four messages: a row of 6 channels x 6 columns
    with pytest.raises(AssertionError, match="edge='b'"):
        assert_payload(graph, CLUSTER, rows_plan, execution)


def _change_transfers(monkeypatch: Patch, name: str, change: Callable[[RegionTransfer], RegionTransfer]) -> None:
    """Schedules in which every transfer into one operator is changed."""
    original = threads.unit_inputs

    def changed(*arguments: object) -> list[UnitInputs]:
        result = []
        for inputs_of in original(*arguments):
            edges = []
            for edge in inputs_of.edges:
                rounds = [dataclasses.replace(round_, transfers=tuple(map(change, round_.transfers))) for round_ in edge.rounds]
                edges.append(dataclasses.replace(edge, rounds=tuple(rounds)))
            result.append(dataclasses.replace(inputs_of, edges=tuple(edges)) if inputs_of.name == name else inputs_of)
        return result

    monkeypatch.setattr(threads, "unit_inputs", changed)


@pytest.mark.parametrize("dim", ["H", "IC", "OC"])
def test_a_bias_added_twice_is_noticed(graph: Graph, dim: str, monkeypatch: Patch) -> None:
    """A bias that is added twice gives another output, whatever the split."""

    def twice(operator: Operator, parameters: EpilogueParameters, *arguments: object) -> torch.Tensor:
        assert parameters.bias is not None
        return finish(operator, dataclasses.replace(parameters, bias=2 * parameters.bias), *arguments)

    replace_arithmetic(monkeypatch, "finish", twice)
    shares = {"H": (4, 4, 4), "IC": (2, 1, 1), "OC": (2, 2, 2)}[dim]
    assert _run(graph, Plan.of(graph, [Placement.split(dim, EVERYBODY, shares), Placement.whole(0)]))[1] > WIDE


def test_a_bias_added_by_every_participant_is_noticed(graph: Graph, pair_plan: Plan, monkeypatch: Patch) -> None:
    """A bias that every owner of partial sums adds, instead of whoever adds them up, gives another output."""

    def with_bias(operator: Operator, *arguments: object) -> torch.Tensor:
        tensor = convolve(operator, *arguments)
        return tensor + biases[operator.name][:, None, None] if operator.name == "a" else tensor

    biases = {name: torch.tensor(mine.bias) for name, mine in random_weights(graph, 3).items()}
    replace_arithmetic(monkeypatch, "convolve", with_bias)
    assert _run(graph, pair_plan)[1] > WIDE


@pytest.mark.parametrize("reduce", ["direct", "two_phase"])
def test_a_pool_before_the_sum_is_noticed(graph: Graph, reduce: str, monkeypatch: Patch) -> None:
    """Partial sums that are pooled before they are added up, instead of after, give another output."""

    def pooled(operator: Operator, kernel: torch.Tensor, tensor: torch.Tensor, held: Interval, rows: Interval, groups: int) -> torch.Tensor:
        partial = convolve(operator, kernel, tensor, held, rows, groups)
        just_pool = dataclasses.replace(operator, epilogue=tuple(step for step in operator.epilogue if isinstance(step, Pool)))
        return finish(just_pool, EpilogueParameters(), partial, rows, rows)

    def unpooled(operator: Operator, *arguments: object) -> torch.Tensor:
        return finish(dataclasses.replace(operator, epilogue=tuple(step for step in operator.epilogue if not isinstance(step, Pool))), *arguments)

    replace_arithmetic(monkeypatch, "convolve", pooled)
    replace_arithmetic(monkeypatch, "finish", unpooled)
    plan = Plan.of(graph, [Placement.split("IC", EVERYBODY, (2, 1, 1), reduce), Placement.whole(1)])
    assert _run(graph, plan)[1] > WIDE


def test_an_activation_before_the_sum_is_noticed(graph: Graph, pair_plan: Plan, monkeypatch: Patch) -> None:
    """Partial sums that go through the activation before they are added up give another output."""

    def activated(operator: Operator, *arguments: object) -> torch.Tensor:
        return torch.relu(convolve(operator, *arguments)) if operator.name == "a" else convolve(operator, *arguments)

    replace_arithmetic(monkeypatch, "convolve", activated)
    assert _run(graph, pair_plan)[1] > WIDE


def test_a_missing_partial_sum_is_noticed(graph: Graph, pair_plan: Plan, monkeypatch: Patch) -> None:
    """A device that forgets its own partial sums gives another output, though every message comes."""
    original = Holdings._add_up

    def forgetful(self: Holdings, *arguments: Any) -> Taken:
        self._partial = {}
        return original(self, *arguments)

    monkeypatch.setattr(Holdings, "_add_up", forgetful)
    assert _run(graph, pair_plan)[1] > WIDE


@pytest.fixture(scope="module")
def branched() -> Graph:
    """Two convolutions of the input, the first with a softmax, are joined; a convolution follows, and the first is added to it."""
    net = GraphBuilder("branched", (3, 12, 6)).conv(5, 3, padding=1, name="a").softmax()
    net.at("input").conv(5, 3, padding=1, name="b").relu().concat("a", "b", name="c")
    return net.conv(5, 3, padding=1, name="d").add("a", "d", name="e").build()


@pytest.fixture(scope="module")
def branched_plan(branched: Graph) -> Plan:
    """a by output channels, so that everybody mixes them; rows from there on."""
    rows = Placement.split("H", EVERYBODY, (4, 4, 4))
    return Plan.of(branched, [Placement.split("OC", EVERYBODY, (2, 2, 1)), rows, rows, rows, rows])


def test_the_executor_itself_passes_with_branches(branched: Graph, branched_plan: Plan) -> None:
    """Without a mutant the plan computes the whole network and moves exactly the model's bytes."""
    execution, error = _run(branched, branched_plan)
    assert error < WITHIN
    assert assert_payload(branched, CLUSTER, branched_plan, execution)


def test_channels_that_nobody_mixes_are_noticed(branched: Graph, branched_plan: Plan, monkeypatch: Patch) -> None:
    """A softmax that is left out behind the concatenation gives another output."""
    replace_arithmetic(monkeypatch, "mix", lambda _, tensor: tensor)
    assert _run(branched, branched_plan)[1] > WIDE


def test_channels_that_are_mixed_in_part_are_noticed(branched: Graph, branched_plan: Plan, monkeypatch: Patch) -> None:
    """A softmax over two channels at a time, as an owner of two would run it, gives another output."""
    replace_arithmetic(monkeypatch, "mix", lambda _, tensor: torch.cat([part.softmax(0) for part in tensor.split(2)]))
    assert _run(branched, branched_plan)[1] > WIDE


def test_exchanged_inputs_are_noticed(branched: Graph, branched_plan: Plan, monkeypatch: Patch) -> None:
    """A concatenation that gets its inputs in another order gives another output."""
    original = threads.unit_inputs

    def exchanged(*arguments: object) -> list[UnitInputs]:
        return [
            dataclasses.replace(inputs_of, edges=inputs_of.edges[::-1]) if inputs_of.name == "c" else inputs_of for inputs_of in original(*arguments)
        ]

    monkeypatch.setattr(threads, "unit_inputs", exchanged)
    assert _run(branched, branched_plan)[1] > WIDE


def test_a_tensor_that_is_let_go_too_early_is_noticed(branched: Graph, branched_plan: Plan, overlap: bool, monkeypatch: Patch) -> None:
    """A tensor that is released before its last consumer ends the run with an error."""
    if overlap:  # a is freed after turn 1, and e reads it in turn 4
        monkeypatch.setattr(overlapping, "last_uses", lambda *_: {1: (0,)})
        assert _run(branched, branched_plan)[1] > WIDE
        return
    original = threads.unit_inputs

    def early(*arguments: object) -> list[UnitInputs]:
        return [dataclasses.replace(inputs_of, freed=(0,) if inputs_of.name == "c" else ()) for inputs_of in original(*arguments)]

    monkeypatch.setattr(threads, "unit_inputs", early)
    with pytest.raises(ExecutionError, match="failed: KeyError"):
        _run(branched, branched_plan)


def test_a_gather_without_the_rows_of_its_device_is_noticed(graph: Graph, monkeypatch: Patch) -> None:
    """Device 1 gathers what the others sent and zeros in the place of its own rows."""
    rows = Placement.split("H", EVERYBODY, (4, 4, 4), gather=1)
    plan = Plan.of(graph, [rows, rows])
    execution, error = _run(graph, plan)
    assert error < WITHIN
    assert assert_payload(graph, CLUSTER, plan, execution)
    original = Holdings._assemble

    def forgetful(self: Holdings, edge: EdgeTransfers, round_: RegionRound, received: Received) -> TensorSlice | None:
        if round_.completes:
            self._owned.pop(edge.producer, None)
        return original(self, edge, round_, received)

    monkeypatch.setattr(Holdings, "_assemble", forgetful)
    assert _run(graph, plan)[1] > WIDE
