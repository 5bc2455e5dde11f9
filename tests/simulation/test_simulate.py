"""Time without barriers: worked plans, what relates it to equation (6), and what always holds of it."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from support.random_any import random_case
from support.random_instances import random_graph, random_plan
from support.worked_cases import WorkedCase, event_cases

from iopopt import Cluster, ClusterError, Device, Graph, GraphBuilder, Placement, Plan, PlanError, Simulator, Timeline, evaluate, simulate
from iopopt.cost.evaluation import bulk_synchronous
from iopopt.cost.instance import Instance
from iopopt.simulation.real_schedule import PlanScheduler


@pytest.mark.parametrize("case", event_cases(), ids=lambda case: case.name)
def test_worked_plans(case: WorkedCase) -> None:
    """Makespan, transfers, bytes and tasks, in one piece and boundary rows first, and equation (6) beside them."""
    for name, boundary_first in (("in_one_piece", False), ("boundary_first", True)):
        found, expected = simulate(case.graph, case.cluster, case.plan, boundary_first=boundary_first), case.expected[name]
        transfers = sum(span.is_transfer for span in found.spans)
        assert found.makespan_s == pytest.approx(expected["makespan_s"], abs=1e-9)
        assert (transfers, len(found.spans) - transfers) == (expected["transfers"], expected["compute_tasks"])
        assert found.transferred_bytes == expected["transferred_bytes"]
    assert evaluate(case.graph, case.cluster, case.plan).latency_s == pytest.approx(case.expected["equation_6_s"], abs=1e-9)


def _pair(rng: random.Random) -> Cluster:
    """Two devices of equal bandwidth; a pair of devices has one connection each way, so how they are counted plays no part."""
    devices = tuple(Device(f"d{j}", rng.uniform(1e5, 1e6), 1e9, 2e5) for j in range(2))
    return Cluster(devices, rng.choice([0.0, 1e-3]), source=rng.choice([None, 0, 1]), sink=rng.randrange(2), bytes_per_element=rng.choice([1, 4]))


def _powered(cluster: Cluster) -> Cluster:
    """The same devices with powers of their own."""
    watts = ({"compute_watts": 3.0, "transmit_watts": 1.5}, {"compute_watts": 5.0, "receive_watts": 2.5, "idle_watts": 1.0})
    return replace(cluster, devices=tuple(replace(device, **own) for device, own in zip(cluster.devices, watts, strict=True)))


def test_barriers_are_equation_6() -> None:
    """Two devices of equal bandwidth, barriers on: equation (6), and its energy, wherever the bytes and the connections are those of (8)."""
    rng, equal = random.Random(61), 0
    for _ in range(900):
        graph, cluster = random_graph(rng), _powered(_pair(rng))
        plan = random_plan(rng, graph, 2)
        timeline, price = simulate(graph, cluster, plan, barriers=True), evaluate(graph, cluster, plan)
        instance = Instance(graph, cluster)
        real = bulk_synchronous(instance, instance.placements(plan), PlanScheduler(graph, cluster).schedule(plan))
        assert timeline.makespan_s == pytest.approx(real.latency_s, rel=1e-12)
        assert timeline.transferred_bytes == real.transferred_bytes <= price.transferred_bytes * (1 + 1e-12)
        assert timeline.energy is not None
        assert real.energy is not None
        assert timeline.energy.device_j == pytest.approx(real.energy.device_j, rel=1e-9)
        if timeline.transferred_bytes == price.transferred_bytes and real.connections == price.connections:
            equal += 1
            assert timeline.makespan_s == pytest.approx(price.latency_s, rel=1e-12)
            assert timeline.energy_j == pytest.approx(price.energy_j, rel=1e-9)
    assert equal >= 200


def test_energy_by_hand() -> None:
    """The plan of the statement's first two cases, 2 W of computing, 1 W of sending, 3 W of receiving and 1 W of idling on each of three devices.

    Each computes 8 s: 48 J. Four rows and eight of the output are sent and received: 12 J and 36 J. In one piece all idle for 18.5 s: 55.5 J;
    boundary rows first for 16.25 s: 48.75 J.
    """
    graph = GraphBuilder("x", (1, 12, 1)).conv(1, (3, 1), padding=(1, 0), bias=False).conv(1, (3, 1), padding=(1, 0), bias=False).build()
    device = Device("a", 6, 1e9, 1, compute_watts=2, transmit_watts=1, receive_watts=3, idle_watts=1)
    cluster = Cluster(tuple(replace(device, name=name) for name in "abc"), 0.25, bytes_per_element=1)
    plan = Plan.of(graph, [Placement.split("H", (0, 1, 2), (4, 4, 4))] * 2)
    for boundary_first, joules in ((False, 151.5), (True, 144.75)):
        timeline = simulate(graph, cluster, plan, boundary_first=boundary_first)
        assert timeline.energy_j == pytest.approx(joules, rel=1e-12)
        assert Timeline.from_dict(timeline.to_dict()).energy == timeline.energy
    assert timeline.energy is not None
    assert timeline.energy.transmit_j == pytest.approx((1, 6, 5), rel=1e-12)
    bare = replace(cluster, devices=tuple(Device(name, 6, 1e9, 1) for name in "abc"))
    assert simulate(graph, bare, plan).energy_j is None


@pytest.mark.parametrize("seed", range(120))
def test_what_always_holds(seed: int) -> None:
    """No device that the output depends on is faster than its work; order and precision of boundary rows change no transfer and no byte."""
    graph, cluster, plan = random_case(seed)
    first, whole = simulate(graph, cluster, plan), simulate(graph, cluster, plan, boundary_first=False)
    barriers = simulate(graph, cluster, plan, barriers=True)
    for timeline in (first, whole, barriers):
        for j in _contributing(timeline):
            assert timeline.makespan_s >= timeline.busy_s[j] * (1 - 1e-12)
        assert timeline.busy_s == pytest.approx(whole.busy_s, rel=1e-9)
    assert Counter(_moves(first)) == Counter(_moves(whole)) == Counter(_moves(barriers))
    assert first.transferred_bytes <= evaluate(graph, cluster, plan).transferred_bytes * (1 + 1e-12) + 1e-9
    assert Simulator(graph, cluster).makespan_s(plan) == first.makespan_s


def _contributing(timeline: Timeline) -> set[int]:
    """The devices of all tasks that the output waits for."""
    ends = [number for number, span in enumerate(timeline.spans) if span.unit == "(sink)"] or [len(timeline.spans) - 1]
    seen: set[int] = set()
    while ends:
        number = ends.pop()
        if number not in seen:
            seen.add(number)
            ends.extend(timeline.spans[number].after)
    return {timeline.spans[number].device for number in seen if not timeline.spans[number].is_transfer}


def _moves(timeline: Timeline) -> list[tuple[object, ...]]:
    return [(span.unit, span.producer, span.device, span.receiver, span.amount, span.what) for span in timeline.spans if span.is_transfer]


@pytest.fixture
def rows() -> tuple[Graph, Cluster, Plan]:
    """Two 3 x 1 convolutions over 12 rows of one column, 4/4/4 on three equal devices: one row crosses each border each way."""
    graph = GraphBuilder("x", (1, 12, 1)).conv(1, (3, 1), padding=(1, 0), bias=False).conv(1, (3, 1), padding=(1, 0), bias=False).build()
    cluster = Cluster(tuple(Device(f"d{j}", 6.0, 1e9, 1.0) for j in range(3)), connection_setup_s=0.25, bytes_per_element=1)
    return graph, cluster, Plan.of(graph, [Placement.split("H", (0, 1, 2), (4, 4, 4))] * 2)


def test_boundary_rows_by_hand(rows: tuple[Graph, Cluster, Plan]) -> None:
    """A row is 6 FLOPs, 1 s. Device 0 has one boundary row, device 1 two, device 2 one; the rest has one second each.

    Boundary rows: 1, 2, 1 s. Device 1's two transfers share its uplink and device 0's uplink is its own: d0 to d1 from 1 to 2.25, and d2
    to d1 as well, but they share d1's downlink, 1.25 to 3.25. d1 to d0 and to d2 from 2, flowing from 2.25 at half the rate, to 4.25.
    First operator: 4 s on every device. So d0 and d2 start at 4.25 and end at 8.25; d1 starts at 4 and ends at 8.
    The output: rows of 4 bytes from d1 (from 8, flowing from 8.25) and d2 (from 8.25, flowing from 8.5) over one downlink of 1 byte/s: d1 has
    0.25 byte through when d2 joins, both at half rate: d1's 3.75 left until 16, by then d2 has 3.75 through, 0.25 left, 16.25.
    """
    graph, cluster, plan = rows
    timeline = simulate(graph, cluster, plan)
    assert timeline.makespan_s == pytest.approx(16.25, abs=1e-12)
    second = {span.device: (span.start_s, span.end_s) for span in timeline.spans if span.unit == graph.operators[1].name and not span.is_transfer}
    assert second == {0: (4.25, 8.25), 1: (4.0, 8.0), 2: (4.25, 8.25)}
    path = [(span.unit, span.what, span.device) for span in timeline.critical_path]
    names = [operator.name for operator in graph.operators]
    assert path == [
        (names[0], "boundary", 1),
        (names[1], "halo exchange", 1),
        (names[1], "", 2),
        ("(sink)", "all-gather", 2),
    ]


def test_one_piece_by_hand(rows: tuple[Graph, Cluster, Plan]) -> None:
    """Everything is sent at 4 s: rows arrive after 0.25 + 1 on an own link, 0.25 + 2 where two flows share d1's links: both ends 6.25, d1 as well."""
    graph, cluster, plan = rows
    timeline = simulate(graph, cluster, plan, boundary_first=False)
    starts = {span.device: span.start_s for span in timeline.spans if span.unit == graph.operators[1].name and not span.is_transfer}
    assert starts == {0: 6.25, 1: 6.25, 2: 6.25}
    assert timeline.makespan_s == pytest.approx(18.5, abs=1e-12)


def test_shared_medium(rows: tuple[Graph, Cluster, Plan]) -> None:
    """All four halo rows over one medium of 2 bytes/s: 4 bytes take 2 s after the set-up; a cluster file may have it, and an argument counts more."""
    graph, cluster, plan = rows
    starts = {
        span.device: span.start_s
        for span in simulate(graph, cluster, plan, boundary_first=False, shared_medium=2.0).spans
        if span.unit == graph.operators[1].name and not span.is_transfer
    }
    assert starts == {0: 6.25, 1: 6.25, 2: 6.25}
    slow = replace(cluster, shared_medium_bytes_per_s=0.5)
    found = simulate(graph, slow, plan, boundary_first=False)
    assert found.makespan_s == pytest.approx(4 + 0.25 + 8 + 4 + 0.25 + 16, abs=1e-12)
    assert found.shared_medium_bytes_per_s == 0.5
    assert simulate(graph, slow, plan, shared_medium=2.0).makespan_s < found.makespan_s
    assert Cluster.from_dict(slow.to_dict()) == slow
    assert "shared_medium_bytes_per_s" not in cluster.to_dict()


def test_several_inputs_are_in_flight() -> None:
    """Two operators of 2 and 3 s, each whole on a device of its own, 1 byte between them: outputs at 6.25 and every 3 s from then on."""
    graph = GraphBuilder("x", (1, 1, 1)).conv(1, 1, bias=False).conv(1, 1, bias=False).build()
    cluster = Cluster((Device("a", 1.0, 1e9, 1.0), Device("b", 2 / 3, 1e9, 1.0)), 0.25, sink=1, bytes_per_element=1)
    plan = Plan.of(graph, [Placement.whole(0), Placement.whole(1)])
    timeline = simulate(graph, cluster, plan, inputs=5)
    assert timeline.outputs_s == pytest.approx([6.25, 9.25, 12.25, 15.25, 18.25])
    assert timeline.throughput_per_s == pytest.approx(1 / 3)
    assert simulate(graph, cluster, plan).throughput_per_s == pytest.approx(1 / 6.25)
    assert Simulator(graph, cluster, inputs=5).makespan_s(plan) == timeline.makespan_s == timeline.outputs_s[-1]
    assert timeline.device_utilisation == pytest.approx((10 / 18.25, 15 / 18.25))
    assert [span.item for span in timeline.spans if not span.is_transfer] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_the_source_sends_input_after_input() -> None:
    """4 bytes over a link of 1 byte/s and 0.25 s set-up: the second input arrives 4.25 s after the first, instead of both at 8.25 s."""
    graph = GraphBuilder("x", (4, 1, 1)).conv(1, 1, bias=False).build()
    cluster = Cluster((Device("a", 8.0, 1e9, 1.0), Device("b", 8.0, 1e9, 1.0)), 0.25, source=0, sink=1, bytes_per_element=1)
    timeline = simulate(graph, cluster, Plan.of(graph, [Placement.whole(1)]), inputs=3)
    assert timeline.outputs_s == pytest.approx([5.25, 9.5, 13.75])


def test_every_device_sends_input_after_input() -> None:
    """4 bytes over a link of 1 byte/s and 0.25 s set-up, made within 0.5 s: an output every 4.25 s, instead of all at once at the end."""
    graph = GraphBuilder("x", (4, 1, 1)).conv(4, 1, bias=False).conv(1, 1, bias=False).build()
    cluster = Cluster((Device("a", 64.0, 1e9, 1.0), Device("b", 8.0, 1e9, 1.0)), 0.25, sink=1, bytes_per_element=1)
    timeline = simulate(graph, cluster, Plan.of(graph, [Placement.whole(0), Placement.whole(1)]), inputs=3)
    assert timeline.outputs_s == pytest.approx([5.75, 10.0, 14.25])


def test_links_are_utilised() -> None:
    """Bytes over what a link could carry in the makespan, up and down."""
    graph = GraphBuilder("x", (4, 1, 1)).conv(1, 1, bias=False).build()
    cluster = Cluster((Device("a", 8.0, 1e9, 1.0), Device("b", 8.0, 1e9, 2.0)), 0.0, source=0, sink=1, bytes_per_element=1)
    timeline = simulate(graph, cluster, Plan.of(graph, [Placement.whole(1)]))
    assert timeline.makespan_s == 5.0
    assert timeline.link_bytes == ((4, 0), (0, 4))
    assert timeline.link_utilisation == ((0.8, 0.0), (0.0, 0.4))


def test_two_phases_by_hand() -> None:
    """c IC 2/2, two-phase, of 4 channels; d whole on 2. The reduce-scatter takes 0.25 + 2; only then 2 bytes each go to d.

    c has 32 FLOPs, 16 for each device, 1 s. 1 + 0.25 + 2 = 3.25; both slices flow to d over one link of
    1 byte/s: 0.25 + 4, 7.5; d has 8 FLOPs, 0.5 s, then its byte to the sink: 0.25 + 1. 9.25.
    """
    graph = GraphBuilder("x", (4, 1, 1)).conv(4, 1, bias=False).conv(1, 1, bias=False).build()
    devices = tuple(Device(f"d{j}", 16.0, 1e9, 1.0) for j in range(3))
    cluster = Cluster(devices, 0.25, bytes_per_element=1)
    plan = Plan.of(graph, [Placement.split("IC", (0, 1), (2, 2), "two_phase"), Placement.whole(2)])
    timeline = simulate(graph, cluster, plan)
    assert [span.what for span in timeline.spans] == ["", "", "reduce-scatter", "reduce-scatter", "all-gather", "all-gather", "", "send"]
    assert timeline.makespan_s == pytest.approx(9.25, abs=1e-12)


def test_no_all_gather_to_an_empty_share_of_rows() -> None:
    """c OC 1/1, 1x2x1 -> 2x2x1 (F = 8), 4 s at 1 FLOP/s, to d H 2/0 (F = 8): device 1 needs nothing, only its channel crosses, 2 s."""
    graph = GraphBuilder("x", (1, 2, 1)).conv(2, 1, bias=False).conv(1, 1, bias=False).build()
    cluster = Cluster((Device("a", 1.0, 1e9, 1.0), Device("b", 1.0, 1e9, 1.0)), 0.0, bytes_per_element=1)
    plan = Plan.of(graph, [Placement.split("OC", (0, 1), (1, 1)), Placement.split("H", (0, 1), (2, 0))])
    timeline = simulate(graph, cluster, plan)
    assert [(span.device, span.receiver, span.start_s, span.end_s) for span in timeline.spans if span.is_transfer] == [(1, 0, 4.0, 6.0)]
    assert (timeline.makespan_s, timeline.transferred_bytes) == (14.0, 2)
    assert evaluate(graph, cluster, plan).transferred_bytes == 4


def test_the_sink_waits_for_its_own_task() -> None:
    """Under a 3 x 1 pool of stride 1 an empty share computes two rows by (7): 4 of 12 FLOPs, 40 s on the sink, where the output is from 5 s on."""
    graph = GraphBuilder("x", (1, 6, 1)).conv(1, 1, bias=False).max_pool((3, 1), stride=1).build()
    cluster = Cluster((Device("a", 0.1, 1e9, 1.0), Device("b", 12.0, 1e9, 1.0)), 0.0, bytes_per_element=1)
    timeline = simulate(graph, cluster, Plan.of(graph, [Placement.split("H", (0, 1), (0, 4))]))
    assert [(span.device, span.end_s) for span in timeline.spans] == [(0, 40.0), (1, 1.0), (1, 5.0)]
    assert timeline.makespan_s == 40.0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"inputs": 0}, PlanError, "inputs is 0; it must be a positive integer"),
        ({"inputs": 1.5}, PlanError, "inputs is 1.5"),
        ({"shared_medium": 0.0}, ClusterError, "shared_medium is 0.0; it must be a positive finite number"),
        ({"shared_medium": "fast"}, ClusterError, "shared_medium is 'fast'"),
    ],
)
def test_what_is_refused(rows: tuple[Graph, Cluster, Plan], options: dict[str, object], error: type[Exception], message: str) -> None:
    """Options that mean nothing, and a plan of another graph."""
    graph, cluster, plan = rows
    with pytest.raises(error, match=message):
        simulate(graph, cluster, plan, **options)  # type: ignore[arg-type]
    other = GraphBuilder("y", (1, 4, 4)).conv(1, 1, name="other").build()
    with pytest.raises(PlanError, match="is it a plan of"):
        simulate(other, cluster, plan)
    with pytest.raises(PlanError, match="is it a plan of"):
        Simulator(other, cluster).makespan_s(plan)
    with pytest.raises(ClusterError, match="shared_medium_bytes_per_s is -1"):
        replace(cluster, shared_medium_bytes_per_s=-1)
