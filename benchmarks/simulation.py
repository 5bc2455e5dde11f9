"""How fast plans are simulated without barriers: one plan after another, and a million events. ``python -m benchmarks.simulation``"""

from __future__ import annotations

import argparse
import random
import time

import numpy as np
import pandas as pd

import iopopt
from benchmarks.command_line import run
from benchmarks.evaluator import rate
from iopopt.simulation.events import run as run_events
from iopopt.simulation.tasks import ComputeTask, Network, Task, TransferTask


def plan_times(model: str, cluster_name: str, seconds: float) -> dict[str, object]:
    """Milliseconds for one plan: all over again as :func:`iopopt.simulate`, and one of many by a ``Simulator``; a chain of random neighbours."""
    graph = iopopt.load_model(model)
    cluster = iopopt.load_cluster(cluster_name, graph)
    rng = np.random.default_rng(0)
    start = iopopt.solve_coedge(graph, cluster).plan
    assert start is not None
    plans = [start]
    while len(plans) < 200:
        plans.append(iopopt.random_neighbour(graph, cluster, plans[-1], rng))
    simulator = iopopt.Simulator(graph, cluster)
    timeline = iopopt.simulate(graph, cluster, plans[0])
    alone = rate(lambda: len([iopopt.simulate(graph, cluster, plan) for plan in plans]), seconds)
    many = rate(lambda: len([simulator.makespan_s(plan) for plan in plans]), seconds)
    one = rate(lambda: len([simulator.makespan_s(plans[0]) for _ in range(100)]), seconds)
    tasks = {"model": model, "cluster": cluster_name, "tasks and transfers": len(timeline.spans)}
    return tasks | {"simulate_ms": 1e3 / alone, "neighbours_ms": 1e3 / many, "the_same_ms": 1e3 / one}


def pipeline_events(events: int) -> float:
    """Seconds of processor time for so many events of VGG16 with many inputs in flight: an event is an end, or that of a connection's set-up."""
    graph = iopopt.load_model("vgg16")
    cluster = iopopt.load_cluster("board-x4", graph)
    plan = iopopt.solve_coedge(graph, cluster).plan
    assert plan is not None
    spans = iopopt.simulate(graph, cluster, plan).spans
    inputs = 1 + events // sum(1 + span.is_transfer for span in spans)
    simulator, started = iopopt.Simulator(graph, cluster, inputs=inputs), time.process_time()
    simulator.makespan_s(plan)
    return time.process_time() - started


def random_events(tasks: int, devices: int) -> tuple[list[Task], Network]:
    """A stream of tasks, each after two of the last hundred: computations, and twice as many transfers between random devices."""
    rng = random.Random(0)
    found: list[Task] = []
    for number in range(tasks):
        after = tuple(rng.randrange(max(0, number - 100), number) for _ in range(2)) if number else ()
        if number % 3:
            sender, receiver = rng.sample(range(devices), 2)
            found.append(TransferTask(sender, receiver, rng.uniform(1, 10), after))
        else:
            found.append(ComputeTask(rng.randrange(devices), rng.random(), after))
    return found, Network([1.0] * devices, [1.0] * devices, 0.1)


def main() -> None:
    """Print the times of each model, and of a million events."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="processor time of each measurement (default: 2)")
    parser.add_argument("--events", type=int, default=1_000_000, help="number of events of the long run (default: a million)")
    options = parser.parse_args()
    instances = (("alexnet", "board-x3"), ("vgg16", "board-x4"), ("resnet18", "wifi-x4"), ("resnet50", "board-x6"))
    rows = [plan_times(model, cluster, options.seconds) for model, cluster in instances]
    print(pd.DataFrame(rows).round(2).to_string(index=False))
    print(f"VGG16 on board-x4, input after input: {pipeline_events(options.events):.1f} s for {options.events:,} events")
    for devices in (4, 16):
        # a computation is one event, its end; a transfer is two, the end of its set-up and its own
        tasks, network = random_events(options.events * 3 // 5, devices)
        started = time.process_time()
        run_events(tasks, network)
        took_s = time.process_time() - started
        print(f"random tasks and transfers on {devices} devices, many at a time: {took_s:.1f} s for {options.events:,} events")


if __name__ == "__main__":
    run(main)
