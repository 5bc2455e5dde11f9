"""The part of one device: which path is at which position, with which cut, and when it is done where."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import floor
from typing import Any, NamedTuple

from iopopt.offload.bounds import Kind, SplitBound
from iopopt.offload.plan import ClientPlan
from iopopt.offload.recursion import Job, OffloadPricer


class _Choice(NamedTuple):
    """A path at a position: its kind, its option, and the literal that says so."""

    kind: Kind
    option: int
    literal: Any

    @property
    def job(self) -> Job:
        return self.kind.jobs[self.option]


class ServerJob(NamedTuple):
    """What a server may do: an optional interval, and how many ticks it takes, 0 if the server does not."""

    interval: Any
    ticks: Any


class ClientProgram:
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
        server_jobs: Sequence[list[ServerJob]],
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
        self._jobs[server].append(ServerJob(interval, seconds))

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
