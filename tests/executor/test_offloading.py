"""Offloading plans really run: the outputs are the whole networks', what is sent is what the model counts, and mistakes are noticed."""

from __future__ import annotations

import dataclasses
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from support.offloading import random_offload_instance, random_offload_plan
from support.random_blocks import random_fusible_graph
from support.random_branches import random_branched_graph
from support.random_instances import random_graph
from support.whole_run import WITHIN, relative_error, torch, whole_run

from iopopt import ExecutionError, Graph, GraphBuilder, GraphError, PlanError, UnsupportedError, execute_offload, load_model
from iopopt.executor import computing
from iopopt.executor.arithmetic import TensorSlice, convolve
from iopopt.executor.computing import Computed, RowsComputation
from iopopt.executor.mailboxes import ThreadTransport
from iopopt.executor.offloading import OffloadExecution, schedule, threads
from iopopt.executor.offloading.schedule import OffloadSchedule, offload_schedule
from iopopt.network.operators import Operator
from iopopt.network.weights import random_input, random_weights
from iopopt.offload.instance import Client, Link, OffloadInstance, Server
from iopopt.offload.paths import path_load, path_rows
from iopopt.offload.plan import ClientPlan, OffloadPlan, Path
from iopopt.offload.stages import Stages
from iopopt.offload.timeline import offload_timeline
from iopopt.pictures import draw_timelines
from iopopt.schedule.regions import Interval

Patch = pytest.MonkeyPatch
WIDE = 1e-2
"""An error that no rounding explains."""


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    """After every test here the threads are those before it."""
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def run(instance: OffloadInstance, plan: OffloadPlan, seed: int = 5, timeout_s: float = 60.0) -> tuple[OffloadExecution, float]:
    """A run, and its largest error relative to the whole network; infinite if that has no finite output."""
    graphs = [client.graph for client in instance.clients]
    weights, inputs = [random_weights(graph, seed) for graph in graphs], [random_input(graph, seed) for graph in graphs]
    references = [whole_run(graph, mine, given) for graph, mine, given in zip(graphs, weights, inputs, strict=True)]
    execution = execute_offload(instance, plan, weights, inputs, timeout_s=timeout_s)
    if not all(np.isfinite(reference).all() for reference in references):
        return execution, np.inf
    return execution, max(relative_error(output, reference) for output, reference in zip(execution.outputs, references, strict=True))


# Random plans.


def small_graph(rng: random.Random) -> Graph:
    """A chain, one with branches, or a small one like those of the zoo."""
    makers = (random_graph, random_fusible_graph, random_fusible_graph, random_branched_graph, depthwise_graph, residual_graph, passthrough_graph)
    return rng.choice(makers)(rng)


def depthwise_graph(rng: random.Random) -> Graph:
    """Like MobileNet-V1: a strided convolution, depthwise and pointwise ones, a global pool and a fully connected operator."""
    net = GraphBuilder("depthwise", (3, rng.randint(16, 24), 16)).conv(4, 3, stride=2, padding=1).batch_norm().relu()
    for channels, stride in ((4, 1), (6, 2), (6, 1)):
        net.conv(net.shape.channels, 3, stride=stride, padding=1, groups=net.shape.channels).batch_norm().relu().conv(channels, 1).relu()
    return net.global_average_pool().fc(5).softmax().build()


def residual_graph(rng: random.Random) -> Graph:
    """Like ResNet: a strided stem with an overlapping pool, an identity block, and one of half the size with a projection."""
    net = GraphBuilder("residual", (3, rng.randint(24, 32), 20)).conv(4, 7, stride=2, padding=3).relu().max_pool(3, 2, 1)
    begin = net.tip
    net.conv(4, 3, padding=1).relu().conv(4, 3, padding=1)
    net.add(begin, net.tip).relu()
    begin = net.tip
    net.conv(6, 3, stride=2, padding=1).relu().conv(6, 3, padding=1)
    end = net.tip
    net.at(begin).conv(6, 1, stride=2)
    return net.add(end, net.tip).relu().global_average_pool().fc(4).build()


def passthrough_graph(rng: random.Random) -> Graph:
    """Like YOLOv2: pools, and a tensor that goes past two convolutions as blocks of pixels."""
    net = GraphBuilder("passthrough", (3, 4 * rng.randint(5, 8), 16)).conv(4, 3, padding=1).activation("leaky_relu", 0.1).max_pool(2)
    begin = net.conv(5, 3, padding=1).tip
    net.max_pool(2)
    end = net.conv(6, 3, padding=1).conv(6, 3, padding=1).tip
    net.at(begin).space_to_depth(2)
    return net.concat(net.tip, end).conv(7, 3, padding=1).conv(3, 1).build()


FEATURES = (
    *("plans", "several paths", "uneven rows", "several devices", "several servers", "input at server", "result at device", "tail", "no tail"),
    *("all on the device", "all on servers", "cut", "gathered", "halo", "stride", "pool", "depthwise", "one path of any kinds", "branches in paths"),
)


@pytest.mark.parametrize("count", [200, pytest.param(2000, marks=pytest.mark.slow)])
def test_random_plans_compute_the_whole_networks(count: int) -> None:
    """Within 1e-4 of the whole networks, for any ends, servers and devices; each transfer has the bytes that the model and the simulator count."""
    reached: Counter[str] = Counter()

    @settings(max_examples=count, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 2**32))
    def check(seed: int) -> None:
        rng = random.Random(seed)
        clients = rng.choice([1, 1, 2, 3])
        instance = random_offload_instance(rng, [small_graph(rng) for _ in range(clients)], clients=clients)
        plan = random_offload_plan(rng, instance)
        execution, error = run(instance, plan, seed % 1000)
        assume(error < np.inf)
        assert error < WITHIN
        assert_bytes(instance, plan, execution)
        assert_weights(instance, plan, execution)
        reached.update(features(instance, plan, execution))

    check()
    assert reached["plans"] >= 0.95 * count
    for name in FEATURES:
        assert reached[name] >= count // 20, (name, reached)


def assert_bytes(instance: OffloadInstance, plan: OffloadPlan, execution: OffloadExecution) -> None:
    """The timeline is the simulated one but for its times; of each path is sent what its loads say, once a cut, and nothing else."""
    simulated = offload_timeline(instance, plan)
    without_times = [dataclasses.replace(span, start_s=0.0, end_s=0.0) for span in simulated.spans]
    assert [dataclasses.replace(span, start_s=0.0, end_s=0.0) for span in execution.timeline.spans] == without_times
    assert execution.timeline.origin == "measured"
    assert all(0 <= span.start_s <= span.end_s for span in execution.timeline.spans)
    assert all(span.end_s <= execution.timeline.makespan_s for span in execution.timeline.spans)
    counted = Counter((transfer.client, transfer.path, transfer.what) for transfer in execution.transfers)
    assert set(counted.values()) <= {1}
    for transfer in execution.transfers:
        stages, planned = Stages.of(instance.clients[transfer.client].graph), plan.clients[transfer.client]
        if transfer.path is None:
            assert transfer.what == "result"
            assert transfer.size_bytes == 4 * stages.graph.output.out_shape.elements
            continue
        path = planned.paths[transfer.path]
        load = path_load(stages, planned.fused, Interval(path.start, path.stop))
        cut = {"input": 0, "upload": path.cut}.get(transfer.what, planned.fused)
        assert transfer.size_bytes == 4 * load.elements[cut], transfer


def assert_weights(instance: OffloadInstance, plan: OffloadPlan, execution: OffloadExecution) -> None:
    """Devices hold the weights up to their last cut; all workers together those of each stage at least once, and no more than their jobs need."""
    parameters = [[sum(client.graph.operators[i].parameters for i in run) for run in Stages.of(client.graph).runs] for client in instance.clients]
    least = sum(4 * sum(stages) for stages in parameters)
    most = 0
    for number, (stages, planned) in enumerate(zip(parameters, plan.clients, strict=True)):
        on_device = max(path.cut for path in planned.paths)
        assert execution.weights_bytes[number] == 4 * sum(stages[:on_device])
        on_servers = sum(4 * sum(stages[path.cut : planned.fused]) for path in planned.paths)
        most += execution.weights_bytes[number] + on_servers + 4 * sum(stages[planned.fused :])
    assert least <= sum(execution.weights_bytes) <= most


def features(instance: OffloadInstance, plan: OffloadPlan, execution: OffloadExecution) -> set[str]:
    """What a plan exercises."""
    found = {"plans"}
    for client, planned in zip(instance.clients, plan.clients, strict=True):
        stages = Stages.of(client.graph)
        operators = [operator for run in stages.runs[: planned.fused] for operator in client.graph.operators[run.start : run.stop]]
        several, sizes = len(planned.paths) > 1, {path.stop - path.start for path in planned.paths}
        loads = [path_load(stages, planned.fused, Interval(path.start, path.stop)) for path in planned.paths]
        here = {
            "several paths": several,
            "uneven rows": len(sizes) > 1,
            "several devices": len(instance.clients) > 1,
            "several servers": len({path.server for path in planned.paths}) > 1,
            "input at server": client.input_at == "server",
            "result at device": client.result_at == "device",
            "tail": planned.fused < len(stages),
            "no tail": planned.fused == len(stages),
            "all on the device": any(path.cut == planned.fused for path in planned.paths),
            "all on servers": any(path.cut == 0 for path in planned.paths),
            "cut": any(0 < path.cut < planned.fused for path in planned.paths),
            "gathered": any(transfer.what == "gather" for transfer in execution.transfers),
            "halo": sum(load.elements[0] for load in loads) > stages.shape(0).elements,
            "stride": several and any(operator.rows.stride > 1 for operator in operators),
            "pool": several and any(operator.pool.rows.extent > 1 for operator in operators),
            "depthwise": several and any(operator.groups > 1 for operator in operators),
            "one path of any kinds": not several and not all(operator.fusible for operator in operators),
            "branches in paths": several and any(len(operator.in_shapes) > 1 for operator in operators),
        }
        found |= {name for name, holds in here.items() if holds}
    return found


@pytest.mark.slow
def test_vgg16_in_four_paths() -> None:
    """The real network at 224 x 224: ten stages in four paths, cut at different tensors, and the rest on the server."""
    link = Link(2.5e6, 0.001)
    instance = OffloadInstance((Client("pi", load_model("vgg16"), 1e10, link),), (Server("edge", 1e11, 2),))
    rows = Stages.of(instance.clients[0].graph).shape(10).height
    plan = OffloadPlan((ClientPlan(10, tuple(Path(rows * j // 4, rows * (j + 1) // 4, cut) for j, cut in enumerate((2, 4, 0, 10)))),))
    execution, error = run(instance, plan)
    assert error < WITHIN
    assert_bytes(instance, plan, execution)


# One plan whose halos are a row each, and mistakes in it.


@pytest.fixture(scope="module")
def instance() -> OffloadInstance:
    """Three convolutions of twelve rows, then one more; two servers, of two workers and of one."""
    net = GraphBuilder("fused", (2, 12, 5))
    net.conv(3, 3, padding=1, name="a").relu().conv(3, 3, padding=1, name="b").conv(3, 3, padding=1, name="c").relu()
    graph = net.conv(2, 3, padding=1, name="d").build()
    return OffloadInstance((Client("phone", graph, 1e6, Link(1e6)),), (Server("edge", 1e6, 2), Server("cloud", 1e6)))


@pytest.fixture(scope="module")
def plan() -> OffloadPlan:
    """Three paths of four rows through a to c, all cut after a; the second is taken by the cloud."""
    return OffloadPlan((ClientPlan(3, (Path(0, 4, 1), Path(4, 8, 1, server=1), Path(8, 12, 1))),))


def test_the_executor_itself_passes(instance: OffloadInstance, plan: OffloadPlan) -> None:
    """Without a mutant: the output is right; 5, 6 and 5 rows of input and 6, 8 and 6 rows of a are under the paths."""
    execution, error = run(instance, plan)
    assert error < WITHIN
    assert_bytes(instance, plan, execution)
    sent = {(transfer.path, transfer.what): transfer for transfer in execution.transfers}
    assert {path: sent[path, "upload"].size_bytes for path in range(3)} == {path: 4 * 3 * 5 * rows for path, rows in enumerate((6, 8, 6))}
    assert {key for key in sent if key[1] == "gather"} == {(1, "gather"), (2, "gather")}  # the worker of the first path has the tail as well
    assert [sent[path, "upload"].receiver for path in range(3)] == [1, 3, 2]
    a, b, c, d = ((4 * operator.parameters) for operator in instance.clients[0].graph.operators)
    assert execution.weights_bytes == (a, b + c + d, b + c, b + c)


def test_one_device_needs_no_sequences(instance: OffloadInstance, plan: OffloadPlan) -> None:
    """Weights and input may be given as they are; the same as the plan's record says."""
    graph = instance.clients[0].graph
    weights, inputs = random_weights(graph, 1), random_input(graph, 1)
    execution = execute_offload(instance, OffloadPlan.from_dict(plan.to_dict()), weights, inputs)
    (output,) = execution.outputs
    assert relative_error(output, whole_run(graph, weights, inputs)) < WITHIN
    assert repr(execution).startswith("OffloadExecution(outputs (2, 12, 5), 5 transfers, ")


@pytest.mark.parametrize("width", [4, 8])
def test_element_sizes(instance: OffloadInstance, plan: OffloadPlan, width: int) -> None:
    """Elements of 8 bytes are twice as long and more exact."""
    execution, error = run(dataclasses.replace(instance, bytes_per_element=width), plan)
    assert error < (1e-12 if width == 8 else WITHIN)
    assert sum(transfer.size_bytes for transfer in execution.transfers if transfer.what == "upload") == width * 3 * 5 * 20


def test_pictures_beside_the_simulated_timeline(instance: OffloadInstance, plan: OffloadPlan) -> None:
    """Both timelines are drawn, one below the other."""
    execution, _ = run(instance, plan)
    assert len(draw_timelines([offload_timeline(instance, plan), execution.timeline])) == 2


@pytest.mark.parametrize("tensor", ["input", "a", "b", "c"])
@pytest.mark.parametrize("end", ["first", "last"])
@pytest.mark.parametrize("cut", range(4))
@pytest.mark.parametrize("zeros", [False, True], ids=["as it is", "zeros in its place"])
def test_a_missing_halo_row_is_noticed(
    instance: OffloadInstance, plan: OffloadPlan, tensor: str, end: str, cut: int, zeros: bool, monkeypatch: Patch
) -> None:
    """A row less, first or last, of what the middle path needs of a tensor: an error, or another output; wherever the path is cut.

    A device that has the whole input needs no row of it to be sent, so that there the mutant is none.
    """
    (planned,) = plan.clients
    paths = tuple(dataclasses.replace(path, cut=cut) for path in planned.paths)
    plan = OffloadPlan((dataclasses.replace(planned, paths=paths),))
    graph = instance.clients[0].graph
    number = graph.source if tensor == "input" else [operator.name for operator in graph.operators].index(tensor)

    def short(stages: Stages, fused: int, rows: Interval) -> dict[int, Interval]:
        found = path_rows(stages, fused, rows)
        start, stop = found[number].start, found[number].stop
        if rows.start == 4:
            found[number] = Interval(start + 1, stop) if end == "first" else Interval(start, stop - 1)
        return found

    monkeypatch.setattr(schedule, "path_rows", short)
    if zeros:
        monkeypatch.setattr(computing, "convolve", padded_where_rows_are_missing)
    if tensor == "input" and cut > 0:
        assert run(instance, plan)[1] < WITHIN
        return
    assert_noticed(instance, plan)


def padded_where_rows_are_missing(
    operator: Operator, kernel: torch.Tensor, tensor: torch.Tensor, held: Interval, rows: Interval, groups: int
) -> torch.Tensor:
    """A convolution that takes rows which the worker does not hold for zeros."""
    height = operator.in_shape.height
    padded = torch.nn.functional.pad(tensor, (0, 0, held.start, height - held.stop))
    return convolve(operator, kernel, padded, Interval(0, height), rows, groups)


def assert_noticed(instance: OffloadInstance, plan: OffloadPlan) -> None:
    """The run ends with an error, or with an output that is far from the whole network's."""
    try:
        _, error = run(instance, plan, timeout_s=1)
    except ExecutionError:
        return
    assert error > WIDE


def change_schedule(monkeypatch: Patch, **changes: Any) -> None:
    """Schedules of which parts are changed: each by a function of the schedule."""

    def changed(*arguments: Any) -> OffloadSchedule:
        made = offload_schedule(*arguments)
        return dataclasses.replace(made, **{name: change(made) for name, change in changes.items()})

    monkeypatch.setattr(threads, "offload_schedule", changed)


@pytest.mark.parametrize("number", range(5))
def test_a_part_that_is_sent_and_expected_twice_is_noticed(instance: OffloadInstance, plan: OffloadPlan, number: int, monkeypatch: Patch) -> None:
    """Uploads and what passes between workers: the second one is not taken."""
    change_schedule(monkeypatch, messages=lambda made: (*made.messages, made.messages[number]))
    with pytest.raises(ExecutionError, match=r"(the simulation does not expect 1 of the tasks and transfers|which has not taken it)"):
        run(instance, plan)


def test_a_part_that_is_sent_twice_is_noticed(instance: OffloadInstance, plan: OffloadPlan, monkeypatch: Patch) -> None:
    """A device sends each tensor to its worker twice, which expects it once."""
    original = ThreadTransport.send

    def twice(self: ThreadTransport, tensor: torch.Tensor, target: int) -> None:
        for _ in range(2 if self.device == 0 else 1):
            original(self, tensor, target)

    monkeypatch.setattr(ThreadTransport, "send", twice)
    with pytest.raises(
        ExecutionError, match=r"device (\d) did not expect a message that device 0 has sent to it \(device 0 is 'phone', device \1 is"
    ):
        run(instance, plan)


def test_a_path_that_is_sent_in_the_place_of_another_is_noticed(instance: OffloadInstance, monkeypatch: Patch) -> None:
    """Of two paths of one shape that one worker takes, the first is sent twice and the second never."""
    plan = OffloadPlan((ClientPlan(3, tuple(Path(start, start + 3, 1, server=1) for start in (0, 3, 6, 9))),))
    assert run(instance, plan)[1] < WITHIN
    original, sent = ThreadTransport.send, []

    def again(self: ThreadTransport, tensor: torch.Tensor, target: int) -> None:
        if self.device == 0:
            sent.append(tensor)
            tensor = sent[1] if len(sent) == 3 else tensor
        original(self, tensor, target)

    monkeypatch.setattr(ThreadTransport, "send", again)
    _, error = run(instance, plan)
    assert len(sent) == 4
    assert error > WIDE


def test_a_path_that_is_assembled_twice_is_noticed(instance: OffloadInstance, plan: OffloadPlan, monkeypatch: Patch) -> None:
    """The worker of the tail puts the middle path where the last one belongs."""

    def repeated(made: OffloadSchedule) -> tuple[Any, ...]:
        *paths, tail = made.tasks
        first, middle, _ = tail.reads
        return (*paths, dataclasses.replace(tail, reads=(first, middle, middle)))

    change_schedule(monkeypatch, tasks=repeated)
    with pytest.raises(ExecutionError, match="device 1 failed"):
        run(instance, plan)


def test_paths_in_a_wrong_order_are_noticed(instance: OffloadInstance, plan: OffloadPlan, monkeypatch: Patch) -> None:
    """The worker of the tail puts the last path before the middle one."""

    def exchanged(made: OffloadSchedule) -> tuple[Any, ...]:
        *paths, tail = made.tasks
        first, middle, last = tail.reads
        return (*paths, dataclasses.replace(tail, reads=(first, last, middle)))

    change_schedule(monkeypatch, tasks=exchanged)
    with pytest.raises(ExecutionError, match=r"the paths of device 0 end with rows \[0, 4\), \[8, 12\), \[4, 8\); each of 12 rows is due once"):
        run(instance, plan)


def test_a_task_that_nobody_does_is_noticed(instance: OffloadInstance, plan: OffloadPlan, monkeypatch: Patch) -> None:
    """What waits for it gives up, and says for whom it waited."""
    change_schedule(monkeypatch, tasks=lambda made: made.tasks[:2] + made.tasks[3:])  # not the upload of the second path
    with pytest.raises(ExecutionError, match=r"device 3 waited 0\.3 s for a message from device 0 \(device 0 is 'phone', device 3 is 'cloud'\)"):
        run(instance, plan, timeout_s=0.3)


@pytest.mark.parametrize("mutant", ["halo", "twice"])
def test_mistakes_in_random_plans_are_noticed(mutant: str, monkeypatch: Patch) -> None:
    """Of paths that are uploaded the last row of what is sent is missing, or the first message of all is sent twice: each such run fails."""
    original, tried = ThreadTransport.send, 0
    for seed in range(60):
        rng = random.Random(seed)
        instance = random_offload_instance(rng, [random_fusible_graph(rng)])
        plan = random_offload_plan(rng, instance)
        (planned,), sent = plan.clients, []
        uploaded = {path.start: path.cut for path in planned.paths if path.cut or instance.clients[0].input_at == "device"}
        uploaded = {start: cut for start, cut in uploaded.items() if cut < planned.fused}
        if len(planned.paths) < 2 or not uploaded:
            continue

        def short(stages: Stages, fused: int, rows: Interval, uploaded: dict[int, int] = uploaded) -> dict[int, Interval]:
            found = path_rows(stages, fused, rows)
            if rows.start in uploaded:
                tensor = stages.tensor(uploaded[rows.start])
                found[tensor] = Interval(found[tensor].start, found[tensor].stop - 1)
            return found

        def twice(self: ThreadTransport, tensor: torch.Tensor, target: int, sent: list[int] = sent) -> None:
            sent.append(target)
            for _ in range(2 if len(sent) == 1 else 1):
                original(self, tensor, target)

        with monkeypatch.context() as patch:
            if mutant == "halo":
                patch.setattr(schedule, "path_rows", short)
            else:
                patch.setattr(ThreadTransport, "send", twice)
            assert_noticed(instance, plan)
        tried += 1
    assert tried > 20


# Failures.


@pytest.mark.parametrize("number", range(4))
def test_a_dead_worker_ends_the_run(instance: OffloadInstance, plan: OffloadPlan, number: int, monkeypatch: Patch) -> None:
    """Whatever it raises, the caller soon gets an ExecutionError that names it."""
    original, names = RowsComputation.on_rows, {0: "phone", 1: "edge/1", 2: "edge/2", 3: "cloud"}

    def failing(self: RowsComputation, members: range, rows: Any, fetched: TensorSlice) -> Computed:
        if threading.current_thread() is of_worker.get(number):
            raise ZeroDivisionError("broken")
        return original(self, members, rows, fetched)

    of_worker: dict[int, threading.Thread] = {}
    started_by = ThreadTransport.start

    def start(self: ThreadTransport) -> Any:
        of_worker[self.device] = threading.current_thread()
        return started_by(self)

    monkeypatch.setattr(ThreadTransport, "start", start)
    monkeypatch.setattr(RowsComputation, "on_rows", failing)
    started = time.monotonic()
    with pytest.raises(ExecutionError, match=rf"device {number} failed: ZeroDivisionError: broken \(device {number} is '{names[number]}'\)"):
        run(instance, plan)
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(("sender", "receiver"), [(0, 1), (0, 3), (3, 1)])
def test_a_silent_worker_ends_the_run(instance: OffloadInstance, plan: OffloadPlan, sender: int, receiver: int, monkeypatch: Patch) -> None:
    """A message that is lost ends the run once the time limit is over."""
    original = ThreadTransport.send

    def losing(self: ThreadTransport, tensor: torch.Tensor, target: int) -> None:
        if (self.device, target) != (sender, receiver):
            original(self, tensor, target)

    monkeypatch.setattr(ThreadTransport, "send", losing)
    started = time.monotonic()
    with pytest.raises(ExecutionError, match=rf"device {receiver} waited 0\.3 s for a message from device {sender}\b"):
        run(instance, plan, timeout_s=0.3)
    assert time.monotonic() - started < 10


def test_what_cannot_be_run_is_refused(instance: OffloadInstance, plan: OffloadPlan) -> None:
    """Each with its error, before anything starts."""
    graph = instance.clients[0].graph
    weights, inputs = random_weights(graph), random_input(graph)
    with pytest.raises(PlanError, match="weights: there are 2; the instance has 1 devices"):
        execute_offload(instance, plan, [weights, weights], inputs)
    with pytest.raises(PlanError, match="inputs: there are 0; the instance has 1 devices"):
        execute_offload(instance, plan, weights, [])
    with pytest.raises(PlanError, match=r"the input has shape \(2, 5, 12\); fused reads \(2, 12, 5\)"):
        execute_offload(instance, plan, weights, inputs.transpose(0, 2, 1))
    with pytest.raises(GraphError, match="weights: operator 'a' is missing"):
        execute_offload(instance, plan, {}, inputs)
    with pytest.raises(PlanError, match="the paths end at row 8 of 12"):
        execute_offload(instance, OffloadPlan((ClientPlan(3, plan.clients[0].paths[:2]),)), weights, inputs)
    with pytest.raises(UnsupportedError, match="bytes_per_element is 2"):
        execute_offload(dataclasses.replace(instance, bytes_per_element=2), plan, weights, inputs)
    with pytest.raises(UnsupportedError, match="timeout_s is 0"):
        execute_offload(instance, plan, weights, inputs, timeout_s=0)


def test_many_workers_that_have_nothing_to_do(instance: OffloadInstance, plan: OffloadPlan) -> None:
    """Only those who take part have a thread: the device, two workers of the edge and one of the cloud for the paths, and a free one for the tail."""
    many = dataclasses.replace(instance, servers=(Server("edge", 1e6, 1000), Server("cloud", 1e6, 1000)))
    execution, error = run(many, plan)
    assert error < WITHIN
    assert sum(held > 0 for held in execution.weights_bytes) == 5
