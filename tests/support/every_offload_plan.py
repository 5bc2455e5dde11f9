"""Every plan of a space, by plain enumeration: nothing is left out as dominated, and nothing is bounded."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import combinations, pairwise, permutations, product

from iopopt.network.builder import GraphBuilder
from iopopt.network.graph import Graph
from iopopt.offload.instance import OffloadInstance
from iopopt.offload.plan import ClientPlan, OffloadPlan, Path, jobs
from iopopt.offload.recursion import OffloadObjective, OffloadPricer
from iopopt.offload.space import OffloadSpace
from iopopt.offload.stages import Stages


def small_chains() -> list[Graph]:
    """Chains of two or three operators with few rows: with and without a fully connected end, so that all stages can be fused, or not."""

    def net(name: str, rows: int) -> GraphBuilder:
        return GraphBuilder(name, (2, rows, 4)).conv(3, 3, padding=1, name="a")

    return [
        net("two convs", 6).conv(2, 3, padding=1, name="b").build(),
        net("pooled", 7).relu().max_pool(2).fc(3, name="b").build(),
        net("strided", 8).conv(4, 3, stride=2, padding=1, name="b").fc(2, name="c").build(),
    ]


def client_plans(stages: Stages, space: OffloadSpace, servers: int) -> Iterator[ClientPlan]:
    """Every plan of one device."""
    for split in space.splits(stages):
        starts = space.starts(stages, split)
        for inner in combinations(starts[1:-1], split.paths - 1):
            rows = list(pairwise((0, *inner, starts[-1])))
            ends = [(cut, server) for cut in range(split.fused + 1) for server in range(servers if cut < split.fused else 1)]
            for chosen in product(ends, repeat=split.paths):
                paths = [Path(*interval, *end) for interval, end in zip(rows, chosen, strict=True)]
                for order in permutations(paths):
                    for tail in range(servers if split.fused < len(stages) else 1):
                        yield ClientPlan(split.fused, order, tail)


def all_plans(instance: OffloadInstance, space: OffloadSpace) -> Iterator[OffloadPlan]:
    """Every plan of all devices, in every dispatch."""
    stages = [Stages.of(client.graph) for client in instance.clients]
    for clients in product(*(client_plans(of_client, space, len(instance.servers)) for of_client in stages)):
        if len(clients) == 1:
            yield OffloadPlan(clients)
            continue
        counts = [jobs(of_client, planned) for of_client, planned in zip(stages, clients, strict=True)]
        for dispatch in dispatches(counts):
            yield OffloadPlan(clients, dispatch)


def dispatches(counts: list[int]) -> Iterator[tuple[int, ...]]:
    """Every sequence in which each number comes as often as its count says."""
    if not any(counts):
        yield ()
    for number, left in enumerate(counts):
        if left:
            for rest in dispatches([*counts[:number], left - 1, *counts[number + 1 :]]):
                yield (number, *rest)


def least_s(instance: OffloadInstance, space: OffloadSpace, objective: OffloadObjective = "makespan") -> tuple[float, int]:
    """The least value of all plans, seconds, and how many there are."""
    pricer = OffloadPricer(instance)
    values = [pricer.value_s(plan, objective) for plan in all_plans(instance, space)]
    return min(values), len(values)


def random_space(rng: random.Random, most_paths: int = 3) -> OffloadSpace:
    """Few paths, of even rows or not."""
    return OffloadSpace(most_paths=rng.randint(2, most_paths), row_steps=rng.choice([None, 3, 4]))
