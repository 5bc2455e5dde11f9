"""How long the paths of a split take at least, whatever their cuts and order: splits that cannot be better need no search."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np

from iopopt.offload.recursion import Job, OffloadPricer, Tail
from iopopt.offload.space import OffloadSpace, Options, Split, even_starts

_PARTS = 6
"""Weights of resources are multiples of 1 / 6."""

_WEIGHTS = np.array([weights for weights in product(range(_PARTS + 1), repeat=4) if sum(weights) == _PARTS]) / _PARTS

_ROUNDING = 1e-9
"""By how much sums may differ by their order, relatively."""


class SplitBounds:
    """Lower bounds on the latency of a device, as if there were no others; each is derived once for a split.

    The latency is at least what each resource is busy: the device, the uplink, the servers' workers together, the downlink; and so at least any
    average of these. With fixed weights of the average, each path has the option that adds least. No path ends before its own durations have passed.
    The stages after the fused ones follow on one worker.
    """

    def __init__(self, pricer: OffloadPricer, space: OffloadSpace, options: Options) -> None:
        self._pricer, self._space, self._options = pricer, space, options
        self._found: dict[tuple[int, Split], float] = {}
        self._capacity = sum(server.workers * server.flops_per_s for server in pricer.instance.servers)

    def bound_s(self, client: int, split: Split) -> float:
        """Of every plan of a split, seconds; 0 if its rows may be uneven."""
        if self._space.row_steps is not None and split.paths > 1:
            return 0.0
        key = client, split
        if key not in self._found:
            self._found[key] = self._bound_s(client, split) * (1 - _ROUNDING)
        return self._found[key]

    def _bound_s(self, client: int, split: Split) -> float:
        rows = even_starts(self._pricer.stages[client].shape(split.fused).height, split.paths)
        busy, longest = np.zeros(len(_WEIGHTS)), 0.0
        for start, stop in pairwise(rows):
            parts = np.array([self._parts_s(option.job) for option in self._options.of(client, split.fused, start, stop)])
            busy += (parts[:, :4] @ _WEIGHTS.T).min(axis=0)
            longest = max(longest, float(parts[:, 4].min()))
        tails = [self._pricer.tail(client, split.fused, server) for server in range(len(self._pricer.instance.servers))]
        return max(float(busy.max()), longest) + min((_tail_s(tail) for tail in tails if tail is not None), default=0.0)

    def _parts_s(self, job: Job) -> tuple[float, float, float, float, float]:
        """How long a job occupies the device, the uplink, all workers together and the downlink, and how long it takes."""
        fetch_s, upload_s, return_s = job.fetch_s or 0.0, job.upload_s or 0.0, job.return_s or 0.0
        share = 0.0 if job.server is None else self._pricer.instance.servers[job.server].flops_per_s / self._capacity
        passed = fetch_s + job.device_s + upload_s + job.server_s + return_s
        return job.device_s, upload_s, job.server_s * share, fetch_s + return_s, passed


def _tail_s(tail: Tail) -> float:
    return tail.server_s + (tail.return_s or 0.0)
