"""What devices hold over time: by hand, and against equation (1) where every device waits for every other."""

from __future__ import annotations

from bisect import bisect_right

import pytest
from support.random_any import random_case

from iopopt import Cluster, Device, GraphBuilder, Placement, Plan, evaluate, simulate
from iopopt.cost.instance import Instance
from iopopt.cost.memory import memory_demands
from iopopt.simulation.held_memory import HeldMemory


def _held(memory: HeldMemory, time_s: float) -> float:
    return memory.held_bytes[bisect_right(memory.times_s, time_s) - 1]


def test_equation_1_while_a_task_runs() -> None:
    """With barriers, a device whose task runs holds its weights, a_ij and live_ij of equation (1), wherever (1) follows the run.

    It does not where a gather or two phases come later than (1) has them, nor for an input that a device has and does not read.
    """
    compared = 0
    for seed in range(260):
        graph, cluster, plan = random_case(seed, gathers=False)
        if any(placement.reduce == "two_phase" for placement in plan.values()) or cluster.source is None:
            continue
        timeline, instance = simulate(graph, cluster, plan, barriers=True), Instance(graph, cluster, plan.spans(graph))
        demands = memory_demands(instance, instance.placements(plan))
        weights = [sum(row[j].weights for row in demands) for j in range(len(cluster))]
        numbers = {unit.name: number for number, unit in enumerate(instance.placed)}
        for span in timeline.spans:
            if not span.is_transfer and span.end_s > span.start_s * (1 + 1e-9):
                demand = demands[numbers[span.unit]][span.device]
                held = _held(timeline.memory[span.device], (span.start_s + span.end_s) / 2)
                assert held == pytest.approx(weights[span.device] + demand.activations + demand.live, rel=1e-9)
                compared += 1
    assert compared > 500


@pytest.mark.parametrize("seed", range(60))
def test_what_always_holds(seed: int) -> None:
    """Never below the weights, nothing but weights before the first and after the last moment, and all inputs add up."""
    graph, cluster, plan = random_case(seed)
    for inputs in (1, 3):
        timeline = simulate(graph, cluster, plan, inputs=inputs)
        limits = [device.memory_bytes for device in cluster.devices]
        for memory, limit in zip(timeline.memory, limits, strict=True):
            assert memory.limit_bytes == limit
            assert memory.times_s[0] == 0.0
            assert list(memory.times_s) == sorted(set(memory.times_s))
            assert min(memory.held_bytes) >= memory.weights_bytes
            assert memory.held_bytes[-1] == pytest.approx(memory.weights_bytes, rel=1e-9, abs=1e-6)
            assert memory.peak_bytes == max(memory.held_bytes)


def test_by_hand() -> None:
    """c, pointwise, 1x4x1 -> 2x4x1 (F = 16, W = 2), H 2/2, then d back to one channel (F = 16, W = 2) whole on 1; the input is on 0.

    Device 0 sends two of its four input bytes (0.5 + 2 s) and computes its 8 FLOPs in 8 s from the start; c's rows of it, 4 bytes, go to 1
    from 8 to 12.5. It holds w = 2 and the input's 4 until 2.5 (its own task has started at 0), a = 2 + 4 until 8, then 4 bytes until 12.5,
    and 4 bytes of the output, from when it is sent.
    Device 1 holds w = 4 and the 2 bytes on their way until 2.5, then a = 2 + 4 until 10.5, its 4 bytes of c, and 4 on their way from 8 on;
    d runs from 12.5 with a = 8 + 4, 16 s, until 28.5, and its output leaves until 28.5 + 0.5 + 4 = 33.
    """
    graph = GraphBuilder("x", (1, 4, 1)).conv(2, 1, bias=False).conv(1, 1, bias=False).build()
    cluster = Cluster((Device("a", 1.0, 99.0, 1.0), Device("b", 1.0, 50.0, 1.0)), 0.5, source=0, bytes_per_element=1)
    plan = Plan.of(graph, [Placement.split("H", (0, 1), (2, 2)), Placement.whole(1)])
    first, second = simulate(graph, cluster, plan).memory
    assert list(zip(first.times_s, first.held_bytes, strict=True)) == [(0, 12), (2.5, 8), (8, 6), (12.5, 2), (28.5, 6), (33, 2)]
    assert list(zip(second.times_s, second.held_bytes, strict=True)) == [(0, 6), (2.5, 10), (8, 14), (10.5, 12), (12.5, 16), (28.5, 8), (33, 4)]
    assert (first.peak_bytes, second.peak_bytes, first.limit_bytes) == (12, 16, 99)
    assert evaluate(graph, cluster, plan).memory_bytes == (8, 16)


def test_two_phases() -> None:
    """c IC 1/1, two-phase, 2x1x1 -> 4x1x1: each holds all partial sums while they are scattered, then its own channels until they are sent."""
    graph = GraphBuilder("x", (2, 1, 1)).conv(4, 1, bias=False).conv(1, 1, bias=False).build()
    cluster = Cluster((Device("a", 4.0, 99.0, 1.0), Device("b", 4.0, 50.0, 1.0)), 0.0, bytes_per_element=1)
    plan = Plan.of(graph, [Placement.split("IC", (0, 1), (1, 1), "two_phase"), Placement.whole(0)])
    timeline = simulate(graph, cluster, plan)
    moves = [(span.what, span.start_s, span.end_s) for span in timeline.spans if span.is_transfer]
    assert moves == [("reduce-scatter", 2.0, 4.0), ("reduce-scatter", 2.0, 4.0), ("all-gather", 4.0, 6.0)]
    # Device 1: w = 4, a = 1 + 4 until 2, four sums and the two that arrive until 4, two channels until 6.
    second = timeline.memory[1]
    assert list(zip(second.times_s, second.held_bytes, strict=True)) == [(0, 9), (2, 10), (4, 6), (6, 4)]


def test_a_gather() -> None:
    """c, 1x6x1 -> 2x3x1 after a pool, H 2/1: participants hold their rows until they have been sent, the host what arrives and then all."""
    graph = GraphBuilder("x", (1, 6, 1)).conv(2, 1, bias=False).max_pool((2, 1), stride=(2, 1)).conv(1, 1, bias=False).build()
    cluster = Cluster(tuple(Device(f"d{j}", 8.0, 99.0, 1.0) for j in range(3)), 0.0, bytes_per_element=1)
    plan = Plan.of(graph, [Placement.split("H", (0, 1), (2, 1), gather=2), Placement.whole(2)])
    memory = simulate(graph, cluster, plan).memory
    # c: 4 FLOPs a row before the pool, 16 and 8 FLOPs, 2 and 1 s; 4 bytes leave device 0 from 2 on, 2 leave device 1 from 1 on; over one link
    # into 2: device 1 alone until 2, 1 byte is left; then both at half the rate, until 4; device 0 has 3 left, until 7.
    # Device 0: w = 2, a = 4 + 8, then 4 bytes. Device 1: a = 2 + 4, then 2. Device 2: w = 2, 2 arriving from 1, 4 more from 2, all 6 from 7 on,
    # when d runs with a = 6 + 3 for 12 / 8 s, and its 3 bytes go to 0.
    held = [list(zip(of.times_s, of.held_bytes, strict=True)) for of in memory]
    assert held == [
        [(0, 14), (2, 6), (7, 2), (8.5, 5), (11.5, 2)],
        [(0, 8), (1, 4), (4, 2)],
        [(0, 2), (1, 4), (2, 8), (7, 11), (8.5, 5), (11.5, 2)],
    ]


def test_rows_that_nobody_reads() -> None:
    """A convolution of stride 4 over 8 rows, 3/1/4, reads the rows 0 and 4: the share that nobody reads is not held."""
    graph = GraphBuilder("x", (1, 8, 1)).conv(1, 1, bias=False).conv(1, 1, stride=(4, 1), bias=False).build()
    cluster = Cluster(tuple(Device(f"d{j}", 2.0, 99.0, 1.0) for j in range(3)), 0.0, bytes_per_element=1)
    plan = Plan.of(graph, [Placement.split("H", (0, 1, 2), (3, 1, 4)), Placement.split("H", (0, 1, 2), (1, 0, 1))])
    second = simulate(graph, cluster, plan).memory[1]
    # Device 1 has row 3: w = 1 + 1, a = 1 + 1 for 1 s, and then nothing of it; its own task of the second is empty.
    assert next(zip(second.times_s, second.held_bytes, strict=True)) == (0, 4)
    assert second.held_bytes[-1] == 2
    assert min(second.held_bytes) == 2
    assert second.times_s[1] == 1.0


def _gathered(first_flops_per_s: float, shares: tuple[int, int]) -> list[tuple[float, float]]:
    """What device 1 holds: c, pointwise, 1x4x1 -> 2x4x1 (F = 16, W = 2), gathered on it; then d back to one channel (F = 16, W = 2), whole on it."""
    graph = GraphBuilder("x", (1, 4, 1)).conv(2, 1, bias=False).conv(1, 1, bias=False).build()
    cluster = Cluster((Device("a", first_flops_per_s, 99.0, 1.0), Device("b", 1.0, 99.0, 1.0)), 0.0, bytes_per_element=1)
    plan = Plan.of(graph, [Placement.split("H", (0, 1), shares, gather=1), Placement.whole(1)])
    host = simulate(graph, cluster, plan).memory[1]
    return list(zip(host.times_s, host.held_bytes, strict=True))


def test_a_host_that_computes_has_no_gathered_tensor_yet() -> None:
    """H 3/1: w = 4. a = 1 + 2 for 4 s, less than the tensor of 8 bytes, which (1) counts already; then a row; 6 bytes arrive from 12 to 18;
    d runs with a = 8 + 4 for 16 s, and its 4 bytes go to device 0."""
    assert _gathered(1.0, (3, 1)) == [(0, 7), (4, 6), (12, 12), (18, 16), (34, 8), (38, 4)]


def test_a_gather_is_over_when_the_host_has_its_own_rows_too() -> None:
    """H 2/2, device 0 fast: its 4 bytes arrive from 1 to 5, while the host computes with a = 2 + 4 until 8. Until then it has no more than them."""
    assert _gathered(8.0, (2, 2)) == [(0, 10), (1, 14), (8, 16), (24, 8), (28, 4)]


def test_a_later_input_is_there_when_it_is_needed() -> None:
    """Three inputs of 4 bytes, which the source sends one after another and does not read itself: it never holds two of them."""
    graph = GraphBuilder("x", (1, 4, 1)).conv(1, 1, bias=False).build()
    cluster = Cluster((Device("a", 1.0, 99.0, 1.0), Device("b", 1.0, 99.0, 1.0)), 0.0, source=0, sink=1, bytes_per_element=1)
    source, _ = simulate(graph, cluster, Plan.of(graph, [Placement.whole(1)]), inputs=3).memory
    assert list(zip(source.times_s, source.held_bytes, strict=True)) == [(0, 4), (4, 4), (8, 4), (12, 0)]


def test_only_changes_are_steps() -> None:
    """With barriers, H 4/0: device 0 takes 8 s for the first and 72 s for the second; device 1 holds w = 1 + 3, and of empty shares nothing, but for
    the two rows of the first's output that (1) counts in a = (0 - 1) + 3 while its second task runs, which takes no time."""
    graph = GraphBuilder("x", (1, 4, 1)).conv(1, 1, bias=False).conv(1, (3, 1), padding=(1, 0), bias=False).build()
    cluster = Cluster((Device("a", 1.0, 99.0, 1.0), Device("b", 1.0, 99.0, 1.0)), 0.0, bytes_per_element=1)
    _, second = simulate(graph, cluster, Plan.of(graph, [Placement.split("H", (0, 1), (4, 0))] * 2), barriers=True).memory
    assert (second.times_s, second.held_bytes) == ((0.0,), (4.0,))
