"""Johnson's rule, and the order of paths that follows from it."""

from __future__ import annotations

from collections.abc import Sequence

from iopopt.offload.recursion import Job


def johnson_order(first: Sequence[float], second: Sequence[float]) -> list[int]:
    """Johnson's rule: the order of jobs that are done soonest on two machines, each job on the first and then on the second.

    Jobs that are shorter on the first come first, the shortest first; then the others, the longest on the second first. Of jobs that are equal by
    this, those that are longer on the second come first.
    """
    return sorted(range(len(first)), key=lambda job: (0, first[job], -second[job]) if first[job] < second[job] else (1, -second[job], first[job]))


def johnson_orders(jobs: Sequence[Job]) -> list[list[int]]:
    """Johnson's orders of jobs, with two machines in the place of their three.

    They are all up to the uplink and all from it on, as for three machines of which the second is never the bottleneck; and what is before the uplink
    and what is after it, for when it is.
    """
    before = [(job.fetch_s or 0.0) + job.device_s for job in jobs]
    after = [job.server_s + (job.return_s or 0.0) for job in jobs]
    upload = [job.upload_s or 0.0 for job in jobs]
    with_uplink = [[part + sent for part, sent in zip(parts, upload, strict=True)] for parts in (before, after)]
    orders = [johnson_order(*with_uplink), johnson_order(before, after)]
    return orders if orders[0] != orders[1] else orders[:1]
