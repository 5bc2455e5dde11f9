"""Lower bounds on the plans of a split."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from support.offloading import random_offload_instance, worked_instance
from support.small_chains import small_network

from iopopt.offload.plan import ClientPlan, OffloadPlan, Path
from iopopt.offload.recursion import OffloadPricer
from iopopt.offload.search.bounds import SplitBounds
from iopopt.offload.space import OffloadSpace, Options, Split, even_starts


def test_no_plan_of_a_split_is_below_its_bound() -> None:
    """Random cuts, servers and orders of even rows, of every variant of instances."""
    rng = random.Random(3)
    closest = 0.0
    for _ in range(60):
        instance = random_offload_instance(rng, [small_network(rng)])
        pricer, space = OffloadPricer(instance), OffloadSpace(most_paths=4)
        bounds, (stages,) = SplitBounds(pricer, space, Options(pricer)), pricer.stages
        for split in space.splits(stages):
            rows = list(pairwise(even_starts(stages.shape(split.fused).height, split.paths)))
            for _ in range(10):
                rng.shuffle(rows)
                paths = [Path(*row, rng.randint(0, split.fused), rng.randrange(len(instance.servers))) for row in rows]
                plan = OffloadPlan((ClientPlan(split.fused, tuple(paths), rng.randrange(len(instance.servers))),))
                bound, value = bounds.bound_s(0, split), pricer.value_s(plan)
                assert bound <= value
                closest = max(closest, bound / value if value else 0.0)
    assert closest > 0.999  # so it could fail


def test_the_bound_of_one_path_is_the_best_cut() -> None:
    """The worked instance: 8 seconds, by hand."""
    pricer, space = OffloadPricer(worked_instance()), OffloadSpace()
    assert SplitBounds(pricer, space, Options(pricer)).bound_s(0, Split(3, 1)) == pytest.approx(8, rel=1e-8)


def test_uneven_rows_have_no_bound() -> None:
    """The bound is that of even rows, so it says nothing of others."""
    pricer, space = OffloadPricer(worked_instance()), OffloadSpace(row_steps=4)
    bounds = SplitBounds(pricer, space, Options(pricer))
    assert bounds.bound_s(0, Split(2, 2)) == 0
    assert bounds.bound_s(0, Split(3, 1)) > 0
