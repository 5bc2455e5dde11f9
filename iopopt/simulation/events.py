"""The event loop: when each task of a task graph starts and ends."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import NamedTuple

from iopopt.errors import PlanError
from iopopt.simulation.flows import Flows
from iopopt.simulation.tasks import ComputeTask, Network, Task, TransferTask

_ENDS, _FLOWS = -1, -2

_ABOVE = 1 + 1e-9
"""Sums in another order differ by less, relatively."""


class Times(NamedTuple):
    """When each task starts and ends, seconds; a transfer starts with the set-up of its connection."""

    start_s: list[float]
    end_s: list[float]


def predecessors(tasks: Sequence[Task]) -> list[tuple[int, ...]]:
    """What each task waits for: those that it names, and the computation before it on its device."""
    newest: dict[int, int] = {}
    found = []
    for number, task in enumerate(tasks):
        after = task.after
        if type(task) is ComputeTask:
            if task.device in newest:
                after = (*after, newest[task.device])
            newest[task.device] = number
        found.append(after)
    return found


def least_remaining(tasks: Sequence[Task], network: Network, outputs: Sequence[int]) -> list[float]:
    """How long it takes at least from the start of each task until the tasks ``outputs`` are done, seconds: as if no transfer shared a link.

    Minus infinity for those that no output waits for. Every task must wait for earlier ones only, as those of plans do.
    """
    remaining = [-math.inf] * len(tasks)
    later = defaultdict[int, float](lambda: -math.inf)  # from the next computation of each device
    for output in outputs:
        remaining[output] = 0.0
    for number in range(len(tasks) - 1, -1, -1):
        task, after_it = tasks[number], remaining[number]
        if type(task) is ComputeTask:
            after_it = later[task.device] = max(after_it, later[task.device]) + task.seconds
        elif type(task) is TransferTask:
            after_it += (network.setup_s if task.setup_s is None else task.setup_s) + task.size_bytes / network.fastest(task.sender, task.receiver)
        remaining[number] = after_it
        for other in task.after:
            if remaining[other] < after_it:
                remaining[other] = after_it
    return remaining


def run_within(tasks: Sequence[Task], network: Network, outputs: Sequence[int], most_s: float) -> Times | None:
    """Run a task graph of which every task waits for earlier ones only; None if one of ``outputs`` is done later than ``most_s``.

    Most such graphs are found out before they are run, by their critical path, or as soon as a task starts too late for what waits for it.
    """
    remaining = least_remaining(tasks, network, outputs)
    most = most_s * _ABOVE
    return None if max(remaining) > most else _run(tasks, network, remaining, most)


def run(tasks: Sequence[Task], network: Network) -> Times:
    """Run a task graph.

    Raises:
        PlanError: if tasks wait for each other in a circle, or for one that does not exist.
    """
    times = _run(tasks, network, (), math.inf)
    assert times is not None  # there is no limit
    return times


def _run(tasks: Sequence[Task], network: Network, remaining: Sequence[float], most_s: float) -> Times | None:
    """The event loop; None as soon as a task starts so late that ``remaining`` of it leads beyond ``most_s``."""
    waiting, followers = _dependencies(tasks)
    start_s, end_s, flows, setup_s = [0.0] * len(tasks), [0.0] * len(tasks), Flows(network), network.setup_s
    ready = [number for number, count in enumerate(waiting) if not count]
    events: list[tuple[float, int, int]] = []  # (time, what happens or which version of a flow's end, task)
    versions: dict[int, int] = {}
    now, done = 0.0, 0
    while True:
        while ready:
            number = ready.pop()
            task = tasks[number]
            start_s[number] = now
            if remaining and now + remaining[number] > most_s:
                return None
            if type(task) is TransferTask:
                heappush(events, (now + (setup_s if task.setup_s is None else task.setup_s), _FLOWS, number))
            elif type(task) is ComputeTask:
                heappush(events, (now + task.seconds, _ENDS, number))
            else:
                heappush(events, (now, _ENDS, number))
        if flows.changed and (not events or events[0][0] > now):
            for ends, flow in flows.reshare(now):
                versions[flow] = version = versions.get(flow, 0) + 1
                heappush(events, (ends, version, flow))
        if not events:
            break
        now, what, number = heappop(events)
        if what == _FLOWS:
            task = tasks[number]
            assert type(task) is TransferTask
            flows.begin(number, task.sender, task.receiver, task.size_bytes, now)
            continue
        if what != _ENDS:
            if versions.get(number) != what:
                continue  # the flow's rate has changed since
            flows.end(number)
            del versions[number]
        end_s[number] = now
        done += 1
        for follower in followers[number]:
            waiting[follower] -= 1
            if not waiting[follower]:
                ready.append(follower)
    if done < len(tasks):
        stuck = next(number for number, count in enumerate(waiting) if count)
        raise PlanError(f"task {stuck} of {len(tasks)} never starts: it waits for itself, by the tasks that it names and the order of its device")
    return Times(start_s, end_s)


def _dependencies(tasks: Sequence[Task]) -> tuple[list[int], list[list[int]]]:
    """How many tasks each waits for, and those that wait for it."""
    waiting: list[int] = []
    followers: list[list[int]] = [[] for _ in tasks]
    for number, after in enumerate(predecessors(tasks)):
        for other in after:
            if not 0 <= other < len(tasks):
                raise PlanError(f"task {number} waits for task {other}; there are {len(tasks)}, from 0")
            followers[other].append(number)
        waiting.append(len(after))
    return waiting, followers
