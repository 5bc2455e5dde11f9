"""Plans for time without barriers: simulated annealing over everything that a plan may say, priced by the simulation of events.

It starts from what other methods find by equation (6) and from rows followed by one device; in each move it changes shares, participants or their
order, dimensions, devices or blocks of one unit or of a run of them. Most neighbours are refused by their critical path, before their transfers
are simulated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from iopopt.cluster.cluster import Cluster, Device
from iopopt.cost.instance import Instance
from iopopt.cost.stopwatch import Stopwatch, TimeUpError
from iopopt.errors import SolverError
from iopopt.methods.annealing.first_plans import scheme_plans, searched_plans, some_of
from iopopt.methods.annealing.layouts import offer_layouts
from iopopt.methods.annealing.search import Annealing, AnnealingSettings
from iopopt.methods.annealing.space import Pieces, Space
from iopopt.methods.settings import MOST_OPTIMAL_GAP, MOST_SEED, checked_gap, checked_integer, checked_longest_block, limited
from iopopt.methods.solution import Solution, Termination, heuristic_solution
from iopopt.milp.events_bound import events_bound
from iopopt.network.graph import Graph
from iopopt.plan.pieces import pieces_of, plan_of
from iopopt.plan.plan import Plan, validate_plan
from iopopt.plan.team import Team, resolve_team

_BOUND_PART, _LEAST_BOUND_S = 0.2, 0.1
"""Of the time limit, for the bound; and the seconds that it gets in any case."""


def solve_overlap(
    graph: Graph,
    devices: Cluster | Sequence[Device],
    *,
    team: Team = "all",
    longest_block: int = 8,
    seed: int = 0,
    time_limit_s: float = 60.0,
    gap: float = 1e-4,
    warm_start: Plan | None = None,
    settings: AnnealingSettings | None = None,
) -> Solution:
    """The fastest plan by the clock without barriers that simulated annealing finds (:func:`iopopt.simulate`, boundary rows first).

    Every operator may have its own participants, in any order. The plan is never slower, by the same clock, than any from which the search
    started: one device, CoEdge, the greedy pairs of IOP, rows as far as any operator and one device from there on, HALP, the dynamic program
    with and without blocks, the exact optimum of equation (6), and ``warm_start``. ``Solution.started_from`` names the best of them.

    Args:
        graph: the network, branches included.
        devices: a cluster, or devices with the cluster defaults.
        team: the devices over which operators may be split, some or all of them each: ``"all"``, or a sequence of them. Their order means nothing.
        longest_block: the most operators of a fused block; 1 fuses nothing.
        seed: of the random numbers. A search that ends by itself (``termination="iteration_limit"``) gives the same plan for the same seed if its
            starts were found in their time; one that ends at its time limit depends on the machine.
        time_limit_s: seconds of wall clock for everything.
        gap: the relative gap (latency - bound) / latency at which to stop.
        warm_start: another plan to start from.
        settings: the schedule of temperatures.

    Returns:
        A Solution with ``timing="events"``, whose bound (:func:`iopopt.milp.events_bound.events_bound`) no plan of its space can beat. Ctrl-C ends
        the search with the best plan so far (``termination="interrupted"``).

    Raises:
        PlanError: if ``warm_start`` is no plan of this graph and cluster, or outside the space.
        ClusterError: if ``team`` names a device that does not exist.
        SolverError: if a setting is out of range.
    """
    cluster, watch, gap = Instance.of(graph, devices).cluster, limited(time_limit_s), checked_gap(gap)
    seed, settings = checked_integer("seed", seed, 0, MOST_SEED), settings or AnnealingSettings()
    space = Space(graph, cluster, tuple(sorted(resolve_team(team, cluster))), checked_longest_block(longest_block))
    if warm_start is not None:
        validate_plan(graph, cluster, warm_start)
        space.check(warm_start)
    run = _Run(space, settings, watch, seed, gap)
    build_s, termination = watch.lap(), run.search(warm_start)
    search = run.annealing
    if search.best is None:
        raise KeyboardInterrupt  # before the first plan was priced: there is nothing to return
    found = heuristic_solution(
        graph,
        cluster,
        plan_of(graph, search.best),
        method="overlap",
        space=space.name,
        build_s=build_s,
        solve_s=watch.lap(),
        termination=termination,
        seed=seed,
        trajectory=tuple(search.trajectory),
        started_from=search.started_from,
        start_latency_s=search.start_s,
        timing="events",
    )
    proven = found.status == "feasible" and run.bound_s is not None and found.latency_s - run.bound_s <= MOST_OPTIMAL_GAP * found.latency_s
    reason = "; ".join([*([found.reason] if found.reason else []), *run.faults]) or None
    return replace(found, bound_s=run.bound_s, status="optimal" if proven else found.status, reason=reason)


class _Run:
    """One search.

    Attributes:
        annealing: the search itself, which keeps the best plan.
        bound_s: what no plan can beat, seconds; None before it is known.
        faults: which back ends failed, and what that cost.
    """

    def __init__(self, space: Space, settings: AnnealingSettings, watch: Stopwatch, seed: int, gap: float) -> None:
        self.annealing = Annealing(space, settings, watch, seed)
        self.bound_s: float | None = None
        self.faults: list[str] = []
        self._space, self._watch, self._seed, self._gap = space, watch, seed, gap

    def search(self, warm_start: Plan | None) -> Termination:
        """Offer the starts, bound, then anneal; returns why it stopped."""
        try:
            try:
                self._offer_starts(warm_start)
                self._bound()
                self.annealing.run((self.bound_s or 0.0) / (1 - self._gap))
            except TimeUpError:
                if self.bound_s is None:
                    self._bound()
                return "time_limit"
        except KeyboardInterrupt:
            return "interrupted"
        return "gap" if self._closed else "iteration_limit"

    @property
    def _closed(self) -> bool:
        return self.bound_s is not None and self.annealing.least - self.bound_s <= self._gap * self.annealing.least

    def _offer(self, name: str, pieces: Pieces) -> float:
        """Offer a start while there is time; the first in any case."""
        if self.annealing.best is not None:
            self._watch.check()
        return self.annealing.offer(name, pieces)

    def _offer_starts(self, warm_start: Plan | None) -> None:
        space = self._space
        if warm_start is not None:
            self._offer("warm start", pieces_of(space.graph, warm_start))
        for name, pieces in scheme_plans(space, self._watch):
            self._offer(name, pieces)
        if len(space.devices) > 1:
            offer_layouts(space, Random(self._seed), self._offer, some_of(self._watch))
        try:
            for name, pieces in searched_plans(space, self._watch, self._seed):
                self._offer(name, pieces)
        except SolverError as error:
            self.faults.append(f"the search did not start from every method: {error}")

    def _bound(self) -> None:
        """What no plan of the space can beat, in a part of the time; a back end that fails costs only what it would have added."""
        space, known_s = self._space, self.annealing.makespan_s
        limit_s = max(_LEAST_BOUND_S, min(self._watch.remaining_s, _BOUND_PART * self._watch.limit_s))
        try:
            found = events_bound(space.graph, space.cluster, longest_block=space.longest_block, time_limit_s=limit_s, known_s=known_s)
        except SolverError as error:
            self.faults.append(f"the bound is that without a program: {error}")
            found = events_bound(space.graph, space.cluster, longest_block=space.longest_block, time_limit_s=limit_s, backend=None)
        if known_s is not None and found.bound_s > known_s:
            raise SolverError(f"the bound {found.bound_s!r} s is above a plan that takes {known_s!r} s: one of them is wrong")
        self.bound_s = found.bound_s
