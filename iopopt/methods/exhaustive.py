"""Every plan of a tiny instance, priced: the reference for tests of the other methods."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from iopopt.cluster.cluster import Cluster, Device
from iopopt.cost.evaluation import evaluate
from iopopt.cost.infeasibility import nearest_miss
from iopopt.cost.instance import Instance
from iopopt.cost.pricer import Pricer
from iopopt.cost.stopwatch import NO_LIMIT, Stopwatch, TimeUpError
from iopopt.errors import InstanceTooLargeError
from iopopt.methods.settings import limited
from iopopt.methods.single import single_plan
from iopopt.methods.solution import Solution, Status
from iopopt.network.graph import Graph
from iopopt.network.unit import Unit
from iopopt.plan.batch import PlanBatch
from iopopt.plan.placement import Placement
from iopopt.plan.plan import Plan
from iopopt.plan.team import Team, candidate_teams, space_name

MAX_PLANS = 5_000_000
_CHUNK = 8192


def plan_count(graph: Graph, cluster: Cluster, team: Team = "all") -> int:
    """The number of plans in the space of ``team`` (for ``"best"``, plans that several teams share are counted for each)."""
    return sum(math.prod(_placement_count(op, cluster, members) for op in graph.placed_units) for members in candidate_teams(team, cluster))


def written_count(count: int) -> str:
    """A count of plans with three digits; the count may be too large for a float."""
    if count < 1000:
        return str(count)
    exponent, fraction = divmod(math.log10(count), 1)
    return f"{10**fraction:.2f}e+{int(exponent)}"


def _placement_count(unit: Unit, cluster: Cluster, team: Sequence[int]) -> int:
    bars = len(team) - 1
    if bars == 0:
        return len(cluster)
    counts = {dim: math.comb(unit.granules(dim) + bars, bars) for dim in unit.dims}
    return len(cluster) + sum(counts.values()) + counts.get("IC", 0)


def all_placements(unit: Unit, cluster: Cluster, team: Sequence[int], watch: Stopwatch = NO_LIMIT) -> Iterator[Placement]:
    """Whole on every device, and every dimension at every share in whole granules; for IC with both reduces.

    Raises:
        TimeUpError: if the time is up before the last of them.
    """
    yield from (Placement.whole(device) for device in range(len(cluster)))
    if len(team) == 1:
        return
    for dim in unit.dims:
        for granules in _compositions(unit.granules(dim), len(team)):
            watch.check()
            shares = [unit.granularities[dim] * share for share in granules]
            yield Placement.split(dim, team, shares)
            if dim == "IC":
                yield Placement.split(dim, team, shares, "two_phase")


def _compositions(size: int, parts: int) -> Iterator[tuple[int, ...]]:
    """Every way to write ``size`` as an ordered sum of ``parts`` shares of at least 0."""
    for bars in itertools.combinations(range(size + parts - 1), parts - 1):
        edges = (-1, *bars, size + parts - 1)
        yield tuple(right - left - 1 for left, right in itertools.pairwise(edges))


def solve_exhaustive(
    graph: Graph,
    devices: Cluster | Sequence[Device],
    *,
    team: Team = "all",
    max_plans: int = MAX_PLANS,
    time_limit_s: float = math.inf,
) -> Solution:
    """The best plan of the space by enumeration.

    If the time limit, in seconds of wall clock for everything, ends the enumeration (``termination="time_limit"``), nothing is proven: the plan
    is the best so far, or that of one device. Otherwise the plan is always the same.

    Raises:
        InstanceTooLargeError: if the space holds more than ``max_plans`` plans; the message gives their count.
        ClusterError: if ``team`` names a device that does not exist.
        SolverError: if ``time_limit_s`` is not positive.
    """
    cluster, watch = Instance.of(graph, devices).cluster, limited(time_limit_s)
    count = plan_count(graph, cluster, team)
    if not count <= max_plans:
        raise InstanceTooLargeError(
            f"exhaustive search: {graph.name} on {len(cluster)} devices has {written_count(count)} plans, more than max_plans={max_plans:,}; "
            "use method 'milp' for a proven optimum"
        )
    return enumerate_plans(graph, cluster, team, watch)


def enumerate_plans(graph: Graph, cluster: Cluster, team: Team, watch: Stopwatch) -> Solution:
    """The best plan of the space, or of the part of it that there was time for."""
    best, nearest = _Best(), _Best()
    try:
        for members in candidate_teams(team, cluster):
            for batch in _all_plans(graph, cluster, members, watch):
                _keep_best(graph, cluster, batch, best, nearest)
    except TimeUpError:
        _keep_best(graph, cluster, PlanBatch.of([list(single_plan(graph, cluster).values())], len(cluster)), best, nearest)
    return _outcome(graph, cluster, space_name(team, cluster), best.plan, nearest.plan, watch)


@dataclass
class _Best:
    """The plan with the least value so far."""

    value: float = math.inf
    plan: Plan | None = None


def _all_plans(graph: Graph, cluster: Cluster, team: Sequence[int], watch: Stopwatch) -> Iterator[PlanBatch]:
    """Every plan of one team, in batches: the product of the operators' placements.

    Raises:
        TimeUpError: if the time is up before the last batch.
    """
    placements = [[[placement] for placement in all_placements(unit, cluster, team, watch)] for unit in graph.placed_units]
    states = [PlanBatch.of(ways, len(cluster)) for ways in placements]
    shape = tuple(len(state) for state in states)
    for start in range(0, math.prod(shape), _CHUNK):
        watch.check()
        numbers = np.unravel_index(np.arange(start, min(start + _CHUNK, math.prod(shape))), shape)
        yield PlanBatch.join([state.take(number) for state, number in zip(states, numbers, strict=True)])


def _keep_best(graph: Graph, cluster: Cluster, batch: PlanBatch, best: _Best, nearest: _Best) -> None:
    """Keep the fastest plan that fits, and the one closest to fitting."""
    price = Pricer(graph, cluster).price(batch)
    limits = np.array([[device.memory_bytes] for device in cluster.devices])
    for keep, value in ((best, np.where(price.feasible, price.latency_s, np.inf)), (nearest, (price.memory_bytes / limits).max(axis=0))):
        number = int(value.argmin())
        if value[number] < keep.value:
            keep.value, keep.plan = float(value[number]), batch.plan(graph, number)


def _outcome(graph: Graph, cluster: Cluster, space: str, plan: Plan | None, nearest: Plan | None, watch: Stopwatch) -> Solution:
    price, complete = None if plan is None else evaluate(graph, cluster, plan), not watch.cut_short
    assert nearest is not None  # no space is empty
    proven: Status = "optimal" if price else "infeasible"
    claimed: Status = "feasible" if price else "unknown"
    missing = nearest_miss(graph, cluster, [nearest]) if complete else f"no plan that fits the memory was found in {watch.limit_s:g} s"
    return Solution(
        plan=plan,
        status=proven if complete else claimed,
        termination="exhausted" if complete else "time_limit",
        latency_s=price.latency_s if price else math.inf,
        bound_s=price.latency_s if price and complete else None,
        space=space,
        build_s=0.0,
        solve_s=watch.elapsed_s,
        method="exhaustive",
        evaluation=price,
        reason=None if price else missing,
    )
