"""Minimizing Waiting for a given split or over all of them, and for several devices together.

Rebuilt from the description of MW (Zhou et al., GLOBECOM 2022 and IEEE TPDS 2023): order paths by Johnson's rule, choose for each the cut that
finishes earliest and waits least, then change one thing while the value falls. What is ours: Johnson's rule is applied for every cut and pair of
cuts, splits that cannot be better by a bound are left out, and several devices are planned alone first, then together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from iopopt.cost.stopwatch import Stopwatch, TimeUpError
from iopopt.methods.settings import limited
from iopopt.methods.solution import Termination
from iopopt.offload.instance import OffloadInstance
from iopopt.offload.methods.nfl import best_single
from iopopt.offload.recursion import OffloadObjective, OffloadPricer, checked_objective
from iopopt.offload.search.drafts import ClientDraft, Draft, Incumbent, together
from iopopt.offload.search.local_search import FALL, improved
from iopopt.offload.search.waiting import MinimizingWaiting
from iopopt.offload.solution import OffloadSolution, offload_solution
from iopopt.offload.space import OffloadSpace, Option, Split


def solve_mw(
    instance: OffloadInstance, *, space: OffloadSpace | None = None, objective: OffloadObjective = "makespan", time_limit_s: float = 60.0
) -> OffloadSolution:
    """The plan of Minimizing Waiting over all splits of a space: no change of one cut, server, boundary or pair of paths improves it.

    It is never above the best single cut, unless the space gives m, or n above 1, and so does not contain it. At the time limit it returns the
    best plan so far; it always has one.

    Args:
        space: which plans are searched; with ``fused`` and ``paths`` a single split.
        objective: of several devices, the ``"makespan"`` or the ``"mean"`` of their latencies.
        time_limit_s: seconds of wall clock for everything.

    Raises:
        OffloadError: if a device has no plan in the space, or the objective is unknown.
        SolverError: if the time limit is not a positive number.
    """
    watch, space = limited(time_limit_s), space or OffloadSpace()
    search = start_search(instance, space, objective, watch)
    termination: Termination = "finished"
    try:
        search.minimise()
    except TimeUpError:
        termination = "time_limit"
    except KeyboardInterrupt:
        termination = "interrupted"
    return search.solution(method="mw", termination=termination, searched="Johnson's order, earliest finish, and local changes of each split")


def start_search(instance: OffloadInstance, space: OffloadSpace, objective: OffloadObjective, watch: Stopwatch) -> MwSearch:
    """A search whose incumbent has a plan already.

    Raises:
        OffloadError: if a device has no plan in the space, or the objective is unknown.
    """
    checked_objective(objective)
    space.check(instance)
    return MwSearch(instance, space, objective, watch)


class MwSearch:
    """Minimizing Waiting for all devices of an instance.

    Attributes:
        incumbent: the best plan so far.
        waiting: the plans of single devices.
    """

    def __init__(self, instance: OffloadInstance, space: OffloadSpace, objective: OffloadObjective, watch: Stopwatch) -> None:
        self._instance, self._objective, self._watch = instance, objective, watch
        self.pricer = OffloadPricer(instance)
        self.incumbent = Incumbent(self.pricer, objective, watch)
        self.waiting = MinimizingWaiting(self.incumbent, space)
        self._clients = range(len(instance.clients))
        self._firsts = [together(self.pricer, [self.waiting.begun(client, self.waiting.splits(client)[0])[1] for client in self._clients])]
        if space.fused is None and space.paths in (None, 1):
            self._firsts.append(together(self.pricer, [self._single(client) for client in self._clients]))
        for first in self._firsts:
            self.incumbent.offer(first)
        self.incumbent.limited = True

    def _single(self, client: int) -> ClientDraft:
        """The best single cut of a device's network."""
        stages = len(self.pricer.stages[client])
        plan = best_single(self.pricer, client, range(stages + 1))
        return ClientDraft(client, stages, tuple(Option(path, self.pricer.job(client, stages, path)) for path in plan.paths), None)

    def minimise(self) -> None:
        """Search every split of every device alone, then all devices together.

        Raises:
            TimeUpError: if the time is up.
        """
        for start in dict.fromkeys([together(self.pricer, [self._alone(client) for client in self._clients]), *self._firsts]):
            self.improve(start)

    def _alone(self, client: int) -> ClientDraft:
        """The best of MW's plans of a device over all splits."""
        least, best = self.waiting.begun(client, self.waiting.splits(client)[0])
        for split in self.waiting.promising(client, least):
            if self.waiting.bound_s(client, split) < least:
                value, draft = self.waiting.planned(client, split)
                if len(self._clients) == 1:
                    self.incumbent.offer(Draft.alone(draft))
                least, best = min((least, best), (value, draft), key=lambda found: found[0])
        return best

    def promising(self) -> list[list[Split]]:
        """For each device the splits with which a plan may be better than the best, those that begin best first."""
        return [self.waiting.promising(client, self._most_s(client)) for client in self._clients]

    def _most_s(self, client: int) -> float:
        """What a device takes less than in every plan that is better than the best."""
        if self._objective == "makespan":
            return self.incumbent.least
        rest = sum(self._least_s(other) for other in self._clients if other != client)
        return self.incumbent.least * len(self._clients) - rest

    def _least_s(self, client: int) -> float:
        return min(self.waiting.bound_s(client, split) for split in self.waiting.splits(client))

    def ranked(self, splits: Sequence[Sequence[Split]]) -> list[Draft]:
        """MW's plans of each device's splits, the best first: of several devices the best of each together, the second best of each, and so on."""
        found = [[self.waiting.planned(client, split) for split in of_client] for client, of_client in enumerate(splits)]
        alone = [sorted(of_client, key=lambda planned: planned[0]) for of_client in found]
        most = max(map(len, alone))
        return [together(self.pricer, [of_client[min(rank, len(of_client) - 1)][1] for of_client in alone]) for rank in range(most)]

    def improve(self, draft: Draft) -> tuple[Draft, float]:
        """A draft that no change of one thing improves, nor MW's plan of another split for one device; and what it comes to."""
        draft, value = improved(self.waiting.moves, self.incumbent.offer, draft)
        while len(self._clients) > 1:
            found = min(((self.incumbent.offer(other), number, other) for number, other in enumerate(self._resplit(draft))), default=None)
            if found is None or found[0] >= value * (1 - FALL):
                break
            draft, value = improved(self.waiting.moves, self.incumbent.offer, found[2])
        return draft, value

    def _resplit(self, draft: Draft) -> Iterator[Draft]:
        """MW's plan of each promising split in the place of one device's plan."""
        for place, splits in enumerate(self.promising()):
            for split in splits:
                planned = self.waiting.planned(place, split)[1]
                yield together(self.pricer, [*draft.clients[:place], planned, *draft.clients[place + 1 :]])

    def solution(self, *, method: str, termination: Termination, searched: str, seed: int | None = None) -> OffloadSolution:
        """The best plan so far."""
        assert self.incumbent.best is not None  # a search starts with one
        return offload_solution(
            self._instance,
            self.incumbent.best.of_all(),
            termination=termination,
            objective=self._objective,
            space=self.waiting.space.name,
            method=method,
            solve_s=self._watch.elapsed_s,
            seed=seed,
            searched=searched,
            trajectory=tuple(self.incumbent.trajectory),
        )
