"""The optimum by constraint programming: OR-Tools CP-SAT counts in ticks, for one device and for several that share servers."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial
from itertools import pairwise
from math import floor, inf, isfinite
from typing import Any, NamedTuple

from iopopt.cost.stopwatch import Stopwatch, TimeUpError
from iopopt.errors import OffloadError
from iopopt.methods.settings import checked_integer, limited
from iopopt.methods.solution import Point, Termination
from iopopt.network.records import is_number, short_repr
from iopopt.offload.bounds import Kind, OpenSplits, SplitBound, joint_bound_s, split_bounds
from iopopt.offload.dispatch import in_order_of_arrival
from iopopt.offload.instance import OffloadInstance
from iopopt.offload.methods.mw import solve_mw
from iopopt.offload.methods.nfl import best_single
from iopopt.offload.plan import ClientPlan, OffloadPlan, Path, jobs
from iopopt.offload.recursion import Job, OffloadObjective, OffloadPricer
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

        program = _Program(self._pricer, splits, self._objective, self._tick_s, self._best_ticks - 1, self._limits_s(splits))
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


class _Choice(NamedTuple):
    """A path at a position: its kind, its option, and the literal that says so."""

    kind: Kind
    option: int
    literal: Any

    @property
    def job(self) -> Job:
        return self.kind.jobs[self.option]


class _ServerJob(NamedTuple):
    """What a server may do: an optional interval, and how many ticks it takes, 0 if the server does not."""

    interval: Any
    ticks: Any


class _Program:
    """The program of some splits for each device, in ticks.

    Attributes:
        model: minimises the ticks of the objective, which are at most ``most_ticks``.
    """

    def __init__(
        self,
        pricer: OffloadPricer,
        splits: Sequence[Sequence[SplitBound]],
        objective: OffloadObjective,
        tick_s: float,
        most_ticks: int,
        limits_s: Sequence[float],
    ) -> None:
        from ortools.sat.python import cp_model

        self._pricer, self.model = pricer, cp_model.CpModel()
        self._several = len(splits) > 1
        self._capacity = [server.workers for server in pricer.instance.servers]
        self._jobs: list[list[_ServerJob]] = [[] for _ in self._capacity]
        self._clients = [
            _ClientProgram(self.model, pricer, client, of_client, tick_s, max(most_ticks, 0), limit_s, self._jobs, tails=self._several)
            for client, (of_client, limit_s) in enumerate(zip(splits, limits_s, strict=True))
        ]
        ends = [client.end for client in self._clients]
        value = self.model.new_int_var(0, max(most_ticks, 0), "value")
        if objective == "makespan" or not self._several:
            self.model.add_max_equality(value, ends)
        else:
            self.model.add(value == sum(ends))
        self._share_servers(value if objective == "makespan" else None)
        if most_ticks < 0:
            self.model.add_bool_or([])
        self.model.minimize(value)

    def _share_servers(self, value: Any) -> None:
        """No more jobs at a time than workers; one worker of one device is a chain already. All of them take no longer than the makespan."""
        for of_server, workers in zip(self._jobs, self._capacity, strict=True):
            if workers == 1 and self._several:
                self.model.add_no_overlap([job.interval for job in of_server])
            elif 1 < workers < len(of_server):
                self.model.add_cumulative([job.interval for job in of_server], [1] * len(of_server), workers)
            if value is not None:
                self.model.add(sum(job.ticks for job in of_server) <= workers * value)

    def plans(self, solver: Any) -> list[OffloadPlan]:
        """The plan of a solution: paths as they come, and in the order in which servers begin them; servers begin jobs as the solution does."""
        found = []
        for by_start in (False, True):
            decoded = [client.decode(solver, by_start=by_start) for client in self._clients]
            clients = [planned for planned, _ in decoded]
            if not self._several:
                found.append(OffloadPlan(tuple(clients)))
                continue
            waiting, dispatch = [list(starts) for _, starts in decoded], []
            while any(waiting):
                number = min((number for number in range(len(waiting)) if waiting[number]), key=lambda number: waiting[number][0])
                waiting[number].pop(0)
                dispatch.append(number)
            found += [OffloadPlan(tuple(clients), tuple(dispatch)), in_order_of_arrival(self._pricer, clients)]
        return found


class _ClientProgram:
    """One device: which path stands at which position, and when it passes each machine.

    Attributes:
        end: when the result is there.
    """

    def __init__(
        self,
        model: Any,
        pricer: OffloadPricer,
        client: int,
        splits: Sequence[SplitBound],
        tick_s: float,
        most_ticks: int,
        limit_s: float,
        server_jobs: Sequence[list[_ServerJob]],
        *,
        tails: bool,
    ) -> None:
        self._model, self._pricer, self._client, self._splits = model, pricer, client, splits
        self._tick_s, self._most, self._limit_s, self._jobs = tick_s, most_ticks, limit_s, server_jobs
        self._positions = range(max(split.split.paths for split in splits))
        self._of = pricer.instance.clients[client]
        self._servers = range(len(server_jobs))
        self._time = partial(model.new_int_var, 0, most_ticks)
        self._chosen = [model.new_bool_var("") for _ in splits]
        model.add_exactly_one(self._chosen)
        self._arcs: list[dict[tuple[int, int], Any]] = []
        self._choices: list[list[list[_Choice]]] = []
        for split, literal in zip(splits, self._chosen, strict=True):
            self._add_rows(split, literal)
            self._add_positions(split, literal)
        self._at = [[choice for of_split in self._choices for choice in (of_split[p] if p < len(of_split) else [])] for p in self._positions]
        self._starts = [self._time("") for _ in self._positions]
        self._add_device_and_uplink()
        self._add_servers()
        self._ended = self._time("")
        self._add_ends()
        self.end = self._time("")
        self._tails: list[tuple[int, int, Any]] = []
        self._tail_start = self._time("")
        self._add_tail(scheduled=tails)

    def _ticks(self, seconds: float | None) -> int:
        return floor((seconds or 0.0) / self._tick_s)

    def _sum(self, position: int, part: str, server: int | None = None) -> Any:
        """How long the path at a position takes somewhere, ticks: a linear expression."""
        return sum(
            self._ticks(getattr(choice.job, part)) * choice.literal for choice in self._at[position] if server is None or choice.job.server == server
        )

    def _add_rows(self, split: SplitBound, chosen: Any) -> None:
        """Rows as a way from the first start to the last."""
        arcs = {pair: self._model.new_bool_var("") for pair in split.kinds}
        for start in range(len(split.starts)):
            leaving = [literal for (begin, _), literal in arcs.items() if begin == start]
            entering = [literal for (_, end), literal in arcs.items() if end == start]
            ends = chosen if start == 0 else -chosen if start == len(split.starts) - 1 else 0
            self._model.add(sum(leaving) - sum(entering) == ends)
        self._arcs.append(arcs)

    def _add_positions(self, split: SplitBound, chosen: Any) -> None:
        """One path at each position, and as many of each kind as its rows say; options that make the result too late are left out."""
        options = self._promising(split)
        positions = [
            [_Choice(kind, option, self._model.new_bool_var("")) for kind, numbers in options.items() for option in numbers]
            for _ in range(split.split.paths)
        ]
        for choices in positions:
            self._model.add(sum(choice.literal for choice in choices) == chosen)
        arcs = self._arcs[-1]
        for kind in options:
            count = sum(choice.literal for choices in positions for choice in choices if choice.kind is kind)
            self._model.add(count == sum(arcs[pair] for pair, of_pair in split.kinds.items() if of_pair is kind))
        self._choices.append(positions)

    def _promising(self, split: SplitBound) -> dict[Kind, list[int]]:
        """The options of each kind with which the result can be early enough."""
        weights, begun = split.weights, split.block.begin()
        base = weights.values @ split.block.levels(begun, split.upload_s) + split.block.tail_s + split.block.tail_return_s
        around = split.least_around(weights)
        found = {}
        for kind, least in around.items():
            bounds = (base + least + kind.amounts @ weights.values.T).max(axis=1)
            found[kind] = [option for option, bound_s in enumerate(bounds) if bound_s <= self._limit_s]
        return found

    def _literal(self, position: int, jobs_of: Any) -> Any:
        """Whether the path at a position has one of some jobs."""
        literal = self._model.new_bool_var("")
        self._model.add(literal == sum(choice.literal for choice in self._at[position] if jobs_of(choice.job)))
        return literal

    def _add_device_and_uplink(self) -> None:
        """Each path on the downlink for its input, on the device and on the uplink, after itself and after the path before."""
        fetched = computed = uploaded = 0
        self._uploaded = []
        for position in self._positions:
            device, upload = self._sum(position, "device_s"), self._sum(position, "upload_s")
            before, computed = computed, self._time("")
            self._model.add(computed >= before + device)
            if self._of.input_at == "server":
                fetched += self._sum(position, "fetch_s")
                self._model.add(computed >= fetched + device)  # holds by itself for a path that fetches nothing
            before, uploaded = uploaded, self._time("")
            self._model.add(uploaded >= before + upload)
            self._model.add(uploaded >= computed + upload)
            self._uploaded.append(uploaded)
        self._fetched = fetched

    @property
    def _plain(self) -> bool:
        """Whether every path waits for its upload and for the path before on the only server; those that pass neither lose nothing by it."""
        return self._of.input_at == "device" and len(self._servers) == 1

    def _add_servers(self) -> None:
        """Jobs of a server begin after their upload, and in their order: with one worker after one another."""
        self._served = [[self._literal(p, lambda job, s=server: job.server == s) for server in self._servers] for p in self._positions]
        sent = [None if self._of.input_at == "device" else self._literal(p, lambda job: job.upload_s is not None) for p in self._positions]
        begun: list[Any] = [0] * len(self._servers)
        for position in self._positions:
            start, arrives = self._starts[position], sent[position]
            self._only_if(self._model.add(start >= self._uploaded[position]), [] if arrives is None else [arrives])
            for server in self._servers:
                workers, served = self._pricer.instance.servers[server].workers, self._served[position][server]
                seconds = self._sum(position, "server_s", server)
                ordered = [] if self._plain else [served] if workers == 1 or arrives is None else [served, arrives]
                self._only_if(self._model.add(start >= begun[server]), ordered)
                before, begun[server] = begun[server], self._time("")
                self._model.add(begun[server] >= before)
                self._only_if(self._model.add(begun[server] >= start + (seconds if workers == 1 else 0)), ordered)
                self._add_interval(server, start, seconds, served)

    def _add_interval(self, server: int, start: Any, seconds: Any, present: Any) -> None:
        """A job of a server."""
        duration, end = self._time(""), self._time("")
        self._model.add(duration == seconds)
        interval = self._model.new_optional_interval_var(start, duration, end, present, "")
        self._jobs[server].append(_ServerJob(interval, seconds))

    def _only_if(self, constraint: Any, literals: Sequence[Any]) -> None:
        if literals:
            constraint.only_enforce_if(literals)

    def _add_ends(self) -> None:
        """All paths are done after their uploads, their jobs and their results; the downlink returns these in order, after all inputs."""
        returned: Any = self._fetched
        returns = any(choice.job.return_s is not None for choices in self._at for choice in choices)
        for position in self._positions:
            job_end = self._starts[position] + self._sum(position, "server_s")
            self._model.add(self._ended >= self._uploaded[position])
            self._only_if(self._model.add(self._ended >= job_end), [] if self._plain else [self._any_served(position)])
            if returns:
                result = self._sum(position, "return_s")
                before, returned = returned, self._time("")
                self._model.add(returned >= before + result)
                self._only_if(self._model.add(returned >= job_end + result), [] if self._plain else [self._any_served(position)])
        self._model.add(self._ended >= returned)

    def _any_served(self, position: int) -> Any:
        return self._literal(position, lambda job: job.server is not None)

    def _add_tail(self, *, scheduled: bool) -> None:
        """The stages after the fused ones, on the soonest server; on any, as a job among others, if there are other devices."""
        start, seconds = self._tail_start, 0
        self._model.add(start >= self._ended)
        for number, (split, chosen) in enumerate(zip(self._splits, self._chosen, strict=True)):
            tails = [self._pricer.tail(self._client, split.split.fused, server) for server in self._servers]
            found = [tail for tail in tails if tail is not None]
            literals = [self._model.new_bool_var("") for _ in found]
            if found:
                self._model.add(sum(literals) == chosen)
            if found and not scheduled:
                self._model.add(literals[split.block.tail_server] == chosen)
            for tail, literal in zip(found, literals, strict=True):
                self._tails.append((number, tail.server, literal))
                seconds += self._ticks(tail.server_s) * literal
        for server in self._servers if scheduled else ():
            mine = [literal for _, of, literal in self._tails if of == server]
            if mine:
                present = self._model.new_bool_var("")
                self._model.add(present == sum(mine))
                ticks = sum(self._ticks(self._tail_s(number, server)) * literal for number, of, literal in self._tails if of == server)
                self._add_interval(server, start, ticks, present)
        result = sum(self._ticks(split.block.tail_return_s) * chosen for split, chosen in zip(self._splits, self._chosen, strict=True))
        self._model.add(self.end >= start + seconds + result)
        self._model.add(self.end >= self._fetched + result)
        bounds = zip(self._splits, self._chosen, strict=True)
        self._model.add(self.end >= sum(min(self._ticks(split.bound_s), self._most) * chosen for split, chosen in bounds))

    def _tail_s(self, number: int, server: int) -> float | None:
        tail = self._pricer.tail(self._client, self._splits[number].split.fused, server)
        return None if tail is None else tail.server_s

    def decode(self, solver: Any, *, by_start: bool) -> tuple[ClientPlan, list[int]]:
        """The plan of a solution, and when the servers begin its jobs, ticks: with the tail, if there is one; what none serves begins at once.

        Args:
            by_start: whether paths that are not uploaded are put where servers begin them.
        """
        number = next(number for number, literal in enumerate(self._chosen) if solver.value(literal))
        split = self._splits[number]
        rows: dict[Kind, list[tuple[int, int]]] = {}
        for pair, literal in self._arcs[number].items():
            if solver.value(literal):
                rows.setdefault(split.kinds[pair], []).append((split.starts[pair[0]], split.starts[pair[1]]))
        found = []
        latest = 0
        for position, choices in enumerate(self._choices[number]):
            kind, option = next((choice.kind, choice.option) for choice in choices if solver.value(choice.literal))
            job, path = kind.jobs[option], split.block.options(*rows[kind].pop(0))[option].path
            start = solver.value(self._starts[position]) if job.server is not None else 0
            moves = by_start and job.server is not None and job.upload_s is None
            latest = latest if moves else max(latest, start)
            found.append((start if moves else latest, position, path, start))
        found.sort(key=lambda entry: entry[:2] if by_start else entry[1:2])
        tail_server = next((server for of, server, literal in self._tails if of == number and solver.value(literal)), None)
        starts = [start for *_, start in found] + ([] if tail_server is None else [solver.value(self._tail_start)])
        return ClientPlan(split.split.fused, tuple(path for _, _, path, _ in found), tail_server or 0), starts
