"""An independent simulator: SimGrid, as its Debian package for the system's Python, runs the same task graphs."""

from __future__ import annotations

import functools
import json
import random
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
import support
from support.random_blocks import random_fused_plan, random_fusible_graph
from support.random_branches import random_branched_graph, random_branched_plan
from support.random_instances import random_cluster, random_graph, random_plan
from support.random_tasks import as_record, random_tasks
from support.worked_cases import event_cases

from iopopt.simulation.events import run
from iopopt.simulation.plan_tasks import plan_tasks
from iopopt.simulation.real_schedule import PlanScheduler
from iopopt.simulation.tasks import Network, Task

_SYSTEM_PYTHON = "/usr/bin/python3"


@functools.cache
def _why_not() -> str | None:
    """Why SimGrid cannot be asked; None if it can."""
    try:
        asked = subprocess.run([_SYSTEM_PYTHON, "-c", "import simgrid; print(simgrid.simgrid_version)"], capture_output=True, text=True, check=False)
    except OSError as error:
        return f"{_SYSTEM_PYTHON} cannot be started: {error.strerror}"
    if asked.returncode:
        return "python3-simgrid is not installed (Debian: apt-get install python3-simgrid)"
    version = asked.stdout.strip().splitlines()[-1]
    return None if version.startswith("3.") else f"SimGrid {version} names its settings in another way than 3.32, with which this was written"


pytestmark = pytest.mark.skipif(_why_not() is not None, reason=str(_why_not()))


def _simgrid(graphs: Sequence[tuple[Sequence[Task], Network]]) -> list[list[float]]:
    """When every task of each graph ends."""
    script = Path(next(iter(support.__path__))) / "simgrid_runs.py"
    records = json.dumps([as_record(tasks, network) for tasks, network in graphs])
    answer = subprocess.run([_SYSTEM_PYTHON, str(script)], input=records, capture_output=True, text=True, check=True)
    ends: list[list[float]] = json.loads(answer.stdout)
    return ends


def _compare(graphs: Sequence[tuple[Sequence[Task], Network]]) -> None:
    for (tasks, network), ends in zip(graphs, _simgrid(graphs), strict=True):
        assert run(tasks, network).end_s == pytest.approx(ends, rel=1e-9, abs=1e-14)


def test_random_task_graphs() -> None:
    """100 graphs, a third of them on a shared medium: every task ends at the same time."""
    _compare([random_tasks(random.Random(seed)) for seed in range(100)])


def test_plans() -> None:
    """20 random plans of chains, branches and blocks, and the worked ones, with and without boundary rows first and barriers."""
    rng, graphs = random.Random(7), []
    for number in range(20):
        cluster, plans = random_cluster(rng), (random_plan, random_branched_plan, random_fused_plan)
        graph = (random_graph, random_branched_graph, random_fusible_graph)[number % 3](rng)
        schedule = PlanScheduler(graph, cluster).schedule(plans[number % 3](rng, graph, len(cluster)))
        for boundary_first, barriers in ((True, False), (False, False), (True, True)):
            found = plan_tasks(schedule, cluster, boundary_first=boundary_first, barriers=barriers, inputs=1 + number % 2)
            graphs.append((found.tasks, Network.of(cluster)))
    for case in event_cases():
        schedule = PlanScheduler(case.graph, case.cluster).schedule(case.plan)
        graphs.append((plan_tasks(schedule, case.cluster, boundary_first=True, barriers=False, inputs=1).tasks, Network.of(case.cluster)))
    assert sum(len(tasks) for tasks, _ in graphs) > 1000
    _compare(graphs)
