"""What an offloading plan does, in words."""

from __future__ import annotations

from collections.abc import Iterator

from iopopt.commands.plot import critical_path_text
from iopopt.commands.tables import ms_text
from iopopt.network.records import short_text
from iopopt.offload.instance import OffloadInstance
from iopopt.offload.plan import ClientPlan, OffloadPlan
from iopopt.offload.recursion import Job, OffloadPricer
from iopopt.offload.timeline import offload_timeline
from iopopt.simulation.bottlenecks import Wait
from iopopt.simulation.timeline import Span, Timeline

_MOST_WAITS = 3


def explain_offload(instance: OffloadInstance, plan: OffloadPlan) -> str:
    """Which stages are fused, into how many paths, where each is cut, what is recomputed, and what waits for what.

    Raises:
        PlanError: if the plan does not belong to the instance.
    """
    timeline, pricer = offload_timeline(instance, plan), OffloadPricer(instance)
    lines = [line for number, planned in enumerate(plan.clients) for line in _client_lines(pricer, number, planned)]
    return "\n".join([*lines, f"Critical path: {critical_path_text(timeline)}.", *_wait_lines(timeline)])


def recomputed(pricer: OffloadPricer, client: int, planned: ClientPlan) -> float:
    """How many times the FLOPs of the fused stages the paths compute: 1 without recomputing, less if rows are left out that no field reaches."""
    stages = pricer.stages[client]
    whole = sum(pricer.load(client, planned.fused, 0, stages.shape(planned.fused).height).flops)
    paths = sum(sum(pricer.load(client, planned.fused, path.start, path.stop).flops) for path in planned.paths)
    return paths / whole if whole else 1.0


def _client_lines(pricer: OffloadPricer, number: int, planned: ClientPlan) -> Iterator[str]:
    client, stages = pricer.instance.clients[number], pricer.stages[number]
    count, last = len(planned.paths), short_text(stages.name(planned.fused - 1), 32)
    fused = f"all {len(stages)} stages" if planned.fused == len(stages) else f"the first {planned.fused} of {len(stages)} stages, up to {last},"
    paths = "one path" if count == 1 else f"{count} paths, which compute {recomputed(pricer, number, planned):.3f} times the work of these stages"
    yield f"{client.name}, {client.graph.name}: {fused} as {paths}; in this order:"
    for path in planned.paths:
        rows = stages.shape(planned.fused).height
        where = "whole" if count == 1 else f"rows {path.start} to {path.stop - 1} of {rows}"
        yield f"  {where}: {_job_text(pricer, pricer.job(number, planned.fused, path), path.cut, planned.fused)}"
    tail = pricer.tail(number, planned.fused, planned.tail_server)
    if tail is not None:
        returned = "" if tail.return_s is None else f", the result back in {ms_text(tail.return_s)} ms"
        server = pricer.instance.servers[tail.server].name
        yield f"  then, when all paths are done: {len(stages) - planned.fused} stages on {server} in {ms_text(tail.server_s)} ms{returned}"


def _job_text(pricer: OffloadPricer, job: Job, cut: int, fused: int) -> str:
    """What a path does where, in its order."""
    parts = [] if job.fetch_s is None else [f"input down in {ms_text(job.fetch_s)} ms"]
    parts += [f"{cut} stage{'s' * (cut > 1)} on the device in {ms_text(job.device_s)} ms"] if cut else []
    parts += [] if job.upload_s is None else [f"up in {ms_text(job.upload_s)} ms"]
    if job.server is not None:
        parts.append(f"{fused - cut} stage{'s' * (fused - cut > 1)} on {pricer.instance.servers[job.server].name} in {ms_text(job.server_s)} ms")
    return ", ".join(parts + ([] if job.return_s is None else [f"result down in {ms_text(job.return_s)} ms"]))


def _wait_lines(timeline: Timeline) -> Iterator[str]:
    """The longest gaps before tasks."""
    names = [device.name for device in timeline.cluster.devices]
    longest = sorted(timeline.waits, key=lambda wait: -wait.duration_s)[:_MOST_WAITS]
    for wait in longest:
        yield f"{names[wait.device]} waits {ms_text(wait.duration_s)} ms before {wait.task.unit}{_awaited(wait, names)}."


def _awaited(wait: Wait, names: list[str]) -> str:
    span: Span | None = wait.awaited
    if span is None:
        return ""
    return f", for the {span.what} of {span.unit}" if span.is_transfer else f", for {names[span.device]} to compute {span.unit}"
