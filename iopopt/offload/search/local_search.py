"""Local search: change one cut or server, swap two paths, move one boundary, or swap two jobs of the dispatch, while the value falls.

A change of cuts is also tried with the paths in Johnson's order, because the old order rarely suits new cuts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from iopopt.offload.plan import Path
from iopopt.offload.recursion import OffloadPricer
from iopopt.offload.search.drafts import ClientDraft, Draft
from iopopt.offload.search.johnson import johnson_orders
from iopopt.offload.space import OffloadSpace, Option, Options, Split

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
                yield partial(self._cuts, place, path)
            for path in range(paths - 1):
                yield partial(self._swaps, place, path)
            if self._space.row_steps is not None:
                for boundary in range(paths - 1):
                    yield partial(self._boundaries, place, boundary)
            if client.tail is not None and len(self._pricer.instance.servers) > 1:
                yield partial(self._tails, place)
        if len(draft.clients) > 1:
            for entry in range(len(draft.dispatch) - 1):
                yield partial(_dispatches, entry)

    def neighbours(self, draft: Draft) -> Iterator[Draft]:
        """Every draft that one change makes."""
        for ways in self.places(draft):
            yield from ways(draft)

    def _cuts(self, place: int, number: int, draft: Draft) -> Iterator[Draft]:
        """Another cut or server for a path, in the same order and in Johnson's."""
        client = draft.clients[place]
        current = client.options[number]
        for option in self._options.of(client.client, client.fused, current.path.start, current.path.stop):
            if option is not current:
                yield from _in_place_and_in_order(draft, place, _with_options(client, {number: option}))

    def _swaps(self, place: int, first: int, draft: Draft) -> Iterator[Draft]:
        """A path in the place of a later one, and that in its place: each with its cut, or with the cut of that place, then in
        Johnson's order too."""
        client = draft.clients[place]
        one = client.options[first]
        for second in range(first + 1, len(client.options)):
            other = client.options[second]
            if one.job != other.job:
                yield draft.with_client(place, _with_options(client, {first: other, second: one}))
            if one.path.cut != other.path.cut or one.job.server != other.job.server:
                moved = {first: self._nearest(client, other.path, one), second: self._nearest(client, one.path, other)}
                yield from _in_place_and_in_order(draft, place, _with_options(client, moved))

    def _boundaries(self, place: int, boundary: int, draft: Draft) -> Iterator[Draft]:
        """Another row between two neighbours; each keeps its server, and its cut as nearly as is worth it."""
        client = draft.clients[place]
        by_rows = sorted(range(len(client.options)), key=lambda number: client.options[number].path.start)
        above, below = by_rows[boundary : boundary + 2]
        upper, lower = client.options[above].path, client.options[below].path
        for start in self._space.starts(self._pricer.stages[client.client], Split(client.fused, len(client.options))):
            if upper.start < start < lower.stop and start != lower.start:
                moved = {above: self._nearest(client, replace(upper, stop=start), client.options[above])}
                moved[below] = self._nearest(client, replace(lower, start=start), client.options[below])
                yield draft.with_client(place, _with_options(client, moved))

    def _nearest(self, client: ClientDraft, rows: Path, option: Option) -> Option:
        """Of other rows the option whose server is the same, and whose cut is nearest."""
        found = self._options.of(client.client, client.fused, rows.start, rows.stop)
        return min(found, key=lambda other: (other.job.server not in (option.job.server, None), abs(other.path.cut - option.path.cut)))

    def _tails(self, place: int, draft: Draft) -> Iterator[Draft]:
        """Another server for the stages after the fused ones."""
        client = draft.clients[place]
        for server in range(len(self._pricer.instance.servers)):
            if client.tail is not None and server != client.tail.server:
                yield draft.with_client(place, client._replace(tail=self._pricer.tail(client.client, client.fused, server)))


def _with_options(client: ClientDraft, changed: dict[int, Option]) -> ClientDraft:
    return client._replace(options=tuple(changed.get(number, option) for number, option in enumerate(client.options)))


def _in_place_and_in_order(draft: Draft, place: int, client: ClientDraft) -> Iterator[Draft]:
    """A changed device, with its order and with Johnson's."""
    yield draft.with_client(place, client)
    for order in johnson_orders([option.job for option in client.options]):
        if order != sorted(order):
            yield draft.with_client(place, client._replace(options=tuple(client.options[number] for number in order)))


def _dispatches(entry: int, draft: Draft) -> Iterator[Draft]:
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
