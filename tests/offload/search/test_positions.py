"""Positions of particles as plans."""

from __future__ import annotations

import random

import numpy as np
import pytest
from support.offloading import random_offload_instance
from support.small_chains import small_network

from iopopt.cost.stopwatch import Stopwatch
from iopopt.offload.plan import validate
from iopopt.offload.recursion import OffloadPricer
from iopopt.offload.search.drafts import Incumbent, together
from iopopt.offload.search.positions import Positions
from iopopt.offload.search.waiting import MinimizingWaiting
from iopopt.offload.space import OffloadSpace


def _positions(rng: random.Random, clients: int, row_steps: int | None) -> tuple[OffloadPricer, MinimizingWaiting, Positions]:
    instance = random_offload_instance(rng, [small_network(rng) for _ in range(3)], clients=clients)
    pricer = OffloadPricer(instance)
    waiting = MinimizingWaiting(Incumbent(pricer, "makespan", Stopwatch()), OffloadSpace(most_paths=4, row_steps=row_steps))
    return pricer, waiting, Positions(pricer, waiting, [waiting.splits(client) for client in range(clients)])


@pytest.mark.parametrize("row_steps", [None, 3, 10])
@pytest.mark.parametrize("clients", [1, 3])
def test_every_position_is_a_valid_plan(clients: int, row_steps: int | None) -> None:
    """Any numbers from 0 to 1, both ends and equal ones included."""
    rng, numbers = random.Random(4), np.random.default_rng(4)
    found = set()
    for _ in range(15):
        pricer, waiting, positions = _positions(rng, clients, row_steps)
        for ends in (False, True) * 10:
            position = numbers.integers(0, 2, positions.dimensions).astype(float) if ends else numbers.random(positions.dimensions)
            draft = positions.draft(position)
            validate(pricer.instance, pricer.stages, draft.of_all())
            assert tuple((client.fused, len(client.options)) for client in draft.clients) == positions.splits(position)
            for client in draft.clients:
                starts = waiting.space.starts(pricer.stages[client.client], positions.splits(position)[client.client])
                assert {option.path.start for option in client.options} <= set(starts)
            found.add(positions.splits(position))
    assert len(found) > 15  # so it does not always decode to the same


@pytest.mark.parametrize("row_steps", [None, 5])
@pytest.mark.parametrize("clients", [1, 2])
def test_what_is_written_is_read(clients: int, row_steps: int | None) -> None:
    """A position holds any plan of the space: splits, rows, order, cuts, servers and dispatch."""
    rng, numbers = random.Random(5), np.random.default_rng(5)
    for _ in range(15):
        pricer, waiting, positions = _positions(rng, clients, row_steps)
        planned = [waiting.planned(client, rng.choice(waiting.splits(client)))[1] for client in range(clients)]
        for draft in (together(pricer, planned), positions.draft(numbers.random(positions.dimensions))):
            position = numbers.random(positions.dimensions)
            positions.write(draft, position)
            assert positions.draft(position) == draft
            assert position.min() >= 0
            assert position.max() <= 1
