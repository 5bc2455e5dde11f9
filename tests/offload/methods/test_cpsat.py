"""CP-SAT against brute force, against plain enumeration of several devices, and at its limits."""

from __future__ import annotations

import os
import random
import signal
import threading
from itertools import product

import pytest
from support.every_offload_plan import least_s, random_space, small_chains
from support.offloading import random_offload_instance, random_offload_plan

from iopopt.errors import OffloadError, PlanError, SolverError
from iopopt.network.builder import GraphBuilder
from iopopt.network.graph import Graph
from iopopt.offload.bounds import SplitBound
from iopopt.offload.instance import Client, Link, OffloadInstance, Server
from iopopt.offload.methods import cpsat
from iopopt.offload.methods.brute_force import plan_count, solve_bf
from iopopt.offload.methods.cpsat import most_durations, solve_cpsat
from iopopt.offload.recursion import Job, OffloadObjective, OffloadPricer, Tail
from iopopt.offload.solution import OffloadSolution
from iopopt.offload.space import OffloadSpace
from iopopt.offload.stages import Stages

from .test_brute_force import ENDS, fixed_instance


def check(instance: OffloadInstance, found: OffloadSolution, least_s: float) -> None:
    """Optimal, a true bound, and a value no further from it than the stated error."""
    assert found.resolution_s is not None
    assert found.bound_s is not None
    error_s = found.resolution_s * most_durations(OffloadPricer(instance), found.plan)
    assert (found.status, found.termination) == ("optimal", "exhausted")
    assert found.bound_s <= least_s * (1 + 1e-12)
    assert least_s * (1 - 1e-11) <= found.value_s <= found.bound_s + error_s * (1 + 1e-9)


@pytest.mark.parametrize("seed", [*range(30), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(30, 200))])
def test_it_agrees_with_brute_force(seed: int) -> None:
    """On random instances of all kinds: rows even or not, one server or two, up to three workers, all ends."""
    rng = random.Random(seed)
    instance, space = random_offload_instance(rng, small_chains()), random_space(rng, 4)
    check(instance, solve_cpsat(instance, space=space), solve_bf(instance, space=space).value_s)


@pytest.mark.parametrize(("input_at", "result_at", "workers"), [*product(ENDS, ENDS, [(1,), (2,), (2, 1)])])
@pytest.mark.parametrize("graph", [0, 1])
def test_it_agrees_wherever_input_and_result_are(input_at: str, result_at: str, workers: tuple[int, ...], graph: int) -> None:
    """Each combination of ends; results that return from a server with more workers than one, too."""
    instance, space = fixed_instance(input_at, result_at, workers, graph), OffloadSpace(most_paths=4)
    check(instance, solve_cpsat(instance, space=space), solve_bf(instance, space=space).value_s)


@pytest.mark.parametrize("seed", range(12))
def test_of_a_coarse_resolution_the_bound_still_holds(seed: int) -> None:
    """With a hundredth of the value as tick, the optimum is between the bound and the value, and these are within the stated error."""
    rng = random.Random(seed)
    instance, space = random_offload_instance(rng, small_chains()), random_space(rng)
    best = solve_bf(instance, space=space).value_s
    found = solve_cpsat(instance, space=space, resolution_s=best / 100)
    assert found.resolution_s == best / 100
    check(instance, found, min(best, found.value_s))
    assert found.bound_s is not None
    assert found.bound_s <= best * (1 + 1e-12)


def tiny_networks() -> list[Graph]:
    """Networks of one or two operators over four rows."""

    def net(name: str) -> GraphBuilder:
        return GraphBuilder(name, (2, 4, 3)).conv(3, 3, padding=1, name="a")

    return [net("one").build(), net("with fc").fc(2, name="b").build(), net("two").conv(2, 3, padding=1, name="b").build()]


def tiny_pair(seed: int) -> OffloadInstance:
    """Two devices with networks so small that all plans and dispatches can be enumerated."""
    return random_offload_instance(random.Random(seed), tiny_networks(), clients=2)


def pair_count(instance: OffloadInstance, space: OffloadSpace) -> int:
    first, second = (plan_count(Stages.of(client.graph), space, len(instance.servers)) for client in instance.clients)
    return first * second


SMALL_PAIRS = [seed for seed in range(60) if pair_count(tiny_pair(seed), OffloadSpace(most_paths=2)) <= 250]
LARGE_PAIRS = [seed for seed in range(60) if 250 < pair_count(tiny_pair(seed), OffloadSpace(most_paths=2)) <= 2500]


def check_pair(seed: int, objective: OffloadObjective) -> None:
    instance, space = tiny_pair(seed), OffloadSpace(most_paths=2)
    check(instance, solve_cpsat(instance, space=space, objective=objective), least_s(instance, space, objective)[0])


@pytest.mark.parametrize("objective", ["makespan", "mean"])
@pytest.mark.parametrize("seed", SMALL_PAIRS)
def test_two_devices_have_the_best_of_all_plans_and_dispatches(seed: int, objective: OffloadObjective) -> None:
    """One network or two operators each, by plain enumeration."""
    check_pair(seed, objective)


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["makespan", "mean"])
@pytest.mark.parametrize("seed", LARGE_PAIRS)
def test_two_devices_have_the_best_of_many_plans_and_dispatches(seed: int, objective: OffloadObjective) -> None:
    """More of them."""
    check_pair(seed, objective)


def test_the_mean_is_not_the_makespan() -> None:
    """On some pairs of devices the plan with the best mean is not that of the best makespan."""
    unlike = 0
    for seed in SMALL_PAIRS:
        instance, space = tiny_pair(seed), OffloadSpace(most_paths=2)
        pricer = OffloadPricer(instance)
        makespan, mean = solve_cpsat(instance, space=space), solve_cpsat(instance, space=space, objective="mean")
        unlike += pricer.value_s(makespan.plan, "mean") > mean.value_s * 1.0001
    assert unlike


def test_a_bound_of_splits_that_is_too_high_misses_the_optimum(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search really leaves out the splits whose bound says so."""
    instance, space = fixed_instance(workers=(2,)), OffloadSpace(most_paths=3)
    best, relax = solve_bf(instance, space=space).value_s, SplitBound.relax

    def relax_too_far(split: SplitBound) -> object:
        mean = relax(split)
        split.bound_s *= 2
        return mean

    monkeypatch.setattr(SplitBound, "relax", relax_too_far)
    monkeypatch.setattr(cpsat, "offload_solution", lambda instance, plan, **rest: plan)  # the claimed bound is not true
    found = solve_cpsat(instance, space=space)
    assert OffloadPricer(instance).value_s(found) > best * 1.001  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(100))
@pytest.mark.parametrize("clients", [1, 2, 3])
def test_rounding_takes_no_more_from_a_plan_than_is_stated(seed: int, clients: int) -> None:
    """Every duration of a random plan shrunk by up to a tick: the value falls by at most a tick for each duration that is stated."""
    rng = random.Random(seed)
    instance = random_offload_instance(rng, small_chains(), clients=clients)
    plan, tick_s = random_offload_plan(rng, instance), 10 ** rng.uniform(-6, -1)
    pricer, shrunk = OffloadPricer(instance), OffloadPricer(instance)

    def less(seconds: float | None) -> float | None:
        return None if seconds is None else max(0.0, seconds - tick_s)

    def smaller_job(*key: object) -> Job:
        job = pricer.job(*key)  # type: ignore[arg-type]
        return Job(less(job.fetch_s), less(job.device_s) or 0.0, less(job.upload_s), job.server, less(job.server_s) or 0.0, less(job.return_s))

    def smaller_tail(*key: int) -> Tail | None:
        tail = pricer.tail(*key)
        return None if tail is None else Tail(tail.server, less(tail.server_s) or 0.0, less(tail.return_s))

    shrunk.job, shrunk.tail = smaller_job, smaller_tail  # type: ignore[method-assign, assignment]
    for objective in ("makespan", "mean"):
        fall_s = pricer.value_s(plan, objective) - shrunk.value_s(plan, objective)  # type: ignore[arg-type]
        assert -1e-12 <= fall_s <= most_durations(pricer, plan) * tick_s * (1 + 1e-9) + 1e-12


def large_instance(devices: int = 2) -> OffloadInstance:
    """Devices with networks that share a server, too many plans for a few seconds."""
    net = GraphBuilder("deep", (8, 64, 64))
    for number in range(10):
        net.conv(8, 3, padding=1, name=f"conv{number}").relu()
    clients = tuple(Client(f"device{number}", net.build(), 1e8, Link(1e6, 1e-3)) for number in range(devices))
    return OffloadInstance(clients, (Server("server", 2e8, 2),))


@pytest.mark.parametrize("devices", [1, 2])
def test_at_the_time_limit_it_has_a_plan_and_a_bound(devices: int) -> None:
    """Even if there is no time at all."""
    instance = large_instance(devices)
    found = solve_cpsat(instance, space=OffloadSpace(most_paths=4), time_limit_s=1e-6)
    assert (found.status, found.termination) == ("feasible", "time_limit")
    assert found.bound_s is not None
    assert 0 <= found.bound_s <= found.value_s


def test_a_short_search_has_a_bound_that_is_true() -> None:
    """Of two devices, one second: at least what each device needs if it is alone."""
    instance, space = large_instance(), OffloadSpace(most_paths=3)
    found, alone = solve_cpsat(instance, space=space, time_limit_s=2), solve_bf(large_instance(1), space=space)
    assert found.bound_s is not None
    assert found.bound_s <= found.value_s
    assert alone.value_s <= found.value_s * (1 + 1e-12)


def test_ctrl_c_ends_it_with_the_best_plan() -> None:
    """While CP-SAT runs; the search does not go on."""
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals reach only the main thread")
    timer = threading.Timer(3.0, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        found = solve_cpsat(large_instance(3), space=OffloadSpace(most_paths=6), time_limit_s=120)
    finally:
        timer.cancel()
    assert (found.status, found.termination) == ("feasible", "interrupted")
    assert found.bound_s is not None
    assert found.bound_s <= found.value_s


def test_it_starts_from_a_given_plan() -> None:
    """With no time for a better one, that is its answer; what is no plan of the instance is an error."""
    instance, space = fixed_instance(workers=(2,)), OffloadSpace(most_paths=3)
    best = solve_bf(instance, space=space)
    found = solve_cpsat(instance, space=space, warm_start=best.plan, time_limit_s=1e-9)
    assert (found.plan, found.value_s) == (best.plan, best.value_s)
    check(instance, solve_cpsat(instance, space=space, warm_start=best.plan), best.value_s)
    with pytest.raises(PlanError):
        solve_cpsat(instance, warm_start=random_offload_plan(random.Random(0), large_instance()))


@pytest.mark.parametrize("resolution_s", [0, -1.0, float("nan"), float("inf"), 1e-30, "1"])
def test_a_resolution_out_of_range_is_an_error(resolution_s: float) -> None:
    """It says what is allowed."""
    with pytest.raises(OffloadError, match=r"resolution_s is .*; it must be a positive number of seconds, of at least"):
        solve_cpsat(fixed_instance(), resolution_s=resolution_s)


def test_other_settings_out_of_range_are_errors() -> None:
    """Time, threads and space."""
    with pytest.raises(SolverError, match="time_limit_s"):
        solve_cpsat(fixed_instance(), time_limit_s=-1)
    with pytest.raises(SolverError, match="threads"):
        solve_cpsat(fixed_instance(), threads=0)
    with pytest.raises(OffloadError, match="fused is 9"):
        solve_cpsat(fixed_instance(), space=OffloadSpace(fused=9))


@pytest.mark.parametrize("devices", [1, 2])
def test_a_given_split_is_the_only_one(devices: int) -> None:
    """With m and n given, every device's plan has them, and rows that are not even are better or equal."""
    even, uneven = (
        solve_cpsat(random_offload_instance(random.Random(5), small_chains(), clients=devices), space=OffloadSpace(fused=1, paths=2, row_steps=steps))
        for steps in (None, 4)
    )
    for found in (even, uneven):
        assert [(client.fused, len(client.paths)) for client in found.plan.clients] == [(1, 2)] * devices
    assert uneven.value_s <= even.value_s
