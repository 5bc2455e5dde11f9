"""Every plan of a tiny instance, priced: the reference for tests of the other methods."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from iopopt.cluster.cluster import Cluster, Device
from iopopt.cost.evaluation import evaluate
from iopopt.cost.infeasibility import nearest_miss
from iopopt.cost.instance import Instance
from iopopt.cost.pricer import Pricer
from iopopt.cost.stopwatch import NO_LIMIT, Stopwatch, TimeUpError
from iopopt.errors import InstanceTooLargeError
from iopopt.methods.objective import LATENCY, Goal, Objective, bound_fields, checked_goal, deadline_missed
from iopopt.methods.settings import checked_longest_block, limited
from iopopt.methods.single import single_plan
from iopopt.methods.solution import Solution, Status
from iopopt.network.graph import Graph
from iopopt.network.shapes import Dim
from iopopt.network.unit import Unit
from iopopt.plan.batch import PlanBatch
from iopopt.plan.placement import Placement
from iopopt.plan.plan import Plan
from iopopt.plan.splits import ALL_SPLITS, STRATEGIES, ShareRule, Splits, StrategyName
from iopopt.plan.team import Team, candidate_teams, space_name

MAX_PLANS = 5_000_000
_CHUNK = 8192


def plan_count(graph: Graph, cluster: Cluster, team: Team = "all", longest_block: int = 1, splits: Splits = ALL_SPLITS) -> int:
    """The number of plans in the space of ``team`` (for ``"best"``, plans that several teams share are counted for each)."""
    return sum(_plans_of(graph, cluster, members, splits.longest_block(longest_block), splits) for members in candidate_teams(team, cluster))


def _plans_of(graph: Graph, cluster: Cluster, team: Sequence[int], longest_block: int, splits: Splits) -> int:
    """The number of plans of one team: up to each operator, the plans up to the beginning of the last unit times the placements of that."""
    ending: dict[int, list[range]] = {}
    for members in graph.blocks(longest_block) if len(team) > 1 else ():
        ending.setdefault(members[-1], []).append(members)
    counts = [1]
    for i, unit in enumerate(graph.placed_units):
        fused = sum(counts[members.start] * _placement_count(graph.block(members), cluster, team, splits) for members in ending.get(i, []))
        counts.append(counts[i] * _placement_count(unit, cluster, team, splits) + fused)
    return counts[-1]


def written_count(count: int) -> str:
    """A count of plans with three digits; the count may be too large for a float."""
    if count < 1000:
        return str(count)
    exponent, fraction = divmod(math.log10(count), 1)
    return f"{10**fraction:.2f}e+{int(exponent)}"


def _placement_count(unit: Unit, cluster: Cluster, team: Sequence[int], splits: Splits) -> int:
    bars = len(team) - 1
    if bars == 0:
        return len(cluster)
    free = splits.shares == "free"
    counts = (len(list(splits.of_dim(dim))) * (math.comb(unit.granules(dim) + bars, bars) if free else 1) for dim in unit.dims)
    return (len(cluster) if unit.span == 1 else 0) + sum(counts)


def all_placements(
    unit: Unit, cluster: Cluster, team: Sequence[int], watch: Stopwatch = NO_LIMIT, splits: Splits = ALL_SPLITS
) -> Iterator[Placement]:
    """Whole on every device, and every dimension at every share in whole granules; for IC with both reduces. A fused block is never whole.

    Of the splits only those among ``splits``.

    Raises:
        TimeUpError: if the time is up before the last of them.
    """
    if unit.span == 1:
        yield from (Placement.whole(device) for device in range(len(cluster)))
    if len(team) == 1:
        return
    for dim in splits.dims(unit):
        for shares in _share_vectors(unit, dim, cluster, team, splits):
            watch.check()
            for strategy in splits.of_dim(dim):
                yield Placement.split(dim, team, shares, strategy.reduce or "direct")


def _share_vectors(unit: Unit, dim: Dim, cluster: Cluster, team: Sequence[int], splits: Splits) -> Iterator[tuple[int, ...]]:
    only = splits.only_shares(unit, dim, cluster, team)
    if only is not None:
        yield only
        return
    for granules in _compositions(unit.granules(dim), len(team)):
        yield tuple(unit.granularities[dim] * share for share in granules)


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
    longest_block: int = 1,
    strategies: Collection[StrategyName] = STRATEGIES,
    shares: ShareRule = "free",
    objective: Objective = "latency",
    deadline_s: float | None = None,
    max_plans: int = MAX_PLANS,
    time_limit_s: float = math.inf,
) -> Solution:
    """The best plan of the space by enumeration; with every fused block of at most ``longest_block`` operators.

    ``strategies`` and ``shares`` restrict the space, and ``objective`` and ``deadline_s`` say what is best, as in :func:`iopopt.solve_milp`.

    If the time limit, in seconds of wall clock for everything, ends the enumeration (``termination="time_limit"``), nothing is proven: the plan
    is the best so far, or that of one device. Otherwise the plan is always the same.

    Raises:
        InstanceTooLargeError: if the space holds more than ``max_plans`` plans; the message gives their count.
        ClusterError: if ``team`` names a device that does not exist.
        UnknownNameError: if no strategy, rule of shares or objective has a given name.
        SolverError: if ``time_limit_s`` or ``deadline_s`` is not positive, or the energy of devices without powers is asked for.
    """
    cluster, watch, splits = Instance.of(graph, devices).cluster, limited(time_limit_s), Splits.named(strategies, shares)
    longest_block, goal = splits.longest_block(checked_longest_block(longest_block)), checked_goal(objective, deadline_s, cluster)
    count = plan_count(graph, cluster, team, longest_block, splits)
    if not count <= max_plans:
        raise InstanceTooLargeError(
            f"exhaustive search: {graph.name} on {len(cluster)} devices has {written_count(count)} plans, more than max_plans={max_plans:,}; "
            "use method 'milp' for a proven optimum"
        )
    return enumerate_plans(graph, cluster, team, watch, longest_block, splits, goal)


def enumerate_plans(
    graph: Graph, cluster: Cluster, team: Team, watch: Stopwatch, longest_block: int = 1, splits: Splits = ALL_SPLITS, goal: Goal = LATENCY
) -> Solution:
    """The best plan of the space, or of the part of it that there was time for."""
    best = _BestPlans(graph, cluster, goal)
    try:
        for members in candidate_teams(team, cluster):
            for batch in all_plan_batches(graph, cluster, members, watch, longest_block, splits):
                best.keep(batch)
    except TimeUpError:
        best.keep(PlanBatch.from_plans(graph, [single_plan(graph, cluster)], len(cluster)))
    return _outcome(best, space_name(team, cluster, longest_block, splits), watch)


@dataclass
class _Best:
    """The plan with the least value so far."""

    value: float = math.inf
    plan: Plan | None = None


def all_plan_batches(
    graph: Graph, cluster: Cluster, team: Sequence[int], watch: Stopwatch, longest_block: int, splits: Splits = ALL_SPLITS
) -> Iterator[PlanBatch]:
    """Every plan of one team, in batches: for each cover of the operators, the product of the placements of its units.

    Raises:
        TimeUpError: if the time is up before the last batch.
    """
    known: dict[Unit, PlanBatch] = {}
    for spans in graph.covers(longest_block if len(team) > 1 else 1):
        units = graph.covered(spans).placed
        for unit in units:
            if unit not in known:
                known[unit] = PlanBatch.of_unit(list(all_placements(unit, cluster, team, watch, splits)), unit.span, len(cluster))
        states = [known[unit] for unit in units]
        shape = tuple(len(state) for state in states)
        for start in range(0, math.prod(shape), _CHUNK):
            watch.check()
            numbers = np.unravel_index(np.arange(start, min(start + _CHUNK, math.prod(shape))), shape)
            yield PlanBatch.join([state.take(number) for state, number in zip(states, numbers, strict=True)])


class _BestPlans:
    """Of the plans so far, the best one that is allowed, the fastest that fits the memory, and the one that is closest to fitting."""

    def __init__(self, graph: Graph, cluster: Cluster, goal: Goal) -> None:
        self.graph, self.cluster, self.goal = graph, cluster, goal
        self.best, self.fastest, self.nearest = _Best(), _Best(), _Best()
        self._pricer = Pricer(graph, cluster)
        self._limits = np.array([[device.memory_bytes] for device in cluster.devices])

    def keep(self, batch: PlanBatch) -> None:
        """Look at some more plans."""
        price = self._pricer.price(batch, energy=self.goal.objective == "energy")
        values = self.goal.values(price, self.cluster)
        latency_s = np.where(price.feasible, price.latency_s, np.inf)
        ways = [(self.best, np.where(latency_s <= self.goal.latest_s, np.where(price.feasible, values, np.inf), np.inf))]
        ways += [(self.fastest, latency_s), (self.nearest, (price.memory_bytes / self._limits).max(axis=0))]
        for keep, value in ways:
            number = int(value.argmin())
            if value[number] < keep.value:
                keep.value, keep.plan = float(value[number]), batch.plan(self.graph, number)

    def missing(self) -> str:
        """Why no plan of all is allowed."""
        if self.fastest.plan is not None:
            return deadline_missed(self.goal, self.fastest.value, self.fastest.value)
        assert self.nearest.plan is not None  # no space is empty
        return nearest_miss(self.graph, self.cluster, [self.nearest.plan])


def _outcome(found: _BestPlans, space: str, watch: Stopwatch) -> Solution:
    plan, goal, complete = found.best.plan, found.goal, not watch.cut_short
    price = None if plan is None else evaluate(found.graph, found.cluster, plan)
    proven: Status = "optimal" if price else "infeasible"
    claimed: Status = "feasible" if price else "unknown"
    late = "" if found.fastest.plan is None else " and meets the deadline"
    missing = found.missing() if complete else f"no plan that fits the memory{late} was found in {watch.limit_s:g} s"
    bound = goal.value(price) if price and complete else None
    return Solution(
        plan=plan,
        status=proven if complete else claimed,
        termination="exhausted" if complete else "time_limit",
        latency_s=price.latency_s if price else math.inf,
        **bound_fields(goal.objective, bound),
        objective=goal.objective,
        deadline_s=goal.deadline_s if math.isfinite(goal.deadline_s) else None,
        space=space,
        build_s=0.0,
        solve_s=watch.elapsed_s,
        method="exhaustive",
        evaluation=price,
        reason=None if price else missing,
    )
