"""The event loop: worked task graphs, sharing by hand, and task graphs that cannot run."""

from __future__ import annotations

import random
from typing import Any

import pytest
from support.random_tasks import random_tasks
from support.worked_cases import task_graphs

from iopopt import PlanError
from iopopt.simulation.events import run
from iopopt.simulation.tasks import ComputeTask, Milestone, Network, Task, TransferTask


@pytest.mark.parametrize("case", task_graphs(), ids=lambda case: case["name"])
def test_worked_task_graphs(case: dict[str, Any]) -> None:
    """Every start and every end."""
    tasks = [_task(item, case) for item in case["tasks"]]
    links = [device["bandwidth_bytes_per_s"] for device in case["devices"]]
    times = run(tasks, Network(links, links, case["setup_s"], case.get("shared_bytes_per_s")))
    assert times.start_s == pytest.approx(case["expected"]["start_s"], abs=1e-9)
    assert times.end_s == pytest.approx(case["expected"]["finish_s"], abs=1e-9)


def _task(item: dict[str, Any], case: dict[str, Any]) -> Task:
    if item["kind"] == "compute":
        return ComputeTask(item["device"], item["flops"] / case["devices"][item["device"]]["flops_per_s"], tuple(item["after"]))
    return TransferTask(item["source"], item["destination"], item["bytes"], tuple(item["after"]))


def test_up_and_down_may_differ() -> None:
    """3 bytes over an uplink of 1 byte/s take 3 s, though every downlink has 6; back, over 2 up, 1.5 s."""
    times = run([TransferTask(0, 1, 3.0), TransferTask(1, 0, 3.0, (0,))], Network([1.0, 2.0], [6.0, 6.0], 0.0))
    assert times.end_s == [3.0, 4.5]


def test_max_min_fairness_by_hand() -> None:
    """Three flows from 0, of which one ends at a slow receiver (0.5 of 6 bytes/s): the other two get 2.75 each, not 2.

    11 bytes each: both end at 4 s; the slow one has then 11 - 2 = 9 bytes left and ends at 22 s, as its own link was always its limit.
    """
    network = Network([6.0, 9.0, 9.0, 9.0], [9.0, 9.0, 9.0, 0.5], 0.0)
    times = run([TransferTask(0, 1, 11.0), TransferTask(0, 2, 11.0), TransferTask(0, 3, 11.0)], network)
    assert times.end_s == pytest.approx([4.0, 4.0, 22.0], abs=1e-12)


def test_a_flow_elsewhere_changes_nothing() -> None:
    """What shares no link, directly or by others, keeps its rate to the bit."""
    network = Network([1.0] * 4, [1.0] * 4, 0.1)
    alone = run([TransferTask(0, 1, 1 / 3)], network).end_s[0]
    others: list[Task] = [TransferTask(2, 3, 0.01 * k) for k in range(1, 9)]
    assert run([TransferTask(0, 1, 1 / 3), *others], network).end_s[0] == alone


def test_milestones_take_no_time() -> None:
    """Reached when the last of what they wait for is done."""
    times = run(
        [ComputeTask(0, 2.0), ComputeTask(1, 3.0), Milestone((0, 1)), ComputeTask(0, 1.0, (2,)), Milestone(())], Network([1.0] * 2, [1.0] * 2, 0)
    )
    assert (times.start_s[2], times.end_s) == (3.0, [2.0, 3.0, 3.0, 4.0, 0.0])


def test_no_tasks() -> None:
    """An empty graph ends at once."""
    assert run([], Network([], [], 0.0)) == ([], [])


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ([Milestone((1,)), Milestone((0,))], "task 0 of 2 never starts"),
        ([ComputeTask(0, 1.0, (1,)), ComputeTask(0, 1.0)], "the order of its device"),
        ([Milestone((1,))], "task 0 waits for task 1; there are 1, from 0"),
        ([Milestone((-1,))], "task 0 waits for task -1"),
    ],
)
def test_tasks_that_cannot_run(tasks: list[Task], message: str) -> None:
    """A circle, by names or by the order of a device, and a task that is not there."""
    with pytest.raises(PlanError, match=message):
        run(tasks, Network([1.0], [1.0], 0.0))


@pytest.mark.parametrize("seed", range(40))
def test_what_always_holds(seed: int) -> None:
    """Nobody starts too early, a device does one thing at a time in order, and no link carries more than it can."""
    tasks, network = random_tasks(random.Random(seed))
    times = run(tasks, network)
    free_s = [0.0] * len(network.up)
    sent, received = [0.0] * len(network.up), [0.0] * len(network.up)
    for number, task in enumerate(tasks):
        start_s, end_s = times.start_s[number], times.end_s[number]
        ready_s = max([times.end_s[other] for other in task.after], default=0.0)
        if isinstance(task, ComputeTask):
            assert start_s == max(ready_s, free_s[task.device])
            assert end_s == start_s + task.seconds
            free_s[task.device] = end_s
        elif isinstance(task, TransferTask):
            assert start_s == ready_s
            rate = network.shared_bytes_per_s or min(network.up[task.sender], network.down[task.receiver])
            assert end_s >= start_s + network.setup_s + task.size_bytes / rate - 1e-9
            sent[task.sender] += task.size_bytes
            received[task.receiver] += task.size_bytes
    makespan_s = max(times.end_s)
    if network.shared_bytes_per_s is not None:
        assert sum(sent) <= network.shared_bytes_per_s * makespan_s + 1e-9
    else:
        assert all(size <= rate * makespan_s + 1e-9 for size, rate in zip([*sent, *received], [*network.up, *network.down], strict=True))
