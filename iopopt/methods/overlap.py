"""Plans for time without barriers: simulated annealing over everything that a plan may say, priced by the simulation of events.

It starts from what other methods find by equation (6) and from rows followed by one device; in each move it changes shares, participants or their
order, dimensions, devices or blocks of one unit or of a run of them. Most neighbours are refused by their critical path, before their transfers
are simulated.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from iopopt.cluster.cluster import Cluster, Device
from iopopt.cost.instance import Instance
from iopopt.cost.stopwatch import Stopwatch, TimeUpError
from iopopt.methods.annealing.first_plans import scheme_plans, searched_plans
from iopopt.methods.annealing.layouts import offer_layouts
from iopopt.methods.annealing.search import Annealing, AnnealingSettings
from iopopt.methods.annealing.space import Space
from iopopt.methods.settings import MOST_SEED, checked_integer, checked_longest_block, limited
from iopopt.methods.solution import Solution, Termination, heuristic_solution
from iopopt.network.graph import Graph
from iopopt.plan.pieces import pieces_of, plan_of
from iopopt.plan.plan import Plan, validate_plan
from iopopt.plan.team import Team, resolve_team


def solve_overlap(
    graph: Graph,
    devices: Cluster | Sequence[Device],
    *,
    team: Team = "all",
    longest_block: int = 8,
    seed: int = 0,
    time_limit_s: float = 60.0,
    warm_start: Plan | None = None,
    settings: AnnealingSettings | None = None,
) -> Solution:
    """The fastest plan by the clock without barriers that simulated annealing finds (:func:`iopopt.simulate`, boundary rows first).

    Every operator may have its own participants, in any order. The plan is never slower, by the same clock, than any from which the search
    started: one device, CoEdge, the greedy pairs of IOP, rows as far as any operator and one device from there on, the dynamic program with
    and without blocks, the exact optimum of equation (6), and ``warm_start``. ``Solution.started_from`` names the best of them.

    Args:
        graph: the network, branches included.
        devices: a cluster, or devices with the cluster defaults.
        team: the devices over which operators may be split, some or all of them each: ``"all"``, or a sequence of them. Their order means nothing.
        longest_block: the most operators of a fused block; 1 fuses nothing.
        seed: of the random numbers. A search that ends by itself (``termination="iteration_limit"``) gives the same plan for the same seed if its
            starts were found in their time; one that ends at its time limit depends on the machine.
        time_limit_s: seconds of wall clock for everything.
        warm_start: another plan to start from.
        settings: the schedule of temperatures.

    Returns:
        A Solution with ``timing="events"``. Ctrl-C ends the search with the best plan so far (``termination="interrupted"``).

    Raises:
        PlanError: if ``warm_start`` is no plan of this graph and cluster, or outside the space.
        ClusterError: if ``team`` names a device that does not exist.
        SolverError: if a setting is out of range.
    """
    cluster, watch = Instance.of(graph, devices).cluster, limited(time_limit_s)
    seed, settings = checked_integer("seed", seed, 0, MOST_SEED), settings or AnnealingSettings()
    space = Space(graph, cluster, tuple(sorted(resolve_team(team, cluster))), checked_longest_block(longest_block))
    if warm_start is not None:
        validate_plan(graph, cluster, warm_start)
        space.check(warm_start)
    search = Annealing(space, settings, watch, seed)
    build_s, termination = watch.lap(), _searched(search, space, warm_start, seed, watch)
    if search.best is None:
        raise KeyboardInterrupt  # before the first plan was priced: there is nothing to return
    return heuristic_solution(
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


def _searched(search: Annealing, space: Space, warm_start: Plan | None, seed: int, watch: Stopwatch) -> Termination:
    """Offer the starts, then search; returns why it stopped."""
    try:
        if warm_start is not None:
            search.offer("warm start", pieces_of(space.graph, warm_start))
        for name, pieces in scheme_plans(space):
            search.offer(name, pieces)
            watch.check()
        if len(space.devices) > 1:
            offer_layouts(space, Random(seed), search.offer)
        for name, pieces in searched_plans(space, watch, seed):
            search.offer(name, pieces)
        search.run()
    except TimeUpError:
        return "time_limit"
    except KeyboardInterrupt:
        return "interrupted"
    return "iteration_limit"
