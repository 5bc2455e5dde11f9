"""Lower bounds on the plans of one device: never above what plain enumeration finds."""

from __future__ import annotations

import random
from itertools import pairwise, permutations, product

import numpy as np
import pytest
from support.every_offload_plan import client_plans, random_space, small_chains
from support.offloading import random_offload_instance

from iopopt.cost.stopwatch import Stopwatch
from iopopt.offload.bounds import Begun, Block, FloatArray, Kind, OpenSplits, SplitBound, Weights, split_bounds
from iopopt.offload.plan import OffloadPlan
from iopopt.offload.recursion import OffloadPricer
from iopopt.offload.space import OffloadSpace

ROUNDING = 1 + 1e-12


def drawn(seed: int) -> tuple[random.Random, OffloadPricer, OffloadSpace]:
    """A random instance of one device, and a small space."""
    rng = random.Random(seed)
    return rng, OffloadPricer(random_offload_instance(rng, small_chains())), random_space(rng)


def random_means(rng: random.Random, machines: int, count: int = 3) -> list[FloatArray]:
    """Any weights, not only those of a relaxation."""
    return [
        mean / mean.sum() for mean in (np.array([rng.expovariate(1) * rng.choice([0, 1, 1]) + 1e-9 for _ in range(machines)]) for _ in range(count))
    ]


def completions(block: Block, begun: Begun, kinds: list[Kind]) -> float:
    """The earliest end of all plans that begin like this and have paths of these kinds to come, by plain enumeration."""
    ends = []
    for order in set(permutations(kinds)):
        for jobs in product(*(kind.jobs for kind in order)):
            after = begun
            for job in jobs:
                after = after.then(job)
            ends.append(block.end_s(after))
    return min(ends)


def random_beginning(rng: random.Random, split: SplitBound, paths: int) -> tuple[Begun, list[Kind]]:
    """Some paths of a split's even rows with random options, and the kinds of those to come."""
    rows = list(pairwise(split.starts))
    kinds = [split.block.kind(*interval) for interval in rows]
    rng.shuffle(kinds)
    begun = split.block.begin()
    for kind in kinds[:paths]:
        begun = begun.then(rng.choice(kind.jobs))
    return begun, kinds[paths:]


@pytest.mark.parametrize("seed", range(60))
def test_no_plan_ends_before_the_bound_of_its_beginning(seed: int) -> None:
    """Whatever the weights, the bound is at most the earliest end of all completions."""
    rng, pricer, _ = drawn(seed)
    split = rng.choice(split_bounds(pricer, OffloadSpace(most_paths=3)))
    begun, left = random_beginning(rng, split, rng.randint(0, split.split.paths))
    weights = Weights(split.block, np.array([*np.eye(split.block.machines), *random_means(rng, split.block.machines)]))
    assert weights.end_s(begun, weights.rest(left)) <= completions(split.block, begun, left) * ROUNDING


@pytest.mark.parametrize("seed", range(30))
def test_the_end_of_a_beginning_of_all_paths_is_that_of_the_recursion(seed: int) -> None:
    """What a search adds up path by path is what the recursion says of the whole plan, with the soonest server for what follows."""
    rng, pricer, space = drawn(seed)
    plans = list(client_plans(pricer.stages[0], space, len(pricer.instance.servers)))
    blocks = {split.split.fused: split.block for split in split_bounds(pricer, space)}
    for plan in rng.sample(plans, min(20, len(plans))):
        block = blocks[plan.fused]
        begun = block.begin()
        for path in plan.paths:
            begun = begun.then(pricer.job(0, plan.fused, path))
        best = OffloadPlan((type(plan)(plan.fused, plan.paths, block.tail_server),))
        assert block.end_s(begun) == pytest.approx(pricer.value_s(best), rel=1e-12)


def best_of_splits(pricer: OffloadPricer, space: OffloadSpace) -> dict[tuple[int, int], float]:
    """The least value of the plans of each split."""
    found: dict[tuple[int, int], float] = {}
    for plan in client_plans(pricer.stages[0], space, len(pricer.instance.servers)):
        key = plan.fused, len(plan.paths)
        found[key] = min(found.get(key, np.inf), pricer.value_s(OffloadPlan((plan,))))
    return found


@pytest.mark.parametrize("seed", range(40))
def test_no_plan_of_a_split_is_below_its_bound(seed: int) -> None:
    """By each machine alone, by any weights, and by the relaxation, which is at least as good; rows even or not."""
    rng, pricer, space = drawn(seed)
    best = best_of_splits(pricer, OffloadSpace(most_paths=2, row_steps=space.row_steps))
    for split in split_bounds(pricer, OffloadSpace(most_paths=2, row_steps=space.row_steps)):
        alone = split.bound_s
        split.raise_by(random_means(rng, split.block.machines))
        split.relax()
        assert alone <= split.bound_s <= best[split.split] * ROUNDING


@pytest.mark.parametrize("seed", range(40))
def test_what_lies_around_a_path_is_a_bound_on_plans_with_it(seed: int) -> None:
    """With each kind and option, no plan ends before the levels, what others add and what the option adds."""
    _, pricer, space = drawn(seed)
    space = OffloadSpace(most_paths=2, row_steps=space.row_steps)
    splits = {split.split: split for split in split_bounds(pricer, space)}
    for plan in client_plans(pricer.stages[0], space, 1):
        split = splits[plan.fused, len(plan.paths)]  # type: ignore[index]
        value_s = pricer.value_s(OffloadPlan((plan,)))
        weights, block = split.weights, split.block
        base = weights.values @ block.levels(block.begin(), split.upload_s) + block.tail_s + block.tail_return_s
        for path in plan.paths:
            kind, job = block.kind(path.start, path.stop), pricer.job(0, plan.fused, path)
            if job in kind.jobs:
                bound = base + split.least_around(weights)[kind] + kind.amounts[kind.jobs.index(job)] @ weights.values.T
                assert bound.max() <= value_s * ROUNDING


def test_the_relaxation_is_worth_its_solution() -> None:
    """On a device, a link and a server that are equally busy, the mean of the relaxation bounds better than any machine alone."""
    raised = 0
    for seed in range(20):
        _, pricer, space = drawn(seed)
        for split in split_bounds(pricer, space):
            alone = split.bound_s
            split.relax()
            raised += split.bound_s > alone * 1.01
    assert raised > 20


def test_splits_are_given_out_by_bound_until_none_is_below() -> None:
    """Every split comes once, with its relaxation, in the order of bounds; one given back comes again."""
    _, pricer, _ = drawn(3)
    splits = split_bounds(pricer, OffloadSpace(most_paths=3))
    still_open, found = OpenSplits(splits), []
    while (split := still_open.pop(np.inf)) is not None:
        assert split.relaxed
        assert split.bound_s <= still_open.bound_s
        found.append(split)
    assert set(found) == set(splits)
    assert len(found) == len(splits)
    assert [split.bound_s for split in found] == sorted(split.bound_s for split in found)
    still_open.add(found[0])
    assert still_open.pop(found[0].bound_s) is None
    assert still_open.pop(found[0].bound_s * 1.01, Stopwatch()) is found[0]
