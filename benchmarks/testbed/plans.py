"""Different plans of one network, for the testbed to run."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from iopopt.cluster.cluster import Cluster
from iopopt.cost.evaluation import evaluate
from iopopt.errors import PlanError
from iopopt.methods import METHODS, solve
from iopopt.network.graph import Graph
from iopopt.plan.moves import random_neighbour
from iopopt.plan.placement import Placement
from iopopt.plan.plan import Plan
from iopopt.plan.shares import unit_proportional_shares
from iopopt.simulation.simulate import Simulator

METHOD_S = 30.0
"""Time limit of a method that is asked for by name."""

MILP_S = 20.0
"""Time limit of the exact method; its incumbent is run."""

_LONGEST_BLOCK = 8
_STRAYED, _TIMES, _MOVES = 6, 3, 4


@dataclass(frozen=True)
class Candidate:
    """A plan, where it comes from, and what it should take by both clocks.

    Attributes:
        bulk_s: equation (6), seconds.
        events_s: the makespan without barriers, seconds.
    """

    label: str
    plan: Plan
    bulk_s: float
    events_s: float

    @classmethod
    def of(cls, label: str, plan: Plan, graph: Graph, cluster: Cluster) -> Candidate:
        """A plan with its prices."""
        return cls(label, plan, evaluate(graph, cluster, plan).latency_s, Simulator(graph, cluster).makespan_s(plan))


def calibration_plans(graph: Graph, cluster: Cluster) -> list[Plan]:
    """A few plans that exercise every device's arithmetic, whole and split, and every link in both directions.

    Whole operators matter: a short share may end within the processor time that a device saved while it waited, and then looks too fast.
    """
    whole = [Plan.of(graph, [Placement.whole(device)] * len(graph)) for device in range(len(cluster))]
    options = [("oc", {}), ("coedge", {"fully_connected": "oc"}), ("iop_segments", {"reduce": "direct"}), ("iop_segments", {"reduce": "two_phase"})]
    found = [solve(graph, cluster, method, **chosen).plan for method, chosen in options]
    return list(dict.fromkeys([*whole, *(plan for plan in found if plan is not None)]))


def candidates(graph: Graph, cluster: Cluster, seed: int) -> list[Candidate]:
    """Distinct plans: of all methods that find one in time, with and without fused blocks, for all devices and for teams of two, and random ones."""
    found: dict[Plan, Candidate] = {}
    for label, plan in _labelled(graph, cluster, seed):
        if plan is not None and plan not in found:
            found[plan] = Candidate.of(label, plan, graph, cluster)
    for label, plan in _strayed(graph, cluster, list(found.values()), seed):
        found.setdefault(plan, Candidate.of(label, plan, graph, cluster))
    return list(found.values())


def of_methods(graph: Graph, cluster: Cluster, methods: Sequence[str]) -> list[Candidate]:
    """The plans of these methods, each found within its time limit.

    Raises:
        IopoptError: if a method does not exist or cannot be asked.
    """
    found = []
    for method in methods:
        options = {"time_limit_s": METHOD_S} if "time_limit_s" in METHODS.find(method).takes else {}
        plan = solve(graph, cluster, method, **options).plan
        if plan is not None:
            found.append(Candidate.of(method, plan, graph, cluster))
    return found


def _strayed(graph: Graph, cluster: Cluster, found: Sequence[Candidate], seed: int) -> Iterator[tuple[str, Plan]]:
    """Random moves away from each of the fastest plans, several times: unlike them, and not much slower."""
    rng = np.random.default_rng(seed)
    fastest = sorted(found, key=lambda candidate: min(candidate.bulk_s, candidate.events_s))[:_STRAYED]
    for candidate, time in product(fastest, range(_TIMES)):
        plan = candidate.plan
        try:
            for _ in range(_MOVES):
                plan = random_neighbour(graph, cluster, plan, rng, longest_block=_LONGEST_BLOCK)
        except PlanError:  # a plan of a smaller team has no neighbours in the space of all devices
            continue
        yield f"near {candidate.label} ({time + 1})", plan


def _labelled(graph: Graph, cluster: Cluster, seed: int) -> Iterator[tuple[str, Plan | None]]:
    for method in ("single", "oc", "greedy", "dp", "aofl"):
        yield method, solve(graph, cluster, method).plan
    yield f"dp, blocks of up to {_LONGEST_BLOCK}", solve(graph, cluster, "dp", longest_block=_LONGEST_BLOCK).plan
    for fully_connected in ("fastest", "oc"):
        yield f"coedge, fc {fully_connected}", solve(graph, cluster, "coedge", fully_connected=fully_connected).plan
    for reduce in ("direct", "two_phase"):
        yield f"iop_segments, {reduce}", solve(graph, cluster, "iop_segments", reduce=reduce).plan
    yield "milp", solve(graph, cluster, "milp", time_limit_s=MILP_S).plan
    pairs = list(combinations(range(len(cluster)), 2))
    for method, team in zip(("oc", "coedge", "dp"), (pairs[-1], pairs[0], pairs[len(pairs) // 2]), strict=True):
        yield f"{method}, team {team[0]}+{team[1]}", solve(graph, cluster, method, team=team).plan
    yield f"random (seed {seed})", random_plan(graph, len(cluster), seed)


def random_plan(graph: Graph, devices: int, seed: int) -> Plan:
    """Any dimension for each operator, at random shares of all devices."""
    rng, placements = random.Random(seed), []
    for operator in graph.operators:
        dim = rng.choice(operator.splittable_dims)
        shares = unit_proportional_shares(operator.unit, dim, [rng.uniform(0.2, 1.0) for _ in range(devices)])
        placements.append(Placement.split(dim, tuple(range(devices)), shares, rng.choice(["direct", "two_phase"])))
    return Plan.of(graph, placements)


def spread(found: list[Candidate], count: int) -> list[Candidate]:
    """``count`` candidates whose prices differ: of the two closest (by ratio, by either clock) the later one is dropped, until that many are left."""
    left = list(found)
    while len(left) > count:
        one, other = min(combinations(range(len(left)), 2), key=lambda pair: _distance(left[pair[0]], left[pair[1]]))
        del left[max(one, other)]
    return left


def within(found: Sequence[Candidate], factor: float) -> list[Candidate]:
    """Those that take at most ``factor`` times as long as the fastest one, by both clocks."""
    bulk_s, events_s = min(candidate.bulk_s for candidate in found), min(candidate.events_s for candidate in found)
    return [candidate for candidate in found if candidate.bulk_s <= factor * bulk_s and candidate.events_s <= factor * events_s]


def _distance(one: Candidate, other: Candidate) -> float:
    return max(_ratio(one.bulk_s, other.bulk_s), _ratio(one.events_s, other.events_s))


def _ratio(one_s: float, other_s: float) -> float:
    low, high = sorted((one_s, other_s))
    return high / low if low > 0 else float("inf")
