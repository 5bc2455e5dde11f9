"""Local search: change one cut or server, swap two paths, move one boundary, or swap two jobs of the dispatch, while the value falls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations, pairwise

from iopopt.offload.search.drafts import ClientDraft, Draft
from iopopt.offload.space import Option, OffloadSpace, Options, Split
from iopopt.offload.recursion import OffloadPricer

FALL = 1e-12
"""By how much, relatively, a value must fall: less is rounding."""


class Moves:
    """The changes of one thing in a draft."""

    def __init__(self, pricer: OffloadPricer, space: OffloadSpace, options: Options) -> None:
        self._pricer, self._space, self._options = pricer, space, options

    def places(self, draft: Draft) -> Iterator[Callable[[Draft], Iterator[Draft]]]:
        """What can be changed; each function gives every way to change one thing in a draft of the same shape."""
        for place, client in enumerate(draft.clients):
            paths = len(client.options)
            for path in range(paths):
                yield lambda draft, place=place, path=path: self._cuts(draft, place, path)
            for path in range(paths - 1):
                yield lambda draft, place=place, path=path: _swaps(draft, place, path)
            if self._space.row_steps is not None:
                for boundary in range(paths - 1):
                    yield lambda draft, place=place, boundary=boundary: self._boundaries(draft, place, boundary)
            if client.tail is not None and len(self._pricer.instance.servers) > 1:
                yield lambda draft, place=place: self._tails(draft, place)
        if len(draft.clients) > 1:
            for entry in range(len(draft.dispatch) - 1):
                yield lambda draft, entry=entry: _dispatches(draft, entry)

    def neighbours(self, draft: Draft) -> Iterator[Draft]:
        """Every draft that one change makes."""
        for ways in self.places(draft):
            yield from ways(draft)

    def _cuts(self, draft: Draft, place: int, number: int) -> Iterator[Draft]:
        """Another cut or server for a path."""
        client = draft.clients[place]
        current = client.options[number]
        for option in self._options.of(client.client, client.fused, current.path.start, current.path.stop):
            if option is not current:
                yield draft.with_client(place, _with_options(client, {number: option}))

    def _boundaries(self, draft: Draft, place: int, boundary: int) -> Iterator[Draft]:
        """Another row between two neighbours; each keeps its server, and its cut as nearly as is worth it."""
        client = draft.clients[place]
        by_rows = sorted(range(len(client.options)), key=lambda number: client.options[number].path.start)
        above, below = by_rows[boundary : boundary + 2]
        upper, lower = client.options[above].path, client.options[below].path
        for start in self._space.starts(self._pricer.stages[client.client], Split(client.fused, len(client.options))):
            if upper.start < start < lower.stop and start != lower.start:
                moved = {above: self._nearest(client, upper.start, start, client.options[above])}
                moved[below] = self._nearest(client, start, lower.stop, client.options[below])
                yield draft.with_client(place, _with_options(client, moved))

    def _nearest(self, client: ClientDraft, start: int, stop: int, option: Option) -> Option:
        """The option of other rows whose server is the same and whose cut is nearest."""
        path = option.path
        found = self._options.of(client.client, client.fused, start, stop)
        return min(found, key=lambda other: (other.job.server not in (option.job.server, None), abs(other.path.cut - path.cut)))

    def _tails(self, draft: Draft, place: int) -> Iterator[Draft]:
        """Another server for the stages after the fused ones."""
        client = draft.clients[place]
        for server in range(len(self._pricer.instance.servers)):
            if client.tail is not None and server != client.tail.server:
                yield draft.with_client(place, client._replace(tail=self._pricer.tail(client.client, client.fused, server)))


def _with_options(client: ClientDraft, changed: dict[int, Option]) -> ClientDraft:
    return client._replace(options=tuple(changed.get(number, option) for number, option in enumerate(client.options)))


def _swaps(draft: Draft, place: int, first: int) -> Iterator[Draft]:
    """A path in the place of a later one, and that in its place."""
    client = draft.clients[place]
    for second in range(first + 1, len(client.options)):
        if client.options[first].job != client.options[second].job:
            swapped = {first: client.options[second], second: client.options[first]}
            yield draft.with_client(place, _with_options(client, swapped))


def _dispatches(draft: Draft, entry: int) -> Iterator[Draft]:
    """Two jobs of different devices, one after another, the other way round."""
    dispatch = draft.dispatch
    if dispatch[entry] != dispatch[entry + 1]:
        yield draft._replace(dispatch=(*dispatch[:entry], dispatch[entry + 1], dispatch[entry], *dispatch[entry + 2 :]))


def improved(moves: Moves, price: Callable[[Draft], float], draft: Draft) -> tuple[Draft, float]:
    """A draft that no single change improves, from one draft on, and what it comes to.

    At each place in turn the best change is made, until none of any place makes the value fall.
    """
    value, fell = price(draft), True
    while fell:
        fell = False
        for ways in moves.places(draft):
            found = min(((price(other), number, other) for number, other in enumerate(ways(draft))), default=None)
            if found is not None and found[0] < value * (1 - FALL):
                value, _, draft = found
                fell = True
    return draft, value
