"""Barriers that remain in time without barriers, and the fastest way through them: a bound by dynamic programming.

An operator that is whole, or that reads all channels of what it splits, waits for everything before it. ``events.md`` proves each inequality.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import NamedTuple

from iopopt.cost.instance import Instance
from iopopt.cost.stopwatch import NO_LIMIT, Stopwatch
from iopopt.cost.work import whole_work
from iopopt.milp.needed_rows import is_anchored, least_work
from iopopt.network.operators.operator import Operator


class Mode(Enum):
    """How a stage is split: by rows, by output channels, by input channels, or a section of parallel operators in any way."""

    ROWS = "H"
    OUT_CHANNELS = "OC"
    IN_CHANNELS = "IC"
    SECTION = "section"


@dataclass(frozen=True)
class Stage:
    """An operator through which every path from the input to the output leads, or all operators between two such.

    Attributes:
        members: the numbers of its operators.
        work: the FLOPs that they take in every plan.
        modes: how they may be split.
        local: whether the operator's output channels read only some of its input channels.
    """

    members: range
    work: float
    modes: frozenset[Mode]
    local: bool

    @property
    def is_operator(self) -> bool:
        return Mode.SECTION not in self.modes


def stages_of(instance: Instance, longest_block: int) -> tuple[Stage, ...]:
    """The stages of a graph in order; a single section if some row of an operator needs no input, for then nothing waits for everything."""
    graph, work = instance.graph, least_work(instance.graph)
    if not all(map(is_anchored, graph.operators)):
        return (Stage(range(len(graph)), sum(work), frozenset({Mode.SECTION}), False),)
    fused = {member for members in graph.blocks(longest_block) for member in members}
    stages, start = list[Stage](), 0
    for number in _articulations(instance):
        if start < number:
            stages.append(Stage(range(start, number), sum(work[start:number]), frozenset({Mode.SECTION}), False))
        operator = graph.operators[number]
        modes = {Mode.OUT_CHANNELS} if operator.unit.granules("OC") > 1 else set()  # one of one channel is whole
        modes |= {Mode.IN_CHANNELS} if "IC" in operator.splittable_dims and not _whole_by_input(operator) else set()
        modes |= {Mode.ROWS} if "H" in operator.splittable_dims or number in fused else set()
        stages.append(Stage(range(number, number + 1), work[number], frozenset(modes), operator.is_channel_local))
        start = number + 1
    return tuple(stages)


def _articulations(instance: Instance) -> Iterator[int]:
    """The operators that no edge bypasses."""
    graph, furthest = instance.graph, 0
    last = [max((edge.consumer for edge in edges), default=0) for edges in graph.unfused.edges_from]
    furthest = last[graph.source]
    for number in range(len(graph)):
        if furthest <= number:
            yield number
        furthest = max(furthest, last[number])


def _whole_by_input(operator: Operator) -> bool:
    """Whether a split by input channels is no better than the whole operator: there is one, and its partial sums are no smaller than the output."""
    return operator.size("IC") == 1 and all(before >= after for before, after in zip(operator.pre_pool_shape, operator.out_shape, strict=True))


def leads_on(before: Mode, after: Mode, stage: Stage) -> bool:
    """Whether ``stage`` in mode ``after`` may start before all of the stage in front of it, in mode ``before``, is done."""
    if before is Mode.IN_CHANNELS:
        return False
    if after is Mode.SECTION:
        return True
    if after is Mode.ROWS:
        return before in (Mode.ROWS, Mode.SECTION)
    return before in (Mode.OUT_CHANNELS, Mode.SECTION) and (after is Mode.IN_CHANNELS or stage.local)


class Kind(Enum):
    """How the stages of a run are split: all by rows; all by channels, so that transfers pass them on in parts; or anyhow, around some section."""

    ROWS = frozenset({Mode.ROWS})
    CHANNELS = frozenset({Mode.OUT_CHANNELS, Mode.IN_CHANNELS})
    MIXED = frozenset(Mode)


class _State(NamedTuple):
    """What is behind, up to a stage.

    Attributes:
        done: the device whose task ends last; others hear of it only by a transfer.
        next: the device whose task starts next, having heard of everything.
        kind: of the run that is behind; None for an operator that is whole on ``done``, and for the input.

    Without ``done`` and ``next``, a task of a run starts next on a device that was not the last.
    """

    done: int | None = None
    next: int | None = None
    kind: Kind | None = None


class _Least(NamedTuple):
    """The fewest bytes of one transfer on the edges into a stage, or into the sink.

    Attributes:
        row: of what the stage reads, where neither end is whole.
        shared_row: a row of the tensor, where its producer is split by rows and its consumer is not.
        piece: a row or a channel, also of partial sums.
    """

    row: float
    shared_row: float
    piece: float


class _Hops(NamedTuple):
    """The least times of transfers of a run: to each device at its start, from each at its end, and of any around its end."""

    into: Sequence[float]
    out: Sequence[float]
    least: float


@dataclass(frozen=True)
class BarrierBound:
    """The least time from barrier to barrier, over all ways to place them.

    Attributes:
        longest_block: of the space.
    """

    instance: Instance
    longest_block: int

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        return stages_of(self.instance, self.longest_block)

    @cached_property
    def _anchored(self) -> bool:
        return all(map(is_anchored, self.instance.graph.operators))

    @cached_property
    def _speeds(self) -> tuple[float, ...]:
        return tuple(device.flops_per_s for device in self.instance.cluster.devices)

    @cached_property
    def _work_from(self) -> tuple[float, ...]:
        """The work of all stages from each one on."""
        return (*itertools.accumulate(reversed([stage.work for stage in self.stages]), initial=0.0),)[::-1]

    def seconds(self, watch: Stopwatch = NO_LIMIT) -> float:
        """The bound.

        Raises:
            TimeUpError: if the time is up first.
        """
        best: list[dict[_State, float]] = [{} for _ in range(len(self.stages) + 1)]
        best[0] = {_State(done=self.instance.cluster.source if self._anchored else None): 0.0}
        enough = self._one_run_s()
        for position, states in enumerate(best[:-1]):
            for state, elapsed in states.items():
                if elapsed + self._work_from[position] / sum(self._speeds) > enough:
                    continue
                for end, reached, seconds in self._steps(position, state):
                    watch.check()
                    if elapsed + seconds < best[end].get(reached, math.inf):
                        best[end][reached] = elapsed + seconds
        return min([enough, *(elapsed + self._to_sink(state) for state, elapsed in best[-1].items())])

    def _one_run_s(self) -> float:
        """The least time of one run, and of the rest whole on the sink: one way of many."""
        sink, found = self.instance.cluster.sink, math.inf
        begin = _State(done=self.instance.cluster.source if self._anchored else None)
        for kind in Kind:
            for end in self._run_ends(0, kind):
                if all(stage.is_operator for stage in self.stages[end:]):
                    rest = sum(self._whole_s(position, sink) for position in range(end, len(self.stages)))
                    found = min(found, self._run_s(0, end, kind, begin, sink) + rest)
        return found

    def _steps(self, position: int, state: _State) -> Iterator[tuple[int, _State, float]]:
        """What may follow: where it ends, in which state, and the seconds that it takes."""
        cluster, stage = self.instance.cluster, self.stages[position]
        at_start = position == 0
        if stage.is_operator and (at_start or state.next is not None or (state.done is not None and state.kind is None)):
            for device in range(len(cluster)) if state.next is None else (state.next,):
                wait = self._fetch_s(state.done, device, position)
                yield position + 1, _State(done=device), wait + self._whole_s(position, device)
        if state.next is None:
            for kind in Kind:
                if kind is Kind.ROWS is state.kind:
                    continue  # they are one run
                for end in self._run_ends(position, kind):
                    for reached, last in self._exits(end, kind):
                        yield end, reached, self._run_s(position, end, kind, state, last)

    def _exits(self, end: int, kind: Kind) -> Iterator[tuple[_State, int | None]]:
        """How a run may end, and the device that need not send anything before: an operator on one device follows, or a run; or the sink waits."""
        if end == len(self.stages):
            yield _State(next=self.instance.cluster.sink), self.instance.cluster.sink
            return
        yield _State(kind=kind), None
        for device in range(len(self.instance.cluster)):
            yield _State(done=device, kind=kind), device
            if self.stages[end].is_operator:
                yield _State(next=device), device

    def _run_ends(self, start: int, kind: Kind) -> Iterator[int]:
        """The ends of the runs from a stage on, inside which nothing need wait for everything; those around a section are mixed."""
        modes, mixed = self.stages[start].modes & kind.value, not self.stages[start].is_operator
        for end in range(start + 1, len(self.stages) + 1):
            if not modes:
                return
            if mixed is (kind is Kind.MIXED):
                yield end
            if end < len(self.stages):
                stage = self.stages[end]
                mixed |= not stage.is_operator
                modes = frozenset(after for after in stage.modes & kind.value if any(leads_on(before, after, stage) for before in modes))

    def _run_s(self, start: int, end: int, kind: Kind, state: _State, last: int | None) -> float:
        """The least X with sum_j f_j max(0, X - delay_j) >= work.

        Every device but the one that is done, if there is one, starts after a transfer to it; every device but ``last`` ends before one from it. If
        there is no ``last``, even the one that ends last ends a transfer before anything else starts.
        """
        into, out, least = self._hops(start, end, kind, state.kind)
        first = state.done
        ends = [least if last is None else 0.0 if j == last else out[j] for j in range(len(out))]
        delays = [hop if first is None or j == first else hop + into[j] for j, hop in enumerate(ends)]
        return _filled_s(self._work_from[start] - self._work_from[end], self._speeds, delays)

    def _hops(self, start: int, end: int, kind: Kind, behind: Kind | None) -> _Hops:
        """The hops of a run, after a run of a kind or an operator that was whole."""
        key = start, end, kind, behind
        if key not in self._known_hops:
            inside = math.inf if kind is not Kind.ROWS else min((least.row for least in self._least_bytes[start + 1 : end]), default=math.inf)
            sizes = min(inside, self._least_into(start, kind, behind)), min(inside, self._least_out(end, kind))
            into, out = ([self._transfer_s(size, j) for j in range(len(self._speeds))] for size in sizes)
            only_channels_follow = kind is Kind.ROWS and all(stage.is_operator for stage in self.stages[end:])
            self._known_hops[key] = _Hops(into, out, min(out) if only_channels_follow else self._least_hop_s)
        return self._known_hops[key]

    @cached_property
    def _least_hop_s(self) -> float:
        """The time of an element over the fastest link."""
        return min(self._transfer_s(self.instance.cluster.bytes_per_element, j) for j in range(len(self._speeds)))

    @cached_property
    def _known_hops(self) -> dict[tuple[int, int, Kind, Kind | None], _Hops]:
        return {}

    def _least_into(self, start: int, kind: Kind, behind: Kind | None) -> float:
        """The fewest bytes of a transfer into the first stage of a run, after a run of a kind or an operator that was whole; around a section any."""
        least = self._least_bytes[start]
        if kind is Kind.MIXED or behind is Kind.MIXED:
            return self.instance.cluster.bytes_per_element
        if behind is Kind.ROWS:
            return least.shared_row
        return least.row if behind is None and kind is Kind.ROWS else least.piece

    def _least_out(self, end: int, kind: Kind) -> float:
        """The fewest bytes of a transfer out of a run."""
        if kind is Kind.MIXED:
            return self.instance.cluster.bytes_per_element
        return self._least_bytes[end].shared_row if kind is Kind.ROWS else self._least_bytes[end].piece

    @cached_property
    def _least_bytes(self) -> tuple[_Least, ...]:
        """Of the edges into each stage, and into the sink; around a section one element."""
        e = self.instance.cluster.bytes_per_element
        found = []
        for before, stage in zip([None, *self.stages], [*self.stages, None], strict=True):
            if not all(around is None or around.is_operator for around in (before, stage)):
                found.append(_Least(e, e, e))
                continue
            edges = self.instance.graph.edges_into[len(self.instance.graph) if stage is None else stage.members.start]
            shapes = [shape for edge in edges for shape in (edge.shape, edge.pre_pool_shape)]
            row = e * min(edge.shape.channels * edge.shape.width for edge in edges)
            shared_row = e * min(edge.p.out_shape.channels * edge.p.out_shape.width for edge in edges)
            piece = e * min(min(shape.channels * shape.width, shape.height * shape.width) for shape in shapes)
            found.append(_Least(row, shared_row, piece))
        return tuple(found)

    def _fetch_s(self, owner: int | None, device: int, position: int) -> float:
        """The time in which a device fetches what the stage reads whole from the one that has all of it."""
        if owner is None or owner == device:
            return 0.0
        e = self.instance.cluster.bytes_per_element
        size = sum(e * edge.shape.elements for edge in self.instance.graph.edges_into[self.stages[position].members.start])
        return self._transfer_s(size, device, owner)

    def _to_sink(self, state: _State) -> float:
        """The time in which the sink gets the output from the device on which the last operator was whole."""
        cluster = self.instance.cluster
        if state.next is not None or state.done is None or state.done == cluster.sink:
            return 0.0
        return self._transfer_s(cluster.bytes_per_element * self.instance.graph.output.out_shape.elements, cluster.sink, state.done)

    def _transfer_s(self, size: float, device: int, other: int | None = None) -> float:
        cluster = self.instance.cluster
        ends = [device] if other is None else [device, other]
        rate = cluster.shared_medium_bytes_per_s or min(cluster.devices[j].bandwidth_bytes_per_s for j in ends)
        return cluster.connection_setup_s + size / rate

    def _whole_s(self, position: int, device: int) -> float:
        """The time of an operator that is whole on a device."""
        unit = self.instance.placed[self.stages[position].members.start]
        return self.instance.cluster.devices[device].compute_s(*whole_work(unit, self.instance.cluster.bytes_per_element))


def _filled_s(work: float, speeds: Sequence[float], delays: Sequence[float]) -> float:
    """When ``work`` is done if each device joins in after its delay."""
    if work <= 0:
        return 0.0
    speed, begun = 0.0, 0.0  # of those that have joined, and the sum of speed x delay
    order = sorted(range(len(speeds)), key=lambda j: delays[j])
    for rank, j in enumerate(order):
        speed += speeds[j]
        begun += speeds[j] * delays[j]
        done_s = (work + begun) / speed
        if rank + 1 == len(order) or done_s <= delays[order[rank + 1]]:
            return done_s
    raise AssertionError("the last device decides")
