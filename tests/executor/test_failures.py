"""Runs that cannot end well end soon, say why, and leave no thread behind; what cannot be run is refused before anything starts."""

from __future__ import annotations

import dataclasses
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from support.whole_run import torch

from iopopt import (
    Cluster,
    Device,
    ExecutionError,
    Graph,
    GraphBuilder,
    GraphError,
    IopoptError,
    Placement,
    Plan,
    PlanError,
    UnsupportedError,
)
from iopopt.executor.arithmetic import check_runnable
from iopopt.executor.mailboxes import ThreadHub, ThreadTransport
from iopopt.executor.overlapping import OverlappingWorker
from iopopt.executor.threads import execute
from iopopt.executor.worker import Worker
from iopopt.network.epilogue import Activation, EpilogueStep, Mixing, Normalisation
from iopopt.network.operators import KINDS
from iopopt.network.operators.conv import Conv
from iopopt.network.operators.elementwise import Elementwise
from iopopt.network.shapes import Shape
from iopopt.network.weights import OperatorWeights, random_input, random_weights
from iopopt.schedule.region_transfers import UnitInputs

CLUSTER = Cluster(tuple(Device(f"d{j}", 1e6, 1e9, 1e6) for j in range(3)))
ALL = (0, 1, 2)
FOUR = np.ones(4, np.float32)


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    """After every test here the threads are those before it."""
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@pytest.fixture
def graph() -> Graph:
    """a: 2x6x6 -> 4x4x4, normalised; b: 4x4x4 -> 3x2x2."""
    net = GraphBuilder("small", (2, 6, 6)).conv(4, 3, name="a").batch_norm()
    return net.conv(3, 3, bias=False, name="b").build()


@pytest.fixture
def plan(graph: Graph) -> Plan:
    """Output channels twice: everybody sends to everybody."""
    return Plan.of(graph, [Placement.split("OC", ALL, (2, 1, 1)), Placement.split("OC", ALL, (1, 1, 1))])


def _execute(graph: Graph, plan: Plan, cluster: Cluster = CLUSTER, timeout_s: float = 60.0, overlap: bool = False) -> np.ndarray:
    return execute(graph, cluster, plan, random_weights(graph), random_input(graph), overlap=overlap, timeout_s=timeout_s).outputs


either_way = pytest.mark.parametrize("overlap", [False, True], ids=["barriers", "overlap"])


@either_way
def test_a_sound_run_leaves_no_thread(graph: Graph, plan: Plan, overlap: bool) -> None:
    """A run that succeeds gives the output and ends its threads."""
    assert _execute(graph, plan, overlap=overlap).shape == (3, 2, 2)


def _replace_compute(monkeypatch: pytest.MonkeyPatch, overlap: bool, failing: Callable[[UnitInputs, int], None]) -> None:
    """Call ``failing`` with unit and device before a worker computes."""
    kind: Any = OverlappingWorker if overlap else Worker
    original = kind._compute

    def compute(self: Any, unit: UnitInputs, *arguments: object) -> object:
        failing(unit, self._device)
        return original(self, unit, *arguments)

    monkeypatch.setattr(kind, "_compute", compute)


@either_way
@pytest.mark.parametrize("device", ALL)
def test_a_failing_worker_ends_the_others(graph: Graph, plan: Plan, device: int, overlap: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that raises in the middle ends the whole run long before the time limit, and its error is the cause that is reported."""

    def failing(unit: UnitInputs, computing: int) -> None:
        if unit.name == "b" and computing == device:
            raise ZeroDivisionError("broken in b")

    _replace_compute(monkeypatch, overlap, failing)
    started = time.monotonic()
    with pytest.raises((ExecutionError, ZeroDivisionError), match="broken in b"):
        _execute(graph, plan, overlap=overlap)
    assert time.monotonic() - started < 10


@either_way
def test_a_failing_worker_is_an_execution_error(graph: Graph, plan: Plan, overlap: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a worker raises, the caller gets an ExecutionError that names the device."""

    def failing(_: UnitInputs, device: int) -> None:
        if device == 1:
            raise ZeroDivisionError("broken")

    _replace_compute(monkeypatch, overlap, failing)
    with pytest.raises(ExecutionError, match=r"device 1.*broken"):
        _execute(graph, plan, overlap=overlap)


def test_a_worker_that_computes_for_longer_than_a_message_may_take_is_waited_for(graph: Graph, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without barriers the others wait for a message while its sender computes, here five time limits long."""
    _replace_compute(monkeypatch, True, lambda unit, device: time.sleep(0.5 if (unit.name, device) == ("a", 1) else 0))
    assert _execute(graph, plan, timeout_s=0.1, overlap=True).shape == (3, 2, 2)


def test_a_worker_that_computes_for_ever_ends_the_run(graph: Graph, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without barriers nobody waits longer than 20 time limits for one unit of another; the error names who is so slow."""
    ended = threading.Event()
    _replace_compute(monkeypatch, True, lambda unit, device: (unit.name, device) == ("a", 1) and ended.wait(30))  # type: ignore[func-returns-value]
    original = ThreadHub.fail

    def fail(self: ThreadHub, cause: BaseException) -> None:
        original(self, cause)
        ended.set()

    monkeypatch.setattr(ThreadHub, "fail", fail)
    started = time.monotonic()
    with pytest.raises(ExecutionError, match=r"device 1 has computed a single unit for 1 s, .* while device \d waited for it"):
        _execute(graph, plan, timeout_s=0.05, overlap=True)
    assert 0.9 < time.monotonic() - started < 10


@either_way
@pytest.mark.parametrize(("source", "target"), [(0, 1), (1, 0), (2, 1)])
def test_a_message_that_never_comes(graph: Graph, plan: Plan, source: int, target: int, overlap: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that is lost ends the run once the time limit is over, with an error that names who waited for whom."""
    original = ThreadTransport.send

    def losing(self: ThreadTransport, tensor: torch.Tensor, to: int) -> None:
        if (self.device, to) != (source, target):
            original(self, tensor, to)

    monkeypatch.setattr(ThreadTransport, "send", losing)
    started = time.monotonic()
    with pytest.raises(ExecutionError, match=rf"device {target} waited 0\.5 s for a message from device {source}\b"):
        _execute(graph, plan, timeout_s=0.5, overlap=overlap)
    assert 0.4 < time.monotonic() - started < 5


@either_way
def test_a_message_of_another_shape(graph: Graph, plan: Plan, overlap: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tensor of a shape that the schedule does not foresee is refused by its receiver, who names the sender."""
    original = ThreadTransport.send

    def mangling(self: ThreadTransport, tensor: torch.Tensor, to: int) -> None:
        original(self, tensor[:, 1:] if (self.device, to) == (2, 0) else tensor, to)

    monkeypatch.setattr(ThreadTransport, "send", mangling)
    with pytest.raises(ExecutionError, match=r"device 0 expected a tensor \(1, 4, 4\) of torch.float32 from device 2, got \(1, 3, 4\)"):
        _execute(graph, plan, overlap=overlap)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kernel": np.ones((4, 2, 3, 2), np.float32)}, r"kernel of operator 'a' has shape \(4, 2, 3, 2\); \(4, 2, 3, 3\) is expected"),
        ({"bias": np.ones(3, np.float32)}, r"bias of operator 'a' has shape \(3,\); \(4,\) is expected"),
        ({"bias": None}, r"bias of operator 'a' is missing; \(4,\) is expected"),
        ({"steps": {}}, r"array 0 of step 0 \(batch\) of operator 'a' is missing; \(4,\) is expected"),
        ({"steps": {0: (FOUR, np.ones((4, 1), np.float32))}}, r"array 1 of step 0 \(batch\) of operator 'a' has shape \(4, 1\); \(4,\) is expected"),
        ({"steps": {0: (FOUR, FOUR, FOUR)}}, r"array 2 of step 0 \(batch\) of operator 'a' has shape \(4,\); None is expected"),
        ({"steps": {0: (FOUR, FOUR), 3: (FOUR,)}}, r"array 0 of step 3 \(none\) of operator 'a' has shape \(4,\); None is expected"),
    ],
)
def test_weights_of_another_shape(graph: Graph, plan: Plan, change: dict[str, Any], message: str) -> None:
    """Weights that do not fit are refused; the message names the operator, the part and both shapes."""
    weights = random_weights(graph)
    weights["a"] = dataclasses.replace(weights["a"], **change)
    with pytest.raises(GraphError, match=message):
        execute(graph, CLUSTER, plan, weights, random_input(graph))


def test_weights_that_the_operator_does_not_have(graph: Graph, plan: Plan) -> None:
    """A bias for an operator without one is refused rather than left out silently."""
    weights = random_weights(graph)
    weights["b"] = OperatorWeights(weights["b"].kernel, np.ones(3, np.float32))
    with pytest.raises(GraphError, match=r"bias of operator 'b' has shape \(3,\); None is expected"):
        execute(graph, CLUSTER, plan, weights, random_input(graph))


def test_missing_weights(graph: Graph, plan: Plan) -> None:
    """Weights that lack an operator are refused; the message names it and the network."""
    weights = random_weights(graph)
    del weights["b"]
    with pytest.raises(GraphError, match=r"operator 'b' is missing; are these the weights of small\?"):
        execute(graph, CLUSTER, plan, weights, random_input(graph))


@pytest.mark.parametrize("shape", [(2, 6), (1, 2, 6, 6), (6, 6, 2)])
def test_input_of_another_shape(graph: Graph, plan: Plan, shape: tuple[int, ...]) -> None:
    """An input of another shape is refused; the message gives both."""
    with pytest.raises(PlanError, match=r"the input has shape \(.*\); small reads \(2, 6, 6\)"):
        execute(graph, CLUSTER, plan, random_weights(graph), np.zeros(shape, np.float32))


def test_plan_of_another_network(graph: Graph) -> None:
    """A plan of another network, or of devices that do not exist, is refused as everywhere."""
    other = GraphBuilder("other", (2, 6, 6)).conv(4, 3, name="c").build()
    with pytest.raises(PlanError, match="has no placement for a, b; is it a plan of small"):
        _execute(graph, Plan.of(other, [Placement.whole(0)]))
    with pytest.raises(PlanError, match="device 5 does not exist"):
        _execute(graph, Plan.of(graph, [Placement.whole(5)] * 2))


@pytest.mark.parametrize("width", [1, 2, 16])
def test_element_sizes(graph: Graph, plan: Plan, width: int) -> None:
    """Elements that are no float32 or float64 are refused; the message says which run."""
    with pytest.raises(UnsupportedError, match=rf"bytes_per_element is {width}; the executor runs elements of 4 or 8 bytes"):
        _execute(graph, plan, dataclasses.replace(CLUSTER, bytes_per_element=width))


@either_way
@pytest.mark.parametrize("width", [4, 8])
@pytest.mark.parametrize("sink", [0, 2])
def test_sinks_that_compute_nothing(graph: Graph, width: int, sink: int, overlap: bool) -> None:
    """Either element size runs, also where the sink takes part in no operator, and the output has that type."""
    cluster = dataclasses.replace(CLUSTER, bytes_per_element=width, sink=sink)
    outputs = _execute(graph, Plan.of(graph, [Placement.whole(0), Placement.split("OC", (0, 1), (2, 1))]), cluster, overlap=overlap)
    assert outputs.dtype.itemsize == width


def test_unknown_activation(plan: Plan) -> None:
    """An activation without arithmetic is refused; the message names operator and activation, and those that are known."""
    graph = GraphBuilder("small", (2, 6, 6)).conv(4, 3, name="a").step(Activation("gelu")).conv(3, 3, name="b").build()
    with pytest.raises(UnsupportedError, match="operator 'a': activation 'gelu' cannot be run; known are relu, tanh, sigmoid"):
        _execute(graph, plan)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (Normalisation("layer"), "operator 'a': normalisation 'layer' cannot be run; known are batch, scale, shift"),
        (Mixing("whiten"), "operator 'a': channel mixing 'whiten' cannot be run; known are lrn, softmax, shuffle"),
    ],
)
def test_unknown_steps(step: EpilogueStep, message: str) -> None:
    """A step without arithmetic, or with parameters that do not fit, is refused before anything starts."""
    shape = Shape(2, 6, 6)
    graph = Graph("unknown", shape, (Conv("a", shape, 4, epilogue=(step,)),))
    weights = {"a": OperatorWeights(np.ones((4, 2, 1, 1), np.float32), FOUR)}
    with pytest.raises(UnsupportedError, match=re.escape(message)):
        execute(graph, CLUSTER, Plan.of(graph, [Placement.whole(0)]), weights, random_input(graph))


@dataclass(frozen=True)
class Warp(Elementwise):
    """A kind without arithmetic."""

    kind: ClassVar[str] = "warp"


def test_a_kind_without_arithmetic() -> None:
    """A network with a kind that can be priced but not run is refused before anything starts."""
    graph = Graph("unknown", Shape(2, 6, 6), (Warp("a", Shape(2, 6, 6)),))
    with pytest.raises(UnsupportedError, match="operator 'a': kind 'warp' cannot be run; known are pool, elementwise, add"):
        execute(graph, CLUSTER, Plan.of(graph, [Placement.whole(0)]), {}, random_input(graph))


def test_every_kind_has_arithmetic() -> None:
    """The kinds of the package can all be run."""
    operators = GraphBuilder("kinds", (4, 8, 8)).conv(4, 1)
    entry = operators.tip
    operators.add(entry, entry).mul(operators.tip, entry).concat(operators.tip, entry).slice(0, 4).space_to_depth(2).upsample(2).max_pool(2)
    graph = operators.at(operators.tip).relu().fc(2).build()
    assert {operator.kind for operator in graph.operators} == set(KINDS)
    for operator in graph.operators:
        check_runnable(operator)


def test_refusals_share_one_base() -> None:
    """A program may catch them all as IopoptError."""
    assert all(issubclass(kind, IopoptError) for kind in (ExecutionError, GraphError, PlanError, UnsupportedError))
