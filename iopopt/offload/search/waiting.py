"""Minimizing Waiting: paths in the order of Johnson's rule, cuts by the earliest finish, and local changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations_with_replacement, pairwise

from iopopt.offload.bounds import SplitBound, split_bounds
from iopopt.offload.recursion import Job, Progress, Tail, advance
from iopopt.offload.search.drafts import ClientDraft, Draft, Incumbent
from iopopt.offload.search.johnson import johnson_orders
from iopopt.offload.search.local_search import Moves, improved
from iopopt.offload.space import OffloadSpace, Option, Options, Split, even_starts

STARTS = 3
"""From how many drafts of even rows the local search begins."""

GROWTHS = (0.5, 0.7, 1.4, 2.0)
"""Of uneven rows: each path has so many times the rows of the one before."""


class MinimizingWaiting:
    """MW's plans of single devices, as if there were no others; each is made once for a split."""

    def __init__(self, incumbent: Incumbent, space: OffloadSpace) -> None:
        self.space, self.options = space, Options(incumbent.pricer)
        self.moves = Moves(incumbent.pricer, space, self.options)
        self._incumbent, self._pricer = incumbent, incumbent.pricer
        self._planned: dict[tuple[int, Split], tuple[float, ClientDraft]] = {}
        self._bounds: dict[int, dict[Split, SplitBound]] = {}
        self._begun: dict[tuple[int, Split], list[tuple[float, ClientDraft]]] = {}

    def splits(self, client: int) -> list[Split]:
        """The splits of a device."""
        return self.space.splits(self._pricer.stages[client])

    def bound_s(self, client: int, split: Split) -> float:
        """A lower bound on every plan of a split of a device, seconds; 0 if its rows may be uneven, whose bound takes longer than the search."""
        if self.space.row_steps is not None and split.paths > 1:
            return 0.0
        if client not in self._bounds:
            even = replace(self.space, row_steps=None)
            self._bounds[client] = {bound.split: bound for bound in split_bounds(self._pricer, even, client)}
        bound = self._bounds[client][split]
        if not bound.relaxed:
            bound.relax()
        return bound.bound_s

    def promising(self, client: int, below_s: float) -> list[Split]:
        """The splits of a device that may take less than so many seconds, those that begin best first."""
        found = [split for split in self.splits(client) if self.bound_s(client, split) < below_s]
        return sorted(found, key=lambda split: self.begun(client, split)[0])

    def planned(self, client: int, split: Split) -> tuple[float, ClientDraft]:
        """How long the plan of a split takes, seconds, and the plan: no single change improves it."""
        key = client, split
        if key not in self._planned:
            found = [improved(self.moves, self._incumbent.value_s, Draft.alone(start)) for start in self._starts(client, split)]
            draft, value = min(found, key=lambda pair: pair[1])
            self._planned[key] = value, draft.clients[0]
        return self._planned[key]

    def begun(self, client: int, split: Split) -> tuple[float, ClientDraft]:
        """The same before local changes, with even rows."""
        return self._begun_even(client, split)[0]

    def _begun_even(self, client: int, split: Split) -> list[tuple[float, ClientDraft]]:
        key = client, split
        if key not in self._begun:
            rows = self._pricer.stages[client].shape(split.fused).height
            self._begun[key] = self._firsts(client, split, even_starts(rows, split.paths))
        return self._begun[key]

    def _starts(self, client: int, split: Split) -> list[ClientDraft]:
        """Where the local search begins: even rows, and growing and shrinking ones if rows may be uneven."""
        starts = self._begun_even(client, split)
        if self.space.row_steps is not None and split.paths > 1:
            candidates = self.space.starts(self._pricer.stages[client], split)
            for rows in sorted({_growing(candidates, split.paths, growth) for growth in GROWTHS}):
                starts = starts + self._firsts(client, split, rows)[:1]
        return [draft for _, draft in starts]

    def _firsts(self, client: int, split: Split, starts: Sequence[int]) -> list[tuple[float, ClientDraft]]:
        """The best drafts of given rows, the best first.

        The cuts are one or two, one for the first so many paths by rows and the other for the rest, in Johnson's order; and for each order that
        occurs, the cuts that finish earliest in it.
        """
        choices = [self.options.of(client, split.fused, *rows) for rows in pairwise(starts)]
        tail, orders, drafts = self._tail(client, split.fused), dict[tuple[int, ...], None](), dict[tuple[Option, ...], None]()
        for jobs in _one_or_two_cuts(choices):
            for order in johnson_orders([option.job for option in jobs]):
                orders[tuple(order)] = None
                drafts[tuple(jobs[path] for path in order)] = None
        for tried in orders:
            drafts[self._earliest([choices[path] for path in tried])] = None
        found = [ClientDraft(client, split.fused, options, tail) for options in drafts]
        return sorted(((self._incumbent.value_s(Draft.alone(draft)), draft) for draft in found), key=lambda pair: pair[0])[:STARTS]

    def _tail(self, client: int, fused: int) -> Tail | None:
        tails = [self._pricer.tail(client, fused, server) for server in range(len(self._pricer.instance.servers))]
        return min((tail for tail in tails if tail is not None), key=lambda tail: tail.server_s, default=None)

    def _earliest(self, choices: Sequence[Sequence[Option]]) -> tuple[Option, ...]:
        """For each path in order the option that finishes earliest, and of these the one that waits least."""
        progress, free_s, chosen = self._pricer.start([]), self._pricer.free(), []
        for of_path in choices:
            done = [(_done_s(progress, free_s, option.job), -_busy_s(option.job), number) for number, option in enumerate(of_path)]
            chosen.append(of_path[min(done)[2]])
            progress, _ = advance(progress, free_s, chosen[-1].job)
        return tuple(chosen)


def _one_or_two_cuts(choices: Sequence[Sequence[Option]]) -> Iterator[tuple[Option, ...]]:
    """For each one or two cuts that occur, each as nearly as is worth it: one for the first so many paths by rows, the other for the rest."""
    cuts = sorted({option.path.cut for of_path in choices for option in of_path})
    nearest = {cut: [min(of_path, key=lambda option: abs(option.path.cut - cut)) for of_path in choices] for cut in cuts}
    for one, other in combinations_with_replacement(cuts, 2):
        for paths in range(1, len(choices)) if one != other else (0,):
            yield (*nearest[one][:paths], *nearest[other][paths:])


def _done_s(progress: Progress, free_s: Sequence[Sequence[float]], job: Job) -> float:
    """When a job would be done as the next of its device."""
    after, _ = advance(progress._replace(ended_s=0.0), [list(workers) for workers in free_s], job)
    return after.ended_s


def _busy_s(job: Job) -> float:
    return sum(part or 0.0 for part in (job.fetch_s, job.device_s, job.upload_s, job.server_s, job.return_s))


def _growing(candidates: Sequence[int], paths: int, growth: float) -> tuple[int, ...]:
    """Starts of paths whose rows grow, each the candidate nearest to it that leaves one for each path before and after."""
    weights = [growth**number for number in range(paths)]
    starts, at = [0], 0
    for number in range(1, paths):
        wanted = candidates[-1] * sum(weights[:number]) / sum(weights)
        allowed = range(at + 1, len(candidates) - (paths - number))
        at = min(allowed, key=lambda place: abs(candidates[place] - wanted))
        starts.append(candidates[at])
    return (*starts, candidates[-1])
