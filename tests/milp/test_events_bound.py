"""Lower bounds on time without barriers, against all plans of tiny instances, and fast ones of larger."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from support.any_teams import AnyTeams
from support.random_any import random_case
from support.random_blocks import random_fusible_graph
from support.random_branches import random_branched_graph
from support.random_instances import random_cluster, random_graph

from iopopt import Cluster, Device, Graph, GraphBuilder, evaluate
from iopopt.milp.events_bound import events_bound
from iopopt.simulation.simulate import Simulator


def _with_other_links(rng: random.Random, cluster: Cluster) -> Cluster:
    """The cluster with links from far too slow to far too fast, or with a shared medium instead."""
    scale = 10 ** rng.uniform(-2, 3)
    devices = tuple(replace(device, bandwidth_bytes_per_s=device.bandwidth_bytes_per_s * scale) for device in cluster.devices)
    medium = rng.choice([None, None, 10 ** rng.uniform(3, 7)])
    return replace(cluster, devices=devices, shared_medium_bytes_per_s=medium, connection_setup_s=rng.choice([0.0, 1e-5, 1e-3]))


def _random_instance(seed: int) -> tuple[Graph, Cluster]:
    """A small graph of any sort on two or three devices."""
    rng = random.Random(seed)
    graph = (random_graph, random_branched_graph, random_fusible_graph, lambda rng: random_graph(rng, tiny=True))[seed % 4](rng)
    return graph, _with_other_links(rng, random_cluster(rng, devices=rng.choice([2, 2, 3])))


def _exceeds(seed: int, rounds: int) -> bool:
    """Whether a descent to a fast plan finds one that is faster than the bound."""
    graph, cluster = _random_instance(seed)
    fastest = AnyTeams(graph, cluster, 4).fast(random.Random(seed), Simulator(graph, cluster).makespan_s, rounds)
    return events_bound(graph, cluster, longest_block=4).bound_s > fastest


@pytest.mark.parametrize("seed", range(24))
def test_no_descent_beats_the_bound(seed: int) -> None:
    """Graphs of all sorts, links from slow to fast, a shared medium, any source and sink."""
    assert not _exceeds(seed, rounds=40)


@pytest.mark.slow
def test_no_descent_beats_the_bound_on_many_instances() -> None:
    """The same on a thousand, longer."""
    assert [seed for seed in range(1000, 2000) if _exceeds(seed, rounds=300)] == []


def test_random_plans_are_above_the_bound() -> None:
    """Plans that interleave and align on larger instances."""
    for seed in range(100):
        graph, cluster, plan = random_case(seed, gathers=False)
        assert events_bound(graph, cluster, longest_block=9).bound_s <= Simulator(graph, cluster).makespan_s(plan)


def _two_convolutions() -> Graph:
    """1x4x2 -> 2x4x2 -> 1x4x2 by 3 x 1 kernels."""
    net = GraphBuilder("two", (1, 4, 2))
    return net.conv(2, (3, 1), padding=(1, 0), bias=False).conv(1, (3, 1), padding=(1, 0), bias=False).build()


@pytest.mark.parametrize("bytes_per_s", [1.0, 10.0, 1e6])
@pytest.mark.parametrize("source", [None, 1])
def test_all_plans_of_two_operators(bytes_per_s: float, source: int | None) -> None:
    """No plan over two devices, in either order, is faster."""
    graph = _two_convolutions()
    devices = tuple(Device(f"d{j}", speed, 1e6, bytes_per_s) for j, speed in enumerate([50.0, 80.0]))
    cluster = Cluster(devices, connection_setup_s=0.1, source=source, bytes_per_element=1)
    simulator, space = Simulator(graph, cluster), AnyTeams(graph, cluster, 2)
    assert events_bound(graph, cluster, longest_block=2).bound_s <= min(map(simulator.makespan_s, space.plans()))


def test_one_device_takes_what_it_takes() -> None:
    """Where there is no choice, bound and makespan agree."""
    graph = _two_convolutions()
    cluster = Cluster((Device("d0", 50.0, 1e6, 1.0),))
    assert events_bound(graph, cluster).bound_s == pytest.approx(graph.macs * 2 / 50.0)


def test_an_operator_that_is_whole_is_a_barrier() -> None:
    """A fully connected operator needs all rows of what it reads, and links are so slow that only one device pays: (8 + 8) FLOPs at 4 FLOP/s."""
    net = GraphBuilder("barrier", (1, 4, 1))
    graph = net.conv(1, 1, bias=False).fc(1, bias=False).build()
    cluster = Cluster(tuple(Device(f"d{j}", 4.0, 1e6, 1e-3) for j in range(2)), connection_setup_s=0.0, bytes_per_element=1)
    assert events_bound(graph, cluster).bound_s == pytest.approx(16 / 4.0)


def _fully_connected() -> tuple[Graph, Cluster]:
    """Eight inputs, eight outputs, 128 FLOPs: 64 weights, of which a device of 44 bytes can have half, with 8 inputs and 4 outputs.

    Device 0, the sink, is ten times as fast as device 1; a connection takes 1 s, a byte 0.1 s.
    """
    graph = GraphBuilder("connected", (8, 1, 1)).fc(8, bias=False).build()
    devices = tuple(Device(f"d{j}", speed, 44.0, 10.0) for j, speed in enumerate([10.0, 1.0]))
    return graph, Cluster(devices, connection_setup_s=1.0, bytes_per_element=1)


def test_memory_limits_bind() -> None:
    """Device 0 has at most 44 of 64 weights; the other 20 take 40 s, and a connection to the sink 1 s. With whole channels it takes 64 + 1.4 s."""
    graph, cluster = _fully_connected()
    bound = events_bound(graph, cluster)
    assert bound.proofs["barriers"] == pytest.approx((128 + 1.1) / 11)
    assert bound.bound_s == pytest.approx(41.0, rel=1e-4)
    plans = [plan for plan in AnyTeams(graph, cluster, 1).plans() if evaluate(graph, cluster, plan).feasible]
    assert min(map(Simulator(graph, cluster).makespan_s, plans)) == pytest.approx(65.4)


def test_a_known_makespan_is_enough() -> None:
    """Where a plan is known, the bound says no more."""
    graph, cluster = _fully_connected()
    assert events_bound(graph, cluster, known_s=30.0).bound_s <= 30.0


def test_no_time_leaves_the_work() -> None:
    """Without time there is still the work by speed."""
    graph = _two_convolutions()
    cluster = Cluster((Device("d0", 50.0, 1e6, 1.0), Device("d1", 30.0, 1e6, 1.0)))
    bound = events_bound(graph, cluster, time_limit_s=0.0)
    assert bound.proofs.keys() == {"work by speed"}
    assert bound.bound_s == pytest.approx(graph.macs * 2 / 80.0)
