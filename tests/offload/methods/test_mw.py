"""Minimizing Waiting."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, pairwise
from typing import Any

import pytest
from support.every_offload_plan import least_s
from support.offloading import random_offload_instance, worked_instance
from support.small_chains import small_network

from iopopt.errors import OffloadError, SolverError
from iopopt.offload.instance import OffloadInstance
from iopopt.offload.methods import mw
from iopopt.offload.methods.mw import solve_mw
from iopopt.offload.methods.nfl import solve_best_cut
from iopopt.offload.plan import ClientPlan, OffloadPlan
from iopopt.offload.recursion import OffloadPricer
from iopopt.offload.space import OffloadSpace, even_starts


def random_instance(rng: random.Random, clients: int = 1) -> OffloadInstance:
    return random_offload_instance(rng, [small_network(rng) for _ in range(clients)], clients=clients)


def test_the_worked_instance() -> None:
    """Never above 8 seconds, by hand the best cut; and not below the enumeration."""
    found = solve_mw(worked_instance(), space=OffloadSpace(most_paths=2))
    assert found.value_s <= 8
    assert found.value_s == pytest.approx(least_s(worked_instance(), OffloadSpace(most_paths=2))[0], rel=1e-12)
    assert (found.method, found.termination, found.status, found.seed) == ("mw", "finished", "feasible", None)
    assert found.trajectory[-1].value == found.value_s


def test_a_given_split_has_even_rows() -> None:
    """Each device's plan is of the only (m, n)."""
    rng = random.Random(1)
    seen = 0
    for _ in range(20):
        instance = random_instance(rng)
        (stages,) = OffloadPricer(instance).stages
        split = rng.choice(OffloadSpace(most_paths=4).splits(stages))
        (planned,) = solve_mw(instance, space=OffloadSpace(fused=split.fused, paths=split.paths)).plan.clients
        assert (planned.fused, len(planned.paths)) == split
        rows = sorted((path.start, path.stop) for path in planned.paths)
        assert [0, *(stop for _, stop in rows)] == list(even_starts(stages.shape(split.fused).height, split.paths))
        seen += split.paths > 1
    assert seen > 5


def changed(client: ClientPlan, servers: int) -> Iterator[ClientPlan]:
    """Every change of one cut or server, and every pair of paths swapped."""
    for number, path in enumerate(client.paths):
        for cut in range(client.fused + 1):
            for server in range(servers):
                yield replace(client, paths=(*client.paths[:number], replace(path, cut=cut, server=server), *client.paths[number + 1 :]))
    for first, second in combinations(range(len(client.paths)), 2):
        paths = list(client.paths)
        paths[first], paths[second] = paths[second], paths[first]
        yield replace(client, paths=tuple(paths))


@pytest.mark.parametrize(("clients", "row_steps"), [(1, None), (1, 5), (2, None)])
def test_no_single_change_improves_it(clients: int, row_steps: int | None) -> None:
    """Cuts, servers and order, and with several devices the dispatch, changed here one by one."""
    rng = random.Random(2)
    for _ in range(12):
        instance = random_instance(rng, clients)
        found, pricer = solve_mw(instance, space=OffloadSpace(most_paths=4, row_steps=row_steps)), OffloadPricer(instance)
        plan = found.plan
        others = [
            replace(plan, clients=(*plan.clients[:place], other, *plan.clients[place + 1 :]))
            for place, client in enumerate(plan.clients)
            for other in changed(client, len(instance.servers))
        ]
        for entry in range(len(plan.dispatch) - 1):
            dispatch = list(plan.dispatch)
            dispatch[entry], dispatch[entry + 1] = dispatch[entry + 1], dispatch[entry]
            others.append(replace(plan, dispatch=tuple(dispatch)))
        assert found.value_s <= min(map(pricer.value_s, others)) * (1 + 1e-9)


def test_uneven_rows_cannot_be_moved_to_gain() -> None:
    """No boundary at another candidate row improves the plan while the cuts stay."""
    rng = random.Random(3)
    uneven = 0
    for _ in range(15):
        instance, space = random_instance(rng), OffloadSpace(most_paths=3, row_steps=6)
        found, pricer = solve_mw(instance, space=space), OffloadPricer(instance)
        (client,), (stages,) = found.plan.clients, pricer.stages
        even = solve_mw(instance, space=OffloadSpace(most_paths=3)).value_s
        uneven += found.value_s < even * (1 - 1e-9)
        paths = sorted(client.paths, key=lambda path: path.start)
        splits = [split for split in space.splits(stages) if split == (client.fused, len(client.paths))]
        for above, below in pairwise(paths):
            for row in space.starts(stages, splits[0]):
                if above.start < row < below.stop:
                    moved = {above: replace(above, stop=row), below: replace(below, start=row)}
                    plan = OffloadPlan((replace(client, paths=tuple(moved.get(path, path) for path in client.paths)),))
                    assert found.value_s <= pricer.value_s(plan) * (1 + 1e-9)
    assert uneven


@pytest.mark.parametrize("objective", ["makespan", "mean"])
def test_two_devices_are_between_enumeration_and_best_cut(objective: Any) -> None:
    """One path each, so that the enumeration ends."""
    rng = random.Random(4)
    for _ in range(8):
        instance, space = random_instance(rng, 2), OffloadSpace(paths=1)
        found = solve_mw(instance, space=space, objective=objective).value_s
        assert least_s(instance, space, objective)[0] <= found * (1 + 1e-12)
        assert found <= solve_best_cut(instance, objective=objective).value_s


@pytest.mark.parametrize("clients", [1, 2])
def test_a_time_limit_keeps_the_plan(clients: int) -> None:
    """Without time there is a plan, not above the best cut."""
    instance = random_instance(random.Random(5), clients)
    found = solve_mw(instance, time_limit_s=1e-9)
    assert found.termination == "time_limit"
    assert found.value_s <= solve_best_cut(instance).value_s


def test_an_interruption_keeps_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the local search of all devices."""

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(mw, "improved", interrupted)
    found = solve_mw(worked_instance())
    assert found.termination == "interrupted"
    assert found.value_s <= 8


def test_what_is_refused() -> None:
    """Each by its name."""
    objective: Any = "energy"
    with pytest.raises(OffloadError, match="objective is 'energy'; it must be one of: makespan, mean"):
        solve_mw(worked_instance(), objective=objective)
    with pytest.raises(OffloadError, match="fused is 9"):
        solve_mw(worked_instance(), space=OffloadSpace(fused=9))
    with pytest.raises(SolverError, match="time_limit_s is 0"):
        solve_mw(worked_instance(), time_limit_s=0)
