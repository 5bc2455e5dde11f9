"""Plain enumeration of offloading plans, for tiny instances: every cut, server, order and dispatch, nothing left out."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, permutations, product

from iopopt.offload.instance import OffloadInstance
from iopopt.offload.plan import ClientPlan, OffloadPlan, Path, jobs
from iopopt.offload.recursion import OffloadObjective, OffloadPricer
from iopopt.offload.space import OffloadSpace, even_starts
from iopopt.offload.stages import Stages


def every_plan(instance: OffloadInstance, space: OffloadSpace) -> Iterator[OffloadPlan]:
    """Every plan of even rows."""
    of_clients = [list(_client_plans(Stages.of(client.graph), len(instance.servers), space)) for client in instance.clients]
    for clients in product(*of_clients):
        counts = [jobs(Stages.of(client.graph), planned) for client, planned in zip(instance.clients, clients, strict=True)]
        for dispatch in _dispatches(counts):
            yield OffloadPlan(clients, dispatch if len(clients) > 1 else ())


def least_s(instance: OffloadInstance, space: OffloadSpace, objective: OffloadObjective = "makespan") -> float:
    """What the best of them comes to, seconds."""
    pricer = OffloadPricer(instance)
    return min(pricer.value_s(plan, objective) for plan in every_plan(instance, space))


def _client_plans(stages: Stages, servers: int, space: OffloadSpace) -> Iterator[ClientPlan]:
    for fused, paths in space.splits(stages):
        rows = list(pairwise(even_starts(stages.shape(fused).height, paths)))
        for order, tail in product(permutations(rows), range(servers if fused < len(stages) else 1)):
            for ends in product(product(range(fused + 1), range(servers)), repeat=paths):
                yield ClientPlan(fused, tuple(Path(*row, *end) for row, end in zip(order, ends, strict=True)), tail)


def _dispatches(counts: list[int]) -> Iterator[tuple[int, ...]]:
    """Every order of so many jobs of each device."""
    if not any(counts):
        yield ()
    for place, count in enumerate(counts):
        if count:
            rest = [*counts[:place], count - 1, *counts[place + 1 :]]
            yield from ((place, *after) for after in _dispatches(rest))
