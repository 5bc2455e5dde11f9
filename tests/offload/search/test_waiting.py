"""The order of Johnson's rule, and the first plans of Minimizing Waiting."""

from __future__ import annotations

import random
from itertools import accumulate, pairwise, permutations

from iopopt.offload.search.johnson import johnson_order
from iopopt.offload.search.waiting import _growing


def _done_s(order: tuple[int, ...], first: list[float], second: list[float]) -> float:
    """When two machines are done with jobs in an order."""
    done = 0.0
    for job, ready in zip(order, accumulate(first[job] for job in order), strict=True):
        done = max(done, ready) + second[job]
    return done


def test_johnsons_rule_is_the_best_order_of_two_machines() -> None:
    """Against the enumeration of all orders, equal durations and zeros included."""
    rng = random.Random(1)
    for _ in range(200):
        jobs = rng.randint(1, 6)
        first, second = ([rng.choice([0.0, 1.0, 2.0, rng.uniform(0, 4)]) for _ in range(jobs)] for _ in range(2))
        order = johnson_order(first, second)
        assert sorted(order) == list(range(jobs))
        assert _done_s(tuple(order), first, second) <= min(_done_s(other, first, second) for other in permutations(range(jobs))) + 1e-12


def test_growing_rows_leave_one_for_each_path() -> None:
    """Whatever the growth, every path has a row, and the ends are the tensor's."""
    rng = random.Random(2)
    for _ in range(300):
        rows = rng.randint(2, 40)
        candidates = (0, *sorted(rng.sample(range(1, rows), rng.randint(1, rows - 1))), rows)
        paths = rng.randint(2, len(candidates) - 1)
        starts = _growing(candidates, paths, rng.choice([0.1, 0.5, 1.0, 2.0, 9.0]))
        assert len(starts) == paths + 1
        assert all(start < stop for start, stop in pairwise(starts))
        assert set(starts) <= set(candidates)
        assert (starts[0], starts[-1]) == (0, rows)
    assert _growing(tuple(range(15)), 3, 2.0) == (0, 2, 6, 14)
