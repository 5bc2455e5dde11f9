"""The edges' volumes that no whole plan shows: conservation, and the cuts at the tensor's edge."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from iopopt.cost.communication import Phase, TensorEdge, edge_phases, needed_rows
from support.random_instances import random_cluster, random_graph, random_plan

from iopopt import Cluster, Device, GraphBuilder, Placement


def test_what_is_sent_is_received() -> None:
    """In every phase of random plans the bytes sent and received are the same in sum."""
    rng = random.Random(1)
    seen = set()
    for _ in range(200):
        graph, cluster = random_graph(rng), random_cluster(rng)
        plan = random_plan(rng, graph, len(cluster))
        for producer, consumer in zip(graph.operators, graph.operators[1:], strict=False):
            for phase in edge_phases(TensorEdge(producer, consumer), plan[producer.name], plan[consumer.name], cluster.bytes_per_element):
                received, sent = sum(phase.received.values()), sum(phase.sent.values())
                assert sent == pytest.approx(received, rel=1e-12, abs=1e-9), phase
                seen.add(phase.case)
    assert seen == {"whole", "reduce", "all-gather", "reduce-scatter", "interleaved", "row-aligned", "halo exchange"}


def test_rows_are_cut_at_the_ends_only() -> None:
    """Kernel 5, padding 2 over 8 rows: [0, 2), [2, 2), [2, 8) need [0, 4), [0, 4) and [0, 8).

    The second, empty, has lo = 2 - 2 = 0 and hi = 1 - 2 + 5 = 4 uncut; the last has hi = 7 - 2 + 5 = 10 cut to 8.
    """
    consumer = GraphBuilder("x", (1, 8, 8)).conv(1, 5, padding=2).build().operators[0]
    assert needed_rows(consumer, Placement.split("H", (0, 1, 2), (2, 0, 6))) == [(0, 4), (0, 4), (0, 8)]
    # An empty first participant is the one that is cut above: -2 to 0; the next keeps its lo of -2.
    assert needed_rows(consumer, Placement.split("H", (0, 1), (0, 8))) == [(0, 2), (-2, 8)]


def test_equal_devices_and_shares_halo() -> None:
    """Kernel 3 over even shares of 8 rows on 4 devices: the ends lack one row, the middles two; each row is 1 x 8 elements of 2 bytes."""
    graph = GraphBuilder("x", (1, 8, 8)).conv(1, 3, padding=1).conv(1, 3, padding=1).build()
    placement = Placement.split("H", (0, 1, 2, 3), (2, 2, 2, 2))
    (phase,) = edge_phases(TensorEdge(*graph.operators[:2]), placement, placement, 2)
    assert phase.case == "halo"
    assert phase.received == phase.sent == {0: 16, 1: 32, 2: 32, 3: 16}
    assert phase.connections == {0: 1, 1: 2, 2: 2, 3: 1}


def test_two_phases_are_cheaper_for_more_devices() -> None:
    """With m devices everybody receives m - 1 tensors in the direct reduce, and in two phases 2 (m - 1)/m of one."""
    graph = GraphBuilder("x", (4, 2, 2)).conv(4, 1).conv(4, 1).build()
    q = Placement.split("OC", range(4), (1, 1, 1, 1))

    def received(reduce: str) -> float:
        p = Placement.split("IC", range(4), (1, 1, 1, 1), reduce)  # type: ignore[arg-type]
        return sum(phase.received[0] for phase in edge_phases(TensorEdge(*graph.operators[:2]), p, q, 1))

    assert received("direct") == 16 * 3
    assert received("two_phase") == 16 * 3 / 4 * 2


def test_source_and_sink_are_whole_operators() -> None:
    """The input goes out as from an operator whole on the source, the output as to one whole on the sink."""
    (operator,) = GraphBuilder("x", (2, 4, 4)).conv(3, 1).build().operators
    (phase,) = edge_phases(TensorEdge(None, operator), Placement.whole(1), Placement.split("IC", (0, 1), (1, 1)), 4)
    assert (phase.case, phase.received, phase.sent, phase.connections) == ("whole", {0: 64, 1: 0}, {1: 64}, {0: 1, 1: 0})
    (phase,) = edge_phases(TensorEdge(operator, None), Placement.split("OC", (0, 1), (1, 2)), Placement.whole(0), 4)
    assert (phase.case, phase.received, phase.connections) == ("all-gather", {0: 128}, {0: 1})
    assert phase.sent == {0: 0, 1: 128}


def test_time_of_a_phase() -> None:
    """t_com = max(R, S)/b + N t_est, the largest of the devices; ``round`` caps N at one."""
    cluster = Cluster(tuple(Device(f"d{j}", 1, 1, 10.0 * (j + 1)) for j in range(3)), connection_setup_s=0.5)
    phase = Phase("halo", {0: 10, 1: 0}, {1: 60, 2: 30}, {0: 2, 1: 0})
    assert phase.time_s(cluster) == 60 / 20  # against 10/10 + 1 and 30/30
    slower = replace(cluster, connection_setup_s=5.0)
    assert phase.time_s(slower) == 1 + 2 * 5
    assert phase.time_s(replace(slower, connections="round")) == 1 + 5
    assert phase.capped_connections(replace(slower, connections="round")) == {0: 1, 1: 0}
