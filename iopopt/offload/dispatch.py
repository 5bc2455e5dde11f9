"""The order in which servers take the jobs of several devices."""

from __future__ import annotations

from collections.abc import Sequence

from iopopt.offload.plan import ClientPlan, OffloadPlan
from iopopt.offload.recursion import Job, OffloadPricer, Progress, advance, finish


def in_order_of_arrival(pricer: OffloadPricer, clients: Sequence[ClientPlan]) -> OffloadPlan:
    """The plans of all devices, with servers that take first what arrives first; of jobs that arrive together, that of the device before."""
    if len(clients) == 1:
        return OffloadPlan(tuple(clients))
    waiting = [[pricer.job(number, client.fused, path) for path in client.paths] for number, client in enumerate(clients)]
    tails = [pricer.tail(number, client.fused, client.tail_server) for number, client in enumerate(clients)]
    progress, free_s, dispatch = [pricer.start(jobs) for jobs in waiting], pricer.free(), []
    while left := [number for number in range(len(clients)) if waiting[number] or tails[number]]:
        number = min(left, key=lambda number: _arrival_s(progress[number], waiting[number]))
        if waiting[number]:
            progress[number], _ = advance(progress[number], free_s, waiting[number].pop(0))
        else:
            tail, tails[number] = tails[number], None
            assert tail is not None  # or the device would not be left
            progress[number], _ = finish(progress[number], free_s, tail)
        dispatch.append(number)
    return OffloadPlan(tuple(clients), tuple(dispatch))


def _arrival_s(progress: Progress, waiting: Sequence[Job]) -> float:
    """When the next job of a device arrives: its next path, or what follows when all paths are done."""
    if not waiting:
        return progress.ended_s
    job = waiting[0]
    if job.upload_s is None:
        return 0.0 if job.server is not None else progress.computed_s
    fetched = progress.fetched_s + (job.fetch_s or 0.0)
    return max(progress.uploaded_s, max(progress.computed_s, fetched) + job.device_s) + job.upload_s
