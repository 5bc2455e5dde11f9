"""The optimum by constraint programming: OR-Tools CP-SAT counts in ticks, for one device and for several that share servers."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from itertools import pairwise
from math import floor, inf, isfinite
from typing import Any

from iopopt.cost.stopwatch import Stopwatch, TimeUpError
from iopopt.errors import OffloadError
from iopopt.methods.settings import checked_integer, limited
from iopopt.methods.solution import Point, Termination
from iopopt.network.records import is_number, short_repr
from iopopt.offload.bounds import OpenSplits, SplitBound, split_bounds
from iopopt.offload.dispatch import in_order_of_arrival
from iopopt.offload.instance import OffloadInstance
from iopopt.offload.joint_bound import joint_bound_s
from iopopt.offload.methods.mw import solve_mw
from iopopt.offload.methods.nfl import best_single
from iopopt.offload.plan import ClientPlan, OffloadPlan, Path, jobs
from iopopt.offload.program.ticks import TickProgram
from iopopt.offload.recursion import OffloadObjective, OffloadPricer
from iopopt.offload.solution import OffloadSolution, offload_solution
from iopopt.offload.space import OffloadSpace, even_starts

TICKS = 1_000_000
"""The value of the first plan in ticks, unless a resolution is given."""

MOST_TICKS = 10**12

_ENDED: Termination = "exhausted"


def solve_cpsat(
    instance: OffloadInstance,
    *,
    space: OffloadSpace | None = None,
    objective: OffloadObjective = "makespan",
    time_limit_s: float = 60.0,
    resolution_s: float | None = None,
    warm_start: OffloadPlan | None = None,
    threads: int = 1,
) -> OffloadSolution:
    """The optimum by CP-SAT, with a bound that is proven.

    Durations are rounded down to ticks. No plan becomes slower where a duration shrinks, so the least number of ticks is a bound on every plan as it
    stands. A plan that takes so many takes, in truth, at most one tick more for each duration on its critical path, of which there are at most
    :func:`most_durations`. ``status="optimal"`` says that value and bound are no further apart.

    One device is solved split after split, that of the least bound (:mod:`iopopt.offload.bounds`) first; several in one program, which starts from
    the plan of Minimizing Waiting. Where rows may be
    uneven, plans of even rows are searched first, in a quarter of the time. The best plan so far is not a hint, but cut off: only what is better is
    searched for; several devices start from the plans that are best for each alone. At the time limit, or at Ctrl-C, the search ends with that plan.

    The paths of a device are uploaded in their order, and a list schedule never gives a worker away later than the one before; so a server begins
    them in that order. Conversely, jobs that begin in this order, never more at a time than there are workers, begin no later in the list schedule
    of the same order. Where jobs may begin in another order (several devices and several servers of several workers; an input at the servers, which
    needs no upload), the program lets them. Should no plan do what it then says, the bound still holds, and the status is ``feasible``.

    Args:
        resolution_s: the length of a tick; by default a millionth of the value of the plan that it starts from.
        warm_start: a plan to start from, of the space.
        threads: those of CP-SAT.

    Raises:
        OffloadError: if a device has no plan in ``space``, or the resolution is out of range.
        PlanError: if ``warm_start`` is no plan of the instance.
        SolverError: if ``time_limit_s`` or ``threads`` is out of range.
    """
    watch, space, threads = limited(time_limit_s), space or OffloadSpace(), checked_integer("threads", threads, 1, 1024)
    space.check(instance)
    pricer = OffloadPricer(instance)
    if warm_start is not None:
        pricer.validate(warm_start)
    first = warm_start or first_plan(pricer, space)
    tick_s = checked_resolution(resolution_s, pricer.value_s(first, objective))
    search = _Search(pricer, objective, tick_s, threads, watch, first)
    even, termination = replace(space, row_steps=None), _ENDED
    if len(instance.clients) > 1:
        heuristic = solve_mw(instance, space=even, objective=objective, time_limit_s=time_limit_s / 2)
        search.offer(heuristic.plan)
        termination = heuristic.termination
    if space.row_steps and termination != "interrupted":
        termination = search.run(even, seconds=time_limit_s / 4)
    if termination != "interrupted":
        termination = search.run(space)
    error_s = tick_s * most_durations(pricer, search.best)
    optimal = termination == "exhausted" and search.best_s - search.bound_s <= error_s * (1 + 1e-9)
    return offload_solution(
        instance,
        search.best,
        status="optimal" if optimal else "feasible",
        termination=termination,
        bound_s=search.bound_s,
        objective=objective,
        space=space.name,
        method="cpsat",
        searched=f"{search.solved:,} of {search.programs:,} splits by CP-SAT, the rest cut off by bounds",
        solve_s=watch.elapsed_s,
        resolution_s=tick_s,
        trajectory=tuple(search.trajectory),
    )


def most_durations(pricer: OffloadPricer, plan: OffloadPlan) -> int:
    """The most durations on a critical path of a plan: how many ticks rounding down can take from its value at most.

    The recursion takes sums, maxima and minima, and only sums add up errors. An error passes from one path to the next on the same machine, or to
    the next kind of machine: with J jobs on servers, in their dispatch, and M kinds of machines (device, uplink, server; the downlink before; the
    downlink after) that is at most J + M - 1 durations, and one for the last result. Results also wait until the downlink has fetched all inputs:
    at most 2 n durations, or n and the last result.
    """
    instance = pricer.instance
    entries = sum(jobs(stages, client) for stages, client in zip(pricer.stages, plan.clients, strict=True))
    machines = 3 + any(client.input_at == "server" for client in instance.clients) + any(client.result_at == "device" for client in instance.clients)
    return max(entries + machines, 2 * max(len(client.paths) for client in plan.clients) + 1)


def checked_resolution(resolution_s: float | None, value_s: float) -> float:
    """The length of a tick, seconds.

    Raises:
        OffloadError: if it is not positive, or too short for ``value_s``.
    """
    if resolution_s is None:
        return value_s / TICKS if value_s > 0 else 1.0
    if not is_number(resolution_s) or not isfinite(resolution_s) or not resolution_s * MOST_TICKS >= value_s or not resolution_s > 0:
        least = value_s / MOST_TICKS
        raise OffloadError(f"resolution_s is {short_repr(resolution_s)}; it must be a positive number of seconds, of at least {least:.3g} here")
    return float(resolution_s)


def first_plan(pricer: OffloadPricer, space: OffloadSpace) -> OffloadPlan:
    """For each device the best single cut, or where the space has none, all paths of its first split on a server."""
    clients = []
    for client, stages in enumerate(pricer.stages):
        split = space.splits(stages)[0]
        if split == (len(stages), 1):
            clients.append(best_single(pricer, client, range(len(stages) + 1)))
            continue
        rows = even_starts(stages.shape(split.fused).height, split.paths)
        clients.append(ClientPlan(split.fused, tuple(Path(start, stop, 0) for start, stop in pairwise(rows))))
    return in_order_of_arrival(pricer, clients)


class _Search:
    """The best plan and the bound, over one program or many.

    Attributes:
        best, best_s: the best plan and its value, seconds.
        bound_s: a proven lower bound, seconds.
        programs, solved: how many splits there are, and for how many CP-SAT ran.
    """

    def __init__(self, pricer: OffloadPricer, objective: OffloadObjective, tick_s: float, threads: int, watch: Stopwatch, first: OffloadPlan) -> None:
        self._pricer, self._objective, self._tick_s, self._threads, self._watch = pricer, objective, tick_s, threads, watch
        self.best, self.best_s, self.bound_s = first, pricer.value_s(first, objective), 0.0
        self._best_ticks = floor(self.best_s / tick_s * len(pricer.stages if objective == "mean" else [0]))
        self.programs = self.solved = 0
        self._until_s = watch.limit_s
        self.trajectory = [Point(watch.elapsed_s, self.best_s, None)]

    @property
    def _cutoff_s(self) -> float:
        """Only plans of fewer ticks are looked for."""
        return self._best_ticks * self._scale_s

    @property
    def _scale_s(self) -> float:
        """The worth of a tick of the objective, which is a sum."""
        return self._tick_s / (len(self._pricer.stages) if self._objective == "mean" else 1)

    def run(self, space: OffloadSpace, seconds: float = inf) -> Termination:
        """Search a space; the bound is that of its plans."""
        self._until_s = min(self._watch.elapsed_s + seconds, self._watch.limit_s)
        self.bound_s, self.programs, self.solved = 0.0, 0, 0
        try:
            splits = [split_bounds(self._pricer, space, client) for client in range(len(self._pricer.stages))]
            self.programs = sum(len(of_client) for of_client in splits)
            return self._one_device(splits[0]) if len(splits) == 1 else self._several(splits)
        except TimeUpError:
            return "time_limit"
        except KeyboardInterrupt:
            return "interrupted"

    @property
    def _left_s(self) -> float:
        """The seconds that are left for this space."""
        return self._until_s - self._watch.elapsed_s

    def _check(self) -> None:
        if self._left_s <= 0:
            raise TimeUpError("no time is left for these plans")

    def _one_device(self, splits: Sequence[SplitBound]) -> Termination:
        """Split after split, until no other has a lower bound; each gets half of the time that is left, and comes again if that is not enough."""
        still_open = OpenSplits(splits)
        split: SplitBound | None = None
        try:
            while (split := still_open.pop(self._cutoff_s, self._watch)) is not None:
                self._check()
                ended, bound_s = self._solve([[split]], self._left_s / 2)
                self.solved += 1
                split.bound_s = max(split.bound_s, bound_s)
                if ended != "exhausted":
                    still_open.add(split)
                split = None
                if ended == "interrupted":
                    return ended
        finally:
            self.bound_s = min(still_open.bound_s, self._cutoff_s, inf if split is None else split.bound_s)
        return "exhausted"

    def _several(self, splits: Sequence[Sequence[SplitBound]]) -> Termination:
        """All devices in one program, with the splits whose bounds are low enough."""
        left = self._promising(splits)
        if any(not of_client for of_client in left):
            self.bound_s = self._cutoff_s
            return "exhausted"
        self.solved = sum(len(of_client) for of_client in left)
        ended, bound_s = self._solve(left, self._left_s)
        self.bound_s = max(self.bound_s, bound_s)
        return ended

    def _promising(self, splits: Sequence[Sequence[SplitBound]]) -> list[list[SplitBound]]:
        """The splits of each device with which the objective can be below the best, if all other devices are as early as can be."""
        for split in (split for of_client in splits for split in of_client):
            self._check()
            split.relax()
        least = [min(split.bound_s for split in of_client) for of_client in splits]
        together = joint_bound_s(splits) if self._objective == "makespan" else sum(least) / len(least)
        self.bound_s = min(self._cutoff_s, max(together, *least) if self._objective == "makespan" else together)
        return [[split for split in of_client if split.bound_s < latest] for of_client, latest in zip(splits, self._limits_s(splits), strict=True)]

    def _solve(self, splits: Sequence[Sequence[SplitBound]], seconds: float) -> tuple[Termination, float]:
        """Search these splits for a better plan; why that ended, and a bound on all their plans, seconds."""
        from ortools.sat.python import cp_model

        program = TickProgram(self._pricer, splits, self._objective, self._tick_s, self._best_ticks - 1, self._limits_s(splits))
        self._watch.check()
        solver = cp_model.CpSolver()
        solver.parameters.num_workers = self._threads
        solver.parameters.random_seed = 0
        solver.parameters.linearization_level = 2  # with less, a program of a few paths now and then takes minutes
        solver.parameters.catch_sigint_signal = False
        solver.parameters.max_time_in_seconds = max(0.0, min(seconds, self._watch.remaining_s))
        (ended, status), cutoff_s = _run(solver, program.model), self._cutoff_s
        assert status != "MODEL_INVALID", program.model.validate()
        if status in ("OPTIMAL", "FEASIBLE"):
            self._best_ticks = round(solver.objective_value)
            for plan in program.plans(solver):
                self.offer(plan)
        if status == "INFEASIBLE":
            return "exhausted", cutoff_s
        if status == "OPTIMAL":
            return "exhausted", self._cutoff_s
        return ended, min(cutoff_s, max(solver.best_objective_bound, 0.0) * self._scale_s)

    def _limits_s(self, splits: Sequence[Sequence[SplitBound]]) -> list[float]:
        """When the result of each device must be there at the latest, seconds."""
        if self._objective == "makespan":
            return [self._cutoff_s] * len(splits)
        least = [min(split.bound_s for split in of_client) for of_client in splits]
        return [self._cutoff_s * len(least) - sum(least) + own for own in least]

    def offer(self, plan: OffloadPlan) -> None:
        """Another plan, of any number of ticks."""
        value_s = self._pricer.value_s(plan, self._objective)
        if value_s < self.best_s:
            self.best, self.best_s = plan, value_s
            self._best_ticks = min(self._best_ticks, floor(value_s / self._scale_s))
            self.trajectory.append(Point(self._watch.elapsed_s, value_s, None))


def _run(solver: Any, model: Any) -> tuple[Termination, str]:
    """Run CP-SAT in a thread, so that Ctrl-C is noticed; why it ended if it has proven nothing, and its status."""
    with ThreadPoolExecutor(1) as executor:
        running = executor.submit(solver.solve, model)
        ended: Termination = "time_limit"
        try:
            wait([running])
        except KeyboardInterrupt:
            solver.stop_search()
            ended = "interrupted"
        return ended, solver.status_name(running.result())
