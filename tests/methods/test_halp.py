"""HALP: the zone constraint, the host's place, what the search finds, and its own recursion beside the simulator."""

from __future__ import annotations

import dataclasses
import random
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise, product
from typing import Any

import pytest
from support.naive_events import naive_timeline
from support.random_any import random_case
from support.random_branches import random_branched_graph
from support.random_instances import random_cluster, random_graph

from iopopt import (
    Cluster,
    ClusterError,
    Device,
    Graph,
    GraphBuilder,
    Placement,
    Plan,
    SolverError,
    Timeline,
    UnsupportedError,
    evaluate,
    halp_plan,
    load_cluster,
    load_model,
    simulate,
    solve,
    solve_halp,
    solve_overlap,
    solve_single,
)
from iopopt.methods.annealing.search import AnnealingSettings
from iopopt.methods.halp import Roles, RowZones, Zone, halp_roles
from iopopt.network.operators.conv import Conv
from iopopt.plan.team import Team
from iopopt.schedule.region_transfers import unit_inputs
from iopopt.simulation.events import run
from iopopt.simulation.plan_tasks import plan_tasks
from iopopt.simulation.real_schedule import PlanScheduler
from iopopt.simulation.simulate import Simulator
from iopopt.simulation.tasks import Network, Task, TransferTask

STAGES: tuple[tuple[Any, Any], ...] = (("min", "ratio"), ("opt", "ratio"), ("opt", "layer"))
"""Zone and refinement, each of which starts from the one before."""


def pis(graph: Graph, mbit_per_s: float, source: int | None = None, sink: int = 0) -> Cluster:
    """Three Raspberry Pi 4 on links of this rate."""
    boards = load_cluster("pi4-x3", graph)
    devices = tuple(dataclasses.replace(device, bandwidth_bytes_per_s=mbit_per_s * 1e6 / 8) for device in boards.devices)
    return dataclasses.replace(boards, devices=devices, source=source, sink=sink)


def random_trio(rng: random.Random, memory_bytes: float = 1e9) -> tuple[Graph, Cluster]:
    """A chain or a network with branches, and three devices of which the source, if there is one, may be any."""
    return (random_graph, random_branched_graph)[rng.randrange(2)](rng), random_cluster(rng, 3, memory_bytes)


def random_zones(rng: random.Random, graph: Graph, cluster: Cluster) -> tuple[Roles, Plan]:
    """Zones at random, as near as the constraint lets them be."""
    roles = halp_roles(cluster)
    rows = RowZones(graph, cluster, roles)
    wanted = [Zone(0, height) for height in rows.heights]
    for number in rows.shared:
        start, stop = sorted(rows.granules[number] * rng.randint(0, rows.heights[number] // rows.granules[number]) for _ in range(2))
        wanted[number] = Zone(start, stop)
    return roles, rows.plan(rows.nearest(wanted))


def exchanged(graph: Graph, cluster: Cluster, plan: Plan, roles: Roles) -> list[tuple[int, int]]:
    """The transfers between secondaries, in the simulation that is written a second time."""
    jobs = naive_timeline(graph, cluster, plan).jobs
    return [(job.device, job.receiver) for job in jobs if job.receiver is not None and {job.device, job.receiver} == set(roles.secondaries)]


# Who is who.


@pytest.fixture(scope="module")
def chain() -> Graph:
    """Four 3 x 3 convolutions of two channels on 24 x 6, and a fully connected operator."""
    net = GraphBuilder("chain", (1, 24, 6))
    for _ in range(4):
        net.conv(2, 3, padding=1)
    return net.fc(3).build()


@pytest.fixture(scope="module")
def trio() -> Cluster:
    """Speeds 1 : 4 : 3 on fast links; the sink is the slowest."""
    return Cluster(tuple(Device(f"d{j}", speed * 1e6, 1e9, 1e7) for j, speed in enumerate((1, 4, 3))), connection_setup_s=1e-5)


def test_the_host_has_the_rows_in_the_middle(chain: Graph, trio: Cluster) -> None:
    """The fastest device between the others, whose rows are in the order of the team; what has no rows is the host's."""
    teams: list[tuple[Team, tuple[int, ...]]] = [("all", (0, 1, 2)), ((2, 1, 0), (2, 1, 0)), ((1, 2, 0), (2, 1, 0)), ((1, 0, 2), (0, 1, 2))]
    for team, order in teams:
        solution = solve_halp(chain, trio, team=team, zone="min")
        assert solution.plan is not None
        assert [placement.devices for placement in solution.plan.values()] == [order] * 4 + [(1,)]
        assert solution.space == f"team={order}"
        assert solution.plan.blocks == ()
        assert all(placement.gather is None for placement in solution.plan.values())


@pytest.mark.parametrize(
    ("source", "sink", "speeds", "host"),
    [(None, 0, (1, 4, 3), 1), (2, 0, (1, 4, 3), 2), (None, 2, (4, 4, 4), 2), (None, 1, (4, 3, 4), 0), (3, 0, (1, 2, 4, 8), 2)],
)
def test_the_default_host(source: int | None, sink: int, speeds: tuple[float, ...], host: int) -> None:
    """The source if it is in the team, or else the fastest; of several the sink, or else the first."""
    cluster = Cluster(tuple(Device(f"d{j}", speed * 1e6, 1e9, 1e6) for j, speed in enumerate(speeds)), source=source, sink=sink)
    assert halp_roles(cluster, (0, 1, 2)).host == host


def test_a_host_by_index_or_name(chain: Graph, trio: Cluster) -> None:
    """Any device of the team."""
    for host, order in ((0, (1, 0, 2)), ("d0", (1, 0, 2)), ("d2", (0, 2, 1))):
        plan = halp_plan(chain, trio, host=host, zone="min")
        assert {placement.devices for placement in plan.values()} == {order, order[1:2]}


def test_more_devices_than_three(chain: Graph) -> None:
    """The two fastest others are the secondaries, of equally fast ones those with the faster links, in the order of the team."""
    figures = ((2, 1e6), (9, 1e6), (3, 1e6), (2, 2e6), (1, 9e6))
    cluster = Cluster(tuple(Device(f"d{j}", speed * 1e6, 1e9, bandwidth) for j, (speed, bandwidth) in enumerate(figures)))
    assert halp_roles(cluster) == Roles(1, (2, 3))
    assert halp_roles(cluster, (3, 2, 1, 0)) == Roles(1, (3, 2))
    assert halp_roles(cluster, host=4) == Roles(4, (1, 2))
    assert solve_halp(chain, cluster).space == "team=(2, 1, 3)"


def test_two_devices_share_the_rows(chain: Graph, trio: Cluster) -> None:
    """The only secondary has the first rows; it may have the input and be the sink, for there is nobody else to send to."""
    for source, sink in product((None, 0, 1), (0, 1)):
        cluster = Cluster(trio.devices[:2], 1e-5, source=source, sink=sink)
        solution = solve_halp(chain, cluster, host=1)
        assert solution.plan is not None
        assert {placement.devices for placement in solution.plan.values()} == {(0, 1), (1,)}
    thin = halp_plan(chain, cluster, host=1, zone="min")
    assert [placement.shares for placement in thin.values()] == [(23, 1)] * 4 + [(1,)]
    rows = GraphBuilder("rows", (1, 24, 6)).conv(2, 3, padding=1).build()
    assert [halp_plan(rows, Cluster(trio.devices[:2], sink=sink), zone="min")["conv1"].shares for sink in (0, 1)] == [(23, 1)] * 2


def test_one_device_has_everything(chain: Graph, trio: Cluster) -> None:
    """Nothing is shared."""
    assert set(solve_halp(chain, trio, team=[2]).plan.values()) == {Placement.whole(2)}  # type: ignore[union-attr]


# The zone.


def test_the_thinnest_zone_by_hand(trio: Cluster) -> None:
    """From the last operator back, at speeds 1 : 3 of the secondaries: one row of 24, 6 + 1 + 17. By a 3 x 3 kernel, device 0 reads up to row 7 for
    its 6 rows, device 2 from row 6: [6, 7) for the operator before. By its 5 x 5 kernel they read up to row 8 and from row 5: [5, 8). By a 1 x 1
    kernel, up to row 5 and from row 8: the one row that there must be is where the speeds have it.
    """
    net = GraphBuilder("net", (1, 24, 6)).conv(2, 3, padding=1).conv(2, 1).conv(2, 5, padding=2).conv(2, 3, padding=1).build()
    cluster = dataclasses.replace(trio, sink=1)
    shares = [placement.shares for placement in halp_plan(net, cluster, zone="min").values()]
    assert shares == [(6, 1, 17), (5, 3, 16), (6, 1, 17), (6, 1, 17)]


def test_no_zone_could_be_thinner() -> None:
    """Where the host has more than a granule of rows, one more for either secondary would make the secondaries exchange some."""
    tried = 0
    for seed in range(60):
        graph, cluster = random_trio(random.Random(seed))
        roles = halp_roles(cluster)
        plan, rows = halp_plan(graph, cluster, zone="min"), RowZones(graph, cluster, roles)
        for number in rows.shared:
            name, granule = graph.operators[number].name, rows.granules[number]
            if plan[name].is_whole or plan[name].shares[1] == granule:
                continue
            first, host, second = plan[name].shares
            for shares in ((first + granule, host - granule, second), (first, host - granule, second + granule)):
                placements = {**plan, name: Placement.split("H", roles.in_row_order, shares)}
                assert exchanged(graph, cluster, Plan.of(graph, list(placements.values())), roles)
                tried += 1
    assert tried >= 20


@pytest.mark.parametrize("seed", range(50))
def test_secondaries_never_exchange(seed: int) -> None:
    """Whatever zones are wanted, on chains, branches, gates and upsampled maps, with the input and the output anywhere."""
    rng = random.Random(seed)
    graph, cluster = random_trio(rng)
    roles, plan = random_zones(rng, graph, cluster)
    assert not exchanged(graph, cluster, plan, roles)
    for zone, refine in STAGES:
        assert not exchanged(graph, cluster, halp_plan(graph, cluster, zone=zone, refine=refine), roles)


def test_the_check_notices_a_zone_that_is_too_thin(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a secondary is taken to read one row less, on either side, many random zones make the secondaries exchange rows."""
    correct = RowZones._reads
    for first, second in ((1, 0), (0, 1)):

        def short_sighted(self: RowZones, consumer: int, slot: int, zone: Zone, short: tuple[int, int] = (first, second)) -> tuple[int, int]:
            to, start = correct(self, consumer, slot, zone)
            return to - short[0], start + short[1]

        monkeypatch.setattr(RowZones, "_reads", short_sighted)
        caught = 0
        for seed in range(40):
            rng = random.Random(seed)
            graph, cluster = random_trio(rng)
            roles, plan = random_zones(rng, graph, cluster)
            caught += bool(exchanged(graph, cluster, plan, roles))
        assert caught >= 5


@pytest.mark.parametrize("model", ["vgg16", "alexnet", "mobilenet_v1", "resnet18", "googlenet"])
@pytest.mark.parametrize("source", [None, 0])
@pytest.mark.parametrize("width", ["min", "opt"])
def test_secondaries_of_real_networks_exchange_nothing(model: str, source: int | None, width: Any) -> None:
    """In the simulation and in what the executor sends; every transfer has the host at one end, and both secondaries have work."""
    graph = load_model(model)
    cluster = pis(graph, 1000, source)
    plan = halp_plan(graph, cluster, zone=width)
    placements = list(plan.values())
    assert {placement.devices for placement in placements} == {(1, 0, 2), (0,)}
    sent = [transfer for unit in unit_inputs(graph, placements, source, 0) for edge in unit.edges for r in edge.rounds for transfer in r.transfers]
    spans = [span for span in simulate(graph, cluster, plan).spans if span.is_transfer]
    for ends in [{transfer.sender, transfer.receiver} for transfer in sent] + [{span.device, span.receiver} for span in spans]:
        assert ends in ({0, 1}, {0, 2})
    assert {transfer.sender for transfer in sent} == {0, 1, 2}


def test_a_secondary_as_the_sink(trio: Cluster) -> None:
    """The last operator is the host's, so that the other secondary has nothing to send to the sink; with the host as the sink all share it."""
    net = GraphBuilder("net", (1, 24, 6)).conv(2, 3, padding=1).conv(2, 3, padding=1).build()
    for sink, last in ((0, Placement.whole(1)), (1, Placement.split("H", (0, 1, 2), (6, 1, 17))), (2, Placement.whole(1))):
        cluster = dataclasses.replace(trio, sink=sink)
        plan = halp_plan(net, cluster, zone="min")
        assert list(plan.values())[-1] == last
        assert not exchanged(net, cluster, plan, halp_roles(cluster))


def test_maps_with_too_few_rows_are_the_hosts(trio: Cluster) -> None:
    """A row for each device is the least; below, and without rows, an operator is whole on the host, and maps may grow again after it."""
    net = (
        GraphBuilder("net", (1, 12, 12))
        .conv(2, 3, padding=1)
        .max_pool(4)
        .conv(2, 2)
        .upsample((2, 2))
        .conv(2, 3, padding=1)
        .global_average_pool()
        .build()
    )
    found = halp_plan(net, trio, zone="min")
    by_rows = [(operator.out_shape.height, found[operator.name].devices) for operator in net.operators]
    assert by_rows == [(3, (0, 1, 2)), (2, (1,)), (4, (1,)), (4, (0, 1, 2)), (1, (1,))]  # an upsampled map is shared by two rows


# The search.


@pytest.mark.parametrize("seed", range(25))
def test_each_refinement_is_no_worse(seed: int) -> None:
    """Thin zone, best ratio, single operators: each starts from the one before; all are valid, and nobody is slower than the host alone."""
    rng = random.Random(seed)
    graph, cluster = random_trio(rng)
    found = [solve_halp(graph, cluster, zone=zone, refine=refine) for zone, refine in STAGES]
    latencies = [solution.latency_s for solution in found]
    assert latencies == sorted(latencies, reverse=True)
    alone = Plan.of(graph, [Placement.whole(halp_roles(cluster).host)] * len(graph))
    assert latencies[1] <= simulate(graph, cluster, alone).makespan_s
    for solution in found:
        assert solution.plan is not None
        assert (solution.status, solution.timing, solution.bound_s) == ("feasible", "events", None)
        assert solution.latency_s == simulate(graph, cluster, solution.plan).makespan_s
        assert solution.evaluation == evaluate(graph, cluster, solution.plan)


def test_the_search_gains() -> None:
    """AlexNet on Pis and 100 Mbit/s: the best ratio is 15 % faster than the thinnest zone, and single operators gain 3 % on it."""
    graph = load_model("alexnet")
    cluster = pis(graph, 100)
    thin, ratio, layers = (solve_halp(graph, cluster, zone=zone, refine=refine).latency_s for zone, refine in STAGES)
    assert ratio < 0.85 * thin
    assert layers < 0.97 * ratio
    assert solve_single(graph, cluster).latency_s > 1.9 * layers


def test_by_name_with_the_options_of_the_registry(chain: Graph, trio: Cluster) -> None:
    """The registered method is this one; a Solution is checked by its own clock."""
    by_name, directly = solve(chain, trio, "halp", team=(2, 1, 0)), solve_halp(chain, trio, team=(2, 1, 0))
    assert dataclasses.replace(by_name, solve_s=0) == dataclasses.replace(directly, solve_s=0)


def test_method_overlap_is_never_worse(chain: Graph, trio: Cluster) -> None:
    """It starts from HALP's plan, which here is the best of its starts, with hardly a search after that."""
    cluster = dataclasses.replace(trio, devices=tuple(dataclasses.replace(device, bandwidth_bytes_per_s=1e5) for device in trio.devices))
    hasty = AnnealingSettings(moves_per_operator=1, contenders=1, coolings=1, patience=1)
    found, halp = solve_overlap(chain, cluster, settings=hasty), solve_halp(chain, cluster)
    assert found.latency_s <= halp.latency_s
    assert (found.started_from, found.start_latency_s) == ("halp", halp.latency_s)


def test_plans_that_fit_the_memory_are_preferred(chain: Graph, trio: Cluster) -> None:
    """With little memory on the secondaries the plan leaves them out, although it is slower; if nothing fits, the Solution says so."""
    roomy = solve_halp(chain, trio)
    assert roomy.plan is not None
    assert roomy.plan.split_operators
    small = tuple(dataclasses.replace(device, memory_bytes=100) for device in trio.devices)
    host_alone = solve_halp(chain, Cluster((small[0], trio.devices[1], small[2]), 1e-5))
    assert host_alone.status == "feasible"
    assert host_alone.plan is not None
    assert set(host_alone.plan.values()) == {Placement.whole(1)}
    assert host_alone.latency_s > roomy.latency_s
    broken = solve_halp(chain, Cluster(small, 1e-5))
    assert broken.status == "violates_memory"
    assert broken.reason is not None
    assert "bytes" in broken.reason


def test_a_time_limit_leaves_the_best_so_far(chain: Graph, trio: Cluster) -> None:
    """With no time for anything it is the thinnest zone."""
    hasty = solve_halp(chain, trio, time_limit_s=1e-9)
    assert hasty.termination == "time_limit"
    assert hasty.plan == solve_halp(chain, trio, zone="min").plan
    assert solve_halp(chain, trio).termination == "finished"


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"zone": "max"}, UnsupportedError, "zone is 'max'; allowed are 'min' and 'opt'"),
        ({"refine": True}, UnsupportedError, "refine is True; allowed are 'ratio' and 'layer'"),
        ({"host": 3}, ClusterError, r"host is 3; it must be a device of the team, by index or name: 0 \(d0\), 1 \(d1\), 2 \(d2\)"),
        ({"host": "d1", "team": (0, 2)}, ClusterError, r"host is 'd1'; it must be a device of the team, by index or name: 0 \(d0\), 2 \(d2\)"),
        ({"host": True}, ClusterError, "host is True"),
        ({"team": "best"}, ClusterError, "team is 'best'"),
        ({"time_limit_s": 0}, SolverError, "time_limit_s is 0"),
    ],
)
def test_options_that_are_refused(chain: Graph, trio: Cluster, options: dict[str, Any], error: type[Exception], said: str) -> None:
    """With what was found and what is allowed, by both functions."""
    for function in (solve_halp, halp_plan):
        with pytest.raises(error, match=said):
            function(chain, trio, **options)


def test_a_secondary_cannot_have_the_input(chain: Graph, trio: Cluster) -> None:
    """It would send the other one its rows; the message says which device should be the host."""
    cluster = dataclasses.replace(trio, source=2)
    with pytest.raises(ClusterError, match=r"host is 1 \(d1\), but the input is on device 2 \(d2\), a secondary.*; make device 2 \(d2\) the host"):
        solve_halp(chain, cluster, host=1)
    assert halp_roles(cluster).host == 2
    assert halp_roles(cluster, (0, 1), host=0) == Roles(0, (1,))


# Overlap.


def exclusive_makespan_s(graph: Graph, cluster: Cluster, plan: Plan, *, boundary_first: bool) -> float:
    """The makespan if every transfer has a link of its own."""
    found = plan_tasks(PlanScheduler(graph, cluster).schedule(plan), cluster, boundary_first=boundary_first, barriers=False, inputs=1)
    links: list[float] = []
    tasks: list[Task] = []
    for task in found.tasks:
        if isinstance(task, TransferTask):
            links += [min(cluster.devices[j].bandwidth_bytes_per_s for j in (task.sender, task.receiver))] * 2
            task = task._replace(sender=len(links) - 2, receiver=len(links) - 1)
        tasks.append(task)
    return run(tasks, Network(links, links, cluster.connection_setup_s)).end_s[found.outputs[0]]


@pytest.mark.parametrize("seed", range(150))
def test_overlap_is_never_slower_on_exclusive_links(seed: int) -> None:
    """Each transfer then takes as long whenever it starts, and boundary rows first only let it start earlier: of HALP's plans and of any other."""
    rng = random.Random(seed)
    graph, cluster = random_trio(rng)
    plans = [(graph, cluster, random_zones(rng, graph, cluster)[1]), random_case(seed)]
    for case in plans:
        first, whole = (exclusive_makespan_s(*case, boundary_first=boundary_first) for boundary_first in (True, False))
        assert first <= whole * (1 + 1e-12)


def test_overlap_can_be_slower_on_links_that_are_shared() -> None:
    """ResNet-18 over 100 Mbit/s, thinnest zone: rows that are sent early share the host's link with those that are needed first, and delay them."""
    graph = load_model("resnet18")
    cluster = pis(graph, 100)
    plan = halp_plan(graph, cluster, zone="min")
    first, whole = (simulate(graph, cluster, plan, boundary_first=boundary_first).makespan_s for boundary_first in (True, False))
    assert first > 1.1 * whole
    first, whole = (exclusive_makespan_s(graph, cluster, plan, boundary_first=boundary_first) for boundary_first in (True, False))
    assert first < whole


def test_a_plan_for_no_overlap(chain: Graph) -> None:
    """Searched by the price without boundary rows first, a plan is better by that price, and worse by the other."""
    cluster = pis(chain, 0.1)
    cluster = dataclasses.replace(cluster, devices=tuple(dataclasses.replace(device, flops_per_s=1e6) for device in cluster.devices))
    plans = [halp_plan(chain, cluster, refine="layer", overlap=overlap) for overlap in (True, False)]
    for overlap in (True, False):
        with_it, without = (Simulator(chain, cluster, boundary_first=overlap).makespan_s(plan) for plan in plans)
        assert (with_it < without) == overlap


# The recursion that HALP's authors schedule by, for a chain of convolutions and a head.


def rows_read(graph: Graph, layer: int, rows: range) -> range:
    """The rows of its input that the rows of a convolution without a pool read."""
    operator = graph.operators[layer]
    assert isinstance(operator, Conv)
    window, height = operator.rows, operator.in_shape.height
    first, last = rows.start * window.stride - window.before, (rows.stop - 1) * window.stride - window.before + window.kernel
    return range(max(0, first), min(height, last)) if rows else range(0)


def rows_sent(graph: Graph, segments: Sequence[dict[int, range]], layer: int, sender: int, receiver: int, host: int) -> set[int]:
    """P(k -> j): the sender's rows that the receiver reads next; of the last layer all go to the host."""
    mine = set(segments[layer][sender])
    if layer + 1 == len(segments):
        return mine if receiver == host else set()
    return mine & set(rows_read(graph, layer + 1, segments[layer + 1][receiver]))


def recursion_s(graph: Graph, cluster: Cluster, host: int, segments: Sequence[dict[int, range]], *, overlap: bool, together: bool) -> float:
    """When the head is done. A device computes first what others read, for one receiver after another, and sends it at once, over links of
    its own to each receiver; a link takes one message at a time. Without overlap it sends when the layer is done.

    Args:
        together: a device computes what all receivers read before it sends anything, as the simulator does.
    """
    devices, ready, link_free = cluster.devices, dict.fromkeys(segments[0], 0.0), defaultdict[tuple[int, int], float](float)
    for layer, segment in enumerate(segments):
        operator = graph.operators[layer]
        row_s = {k: operator.flops / operator.out_shape.height / devices[k].flops_per_s for k in segment}
        row_bytes = cluster.bytes_per_element * operator.out_shape.channels * operator.out_shape.width
        finish = {k: ready[k] + len(rows) * row_s[k] for k, rows in segment.items()}
        arrived = dict(finish)
        for k in segment:
            sent_to = {j: rows for j in segment if j != k and (rows := rows_sent(graph, segments, layer, k, j, host))}
            everything, done_s = set[int]().union(*sent_to.values()), ready[k]
            for j, rows in sent_to.items():
                done_s = ready[k] + len(everything) * row_s[k] if together else done_s + len(rows) * row_s[k]
                start_s = max(done_s, link_free[k, j]) if overlap else finish[k]
                rate = min(devices[k].bandwidth_bytes_per_s, devices[j].bandwidth_bytes_per_s)
                link_free[k, j] = start_s + cluster.connection_setup_s + len(rows) * row_bytes / rate
                arrived[j] = max(arrived[j], link_free[k, j])
        ready = arrived
    head = sum(operator.flops for operator in graph.operators[len(segments) :])
    return ready[host] + head / devices[host].flops_per_s


def segments_of(graph: Graph, plan: Plan) -> list[dict[int, range]]:
    """Who has which rows of each convolution."""
    placements = [plan[operator.name] for operator in graph.operators if isinstance(operator, Conv)]
    return [{shard.device: range(shard.start, shard.stop) for shard in placement.shards} for placement in placements]


def one_at_a_time(timeline: Timeline) -> bool:
    """Whether no two transfers between two devices are on their way at the same time."""
    by_pair = defaultdict[tuple[int, int | None], list[tuple[float, float]]](list)
    for span in timeline.spans:
        if span.is_transfer:
            by_pair[span.device, span.receiver].append((span.start_s, span.end_s))
    return all(before[1] <= after[0] for spans in by_pair.values() for before, after in pairwise(sorted(spans)))


def test_the_recursion_is_the_simulation_on_exclusive_links() -> None:
    """With what all receivers read computed in one go, to rounding; as it is written, one receiver after another, also wherever no device has
    two receivers at a time. The host's link is as wide as both others, and instances with two messages under way in one direction are left out.
    """
    rng, compared, as_written = random.Random(7), 0, 0
    while compared < 150:
        net = GraphBuilder("net", (rng.randint(1, 3), rng.randint(24, 60), 4))
        for _ in range(rng.randint(2, 4)):
            kernel = rng.choice([1, 3, 3, 5])
            net.conv(rng.randint(1, 3), (kernel, 3), stride=(rng.choice([1, 1, 2]), 1), padding=(rng.randint(kernel // 4, kernel // 2), 1))
        graph = net.fc(2).build()
        host, slow = rng.randrange(3), rng.uniform(1e4, 1e5)
        devices = tuple(Device(f"d{j}", rng.uniform(1e5, 1e6), 1e9, slow * (2 if j == host else 1)) for j in range(3))
        cluster = Cluster(devices, rng.choice([0.0, 1e-3, 1e-2]), source=None, sink=host)
        rows = RowZones(graph, cluster, halp_roles(cluster, host=host))
        if len(rows.shared) < len(graph) - 1:
            continue
        plan = rows.plan(rows.nearest(rows.by_ratio(rng.random(), rng.random())))
        if any(plan[graph.operators[number].name].is_whole for number in rows.shared):
            continue
        timelines = {overlap: simulate(graph, cluster, plan, boundary_first=overlap) for overlap in (True, False)}
        if not all(map(one_at_a_time, timelines.values())):
            continue
        segments = segments_of(graph, plan)
        for overlap, timeline in timelines.items():
            assert timeline.makespan_s == pytest.approx(recursion_s(graph, cluster, host, segments, overlap=overlap, together=True), rel=1e-9)
        compared += 1
        receivers = [{j for j in segment if j != host and rows_sent(graph, segments, i, host, j, host)} for i, segment in enumerate(segments)]
        if all(len(each) < 2 for each in receivers):
            as_written += 1
            assert timelines[True].makespan_s == pytest.approx(recursion_s(graph, cluster, host, segments, overlap=True, together=False), rel=1e-9)
    assert as_written >= 10


@pytest.mark.parametrize(
    ("shares", "setup_s", "as_written", "simulated"),
    [
        ((5, 4, 3), 3.0, 18.0, 19.0),
        ((5, 1, 6), 4.0, 23.0, 22.0),
    ],
)  # fmt: skip
def test_where_the_recursion_differs(shares: tuple[int, int, int], setup_s: float, as_written: float, simulated: float) -> None:
    """Two 3 x 1 convolutions over 12 rows, a second each, and a byte each on links of 1 byte/s; the host is in the middle.

    5/4/3, 3 s to set up: the first secondary's row leaves the host at 1, is there at 5, just when that one's five rows are done: from 5 to 10, and
    its five rows are on the host at 10 + 3 + 5 = 18. (The second's row leaves at 2, is there at 6; 6 + 3 + 3 + 3 = 15.) The simulator sends both
    rows at 2: a second later. 5/1/6, 4 s to set up: both read the only row of the host. Computed twice, it leaves for the second secondary at 2, is
    there at 7: 7 + 6 + 4 + 6 = 23. In the simulator it is computed once and leaves for both at 1: 22.
    """
    net = GraphBuilder("net", (1, 12, 1)).conv(1, (3, 1), padding=(1, 0), bias=False).conv(1, (3, 1), padding=(1, 0), bias=False).build()
    devices = tuple(Device(f"d{j}", 6.0, 1e9, 1.0 + j % 2) for j in range(3))
    cluster = Cluster(devices, setup_s, sink=1, bytes_per_element=1)
    plan = Plan.of(net, [Placement.split("H", (0, 1, 2), shares)] * 2)
    segments = segments_of(net, plan)
    assert recursion_s(net, cluster, 1, segments, overlap=True, together=False) == pytest.approx(as_written)
    assert recursion_s(net, cluster, 1, segments, overlap=True, together=True) == pytest.approx(simulated)
    assert simulate(net, cluster, plan).makespan_s == pytest.approx(simulated)
