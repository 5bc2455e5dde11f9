"""Brute force with pruning against plain enumeration, and with bounds that are wrong."""

from __future__ import annotations

import random
from itertools import product
from typing import Any

import pytest
from support.every_offload_plan import least_s, random_space, small_chains
from support.offloading import random_offload_instance

from iopopt.errors import OffloadError, SolverError
from iopopt.offload.bounds import FloatArray, SplitBound, Weights
from iopopt.offload.instance import Client, Link, OffloadInstance, Server
from iopopt.offload.methods import brute_force
from iopopt.offload.methods.brute_force import plan_count, solve_bf
from iopopt.offload.recursion import offload_latency_s
from iopopt.offload.space import OffloadSpace
from iopopt.offload.stages import Stages

ENDS = ("device", "server")


def fixed_instance(input_at: str = "device", result_at: str = "server", workers: tuple[int, ...] = (1,), graph: int = 1) -> OffloadInstance:
    """A device and servers none of which is far better than another."""
    client: Any = Client("device", small_chains()[graph], 1e5, Link(5e4, 1e-4), Link(6e4, 2e-4), input_at, result_at)  # type: ignore[arg-type]
    return OffloadInstance((client,), tuple(Server(f"server{number}", 1e5 * (number + 1), count) for number, count in enumerate(workers)))


def check(instance: OffloadInstance, space: OffloadSpace) -> None:
    """Value, bound and count against all plans."""
    found = solve_bf(instance, space=space)
    least, count = least_s(instance, space)
    assert found.value_s == pytest.approx(least, rel=1e-11)
    assert (found.status, found.termination, found.bound_s) == ("optimal", "exhausted", found.value_s)
    assert offload_latency_s(instance, found.plan) == found.value_s
    assert plan_count(Stages.of(instance.clients[0].graph), space, len(instance.servers)) == count
    assert found.searched.startswith(f"{count:,} plans in ")


@pytest.mark.parametrize("seed", range(80))
def test_it_finds_the_best_of_all_plans(seed: int) -> None:
    """On random instances, rows even or not; spaces of more than 3,000 plans are left to other seeds."""
    rng = random.Random(seed)
    instance, space = random_offload_instance(rng, small_chains()), random_space(rng)
    if plan_count(Stages.of(instance.clients[0].graph), space, len(instance.servers)) > 3000:
        space = OffloadSpace(most_paths=2, row_steps=3)
    check(instance, space)


@pytest.mark.parametrize(("input_at", "result_at", "workers"), [*product(ENDS, ENDS, [(1,), (2,), (2, 1)])])
@pytest.mark.parametrize("graph", [0, 1])
def test_it_finds_the_best_wherever_input_and_result_are(input_at: str, result_at: str, workers: tuple[int, ...], graph: int) -> None:
    """Each combination of ends, with one worker, two, and two servers; with stages after the fused ones, and without."""
    check(fixed_instance(input_at, result_at, workers, graph), OffloadSpace(most_paths=3 if len(workers) == 1 else 2))


@pytest.mark.parametrize("owner", ["Weights.end_s of a beginning", "SplitBound of a split"])
def test_a_bound_that_is_too_high_misses_the_optimum(owner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds twice as high cut the best plan off: so they are used, and a wrong one would be noticed."""
    instance, space = fixed_instance(workers=(2,), graph=1), OffloadSpace(most_paths=3)
    least, _ = least_s(instance, space)
    end_s, relax = Weights.end_s, SplitBound.relax

    def relax_too_far(split: SplitBound) -> FloatArray:
        mean = relax(split)
        split.bound_s *= 2
        return mean

    if owner.startswith("Weights"):
        monkeypatch.setattr(Weights, "end_s", lambda *args: 2 * end_s(*args))
    else:
        monkeypatch.setattr(SplitBound, "relax", relax_too_far)
    monkeypatch.setattr(brute_force, "offload_solution", lambda instance, plan, **rest: plan)  # the claimed bound is not true
    assert offload_latency_s(instance, solve_bf(instance, space=space)) > least * 1.001  # type: ignore[arg-type]


def test_dominance_that_forgets_the_uplink_misses_the_optimum(monkeypatch: pytest.MonkeyPatch) -> None:
    """If beginnings count as nowhere later whatever they are, the best plan of some instance is cut off."""
    space, missed = OffloadSpace(most_paths=3), 0
    instances = [random_offload_instance(random.Random(seed), small_chains()) for seed in range(15)]
    best = [solve_bf(instance, space=space).value_s for instance in instances]
    monkeypatch.setattr(brute_force, "le", lambda _mine, _theirs: True)
    for instance, least in zip(instances, best, strict=True):
        missed += solve_bf(instance, space=space).value_s > least * 1.001
    assert missed


def test_bounds_and_dominance_leave_little() -> None:
    """Of sixty thousand plans only a few are priced."""
    instance, space = fixed_instance(workers=(2,)), OffloadSpace(most_paths=4)
    priced = int(solve_bf(instance, space=space).searched.split("of which ")[1].split()[0].replace(",", ""))
    assert 1 <= priced <= 100


def test_several_devices_are_for_another_method() -> None:
    """The error names it."""
    instance = random_offload_instance(random.Random(1), small_chains(), clients=2)
    with pytest.raises(OffloadError, match=r"bf plans one device; the instance has 2\. Every other method"):
        solve_bf(instance)


def test_at_the_time_limit_it_has_a_plan_and_a_bound() -> None:
    """However short the time; the bound holds."""
    instance, space = fixed_instance(workers=(2, 1)), OffloadSpace(most_paths=3)
    found, best = solve_bf(instance, space=space, time_limit_s=1e-9), solve_bf(instance, space=space)
    assert (found.status, found.termination) == ("feasible", "time_limit")
    assert found.bound_s is not None
    assert 0 < found.bound_s <= best.value_s <= found.value_s
    with pytest.raises(SolverError, match="time_limit_s"):
        solve_bf(instance, time_limit_s=0)


def test_ctrl_c_ends_it_with_the_best_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """As soon as there is one; before, there is nothing to return."""
    instance = fixed_instance(workers=(2,))

    def interrupt(self: brute_force.BruteForce, bound_s: float) -> bool:
        if self.best is not None:
            raise KeyboardInterrupt
        return True

    monkeypatch.setattr(brute_force.BruteForce, "promising", interrupt)
    found = solve_bf(instance)
    assert (found.status, found.termination) == ("feasible", "interrupted")
    monkeypatch.undo()
    assert found.bound_s is not None
    assert found.bound_s <= solve_bf(instance).value_s <= found.value_s

    def at_once(*_: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(brute_force.BruteForce, "promising", at_once)
    with pytest.raises(KeyboardInterrupt):
        solve_bf(instance)


def test_a_given_split_is_the_only_one() -> None:
    """With m and n given the plan has them."""
    found = solve_bf(fixed_instance(), space=OffloadSpace(fused=1, paths=2))
    assert (found.plan.clients[0].fused, len(found.plan.clients[0].paths)) == (1, 2)
    assert found.searched.startswith("8 plans in 1 split, of which ")  # two orders of two paths, each cut before or after the stage
