"""The particle swarm with Minimizing Waiting."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from support.every_offload_plan import least_s
from support.offloading import random_offload_instance, worked_instance
from support.small_chains import small_network

from iopopt.cost.stopwatch import Stopwatch
from iopopt.errors import OffloadError, SolverError
from iopopt.methods.swarm.pyswarms_runs import quiet_pyswarms, seeded
from iopopt.models import load_model
from iopopt.offload.instance import Client, Link, OffloadInstance, Server
from iopopt.offload.methods import OFFLOAD_METHODS, psomw
from iopopt.offload.methods.mw import solve_mw, start_search
from iopopt.offload.methods.nfl import solve_best_cut
from iopopt.offload.methods.psomw import MwSwarm, PsomwSettings, solve_psomw
from iopopt.offload.space import OffloadSpace

QUICK = PsomwSettings(particles=8, iterations=6, swarms=1, stretch=3, improved=2)


def chain_instance() -> OffloadInstance:
    """AlexNet; the optimum of up to 8 paths is 34.9902976 ms, by an enumeration that leaves out dominated states only."""
    client = Client("device", load_model("alexnet"), 30e9, Link(50 * 125e3))
    return OffloadInstance((client,), (Server("server", 100e9, 2),))


@pytest.mark.parametrize(("clients", "row_steps", "count"), [(1, None, 20), (1, 4, 5), (2, None, 4), (3, 4, 1)])
def test_psomw_below_mw_below_the_best_cut(clients: int, row_steps: int | None, count: int) -> None:
    """Instances of every variant: who has the input, who needs the result, workers, servers, rows, devices and objectives."""
    rng = random.Random(1)
    for number in range(count):
        instance = random_offload_instance(rng, [small_network(rng) for _ in range(clients)], clients=clients)
        space, objective = OffloadSpace(most_paths=4, row_steps=row_steps), rng.choice(["makespan", "mean"])
        swarm = solve_psomw(instance, space=space, objective=objective, seed=number, settings=QUICK, time_limit_s=60)
        waiting = solve_mw(instance, space=space, objective=objective)
        assert swarm.termination == "iteration_limit"
        assert swarm.value_s <= waiting.value_s <= solve_best_cut(instance, objective=objective).value_s


def test_tiny_instances_are_solved() -> None:
    """The value of the enumeration of every plan, and so not below it either."""
    rng = random.Random(2)
    for _ in range(12):
        instance, space = random_offload_instance(rng, [small_network(rng, 3)]), OffloadSpace(most_paths=2)
        assert solve_psomw(instance, space=space, settings=QUICK).value_s == pytest.approx(least_s(instance, space)[0], rel=1e-9)


def test_alexnet_is_solved_by_every_seed() -> None:
    """The optimum, and a trajectory that falls to it."""
    for seed in range(3):
        found = solve_psomw(chain_instance(), seed=seed, time_limit_s=60)
        assert found.value_s == pytest.approx(0.0349902976, rel=1e-9)
        values = [point.value for point in found.trajectory if point.value is not None]
        assert values == sorted(values, reverse=True)
        assert values[-1] == found.value_s


def test_a_seed_gives_the_same_plan() -> None:
    """Twice the same, and numpy's own generator is left as it was."""
    np.random.seed(7)
    expected = np.random.random()
    np.random.seed(7)
    first, again = (solve_psomw(chain_instance(), seed=3, settings=QUICK, time_limit_s=60) for _ in range(2))
    assert np.random.random() == expected
    assert (first.plan, first.seed, first.termination) == (again.plan, 3, "iteration_limit")
    assert [point.value for point in first.trajectory] == [point.value for point in again.trajectory]


def test_mw_reseeds_a_particle_whose_split_changed() -> None:
    """It becomes MW's plan of its new split; the others stay where they are."""
    search = start_search(chain_instance(), OffloadSpace(most_paths=4), "makespan", Stopwatch())
    with quiet_pyswarms(), seeded(1):
        swarm = MwSwarm(search, QUICK, search.promising())
    positions: Any = swarm.swarm.position
    assert swarm.reseed() == 0
    before = positions.copy()
    positions[5, 0] = (positions[5, 0] + 0.5) % 1
    (split,) = swarm.positions.splits(positions[5])
    assert swarm.reseed() == 1
    assert swarm.positions.draft(positions[5]).clients[0] == search.waiting.planned(0, split)[1]
    assert (np.delete(positions, 5, 0) == np.delete(before, 5, 0)).all()


def test_particles_are_reseeded_in_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The swarm does change splits."""
    counts, reseed = [], MwSwarm.reseed
    monkeypatch.setattr(MwSwarm, "reseed", lambda swarm: counts.append(reseed(swarm)))
    solve_psomw(chain_instance(), settings=QUICK, time_limit_s=60)
    assert len(counts) == QUICK.iterations
    assert sum(counts) > 0


@pytest.mark.parametrize("limit_s", [1e-9, 0.3])
def test_a_time_limit_keeps_the_plan(limit_s: float) -> None:
    """At once, and within the swarm."""
    settings = PsomwSettings(iterations=10**6, patience=10**6)
    found = solve_psomw(chain_instance(), time_limit_s=limit_s, settings=settings)
    assert found.termination == "time_limit"
    assert found.value_s <= solve_best_cut(chain_instance()).value_s


def test_an_interruption_keeps_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the swarm: what MW found is there."""

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(psomw.MwSwarm, "run", interrupted)
    found = solve_psomw(chain_instance())
    assert found.termination == "interrupted"
    assert found.value_s == solve_mw(chain_instance()).value_s


def test_nothing_is_searched_where_nothing_can_be_better() -> None:
    """One path: MW's plan is the best, and no swarm starts."""
    found = solve_psomw(worked_instance(), space=OffloadSpace(paths=1))
    assert (found.value_s, found.termination) == (8, "iteration_limit")


@pytest.mark.parametrize("figures", [{"particles": 0}, {"stretch": 1.5}, {"inertia": float("nan")}, {"patience": True}])
def test_settings_out_of_range(figures: dict[str, Any]) -> None:
    """By name."""
    with pytest.raises(SolverError, match=next(iter(figures))):
        PsomwSettings(**figures)


def test_what_is_refused() -> None:
    """Each by its name."""
    objective: Any = 3
    with pytest.raises(OffloadError, match="objective is 3"):
        solve_psomw(worked_instance(), objective=objective)
    with pytest.raises(SolverError, match="seed is -1"):
        solve_psomw(worked_instance(), seed=-1)


def test_they_are_registered() -> None:
    """With the options that they share."""
    assert OFFLOAD_METHODS.find("mw").takes == {"space", "objective", "time_limit_s"}
    assert OFFLOAD_METHODS.find("psomw").takes == {"space", "objective", "seed", "time_limit_s"}
