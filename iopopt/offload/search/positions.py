"""Plans as positions of particles: points of the unit cube, of which each is a valid plan."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from iopopt.offload.recursion import OffloadPricer
from iopopt.offload.search.drafts import ClientDraft, Draft
from iopopt.offload.search.waiting import MinimizingWaiting
from iopopt.offload.space import Split

T = TypeVar("T")

Position = npt.NDArray[Any]
"""Numbers from 0 to 1."""


class Positions:
    """How the positions of particles stand for plans.

    The coordinates of a device: m and n; for each path in the order of rows a key, by which paths are sorted, and a fraction of its options (cuts
    and servers); with uneven rows a fraction of the candidate rows for each boundary; with several servers a fraction for that of the tail. Several
    devices follow one another. With several, each has a key for every job at the end, which it takes in their order; sorted, they are the dispatch.

    Args:
        splits: of each device; there must be at least one.

    Attributes:
        dimensions: the length of a position.
    """

    def __init__(self, pricer: OffloadPricer, waiting: MinimizingWaiting, splits: Sequence[Sequence[Split]]) -> None:
        self._clients, self._keys, stop = list[_ClientPositions](), list[slice](), 0
        for number, of_client in enumerate(splits):
            self._clients.append(_ClientPositions(pricer, waiting, number, of_client, stop))
            stop = self._clients[-1].stop
        for client in self._clients if len(splits) > 1 else ():
            self._keys.append(slice(stop, stop + client.most_jobs))
            stop += client.most_jobs
        self.dimensions = stop

    def splits(self, position: Position) -> tuple[Split, ...]:
        """(m, n) of each device."""
        return tuple(client.split(position) for client in self._clients)

    def draft(self, position: Position) -> Draft:
        """The plan that a position stands for."""
        clients = tuple(client.draft(position) for client in self._clients)
        if len(clients) == 1:
            return Draft.alone(clients[0])
        keyed = [(key, place) for place, client in enumerate(clients) for key in position[self._keys[place]][: client.jobs]]
        return Draft(clients, tuple(place for _, place in sorted(keyed)))

    def write(self, draft: Draft, position: Position) -> None:
        """Make a position stand for a plan of these splits; what the plan does not use is left as it is."""
        for place, client in enumerate(draft.clients):
            self._clients[place].write(client, position)
        if self._keys:
            jobs = len(draft.dispatch)
            for place, keys in enumerate(self._keys):
                entries = [entry for entry, of_entry in enumerate(draft.dispatch) if of_entry == place]
                position[keys.start : keys.start + len(entries)] = [(entry + 0.5) / jobs for entry in entries]


class _ClientPositions:
    """The coordinates of one device, from ``first`` to ``stop``."""

    def __init__(self, pricer: OffloadPricer, waiting: MinimizingWaiting, client: int, splits: Sequence[Split], first: int) -> None:
        self._pricer, self._waiting, self._client = pricer, waiting, client
        self._paths: dict[int, list[int]] = {}
        for split in sorted(splits):
            self._paths.setdefault(split.fused, []).append(split.paths)
        self._fused = sorted(self._paths)
        most = max(max(counts) for counts in self._paths.values())
        self._first = first
        self._orders, self._cuts = first + 2, first + 2 + most
        self._boundaries = self._cuts + most
        self._server = self._boundaries + (0 if waiting.space.row_steps is None else most - 1)
        self.stop = self._server + (len(pricer.instance.servers) > 1)
        self.most_jobs = most + 1

    def split(self, position: Position) -> Split:
        fused = _chosen(self._fused, position[self._first])
        return Split(fused, _chosen(self._paths[fused], position[self._first + 1]))

    def draft(self, position: Position) -> ClientDraft:
        split = self.split(position)
        options = [
            _chosen(self._waiting.options.of(self._client, split.fused, start, stop), fraction)
            for (start, stop), fraction in zip(pairwise(self._starts(split, position)), position[self._cuts :], strict=False)
        ]
        order = np.argsort(position[self._orders : self._orders + split.paths], kind="stable")
        return ClientDraft(self._client, split.fused, tuple(options[path] for path in order), self._tail(split.fused, position))

    def _tail(self, fused: int, position: Position) -> Any:
        servers = range(len(self._pricer.instance.servers))
        return self._pricer.tail(self._client, fused, _chosen(servers, position[self._server]) if len(servers) > 1 else 0)

    def _starts(self, split: Split, position: Position) -> Sequence[int]:
        """Where paths begin: the candidates at the sorted fractions, each one further on if the candidate is taken."""
        candidates = self._waiting.space.starts(self._pricer.stages[self._client], split)
        inner = len(candidates) - 2
        if inner == split.paths - 1:
            return candidates
        starts, at = [0], 0
        for number, fraction in enumerate(sorted(position[self._boundaries : self._boundaries + split.paths - 1])):
            at = min(max(at + 1, 1 + int(fraction * inner)), inner - (split.paths - 2 - number))
            starts.append(candidates[at])
        return (*starts, candidates[-1])

    def write(self, client: ClientDraft, position: Position) -> None:
        split = Split(client.fused, len(client.options))
        position[self._first] = _fraction(self._fused.index(split.fused), len(self._fused))
        counts = self._paths[split.fused]
        position[self._first + 1] = _fraction(counts.index(split.paths), len(counts))
        by_rows = sorted(range(split.paths), key=lambda number: client.options[number].path.start)
        for row, number in enumerate(by_rows):
            option = client.options[number]
            of_path = self._waiting.options.of(self._client, client.fused, option.path.start, option.path.stop)
            position[self._orders + row] = _fraction(number, split.paths)
            position[self._cuts + row] = _fraction(of_path.index(option), len(of_path))
        if self._waiting.space.row_steps is not None:
            candidates = self._waiting.space.starts(self._pricer.stages[self._client], split)
            for row, number in enumerate(by_rows[1:]):
                at = candidates.index(client.options[number].path.start)
                position[self._boundaries + row] = _fraction(at - 1, len(candidates) - 2)
        if self.stop > self._server and client.tail is not None:
            position[self._server] = _fraction(client.tail.server, len(self._pricer.instance.servers))


def _chosen(values: Sequence[T], fraction: float) -> T:
    return values[min(int(fraction * len(values)), len(values) - 1)]


def _fraction(number: int, count: int) -> float:
    return (number + 0.5) / count
