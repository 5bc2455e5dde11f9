"""Elimination of discrete variables, against enumeration."""

import itertools
import math
import random

import numpy as np
import pytest
from support.clocks import TickingClock

from iopopt.cost.elimination import Table, _order, improve, min_marginals, minimise, restricted, total_cost
from iopopt.cost.stopwatch import Stopwatch, TimeUpError
from iopopt.errors import InstanceTooLargeError


def random_tables(rng, variables, scopes, forbidden=0.0):
    """Domains of one to four values and a table for each scope; a part of the entries is forbidden."""
    domains = [rng.randint(1, 4) for _ in range(variables)]
    numbers = np.random.default_rng(rng.randrange(2**32))
    tables = []
    for scope in scopes:
        costs = numbers.uniform(-1, 1, [domains[variable] for variable in scope])
        tables.append(Table(tuple(scope), np.where(numbers.random(costs.shape) < forbidden, np.inf, costs)))
    return domains, tables


def least(domains, tables):
    """The least sum of all tables, by enumeration."""
    return min(total_cost(tables, values) for values in itertools.product(*map(range, domains)))


@pytest.mark.parametrize("seed", range(60))
def test_the_least_sum_of_random_tables(seed):
    """Whatever the tables share, repeat or leave out, the values found cost what the best of all combinations costs."""
    rng = random.Random(seed)
    count = rng.randint(1, 7)
    scopes = [rng.sample(range(count), rng.randint(1, min(3, count))) for _ in range(rng.randint(1, 9))]
    domains, tables = random_tables(rng, count, scopes, forbidden=rng.choice([0, 0.2]))
    values = minimise(domains, tables)
    assert all(0 <= value < domain for value, domain in zip(values, domains, strict=True))
    assert total_cost(tables, values) == pytest.approx(least(domains, tables), rel=1e-12)


@pytest.mark.parametrize("seed", range(60))
def test_least_totals_of_random_tables(seed):
    """For each value of each variable the least total is that of the best combination with it, also where the tables fall into parts."""
    rng = random.Random(seed)
    count = rng.randint(1, 7)
    scopes = [rng.sample(range(count), rng.randint(1, min(3, count))) for _ in range(rng.randint(1, 9))]
    domains, tables = random_tables(rng, count, scopes)
    combinations = list(itertools.product(*map(range, domains)))
    for variable, totals in enumerate(min_marginals(domains, tables)):
        for value, total in enumerate(totals):
            assert total == pytest.approx(min(total_cost(tables, of) for of in combinations if of[variable] == value), rel=1e-9, abs=1e-12)


def test_a_chain_takes_no_table_of_three_variables():
    """On a chain of 300 variables of 30 values no table has more than two of them: 900 entries are enough."""
    rng = random.Random(0)
    numbers = np.random.default_rng(0)
    tables = [Table((i, i + 1), numbers.random((30, 30))) for i in range(299)]
    values = minimise([30] * 300, tables, most_entries=900)
    for i in rng.sample(range(300), 20):
        changed = [[*values[:i], value, *values[i + 1 :]] for value in range(30)]
        assert min(total_cost(tables, other) for other in changed) == pytest.approx(total_cost(tables, values))


def test_a_diamond_takes_tables_of_three_variables():
    """Branches that part and meet again, one behind another, are series-parallel: 4 x 4 x 4 entries are enough."""
    scopes = [edge for start in range(0, 30, 3) for edge in ((start, start + 1), (start, start + 2), (start + 1, start + 3), (start + 2, start + 3))]
    numbers = np.random.default_rng(1)
    tables = [Table(scope, numbers.random((4, 4))) for scope in scopes]
    assert len(minimise([4] * 31, tables, most_entries=64)) == 31


def test_too_large_tables_are_refused():
    """Seven variables that all meet one another need a table of all of them: 4 ** 7 entries, and one less is too few."""
    tables = [Table(pair, np.ones((4, 4))) for pair in itertools.combinations(range(7), 2)]
    minimise([4] * 7, tables, most_entries=4**7)
    with pytest.raises(InstanceTooLargeError, match="16,383"):
        minimise([4] * 7, tables, most_entries=4**7 - 1)


def test_variables_of_no_table_keep_their_start():
    """A variable on which nothing depends stays as it was, or is 0."""
    tables = [Table((1,), np.array([2.0, 1.0]))]
    assert minimise([3, 2, 3], tables) == [0, 1, 0]
    assert minimise([3, 2, 3], tables, [2, 0, 1]) == [2, 1, 1]
    assert improve([3, 2, 3], tables, [2, 0, 1]) == [2, 1, 1]


def test_restricted_tables():
    """A table at some values is the slice that they cut from it."""
    table = Table((4, 0, 2), np.arange(24.0).reshape(2, 3, 4))
    cut = restricted(table, {0, 3}, [1, 9, 9, 9, 9])
    assert cut.variables == (4, 2)
    assert (cut.costs == table.costs[:, 1, :]).all()
    assert restricted(table, {3}, [1, 9, 9, 9, 9]) is table


@pytest.mark.parametrize("seed", range(30))
def test_improving_is_never_worse_and_exact_where_tables_fit(seed):
    """From any start the sum does not rise; with room for every table it is the least."""
    rng = random.Random(seed)
    domains, tables = random_tables(rng, 7, list(itertools.combinations(range(7), 2)))
    start = [rng.randrange(domain) for domain in domains]
    assert total_cost(tables, improve(domains, tables, start, most_entries=20)) <= total_cost(tables, start)
    assert total_cost(tables, improve(domains, tables, start)) == pytest.approx(least(domains, tables), rel=1e-12)


def test_improving_finds_the_least_of_most():
    """Held variables change from round to round, so that with tables of two variables most dense instances are still solved exactly."""
    exact = 0
    for seed in range(30):
        rng = random.Random(seed)
        domains, tables = random_tables(rng, 7, list(itertools.combinations(range(7), 2)))
        found = improve(domains, tables, [0] * 7, most_entries=16)
        exact += total_cost(tables, found) <= least(domains, tables) + 1e-12
    assert exact >= 20


def test_no_table_grows_beyond_the_limit_unseen() -> None:
    """In a ring of 2, 2, 3 and 3 values the first elimination joins two more variables, so the next adds up 18 entries, no fewer."""
    rng = np.random.default_rng(5)
    ring = [Table(ends, rng.random((domains[ends[0]], domains[ends[1]]))) for domains in [(2, 2, 3, 3)] for ends in ((0, 1), (0, 2), (1, 3), (2, 3))]
    with pytest.raises(InstanceTooLargeError):
        minimise((2, 2, 3, 3), ring, most_entries=17)
    found = minimise((2, 2, 3, 3), ring, most_entries=18)
    assert total_cost(ring, found) == min(total_cost(ring, values) for values in np.ndindex(2, 2, 3, 3))


def test_the_variable_of_most_neighbours_is_held() -> None:
    """A wheel without its hub is a ring, which fits the limit: from the best value of the hub one round finds the optimum."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        spokes, ring = [(0, rim) for rim in range(1, 6)], [(1, 2), (2, 3), (3, 4), (4, 5), (1, 5)]
        wheel = [Table(ends, rng.random((3, 3))) for ends in spokes + ring]
        best = min(np.ndindex(*(3,) * 6), key=lambda values, wheel=wheel: total_cost(wheel, values))
        start = [best[0], *((value + 1) % 3 for value in best[1:])]
        assert improve((3,) * 6, wheel, start, most_entries=27, rounds=1) == list(best)


@pytest.mark.parametrize("seed", range(30))
def test_the_next_variable_leaves_the_smallest_table(seed: int) -> None:
    """At every step, with the neighbours that earlier steps have joined: queued sizes that joining made out of date do not count."""
    rng = random.Random(seed)
    domains = tuple(rng.randint(2, 5) for _ in range(12))
    scopes = frozenset(tuple(rng.sample(range(12), rng.randint(2, 3))) for _ in range(14))
    neighbours = {variable: {other for scope in scopes if variable in scope for other in scope} - {variable} for variable in range(12)}
    order = _order(domains, scopes, 10**9, (0,) * 12)
    assert (sorted(order.eliminated), order.fixed) == (list(range(12)), ())
    for gone in order.eliminated:
        sizes = {variable: math.prod(domains[other] for other in others) for variable, others in neighbours.items()}
        assert sizes[gone] == min(sizes.values())
        joined = neighbours.pop(gone)
        for other in joined:
            neighbours[other] = (neighbours[other] | joined) - {gone, other}


@pytest.mark.parametrize("limit", range(1, 6))
@pytest.mark.parametrize("minimisation", [minimise, min_marginals])
def test_elimination_ends_with_its_time(limit, minimisation):
    """Of a chain of six variables no more are eliminated than there are looks at the clock before the time is up."""
    domains, tables = random_tables(random.Random(0), 6, [(i, i + 1) for i in range(5)])
    clock = TickingClock()
    with pytest.raises(TimeUpError):
        minimisation(domains, tables, watch=Stopwatch(limit, clock))
    assert clock.readings == 1 + limit


@pytest.mark.parametrize("seed", range(10))
def test_improving_keeps_what_it_has_when_the_time_is_up(seed):
    """Cut short at any look, the values cost no more than the start, and less and less the later it is; at the first they are the start."""
    rng = random.Random(seed)
    scopes = [*itertools.combinations(range(6), 2)]
    domains, tables = random_tables(rng, 6, scopes)
    start = [0] * 6
    assert improve(domains, tables, start, most_entries=4, watch=Stopwatch(1, TickingClock())) == start
    costs = [
        total_cost(tables, improve(domains, tables, start, most_entries=4, watch=Stopwatch(limit, TickingClock()))) for limit in (1, 5, 20, 80, 1e9)
    ]
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] == total_cost(tables, improve(domains, tables, start, most_entries=4))
