"""Runs without barriers: the same tensors and bytes, in the order that the simulation promises, with a measured timeline."""

from __future__ import annotations

import dataclasses
import random
import threading
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from support.overlapped import assert_overlaps
from support.random_branches import random_branched_graph, random_branched_plan
from support.random_chains import Instance, instances
from support.whole_run import WITHIN, relative_error, torch, whole_run

from iopopt import Cluster, Device, Graph, GraphBuilder, Placement, Plan, Timeline, execute, simulate
from iopopt.executor import overlapping
from iopopt.executor.computing import Computation
from iopopt.executor.execution import Execution
from iopopt.executor.overlapping import OverlappingWorker
from iopopt.network.weights import random_input, random_weights
from iopopt.schedule.boundary import Reader, boundary_rows
from iopopt.schedule.region_transfers import UnitInputs
from iopopt.schedule.regions import Interval
from iopopt.simulation.timeline import Span

ALL = (0, 1, 2)
CLUSTER = Cluster(tuple(Device(f"d{j}", 1e6, 1e9, 1e6) for j in ALL))
Patch = pytest.MonkeyPatch


@pytest.mark.parametrize("count", [100, pytest.param(2500, marks=pytest.mark.slow)])
def test_random_plans_of_chains(count: int) -> None:
    """On random plans the output is the whole network's, bytes and messages are those with barriers and of the simulation; all kinds occur."""
    reached: Counter[str] = Counter()

    @settings(max_examples=count, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
    @given(instances())
    def check(instance: Instance) -> None:
        graph, cluster, plan, seed = instance
        weights, inputs = random_weights(graph, seed), random_input(graph, seed)
        reference = whole_run(graph, weights, inputs)
        assume(np.isfinite(reference).all())
        assert_overlaps(graph, cluster, plan, weights, inputs, reference, WITHIN if cluster.bytes_per_element == 4 else 1e-10)
        spans = simulate(graph, cluster, plan).spans
        reached.update({"plans"} | {span.what for span in spans})

    check()
    assert reached["plans"] >= 0.9 * count
    for name in {"boundary", "interior", "send", "halo exchange", "reduce", "all-gather"}:
        assert reached[name] >= count // 50, (name, reached)


def run(graph: Graph, plan: Plan, cluster: Cluster = CLUSTER) -> Execution:
    """Without barriers."""
    return execute(graph, cluster, plan, random_weights(graph, 1), random_input(graph, 1), overlap=True)


def timeline_of(execution: Execution) -> Timeline:
    assert execution.timeline is not None
    return execution.timeline


def spans_of(execution: Execution, unit: str, what: str = "", device: int = 0) -> list[Span]:
    """The spans of one unit and kind on one device, in order."""
    return [span for span in timeline_of(execution).spans if (span.unit, span.what, span.device) == (unit, what, device)]


@pytest.fixture(scope="module")
def chain() -> Graph:
    """Three convolutions of fifteen rows; the pool of the second makes its field five rows high."""
    net = GraphBuilder("chain", (3, 15, 8)).conv(4, 3, padding=1, name="a").relu()
    return net.conv(4, 3, padding=1, name="b").max_pool(3, 1, 1).conv(2, 3, padding=1, name="c").build()


@pytest.fixture(scope="module")
def rows() -> Placement:
    return Placement.split("H", ALL, (5, 5, 5))


def test_a_hundred_repetitions_give_the_same_tensors() -> None:
    """Bit for bit, with halos, partial sums and gathers, whatever arrives first."""
    rng = random.Random(5)
    graph = random_branched_graph(rng, tiny=False)
    plan = random_branched_plan(rng, graph, len(CLUSTER))
    cluster = dataclasses.replace(CLUSTER, bytes_per_element=4)
    assert {"reduce", "all-gather"} & {span.what for span in simulate(graph, cluster, plan).spans}
    outputs = {run(graph, plan, cluster).outputs.tobytes() for _ in range(100)}
    assert len(outputs) == 1


def test_boundary_rows_come_first(chain: Graph, rows: Placement) -> None:
    """A device computes the rows that its neighbours need, sends them, and computes the rest; with barriers there is no timeline."""
    plan = Plan.of(chain, [rows] * 3)
    execution = run(chain, plan)
    for device in ALL:
        (boundary,), (interior,) = spans_of(execution, "a", "boundary", device), spans_of(execution, "a", "interior", device)
        sent = spans_of(execution, "b", "halo exchange", device)
        assert len(sent) == (2 if device == 1 else 1)
        for transfer in sent:
            assert boundary.end_s <= transfer.start_s <= interior.start_s
    barriers = execute(chain, CLUSTER, plan, random_weights(chain, 1), random_input(chain, 1))
    assert barriers.timeline is None


def test_a_device_computes_while_its_rows_travel(chain: Graph, rows: Placement, monkeypatch: Patch) -> None:
    """The rest of a share is computed only once the neighbour has the boundary rows and uses them: no one waits for the whole share.

    Device 0 holds its interior of "a" back until device 1, which needs rows of both its neighbours, is through with "b".
    """
    done, original = threading.Event(), OverlappingWorker._compute

    def compute(self: OverlappingWorker, unit: UnitInputs, *arguments: object) -> object:
        result = original(self, unit, *arguments)  # type: ignore[arg-type]
        if (unit.name, self._device) == ("b", 1):
            done.set()
        return result

    in_parts = Computation.in_parts

    def held_back(self: Computation, i: int, *arguments: object) -> object:
        parts = in_parts(self, i, *arguments)  # type: ignore[arg-type]
        yield next(parts)
        if (i, self._device) == (0, 0):
            assert done.wait(30)
        yield next(parts)

    monkeypatch.setattr(OverlappingWorker, "_compute", compute)
    monkeypatch.setattr(Computation, "in_parts", held_back)
    execution = run(chain, Plan.of(chain, [rows] * 3))
    (interior,) = spans_of(execution, "a", "interior", 0)
    (last,) = spans_of(execution, "b", "interior", 1)
    assert last.end_s <= interior.end_s


@pytest.fixture(scope="module")
def fork() -> Graph:
    """b and c read a, d adds a, b and c."""
    net = GraphBuilder("fork", (2, 8, 4)).conv(4, 1, name="a")
    net.conv(4, 1, name="b").at("a").conv(4, 1, name="c")
    return net.add("a", "b", "c", name="d").build()


def test_devices_do_not_wait_for_units_of_others(fork: Graph, monkeypatch: Patch) -> None:
    """Device 1 computes "b" only when device 2 has computed "c", which comes later: with barriers nobody would ever go on."""
    done, original = threading.Event(), OverlappingWorker._compute

    def compute(self: OverlappingWorker, unit: UnitInputs, *arguments: object) -> object:
        if unit.name == "b":
            assert done.wait(30)
        result = original(self, unit, *arguments)  # type: ignore[arg-type]
        if unit.name == "c":
            done.set()
        return result

    monkeypatch.setattr(OverlappingWorker, "_compute", compute)
    execution = run(fork, Plan.of(fork, [Placement.whole(device) for device in (0, 1, 2, 0)]))
    assert spans_of(execution, "c", device=2)[0].end_s <= spans_of(execution, "b", device=1)[0].end_s


def test_a_tensor_is_sent_as_soon_as_it_is_made(fork: Graph) -> None:
    """Also to a reader that comes much later: device 0 sends "a" for "d" before it computes "b" and "c"; it keeps nothing that it only sends."""
    execution = run(fork, Plan.of(fork, [Placement.whole(device) for device in (0, 0, 0, 1)]))
    (for_d,) = [span for span in timeline_of(execution).spans if (span.unit, span.producer) == ("d", "a")]
    (b,) = spans_of(execution, "b")
    assert for_d.start_s <= b.start_s
    live = {(row.operator, row.device): row.live for row in execution.ledger}
    assert live["b", 0] == 512  # a, which c reads as well; a float has four bytes
    assert live["c", 0] == live["d", 0] == 0  # with barriers a, b and c would wait for d


@pytest.mark.parametrize(
    ("placement", "readers"),
    [
        (Placement.split("IC", ALL, (1, 1, 0), "two_phase"), {"b", "c", "d"}),
        (Placement.split("H", (0, 2), (4, 4), gather=1), {"b", "d"}),  # c is where a is
    ],
    ids=["two-phase", "gather"],
)
def test_completed_tensors_are_sent_to_all_their_readers(fork: Graph, placement: Placement, readers: set[str]) -> None:
    """What a reduce-scatter or a gather completes for its first reader goes to all others at once, and never before."""
    plan = Plan.of(fork, [placement, *(Placement.whole(device) for device in (2, 1, 0))])
    for timeline in (timeline_of(run(fork, plan)), simulate(fork, CLUSTER, plan)):
        first = [span for span in timeline.spans if span.what in ("reduce-scatter", "gather")]
        second = [span for span in timeline.spans if span.producer == "a" and span.what in ("all-gather", "send")]
        assert first
        assert {span.unit for span in second} == readers
        for span in second:
            completing = [other for other in first if other.receiver == span.device]
            assert {timeline.spans.index(other) for other in completing} <= set(span.after)
            assert all(span.start_s >= other.end_s for other in completing)


def test_what_is_expected_is_counted(chain: Graph, rows: Placement) -> None:
    """A device expects what is made before its next turn but one: at "a" the halos for "b" and "c", at "b" also the output.

    A row of four channels and eight columns has 128 bytes, and a halo two rows for "b" and one for "c"; a row of the output has 64 bytes.
    """
    execution = run(chain, Plan.of(chain, [rows] * 3))
    buffers = {(row.operator, row.device): row.receive_buffers for row in execution.ledger}
    output = 2 * 5 * 64
    assert [buffers["a", device] for device in ALL] == [256 + 128, 512 + 256, 256 + 128]
    assert [buffers["b", device] for device in ALL] == [256 + 128 + output, 512 + 256, 256 + 128]
    assert [buffers["c", device] for device in ALL] == [128 + output, 256, 128]
    assert [buffers["(sink)", device] for device in ALL] == [output, 0, 0]


def test_parts_hold_no_more_than_they_say(chain: Graph, rows: Placement) -> None:
    """Of a unit in two parts the ledger has the largest part's output before the pool, and the whole share with what the pool made of a part."""
    execution = run(chain, Plan.of(chain, [rows] * 3))
    ledger = {(row.operator, row.device): row for row in execution.ledger}
    row = ledger["b", 0]  # rows 0 to 3 inside, row 4 at the boundary; the pool reads a row more below, and the convolution one more yet
    assert (row.inputs, row.outputs, row.pooled) == (7 * 128, 5 * 128, 5 * 128 + 4 * 128)


def test_partial_sums_are_counted_as_with_barriers() -> None:
    """Those that are expected, and the sum: of a direct reduce and of a two-phase one, whose sums its participants and nobody else hold."""
    net = GraphBuilder("pair", (2, 8, 4)).conv(6, 3, padding=1, name="a").relu().max_pool(2)
    graph = net.conv(3, 3, padding=1, name="b").build()
    consumer = Placement.split("H", ALL, (2, 1, 1))
    for producer in (Placement.split("IC", (0, 1), (1, 1)), Placement.split("IC", ALL, (1, 1, 0), "two_phase")):
        plan = Plan.of(graph, [producer, consumer])
        weights, inputs = random_weights(graph), random_input(graph)
        ledgers = [execute(graph, CLUSTER, plan, weights, inputs, overlap=overlap).ledger for overlap in (False, True)]
        sums = [{(row.operator, row.device): row.partial_sums for row in ledger if row.operator == "b"} for ledger in ledgers]
        assert sums[0] == sums[1]
        assert all(sums[0].values())


def test_boundary_rows_that_are_too_few_are_noticed(chain: Graph, rows: Placement, monkeypatch: Patch) -> None:
    """Rows that are sent before they are computed give another output; here they are still zeros."""
    weights, inputs = random_weights(chain, 1), random_input(chain, 1)
    reference, plan = whole_run(chain, weights, inputs), Plan.of(chain, [rows] * 3)
    monkeypatch.setattr(torch, "empty", torch.zeros)
    assert relative_error(run(chain, plan).outputs, reference) < WITHIN

    def shorter(placement: Placement, readers: Sequence[Reader]) -> dict[int, tuple[Interval, ...]]:
        whole = boundary_rows(placement, readers)
        return {device: tuple(Interval(part.start, max(part.start + 1, part.stop - 1)) for part in parts) for device, parts in whole.items()}

    monkeypatch.setattr(overlapping, "boundary_rows", shorter)
    assert relative_error(run(chain, plan).outputs, reference) > 100 * WITHIN
