"""A mixed-integer relaxation of time without barriers: work, rows, transfers, memory, and what waits for what. ``events.md`` proves each inequality.

Every plan that fits the memory, with the times of its tasks, is a point of the program; its objective is at most the makespan. Times are in units of
a time that the bound need not exceed, so that none of a plan that matters is above 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from iopopt.cost.instance import Instance
from iopopt.cost.stopwatch import Stopwatch
from iopopt.cost.work import whole_work
from iopopt.milp.affine import Affine, constant, times, total
from iopopt.milp.backends import BACKENDS, LEAST_SOLVE_S, Options
from iopopt.milp.barriers import Mode, Stage
from iopopt.milp.needed_rows import is_anchored, least_work, needed_rows
from iopopt.milp.process import run_backend
from iopopt.milp.program import Program, ProgramBuilder
from iopopt.network.operators.operator import Operator

_MARGIN = 1e-6
"""What is taken from a back end's bound beyond its own tolerance: rows may be violated by as much as it tolerates."""


def program_bound_s(instance: Instance, stages: Sequence[Stage], most_s: float, backend: str, watch: Stopwatch) -> float | None:
    """The bound that a back end proves on the makespan of every plan that fits the memory, seconds; None if it proves nothing.

    Args:
        most_s: the bound need not be longer: the makespan of a known plan, or of any.

    Raises:
        TimeUpError: if the time is up before the program is complete.
        SolverError: if the back end fails.
        UnknownNameError: if there is no such back end.
    """
    program = OverlapProgram(instance, stages, most_s, watch).program
    options = Options(max(LEAST_SOLVE_S, watch.remaining_s), gap=0.0, seed=0, threads=1, start={}, directory="")
    outcome = run_backend(backend, program, options, grace_s=1.0).outcome
    if outcome.bound is None or outcome.status == "infeasible":
        return None
    return min(outcome.bound - BACKENDS.find(backend).tolerance - _MARGIN, 1.0) * most_s


class _Variables(NamedTuple):
    """The variables of one stage, by device; without entries for the ways in which it is not placed.

    Attributes:
        start, end: when the device starts and ends its part; if it has none, both are no earlier than what it did before, nor than any barrier.
        whole: whether the operator is whole on the device.
        shares: whether the device has a share of rows, and ``rows`` how many it computes.
        first, last: whether these begin with the first row, and end with the last.
        outs, ins: the part that it has of a split by output or by input channels, and ``has_outs`` and ``has_ins`` whether it has one.
    """

    start: Sequence[Affine]
    end: Sequence[Affine]
    whole: Sequence[Affine]
    shares: Sequence[Affine]
    rows: Sequence[Affine]
    first: Sequence[Affine]
    last: Sequence[Affine]
    outs: Sequence[Affine]
    has_outs: Sequence[Affine]
    ins: Sequence[Affine]
    has_ins: Sequence[Affine]

    def channels(self, device: int) -> Affine:
        """The part that a device has of a split by channels."""
        return self.outs[device] + self.ins[device]

    @property
    def by_channels(self) -> Affine:
        """Whether the operator is split by channels."""
        return total(self.outs) + total(self.ins)


class _Field(NamedTuple):
    """How many rows of the tensor before it a stage's rows need: ``stride`` for each, ``overlap`` more, less ``above`` and ``below`` at the ends."""

    stride: int
    overlap: int
    above: int
    below: int


class OverlapProgram:
    """Writes the program of one instance."""

    def __init__(self, instance: Instance, stages: Sequence[Stage], most_s: float, watch: Stopwatch) -> None:
        self._instance, self._stages, self._unit_s = instance, stages, most_s
        self._graph, self._cluster = instance.graph, instance.cluster
        self._devices = range(len(instance.cluster))
        self._builder = ProgramBuilder(watch)
        self._needed, self._work = needed_rows(instance.graph), least_work(instance.graph)
        self.makespan = times(1.0, self._builder.variable(("makespan",), cost=1.0))
        variables = [self._stage(number) for number in range(len(stages))]
        self._from_source(variables[0])
        for number in range(1, len(stages)):
            self._between(number, variables[number - 1], variables[number])
        self._to_sink(variables[-1])
        for device in self._devices:
            self._memory(device, variables)
        self.program: Program = self._builder.build()

    # Figures.

    def _operator(self, number: int) -> Operator | None:
        """The operator of a stage; None for a section."""
        stage = self._stages[number]
        return self._graph.operators[stage.members.start] if stage.is_operator else None

    def _compute(self, flops: float, device: int) -> float:
        return flops / self._cluster.devices[device].flops_per_s / self._unit_s

    @property
    def _setup(self) -> float:
        return self._cluster.connection_setup_s / self._unit_s

    def _flow(self, elements: float, sender: int, receiver: int) -> float:
        """The time in which elements flow, alone."""
        devices, medium = self._cluster.devices, self._cluster.shared_medium_bytes_per_s
        rate = medium or min(devices[sender].bandwidth_bytes_per_s, devices[receiver].bandwidth_bytes_per_s)
        return self._cluster.bytes_per_element * elements / rate / self._unit_s

    def _field(self, number: int) -> _Field | None:
        """The field of a stage's rows in the tensor before it; None where they do not simply need rows."""
        operator = self._operator(number)
        if operator is None or len(operator.in_shapes) > 1 or operator.rows.upsampling > 1:
            return None
        below = int((operator.out_shape.height - 1) * operator.S - operator.P + operator.K) - operator.in_shape.height
        return _Field(int(operator.S), int(operator.K - operator.S), operator.P, max(0, below))

    # One stage.

    def _stage(self, number: int) -> _Variables:
        """A device ends its part when it has computed it; all parts together are the work."""
        builder, stage, operator = self._builder, self._stages[number], self._operator(number)
        start, end = ([times(1.0, builder.variable((what, str(number), str(j)), upper=1.0)) for j in self._devices] for what in ("start", "end"))
        whole, shares, first, last = (
            self._each(what, number, allowed, integer=True)
            for what, allowed in (("whole", stage.is_operator), *((what, Mode.ROWS in stage.modes) for what in ("shares", "first", "last")))
        )
        height = 1 if operator is None else operator.out_shape.height
        rows = self._each("rows", number, Mode.ROWS in stage.modes, integer=True, upper=height)
        by_outs, by_ins = Mode.OUT_CHANNELS in stage.modes, Mode.IN_CHANNELS in stage.modes
        outs, has_outs = self._each("outs", number, by_outs), self._each("has outs", number, by_outs, integer=True)
        ins, has_ins = self._each("ins", number, by_ins), self._each("has ins", number, by_ins, integer=True)
        found = _Variables(start, end, whole, shares, rows, first, last, outs, has_outs, ins, has_ins)
        lengths = [self._part(number, found, j) for j in self._devices]
        for j in self._devices:
            length = builder.variable(("length", str(number), str(j)), upper=1.0)
            builder.at_least(("length", str(number), str(j)), times(1.0, length), lengths[j])
            builder.at_least(("end", str(number), str(j)), end[j], start[j] + times(1.0, length))
            lengths[j] = times(1.0, length)
        speeds = [self._cluster.devices[j].flops_per_s * self._unit_s for j in self._devices]
        least = stage.work / max(speeds)  # in units of the fastest device
        builder.at_least(("work", str(number)), total(lengths[j] * (speeds[j] / max(speeds)) for j in self._devices), constant(least))
        if operator is not None:
            self._modes(number, operator, found)
        return found

    def _each(self, what: str, number: int, allowed: bool, *, integer: bool = False, upper: float = 1.0) -> Sequence[Affine]:
        """A variable for each device, or nothing if the stage is not placed so."""
        if not allowed:
            return [constant(0.0) for _ in self._devices]
        return [times(1.0, self._builder.variable((what, str(number), str(j)), upper=upper, integer=integer)) for j in self._devices]

    def _part(self, number: int, of: _Variables, device: int) -> Affine:
        """What a device at least computes of a stage: rows before the pool that are cut at its edges may be fewer."""
        operator = self._operator(number)
        if operator is None:
            return constant(0.0)
        unit, pool, height = self._instance.placed[self._stages[number].members.start], operator.pool.rows, operator.pre_pool_shape.height
        whole_s = self._cluster.devices[device].compute_s(*whole_work(unit, self._cluster.bytes_per_element))
        per_row = self._compute(operator.flops / height, device)
        cut = pool.before + max(0, (operator.out_shape.height - 1) * pool.stride - pool.before + pool.extent - height)
        by_rows = of.rows[device] * (per_row * min(pool.stride, pool.extent)) - of.shares[device] * (per_row * cut)
        return of.whole[device] * (whole_s / self._unit_s) + by_rows + of.channels(device) * self._compute(self._stages[number].work, device)

    def _modes(self, number: int, operator: Operator, of: _Variables) -> None:
        """Whole, by rows or by channels; all needed rows are somebody's, and a first or last row that several compute counts for each."""
        builder, name = self._builder, str(number)
        modes = self._stages[number].modes
        by_rows, by_outs, by_ins = (
            times(1.0, builder.variable((f"by {mode.value}", name), upper=float(mode in modes), integer=True))
            for mode in (Mode.ROWS, Mode.OUT_CHANNELS, Mode.IN_CHANNELS)
        )
        builder.equal(("mode", name), total(of.whole) + by_rows + by_outs + by_ins, constant(1.0))
        for parts, has, mode in ((of.outs, of.has_outs, by_outs), (of.ins, of.has_ins, by_ins)):
            builder.equal(("channels", name), total(parts), mode)
            for j in self._devices:
                builder.at_most(("has channels", name, str(j)), parts[j], has[j])
                builder.at_most(("by channels", name, str(j)), has[j], mode)
        height = operator.out_shape.height
        for j in self._devices:
            builder.at_most(("rows", name, str(j)), of.rows[j], of.shares[j] * height)
            builder.at_least(("a row", name, str(j)), of.rows[j], of.shares[j])
            builder.at_most(("by rows", name, str(j)), of.shares[j], by_rows)
            builder.at_most(("first", name, str(j)), of.first[j], of.shares[j])
            builder.at_most(("last", name, str(j)), of.last[j], of.shares[j])
            builder.at_least(("all rows", name, str(j)), of.rows[j], (of.first[j] + of.last[j] - of.shares[j]) * height)
        again = [times(1.0, builder.variable((what, name))) for what in ("first again", "last again")]
        for ends, more in zip((of.first, of.last), again, strict=True):
            builder.at_least(("again", name), more, total(ends) - by_rows)
        builder.at_least(("needed rows", name), total(of.rows), by_rows * self._needed[self._stages[number].members.start] + total(again))

    # Two stages.

    def _between(self, number: int, before: _Variables, after: _Variables) -> None:
        """What a stage waits for."""
        for j in self._devices:
            self._builder.at_least(("order", str(number), str(j)), after.start[j], before.end[j])
        self._barrier(number, before, after)
        producer, consumer = self._operator(number - 1), self._operator(number)
        if producer is None or consumer is None:
            return
        for k in self._devices:
            for j in self._devices:
                if j != k:
                    self._gathers(number, k, j, before, after)
        field = self._field(number)
        if field is not None and Mode.ROWS in self._stages[number].modes:
            self._rows_between(number, field, before, after)

    def _gathers(self, number: int, k: int, j: int, before: _Variables, after: _Variables) -> None:
        """A device that needs all of what another has of a tensor, or channels of it, starts when that is there."""
        shape, local, setup = self._graph.operators[self._stages[number - 1].members.start].out_shape, self._stages[number].local, self._setup
        row, all_of_it = self._flow(shape.channels * shape.width, k, j), self._flow(shape.elements, k, j)
        rows = before.shares[k] * setup + before.rows[k] * row
        whole, hears = before.whole[k] * (setup + all_of_it), before.whole[k] * setup
        outs, ins = before.has_outs[k] * setup + before.outs[k] * all_of_it, before.has_ins[k] * setup
        parts, one = before.shares[k] + before.whole[k] + before.has_ins[k], constant(1.0)
        for what, does, has, sent in (
            ("whole", after.whole[j], parts + before.has_outs[k], rows + whole + outs + ins),
            ("rows", after.shares[j], before.has_outs[k] + before.has_ins[k], outs + ins),
            ("outs", after.has_outs[j], parts if local else parts + before.has_outs[k], rows + ins + (hears if local else whole + outs)),
            ("ins", after.has_ins[j], parts, rows + hears + ins),
        ):
            late = before.end[k] + sent - (one - does) * (1.0 + setup + all_of_it) - (one - has)
            if does.terms:
                self._builder.at_least((f"{what} gather", str(number), str(k), str(j)), after.start[j], late)

    def _barrier(self, number: int, before: _Variables, after: _Variables) -> None:
        """All start after all have ended, unless both sides are split by rows, or this one by output channels and the other reads them in parts."""
        builder, name, one = self._builder, str(number), constant(1.0)
        barrier = times(1.0, builder.variable(("barrier", name), upper=1.0))
        gate = times(1.0, builder.variable(("gate", name), upper=1.0))
        waits = [total(before.whole), total(after.whole), total(before.ins)]
        waits += [share + after.by_channels - one for share in before.shares] + [share + total(before.outs) - one for share in after.shares]
        waits += [] if self._stages[number].local else [total(before.outs) + total(after.outs) - one]
        for wait in waits:
            builder.at_least(("waits", name), barrier, wait)
        for j in self._devices:
            builder.at_least(("gate", name, str(j)), gate, before.end[j] + barrier - one)
            builder.at_least(("gated", name, str(j)), after.start[j], gate)

    def _rows_between(self, number: int, field: _Field, before: _Variables, after: _Variables) -> None:
        """A device owns the rows that it needs, or receives them from devices that compute them first."""
        builder, name, producer = self._builder, str(number), self._graph.operators[self._stages[number - 1].members.start]
        edge = self._graph.edges_into[self._stages[number].members.start][0]
        pool, height = producer.pool.rows, producer.out_shape.height
        received: list[list[Affine]] = [[] for _ in self._devices]
        for k in self._devices:
            per_row = self._compute(producer.flops / producer.pre_pool_shape.height, k) * min(pool.stride, pool.extent)
            for j in self._devices:
                if j == k:
                    continue
                rows = times(1.0, builder.variable(("sent", name, str(k), str(j)), upper=height))
                sends = times(1.0, builder.variable(("sends", name, str(k), str(j)), upper=1.0, integer=True))
                received[j].append(rows)
                flows = sends * self._setup + rows * self._flow(edge.shape.channels * edge.shape.width, k, j)
                builder.at_most(("sends", name, str(k), str(j)), rows, sends * height)
                builder.at_most(("owned", name, str(k), str(j)), rows, before.rows[k] + before.whole[k] * height)
                no = constant(1.0) - sends
                first = before.start[k] + rows * per_row - (before.shares[k] + before.whole[k]) * self._cut(producer, k) + flows - no
                builder.at_least(("sent rows", name, str(k), str(j)), after.start[j], first)
                whole = before.end[k] + flows - no - (constant(1.0) - before.whole[k])
                builder.at_least(("sent from whole", name, str(k), str(j)), after.start[j], whole)
        for j in self._devices:
            owned = before.rows[j] + (before.whole[j] + before.by_channels) * height + total(received[j])
            builder.at_least(("need", name, str(j)), owned, self._need(field, number, after, j))

    def _cut(self, producer: Operator, device: int) -> float:
        """The time of rows before the pool that are cut at the edges."""
        pool, height = producer.pool.rows, producer.pre_pool_shape.height
        cut = pool.before + max(0, (producer.out_shape.height - 1) * pool.stride - pool.before + pool.extent - height)
        return self._compute(producer.flops / height, device) * cut

    def _need(self, field: _Field, number: int, of: _Variables, device: int) -> Affine:
        """The rows that a share needs: only the first row's field may reach above the map, only the last row's below, or any share's may."""
        operator = self._operator(number)
        assert operator is not None  # it has a field
        rows = of.rows[device] * field.stride + of.shares[device] * field.overlap
        if operator.out_shape.height < 2 or max(field.above, field.below) > field.stride:
            return rows - of.shares[device] * (field.above + field.below)
        return rows - of.first[device] * field.above - of.last[device] * field.below

    # The ends.

    def _from_source(self, after: _Variables) -> None:
        """What devices read of the input is on its way from the source."""
        source, field = self._cluster.source, self._field(0)
        if source is None or field is None:
            return
        shape = self._graph.edges_into[self._stages[0].members.start][0].shape
        for j in self._devices:
            if j != source:
                row, dense = self._flow(shape.channels * shape.width, source, j), 0.0 if self._stages[0].local else 1.0
                rows = after.shares[j] * self._setup + self._need(field, 0, after, j) * row
                outs = after.has_outs[j] * (self._setup + dense * shape.height * row)
                arrives = after.whole[j] * (self._setup + shape.height * row) + outs + after.has_ins[j] * self._setup
                self._builder.at_least(("input", str(j)), after.start[j], rows + arrives)

    def _to_sink(self, before: _Variables) -> None:
        """The makespan is no shorter than any part, nor than what is sent to the sink."""
        sink, shape = self._cluster.sink, self._graph.output.out_shape
        operator = self._operator(len(self._stages) - 1)
        for k in self._devices:
            sent = constant(0.0)
            if k != sink and operator is not None:
                row = self._flow(shape.channels * shape.width, k, sink)
                sent = (before.shares[k] + before.whole[k] + before.has_outs[k] + before.has_ins[k]) * self._setup
                sent += before.rows[k] * row + (before.whole[k] + before.outs[k]) * (shape.height * row)
            self._builder.at_least(("makespan", str(k)), self.makespan, before.end[k] + sent)

    # Memory.

    def _memory(self, device: int, variables: Sequence[_Variables]) -> None:
        """The weights of everything that a device has a part in, and the activations of any one operator that is whole on it."""
        part = self._cluster.bytes_per_element / self._cluster.devices[device].memory_bytes
        weights, live = constant(0.0), []
        for number, of in enumerate(variables):
            operator = self._operator(number)
            if operator is not None:
                all_weights = part * (operator.kernel_elements + operator.bias_elements)
                weights += (of.whole[device] + of.shares[device]) * all_weights + of.channels(device) * (part * operator.kernel_elements)
                live.append(of.whole[device] * (part * (operator.in_elements + operator.pre_pool_shape.elements)))
        for number, activations in enumerate(live):
            self._builder.at_most(("memory", str(number), str(device)), weights + activations, constant(1.0))


def has_stages(instance: Instance) -> bool:
    """Whether operators wait for those before them at all: every row needs some row of what it reads."""
    return all(map(is_anchored, instance.graph.operators))
