"""Seeded random task graphs on unequal networks, and their form for another simulator."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from iopopt.simulation.tasks import ComputeTask, Network, Task, TransferTask


def random_tasks(rng: random.Random) -> tuple[list[Task], Network]:
    """5 to 60 tasks on 2 to 6 devices; some of no time, bytes are whole numbers, a third of the networks are one shared medium."""
    count = rng.randint(2, 6)
    up = [rng.choice([1.0, 2.0, rng.uniform(0.5, 4)]) for _ in range(count)]
    down = up if rng.random() < 0.5 else [rng.uniform(0.5, 4) for _ in range(count)]
    tasks: list[Task] = []
    for number in range(rng.randint(5, 60)):
        after = tuple(sorted(rng.sample(range(number), min(number, rng.choice([0, 1, 1, 2, 3])))))
        if rng.random() < 0.4:
            tasks.append(ComputeTask(rng.randrange(count), rng.choice([0.0, rng.uniform(0, 5)]), after))
        else:
            sender, receiver = rng.sample(range(count), 2)
            tasks.append(TransferTask(sender, receiver, float(rng.randint(1, 20)), after))
    return tasks, Network(up, down, rng.choice([0.0, 0.5, rng.random()]), rng.choice([None, None, rng.uniform(0.5, 5)]))


def as_record(tasks: Sequence[Task], network: Network) -> dict[str, Any]:
    """What ``simgrid_runs.py`` reads."""
    listed = [_task_record(task) for task in tasks]
    return {
        "tasks": listed,
        "up": list(network.up),
        "down": list(network.down),
        "setup_s": network.setup_s,
        "shared": network.shared_bytes_per_s,
    }


def _task_record(task: Task) -> list[Any]:
    if isinstance(task, ComputeTask):
        return ["compute", task.device, task.seconds, task.after]
    if isinstance(task, TransferTask):
        return ["transfer", task.sender, task.receiver, int(task.size_bytes), task.after]
    return ["milestone", task.after]
