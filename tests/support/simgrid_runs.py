"""Runs task graphs in SimGrid; started with the system's Python, which has its bindings: JSON in on standard input, JSON out.

In: a list of ``{"tasks": [...], "up": [...], "down": [...], "setup_s": ..., "shared": ... or null}``; a task is ``["compute", device, seconds,
after]``, ``["transfer", sender, receiver, bytes, after]`` or ``["milestone", after]``. Out: for each, the time at which every task ends. Each graph
runs in a process of its own, because a process has one engine.

The network model is CM02 with every correction switched off: a flow waits for the latency of its links, then shares them max-min fairly.
"""

import json
import os
import sys
import tempfile

import simgrid

_SETTINGS = (
    "network/model:CM02",
    "network/optim:Full",
    "cpu/optim:Full",
    "network/crosstraffic:0",
    "network/TCP-gamma:0",
    "network/latency-factor:1",
    "network/bandwidth-factor:1",
    "network/weight-S:0",
    "surf/precision:1e-12",
    "maxmin/precision:1e-12",
)


def _platform(graph):
    """Hosts of 1 FLOP/s and the routes between them, as XML."""
    devices, latency, shared = range(len(graph["up"])), graph["setup_s"], graph["shared"]
    lines = [f'<host id="h{j}" speed="1f"/>' for j in devices]
    if shared is not None:
        lines.append(f'<link id="medium" bandwidth="{shared!r}Bps" latency="{latency!r}s"/>')
    for j in devices:
        lines.append(f'<link id="up{j}" bandwidth="{graph["up"][j]!r}Bps" latency="{latency!r}s"/>')
        lines.append(f'<link id="down{j}" bandwidth="{graph["down"][j]!r}Bps" latency="0s"/>')
    for j in devices:
        for k in devices:
            if j != k:
                names = ["medium"] if shared is not None else [f"up{j}", f"down{k}"]
                links = "".join(f'<link_ctn id="{name}"/>' for name in names)
                lines.append(f'<route src="h{j}" dst="h{k}" symmetrical="NO">{links}</route>')
    head = '<?xml version="1.0"?><!DOCTYPE platform SYSTEM "https://simgrid.org/simgrid.dtd"><platform version="4.1"><zone id="all" routing="Full">'
    return head + "".join(lines) + "</zone></platform>"


def _run(graph):
    """When every task ends."""
    engine = simgrid.Engine(["runs", "--log=root.thres:critical", *(f"--cfg={setting}" for setting in _SETTINGS)])
    with tempfile.NamedTemporaryFile("w", suffix=".xml") as file:
        file.write(_platform(graph))
        file.flush()
        engine.load_platform(file.name)
    hosts = [engine.host_by_name(f"h{j}") for j in range(len(graph["up"]))]
    tasks, done, ends = graph["tasks"], [simgrid.Semaphore(0) for _ in graph["tasks"]], [0.0] * len(graph["tasks"])
    followers = [0] * len(tasks)
    for task in tasks:
        for other in task[-1]:
            followers[other] += 1

    def do(number):
        task = tasks[number]
        for other in task[-1]:
            done[other].acquire()
        if task[0] == "compute":
            simgrid.this_actor.execute(task[2])
        elif task[0] == "transfer":
            simgrid.Comm.sendto(hosts[task[1]], hosts[task[2]], task[3])
        ends[number] = engine.clock
        for _ in range(followers[number]):
            done[number].release()

    def compute_in_order(numbers):
        for number in numbers:
            do(number)

    for j, host in enumerate(hosts):
        own = [number for number, task in enumerate(tasks) if task[0] == "compute" and task[1] == j]
        simgrid.Actor.create(f"device{j}", host, compute_in_order, own)
    for number, task in enumerate(tasks):
        if task[0] != "compute":
            simgrid.Actor.create(f"task{number}", hosts[task[1]] if task[0] == "transfer" else hosts[0], do, number)
    engine.run()
    return ends


def _run_apart(graph):
    """The same in a process of its own."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.close(reader)
        with os.fdopen(writer, "w") as out:
            json.dump(_run(graph), out)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        ends = json.load(answer)
    os.wait()
    return ends


if __name__ == "__main__":
    json.dump([_run_apart(graph) for graph in json.load(sys.stdin)], sys.stdout)
