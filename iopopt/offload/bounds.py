"""Lower bounds on the plans of one device.

A plan does not end before any machine has done its part: the device, the uplink, the downlink, the workers of each server, which at best share theirs
evenly. So it does not end before any weighted mean of these loads, and in a weighted mean each path can be charged by itself, with the option that
is cheapest for the weights. The linear relaxation of a split, which divides paths among options, has the weights that are best for it.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from functools import cached_property
from itertools import count, pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from iopopt.cost.stopwatch import NO_LIMIT, Stopwatch
from iopopt.offload.recursion import Job, OffloadPricer, Progress, advance
from iopopt.offload.space import OffloadSpace, Option, Options, Split, even_starts

FloatArray = npt.NDArray[np.float64]

DEVICE, UPLINK, DOWNLINK, SERVERS = 0, 1, 2, 3
"""The machines, by number: servers follow from 3 on."""

_MOST_MEANS = 4
"""So many weighted means of other splits are tried on one before its own relaxation is solved."""


class Kind:
    """Paths that take equally long with equal options.

    Attributes:
        number: of the kind among those of its block.
        jobs: of each option.
        upload_s: the least upload of an option; 0 if one does not upload.
        amounts: what each option adds to each machine, seconds: options x machines.
        last: the same of the path that comes last, with what follows it on other machines.
    """

    def __init__(self, number: int, jobs: tuple[Job, ...], workers: Sequence[int]) -> None:
        self.number, self.jobs = number, jobs
        self.upload_s = min(job.upload_s or 0.0 for job in jobs)
        self.amounts = np.array([_amounts(job, workers) for job in jobs])
        self.last = self.amounts + np.array([_rests(job, len(workers)) for job in jobs])


def _amounts(job: Job, workers: Sequence[int]) -> list[float]:
    on_servers = [job.server_s / count if server == job.server else 0.0 for server, count in enumerate(workers)]
    return [job.device_s, job.upload_s or 0.0, carried_s(job), *on_servers]


def carried_s(job: Job) -> float:
    """What the downlink carries for a path, seconds."""
    return (job.fetch_s or 0.0) + (job.return_s or 0.0)


def _rests(job: Job, servers: int) -> list[float]:
    """What follows a path that comes last after the device, and after the uplink: nothing if it is not sent, for then it waits for neither."""
    if job.upload_s is None:
        return [0.0] * (SERVERS + servers)
    served = job.server_s * (job.server is not None) + (job.return_s or 0.0)
    return [job.upload_s + served, served, 0.0, *[0.0] * servers]


class Begun(NamedTuple):
    """How far the first paths of a plan are.

    Attributes:
        progress: as if the downlink had carried no inputs before the first result; :meth:`Block.end_s` adds them.
        free_s: when the workers of each server are free, the first one first.
        carried_s: what the downlink carries for these paths, seconds.
    """

    progress: Progress
    free_s: Sequence[list[float]]
    carried_s: float = 0.0

    def then(self, job: Job) -> Begun:
        """After one path more."""
        free_s = [[*of_server] if server == job.server else of_server for server, of_server in enumerate(self.free_s)]
        progress, _ = advance(self.progress, free_s, job)
        if job.server is not None:
            free_s[job.server].sort()
        return Begun(progress, free_s, self.carried_s + carried_s(job))

    @property
    def sent_s(self) -> float:
        """When the next upload can begin."""
        return max(self.progress.uploaded_s, self.progress.computed_s)


class Block:
    """The fused stages of a device, whatever the split: the kinds of its paths, and what follows after them.

    Attributes:
        machines: how many there are.
        workers: of all servers.
        tail_server: the server that computes the other stages soonest.
        tail_s, tail_return_s: how long that takes, and the result on the downlink; 0 if there is nothing.
    """

    def __init__(self, pricer: OffloadPricer, options: Options, client: int, fused: int) -> None:
        self.client, self.fused = client, fused
        self._pricer, self._options = pricer, options
        self._workers = tuple(server.workers for server in pricer.instance.servers)
        self._kinds: dict[tuple[Job, ...], Kind] = {}
        self._by_rows: dict[tuple[int, int], Kind] = {}
        self._always_uploads = pricer.instance.clients[client].input_at == "device"
        self.machines, self.workers = SERVERS + len(self._workers), sum(self._workers)
        tails = [tail for server in range(len(self._workers)) if (tail := pricer.tail(client, fused, server)) is not None]
        soonest = min(tails, key=lambda tail: tail.server_s, default=None)
        self.tail_server = soonest.server if soonest else 0
        self.tail_s = soonest.server_s if soonest else 0.0
        self.tail_return_s = (soonest.return_s or 0.0) if soonest else 0.0

    def options(self, start: int, stop: int) -> tuple[Option, ...]:
        """The options of the path of these rows, in the order of its kind's jobs."""
        return self._options.of(self.client, self.fused, start, stop)

    def kind(self, start: int, stop: int) -> Kind:
        """The kind of the path of these rows."""
        if (start, stop) not in self._by_rows:
            jobs = tuple(option.job for option in self.options(start, stop))
            if jobs not in self._kinds:
                self._kinds[jobs] = Kind(len(self._kinds), jobs, self._workers)
            self._by_rows[start, stop] = self._kinds[jobs]
        return self._by_rows[start, stop]

    def begin(self) -> Begun:
        """Before the first path."""
        return Begun(Progress(), self._pricer.free())

    def end_s(self, begun: Begun) -> float:
        """When the result is there after all paths, seconds.

        The downlink returns results after it has fetched all inputs: it cannot be done before it has carried everything, and that is all that the
        inputs change.
        """
        return max(begun.progress.ended_s + self.tail_s, begun.carried_s) + self.tail_return_s

    def free_s(self, begun: Begun, upload_s: float) -> list[list[float]]:
        """When workers can next be used: not before another upload is done, if what servers do must be uploaded.

        Args:
            upload_s: the least upload of the paths to come; 0 if there are none, or if one need not upload.
        """
        earliest = begun.sent_s + upload_s if self._always_uploads else 0.0
        return [[free if free > earliest else earliest for free in of_server] for of_server in begun.free_s]

    def levels(self, begun: Begun, upload_s: float) -> list[float]:
        """Until when each machine is taken at least, seconds, counted before the stages after the fused ones."""
        servers = [sum(of_server) / len(of_server) for of_server in self.free_s(begun, upload_s)]
        return [begun.progress.computed_s, begun.sent_s, begun.carried_s - self.tail_s, *servers]


class Rest(NamedTuple):
    """What paths to come add to each weighted mean at least, seconds, and their least upload (0 if one need not upload)."""

    least_s: FloatArray
    upload_s: float


class Weights:
    """Weighted means of the machines' loads, and what paths add to them at least.

    Args:
        values: means x machines, not negative; each row sums to 1.
    """

    def __init__(self, block: Block, values: FloatArray) -> None:
        self._block, self.values = block, values
        self._least: dict[int, FloatArray] = {}
        self._more: dict[int, FloatArray] = {}

    def least(self, kind: Kind) -> FloatArray:
        """The least that a path adds to each mean."""
        if kind.number not in self._least:
            self._least[kind.number] = (kind.amounts @ self.values.T).min(axis=0)
        return self._least[kind.number]

    def more_if_last(self, kind: Kind) -> FloatArray:
        """How much more that is at least if the path comes last."""
        if kind.number not in self._more:
            self._more[kind.number] = (kind.last @ self.values.T).min(axis=0) - self.least(kind)
        return self._more[kind.number]

    def rest(self, kinds: Sequence[Kind]) -> Rest:
        """What paths of these kinds add, in any order."""
        if not kinds:
            return Rest(np.zeros(len(self.values)), 0.0)
        least = np.sum([self.least(kind) for kind in kinds], axis=0) + np.min([self.more_if_last(kind) for kind in kinds], axis=0)
        return Rest(least, min(kind.upload_s for kind in kinds))

    def end_s(self, begun: Begun, rest: Rest) -> float:
        """A lower bound on when the result of any plan is there that begins like this, seconds."""
        means = self.values @ self._block.levels(begun, rest.upload_s) + rest.least_s
        return max(float(means.max()), begun.progress.ended_s) + self._block.tail_s + self._block.tail_return_s


class SplitBound:
    """A split, the rows that its paths may have, and a lower bound on its plans.

    Attributes:
        starts: where paths may begin, and where the last ends.
        kinds: of the paths from one of these starts, by number, to another.
        bound_s: the best bound so far, seconds.
        relaxed: whether the bound is that of the split's own linear relaxation.
    """

    def __init__(self, block: Block, split: Split, starts: Sequence[int]) -> None:
        self.block, self.split, self.starts = block, split, starts
        longest = len(starts) - split.paths
        pairs = [(i, j) for i in range(len(starts)) for j in range(i + 1, min(i + longest + 1, len(starts)))]
        self.kinds = {(i, j): block.kind(starts[i], starts[j]) for i, j in pairs}
        self.upload_s = min(kind.upload_s for kind in self.kinds.values())
        self.bound_s, self.relaxed = 0.0, False
        self._means: list[FloatArray] = list(np.eye(block.machines))

    @cached_property
    def weights(self) -> Weights:
        """All weighted means that have been used for the bound."""
        return Weights(self.block, np.array(self._means))

    def raise_by(self, means: Sequence[FloatArray]) -> None:
        """Raise the bound by more weighted means."""
        self._means += means
        self.__dict__.pop("weights", None)
        weights = self.weights
        more = np.min([weights.more_if_last(kind) for kind in set(self.kinds.values())], axis=0)
        rest = Rest(self.least_from(weights)[self.split.paths][0] + more, self.upload_s)
        self.bound_s = max(self.bound_s, weights.end_s(self.block.begin(), rest))

    def relax(self) -> FloatArray:
        """Raise the bound by the means of the linear relaxation, which are returned."""
        even = even_starts(self.starts[-1], self.split.paths)
        mean = relaxed_mean(self.block, [self.block.kind(start, stop) for start, stop in pairwise(even)])
        self.raise_by([mean])
        self.relaxed = True
        return mean

    def least_from(self, weights: Weights) -> FloatArray:
        """What so many paths from a start to the end add to each mean at least: paths x starts x means; infinite where there are no such paths."""
        size = len(self.starts)
        step = np.full((size, size, len(weights.values)), np.inf)
        for (i, j), kind in self.kinds.items():
            step[i, j] = weights.least(kind)
        least = np.full((self.split.paths + 1, size, len(weights.values)), np.inf)
        least[0, -1] = 0.0
        for paths in range(1, self.split.paths + 1):
            least[paths] = (step + least[paths - 1]).min(axis=1)
        return least

    def least_around(self, weights: Weights) -> dict[Kind, FloatArray]:
        """For each kind of path what all others of a plan with such a path add to each mean at least."""
        after, size, means = self.least_from(weights), len(self.starts), len(weights.values)
        before = np.full((self.split.paths + 1, size, means), np.inf)
        before[0, 0] = 0.0
        for paths in range(self.split.paths):
            for (i, j), kind in self.kinds.items():
                before[paths + 1, j] = np.minimum(before[paths + 1, j], before[paths, i] + weights.least(kind))
        found: dict[Kind, FloatArray] = {}
        for (i, j), kind in self.kinds.items():
            least = (before[:-1, i] + after[:-1, j][::-1]).min(axis=0)
            found[kind] = np.minimum(found.get(kind, np.inf), least)
        return found


def split_bounds(pricer: OffloadPricer, space: OffloadSpace, client: int = 0) -> list[SplitBound]:
    """Every split of a device, with the bound by each machine alone."""
    stages, options = pricer.stages[client], Options(pricer)
    blocks: dict[int, Block] = {}
    found = []
    for split in space.splits(stages):
        if split.fused not in blocks:
            blocks[split.fused] = Block(pricer, options, client, split.fused)
        found.append(SplitBound(blocks[split.fused], split, space.starts(stages, split)))
        found[-1].raise_by([])
    return found


class OpenSplits:
    """Splits to be searched, that of the least bound first. A bound is raised as far as it goes before its split is given out."""

    def __init__(self, splits: Sequence[SplitBound]) -> None:
        self._number = count()
        self._open = [(split.bound_s, next(self._number), split) for split in splits]
        heapq.heapify(self._open)
        self._means: list[FloatArray] = []
        self._tried: set[SplitBound] = set()

    @property
    def bound_s(self) -> float:
        """The least bound; infinite if no split is open."""
        return self._open[0][0] if self._open else float("inf")

    def add(self, split: SplitBound) -> None:
        """Open a split, or open it again."""
        heapq.heappush(self._open, (split.bound_s, next(self._number), split))

    def pop(self, below_s: float, watch: Stopwatch = NO_LIMIT) -> SplitBound | None:
        """The split of the least bound, no longer open; None if no bound is below ``below_s``.

        Raises:
            TimeUpError: if the time is up. Every split that was not given out is open.
        """
        while self.bound_s < below_s:
            watch.check()
            _, _, split = heapq.heappop(self._open)
            if split.relaxed:
                return split
            self._raise(split)
            self.add(split)
        return None

    def _raise(self, split: SplitBound) -> None:
        """Raise the bound of a split: first by the means of others, which often are enough, then by its own relaxation."""
        if split not in self._tried:
            self._tried.add(split)
            split.raise_by(self._means)
        else:
            self._means = [*self._means, split.relax()][-_MOST_MEANS:]


def relaxed_mean(block: Block, kinds: Sequence[Kind]) -> FloatArray:
    """The weights with the best bound on paths of these kinds, if last paths were like others: duals of the program that divides paths among options.

    Any weights give a bound, so nothing depends on how exact these are.
    """
    from scipy.optimize import linprog

    distinct = sorted(set(kinds), key=lambda kind: kind.number)
    amounts = np.concatenate([kind.amounts for kind in distinct])
    of_kind = np.repeat(np.eye(len(distinct)), [len(kind.jobs) for kind in distinct], axis=1)
    limits = np.zeros(block.machines)
    limits[DOWNLINK] = block.tail_s
    result = linprog(
        c=[*[0.0] * len(amounts), 1.0],
        A_ub=np.hstack([amounts.T, np.full((block.machines, 1), -1.0)]),
        b_ub=limits,
        A_eq=np.hstack([of_kind, np.zeros((len(distinct), 1))]),
        b_eq=[kinds.count(kind) for kind in distinct],
        method="highs",
    )
    weights = np.maximum(-result.ineqlin.marginals, 0.0) if result.status == 0 else np.ones(block.machines)
    total = float(weights.sum())
    return weights / total if total > 0 else np.full(block.machines, 1 / block.machines)
