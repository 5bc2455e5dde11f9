"""Simulations that are given up: by the critical path, or as soon as a task starts too late."""

from __future__ import annotations

import math
import random

import pytest
from support.random_any import random_case
from support.random_tasks import random_tasks

from iopopt import Cluster, Device, GraphBuilder, Placement, Plan
from iopopt.plan.pieces import pieces_of
from iopopt.simulation.events import least_remaining, run, run_within
from iopopt.simulation.simulate import Simulator
from iopopt.simulation.tasks import ComputeTask, Milestone, Network, Task, TransferTask


def test_remaining_time_by_hand() -> None:
    """2 s on device 0; 6 bytes over a downlink of 3 bytes/s after 1 s of set-up; 4 s on device 1, which before that has a task of 1 s.

    From the start: 2 + (1 + 2) + 4 = 9 s. From the transfer on: 7 s. The task of device 1 that nobody names has 1 + 4 s to go, because it comes
    before the other on its device; the one after it does not count.
    """
    tasks: list[Task] = [ComputeTask(0, 2.0), ComputeTask(1, 1.0), TransferTask(0, 1, 6.0, (0,)), ComputeTask(1, 4.0, (2,)), Milestone((3,))]
    tasks.append(ComputeTask(1, 100.0))
    remaining = least_remaining(tasks, Network([6.0, 6.0], [6.0, 3.0], 1.0), [4])
    assert remaining == [9.0, 5.0, 7.0, 4.0, 0.0, -math.inf]


def test_a_shared_medium_has_one_rate() -> None:
    network = Network([6.0, 6.0], [6.0, 3.0], 1.0, shared_bytes_per_s=12.0)
    assert least_remaining([TransferTask(0, 1, 6.0), Milestone((0,))], network, [1]) == [1.5, 0.0]


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_no_task_ends_before_its_critical_path(first: int) -> None:
    """On random task graphs every task starts at least its remaining time before the last output is done."""
    bound = 0
    for seed in range(first, first + 50):
        tasks, network = random_tasks(random.Random(seed))
        outputs = [len(tasks) - 1, len(tasks) // 2]
        times, remaining = run(tasks, network), least_remaining(tasks, network, outputs)
        done = max(times.end_s[output] for output in outputs)
        for start, left in zip(times.start_s, remaining, strict=True):
            assert start + left <= done * (1 + 1e-12)
        bound += max(remaining) >= done * (1 - 1e-9)
    assert bound >= 2  # where nothing is shared, the critical path is the makespan


@pytest.mark.parametrize("seed", range(40))
def test_plans_are_given_up_just_where_they_take_longer(seed: int) -> None:
    """With any limit the makespan is as without, or infinite where it is above; the limit itself is not above."""
    graph, cluster, plan = random_case(seed)
    simulator, pieces = Simulator(graph, cluster), pieces_of(graph, plan)
    makespan_s = simulator.makespan_s(plan)
    assert simulator.makespan_of_pieces_s(pieces) == makespan_s
    for part in (0.2, 0.5, 0.9, 0.999, 1.0, 1.001, 3.0):
        within = simulator.makespan_of_pieces_s(pieces, makespan_s * part)
        assert within == (makespan_s if part >= 1 else math.inf), part


def test_the_loop_ends_early() -> None:
    """Two flows share a link: the critical path says 2 s, the simulation 3 s; the follower of the later one starts at 2 s with 1 s to go."""
    tasks: list[Task] = [TransferTask(0, 1, 1.0), TransferTask(0, 1, 1.0), ComputeTask(1, 1.0, (0, 1)), Milestone((2,))]
    network = Network([1.0, 1.0], [1.0, 1.0], 0.0)
    assert run_within(tasks, network, [3], 1.9) is None
    assert run_within(tasks, network, [3], 2.5) is None
    assert run_within(tasks, network, [3], 3.0) == run(tasks, network)


def test_work_that_nobody_needs_does_not_count() -> None:
    """A 1 x 1 convolution of stride 2 never reads the last row: the device that has it alone may take hours, and the output is there at once."""
    graph = GraphBuilder("strided", (1, 4, 4)).conv(1, 1).conv(1, 1, stride=2).build()
    cluster = Cluster((Device("fast", 1e6, 1e9, 1e9), Device("slow", 1e-3, 1e9, 1e9)), connection_setup_s=0.0)
    plan = Plan.of(graph, [Placement.split("H", (0, 1), (3, 1)), Placement.split("H", (0, 1), (2, 0))])
    simulator = Simulator(graph, cluster)
    makespan_s = simulator.makespan_s(plan)
    assert makespan_s == pytest.approx((3 * 4 * 2 + 2 * 2 * 2) / 1e6)
    assert simulator.makespan_of_pieces_s(pieces_of(graph, plan), makespan_s) == makespan_s
