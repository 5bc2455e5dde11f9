"""Exact minimisation of a sum of cost tables over discrete variables (min-sum bucket elimination).

To eliminate a variable, its tables (a bucket) are added up, and for each combination of the other variables in them the minimum over its
values is kept as a new table (a message): dynamic programming over a tree decomposition. Going back through the eliminated variables then
gives their best values. On a chain this is Viterbi's algorithm; on series-parallel graphs no table has more than three variables. If tables
would grow too large, :func:`improve` fixes a few variables at a time and minimises exactly over the others.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from iopopt.cost.stopwatch import NO_LIMIT, Stopwatch, TimeUpError
from iopopt.errors import InstanceTooLargeError

Array = npt.NDArray[np.float64]

MOST_ENTRIES = 30_000_000
"""The largest table that may be computed, entries."""

_ROUNDS = 24
"""How often :func:`improve` fixes a set of variables and minimises over the others."""


class Table(NamedTuple):
    """The cost of each combination of some distinct variables, one axis for each, in their order; infinite if forbidden."""

    variables: tuple[int, ...]
    costs: Array


class _Order(NamedTuple):
    """The order of elimination, and the variables that are fixed to keep tables small."""

    eliminated: tuple[int, ...]
    fixed: tuple[int, ...]


def total_cost(tables: Sequence[Table], values: Sequence[int]) -> float:
    """The sum of all tables at ``values``, one for each variable."""
    return sum(float(table.costs[tuple(values[variable] for variable in table.variables)]) for table in tables)


def restricted(table: Table, fixed: Collection[int], values: Sequence[int]) -> Table:
    """The table with the variables of ``fixed`` at their values."""
    if not any(variable in fixed for variable in table.variables):
        return table
    index = tuple(values[variable] if variable in fixed else slice(None) for variable in table.variables)
    return Table(tuple(variable for variable in table.variables if variable not in fixed), np.asarray(table.costs[index]))


def minimise(
    domains: Sequence[int],
    tables: Sequence[Table],
    start: Sequence[int] | None = None,
    *,
    most_entries: int = MOST_ENTRIES,
    watch: Stopwatch = NO_LIMIT,
) -> list[int]:
    """The values that minimise the sum of all tables: for each variable v, one of 0 to ``domains[v] - 1``.

    Variables that occur in no table keep their value in ``start``, which is 0 by default.

    Raises:
        InstanceTooLargeError: if some table would have more than ``most_entries`` entries; this is checked before allocating anything.
        TimeUpError: if the time is up before the last variable is eliminated.
    """
    order = _order(tuple(domains), _scopes(tables), most_entries, (0,) * len(domains))
    if order.fixed:
        raise InstanceTooLargeError(f"elimination: some table would have more than most_entries={most_entries:,} entries; use improve")
    return _eliminated(tables, order.eliminated, [0] * len(domains) if start is None else start, watch)


def improve(
    domains: Sequence[int],
    tables: Sequence[Table],
    start: Sequence[int],
    *,
    most_entries: int = MOST_ENTRIES,
    rounds: int = _ROUNDS,
    watch: Stopwatch = NO_LIMIT,
) -> list[int]:
    """Values at least as good as ``start``; the minimum if no table has more than ``most_entries`` entries and there is time.

    Otherwise each round fixes as many variables as necessary at their best values so far, the least often fixed first, and minimises
    exactly over the others. Variables that occur in no table keep their values. When the time is up, the round in progress counts for nothing.
    """
    best, held = list(start), [0] * len(domains)
    least, scopes = total_cost(tables, best), _scopes(tables)
    for _ in range(rounds):
        order = _order(tuple(domains), scopes, most_entries, tuple(held))
        try:
            found = _eliminated([restricted(table, order.fixed, best) for table in tables], order.eliminated, best, watch)
        except TimeUpError:
            break
        cost = total_cost(tables, found)
        if cost < least:
            best, least = found, cost
        if not order.fixed:
            break
        for variable in order.fixed:
            held[variable] += 1
    return best


def _scopes(tables: Sequence[Table]) -> frozenset[tuple[int, ...]]:
    return frozenset(table.variables for table in tables)


@lru_cache(maxsize=256)
def _order(domains: tuple[int, ...], scopes: Collection[tuple[int, ...]], most_entries: int, held: tuple[int, ...]) -> _Order:
    """A greedy order: next is the variable whose elimination leaves the smallest table, the first of these in a tie.

    If its joint table would still be too large, the variable in it with the most neighbours is fixed instead; variables that were fixed
    less often (``held``) come first.
    """
    neighbours: list[set[int]] = [set() for _ in domains]
    for scope in scopes:
        for variable in scope:
            neighbours[variable].update(scope)
    for variable, others in enumerate(neighbours):
        others.discard(variable)
    left, eliminated, fixed = set(range(len(domains))), [], []
    queue = [(_entries(domains, others), variable) for variable, others in enumerate(neighbours)]
    heapq.heapify(queue)
    while queue:
        entries, variable = heapq.heappop(queue)
        if variable not in left or entries != _entries(domains, neighbours[variable]):
            continue  # out of date: it was pushed again
        touched = neighbours[variable]
        if entries * domains[variable] > most_entries and touched:
            gone = min([variable, *sorted(touched)], key=lambda other: (held[other], -len(neighbours[other]), other))
            fixed.append(gone)
            touched = neighbours[gone] | {variable}
        else:
            gone = variable
            eliminated.append(gone)
            for other in touched:
                neighbours[other] |= touched - {other}
        left.remove(gone)
        for other in touched - {gone}:
            neighbours[other].discard(gone)
            heapq.heappush(queue, (_entries(domains, neighbours[other]), other))
    return _Order(tuple(eliminated), tuple(fixed))


def _entries(domains: Sequence[int], variables: Collection[int]) -> int:
    return math.prod(domains[variable] for variable in variables)


def _eliminated(tables: Sequence[Table], order: Sequence[int], start: Sequence[int], watch: Stopwatch) -> list[int]:
    """The best values of the variables in ``order``, which are the only ones that the tables depend on.

    Other variables, and those that occur in no table, keep their value in ``start``.
    """
    position = {variable: number for number, variable in enumerate(order)}
    buckets: dict[int, list[Table]] = {variable: [] for variable in order}

    def put(table: Table) -> None:
        if table.variables:
            buckets[min(table.variables, key=position.__getitem__)].append(table)

    for table in tables:
        put(table)
    choices: list[tuple[int, tuple[int, ...], npt.NDArray[np.intp]]] = []
    for variable in order:
        watch.check()
        bucket = buckets.pop(variable)
        if not bucket:
            continue
        others = tuple(sorted({other for table in bucket for other in table.variables} - {variable}))
        joint = _added_up(bucket, (*others, variable))
        best = joint.argmin(axis=-1)
        choices.append((variable, others, best))
        put(Table(others, np.take_along_axis(joint, best[..., None], -1)[..., 0]))
    values = list(start)
    for variable, others, best in reversed(choices):
        values[variable] = int(best[tuple(values[other] for other in others)])
    return values


def _added_up(tables: Sequence[Table], scope: Sequence[int]) -> Array:
    """The sum of tables as one table over all variables of ``scope``; small tables are added first."""
    parts = sorted((_spread(table, scope) for table in tables), key=lambda part: part.size)
    return np.asarray(sum(parts[1:], start=parts[0]))


def _spread(table: Table, scope: Sequence[int]) -> Array:
    """A view with one axis for each variable of ``scope``, of length 1 where the table does not depend on it."""
    axes = sorted(range(len(table.variables)), key=lambda axis: scope.index(table.variables[axis]))
    index = tuple(slice(None) if variable in table.variables else None for variable in scope)
    return np.asarray(table.costs.transpose(axes)[index])


def min_marginals(domains: Sequence[int], tables: Sequence[Table], *, most_entries: int = MOST_ENTRIES, watch: Stopwatch = NO_LIMIT) -> list[Array]:
    """The min-marginals: for each variable and each of its values, the least sum of all tables with the variable at that value.

    The forward pass of the elimination sends each bucket's message to the bucket of the next variable in it. The backward pass adds to each
    bucket the minimum of everything outside it, which it takes from the bucket that received its message. All costs must be finite.

    Raises:
        InstanceTooLargeError: if some table would have more than ``most_entries`` entries; this is checked before allocating anything.
        TimeUpError: if the time is up before the last variable is reached.
    """
    order = _order(tuple(domains), _scopes(tables), most_entries, (0,) * len(domains))
    if order.fixed:
        raise InstanceTooLargeError(f"elimination: some table would have more than most_entries={most_entries:,} entries")
    position = {variable: number for number, variable in enumerate(order.eliminated)}
    buckets: dict[int, list[Table]] = {variable: [Table((variable,), np.zeros(domains[variable]))] for variable in order.eliminated}
    for table in tables:
        buckets[min(table.variables, key=position.__getitem__)].append(table)
    sums: dict[int, Table] = {}
    messages: dict[int, Table] = {}
    for variable in order.eliminated:
        watch.check()
        scope = tuple(sorted({other for table in buckets[variable] for other in table.variables} - {variable}))
        sums[variable] = Table((*scope, variable), _added_up(buckets[variable], (*scope, variable)))
        messages[variable] = Table(scope, sums[variable].costs.min(axis=-1))
        if scope:
            buckets[min(scope, key=position.__getitem__)].append(messages[variable])
    # Components that share no variable contribute only their minima to each other.
    roots = {variable: float(message.costs) for variable, message in messages.items() if not message.variables}
    beliefs: dict[int, Table] = {}
    for variable in reversed(order.eliminated):
        watch.check()
        own, message = sums[variable], messages[variable]
        if message.variables:
            receiver = beliefs[min(message.variables, key=position.__getitem__)]
            rest = _least_over(receiver, message.variables) - message.costs
            beliefs[variable] = Table(own.variables, own.costs + rest[..., None])
        else:
            beliefs[variable] = Table(own.variables, own.costs + (sum(roots.values()) - roots[variable]))
    return [_least_over(beliefs[variable], (variable,)) for variable in range(len(domains))]


def _least_over(table: Table, kept: Sequence[int]) -> Array:
    """The minimum over all variables except ``kept``, which give the order of the axes."""
    gone = tuple(axis for axis, variable in enumerate(table.variables) if variable not in kept)
    left = [variable for variable in table.variables if variable in kept]
    return np.asarray(table.costs.min(axis=gone).transpose([left.index(variable) for variable in kept]))
