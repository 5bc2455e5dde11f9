"""Time without barriers a second time, as its statement (``iopopt/events.md``) reads: rows as sets, shares of links from event to event.

It shares no code with the package's schedules and simulation beyond the types, and it is meant to be slow and obvious.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from support.naive_pricing import compute_s, naive_ends, producers_of, slices_of
from support.naive_units import (
    Edge,
    End,
    demand,
    elements,
    extent,
    flops,
    interval_of_channels,
    mixes,
    needed_channels,
    needs_rows,
    out_shape,
    pre_pool_shape,
)
from support.naive_units import field as field_of

from iopopt import Cluster, Graph, Plan
from iopopt.network.operators.operator import INPUT

SINK = "(sink)"


@dataclass
class NaiveJob:
    """A task of ``device``, of so many FLOPs, or a transfer from it to ``receiver``, of so many bytes.

    Attributes:
        what: ``"boundary"``, ``"interior"`` or ``""`` of a task, the case of equation (8) of a transfer.
        tensor: the operator whose tensor a transfer moves, or the input.
        task_s: how long a task takes.
        first_round: whether it is a transfer of a reduce-scatter or a gather.
        after: the jobs, by number, that it waits for.
    """

    item: int
    unit: str
    what: str
    device: int
    amount: float
    receiver: int | None = None
    tensor: str = ""
    task_s: float = 0.0
    first_round: bool = False
    after: set[int] = field(default_factory=set)
    start_s: float = 0.0
    end_s: float = 0.0

    @property
    def is_task(self) -> bool:
        return self.receiver is None


@dataclass(frozen=True)
class Held:
    """``amount`` bytes that ``device`` holds between two times."""

    device: int
    start_s: float
    end_s: float
    amount: float


@dataclass(frozen=True)
class NaiveTimeline:
    """All tasks and transfers, when the sink has each output, the memory without weights, and these, by device."""

    jobs: list[NaiveJob]
    outputs_s: list[float]
    held: list[Held]
    weights: list[float]

    def held_bytes(self, device: int, time_s: float) -> float:
        """What a device holds at a time, with its weights."""
        return self.weights[device] + sum(held.amount for held in self.held if held.device == device and held.start_s <= time_s < held.end_s)


def naive_timeline(
    graph: Graph,
    cluster: Cluster,
    plan: Plan,
    *,
    boundary_first: bool = True,
    barriers: bool = False,
    shared_medium: float | None = None,
    inputs: int = 1,
) -> NaiveTimeline:
    """Starts and ends of all tasks and transfers, when the sink has each output, and the memory over time; of streams without barriers."""
    found = _PlanJobs(graph, cluster, plan, boundary_first, barriers)
    for item in range(inputs):
        found.add_input(item)
    _run(found.jobs, cluster, shared_medium)
    outputs = [max(found.jobs[number].end_s for number in numbers) for numbers in found.outputs]
    weights = [float(sum(demand(cluster.bytes_per_element, end, j)[0] for end in naive_ends(graph, plan))) for j in range(len(cluster))]
    return NaiveTimeline(found.jobs, outputs, list(_held(found, outputs)), weights)


def unit_name(end: End) -> str:
    """An operator's name, and of a block the names of its first member and its last."""
    if end.block is not None:
        return f"{end.block.members[0].name} to {end.block.members[-1].name}"
    return SINK if end.operator is None else end.operator.name


# What is really needed, and who sends it.


@dataclass(frozen=True)
class Parcel:
    """What one device sends another; of a halo exchange also which ``rows``, because these may be there before the others."""

    what: str
    sender: int
    receiver: int
    size: int | Fraction
    rows: frozenset[int] | None = None


def really_needed_rows(edge: Edge, j: int) -> set[int]:
    """The rows of the tensor that j needs: none for an empty share of rows, and none beyond the edges of the tensor."""
    q, everything = edge.q, set(range(edge.tensor.height))
    if q.dim == "H" and q.shares[j] == 0:
        return set()
    if not needs_rows(edge):
        return everything
    mine = set(range(*q.intervals[j]))
    if q.block is not None:
        return _block_needs(q, mine)
    assert q.operator is not None
    return _under(field_of(q.operator), mine) & everything


def _under(KSP: tuple[Fraction, Fraction, Fraction], rows: set[int]) -> set[int]:
    """All rows from the first under the field of any of ``rows`` to the last."""
    K, S, P = KSP
    return set(range(int(min(rows) * S - P), int(max(rows) * S - P + K))) if rows else set()


def _block_needs(q: End, rows: set[int]) -> set[int]:
    """The rows of the tensor outside that a block needs for ``rows`` of its output, backwards from member to member."""
    assert q.block is not None
    needed: dict[str, set[int]] = defaultdict(set)
    needed[q.block.members[-1].name] = rows
    for member in reversed(q.block.members):
        for name in q.block.reads[member.name]:
            both = needed[name] | _under(field_of(member), needed[member.name]) & set(range(q.block.shapes[name].height))
            needed[name] = set(range(min(both), max(both) + 1)) if both else set()
    return needed[q.block.outside]


def parcels_of(e: int, edge: Edge) -> list[Parcel]:
    """The first row of the table that applies; nothing of 0 bytes."""
    p, q, tensor = edge.p, edge.q, edge.tensor
    needed, same = {j: really_needed_rows(edge, j) for j in q.devices}, p.devices == q.devices
    row = {j: e * len(needed_channels(edge, j)) * tensor.width for j in q.devices}
    pairs = [(k, j) for j in q.devices for k in p.devices if k != j]
    if p.dim is None:
        found = [Parcel("send", k, j, row[j] * len(needed[j])) for k, j in pairs]
    elif p.dim == "OC" and same and not mixes(p) and all(set(range(*p.intervals[j])) == interval_of_channels(q, j) for j in q.devices):
        found = []
    elif p.dim == "H" and same and needs_rows(edge):
        crossing = {(k, j): frozenset(needed[j] & set(range(*p.intervals[k]))) for k, j in pairs}
        found = [Parcel("halo exchange", k, j, row[j] * len(rows), rows) for (k, j), rows in crossing.items()]
    elif p.dim == "IC":
        found = [Parcel("reduce", k, j, e * len(needed_channels(edge, j)) * _partial_sums(edge, needed[j])) for k, j in pairs]
    else:
        post, size = Fraction(e * elements(tensor)), sum(p.shares.values())
        found = [Parcel("all-gather", k, j, post * p.shares[k] / size) for k, j in pairs if needed[j]]
    return [parcel for parcel in found if parcel.size > 0]


def _cut(channels: int, stream: int) -> list[int]:
    """The channels of the messages of a slice."""
    return [min(stream, channels - start) for start in range(0, channels, stream)]


def _partial_sums(edge: Edge, needed: set[int]) -> int:
    """How many there are of one channel under the needed rows: all of them, also those under no pool window, unless q needs rows."""
    assert edge.p.operator is not None
    pool, before_pool = edge.p.operator.pool.rows, pre_pool_shape(edge.p.operator)
    everything = set(range(before_pool.height))
    rows = _under((Fraction(extent(pool)), Fraction(pool.stride), Fraction(pool.before)), needed) & everything if needs_rows(edge) else everything
    return before_pool.width * len(rows) if needed else 0


# Tasks and transfers.


class _PlanJobs:
    """The tasks and transfers of a plan, unit by unit, and what each waits for."""

    def __init__(self, graph: Graph, cluster: Cluster, plan: Plan, boundary_first: bool, barriers: bool) -> None:
        self.graph, self.cluster, self.plan = graph, cluster, plan
        self._boundary_first, self._barriers = boundary_first, barriers
        self.units = [*naive_ends(graph, plan), End(None, None, {cluster.sink: 1})]
        self.makers = {end.operator.name: end for end in self.units if end.operator is not None}
        self.jobs: list[NaiveJob] = []
        self.tasks: dict[tuple[int, str, int], list[int]] = {}
        """By input, unit and device."""
        self.outputs: list[set[int]] = []
        """What the output of each input waits for."""
        self._received_first: dict[tuple[int, str, int], set[int]] = defaultdict(set)  # transfers of a first round, by input, tensor and receiver
        self._completed: set[tuple[int, str]] = set()  # the tensors of each input whose first round has been added
        self._to_be_awaited: dict[int, set[int]] = defaultdict(set)  # transfers of a first round, by the device whose next task waits for them
        self._last_task: dict[int, int] = {}  # by device
        self._sent: dict[tuple[object, ...], int] = {}  # of the input before, by tensor, consumer, slot, sender, receiver
        self._stage: set[int] = set()  # with barriers: the jobs that all later ones wait for

    def add_input(self, item: int) -> None:
        """All units of one input after another."""
        for q in self.units:
            producers = producers_of(self.graph, q)
            for tensor in producers:
                if tensor != INPUT and (item, tensor) not in self._completed:
                    self._first_round(item, unit_name(q), tensor)
            stream = self.stream(q)
            if stream is not None and q.dim == "OC":
                self._streamed_input(item, q, producers[0], stream)
                continue
            arriving = self._edges(item, q, producers)
            if stream is not None:
                self._streamed_sums(item, q, arriving, stream)
            elif q.operator is not None:
                self._tasks(item, q, arriving)
            else:
                self.outputs.append({*arriving, *self._made(item, producers[0], self.cluster.sink), *self._stage})

    def _add(self, job: NaiveJob) -> int:
        self.jobs.append(job)
        return len(self.jobs) - 1

    def _behind_a_barrier(self, numbers: Sequence[int]) -> None:
        """These jobs wait for all before them, and all later ones for them."""
        if self._barriers and numbers:
            for number in numbers:
                self.jobs[number].after |= self._stage
            self._stage = set(numbers)

    def _first_round(self, item: int, unit: str, tensor: str) -> None:
        """The reduce-scatter or the gather of a tensor, with the first of its consumers."""
        self._completed.add((item, tensor))
        numbers = []
        for parcel in self._first_parcels(tensor):
            made = set(self.tasks[item, unit_name(self.makers[tensor]), parcel.sender]) | self._before(tensor, parcel.sender, parcel.receiver)
            size, receiver = float(parcel.size), parcel.receiver
            numbers.append(self._add(NaiveJob(item, unit, parcel.what, parcel.sender, size, receiver, tensor, first_round=True, after=made)))
            self._received_first[item, tensor, receiver].add(numbers[-1])
            self._to_be_awaited[receiver].add(numbers[-1])
        self._behind_a_barrier(numbers)

    def _before(self, *part: object, number: int | None = None) -> set[int]:
        """The same transfer of the input before, if there was one; the new one, which has the number of the next job by default, takes its place."""
        before = {self._sent[part]} if part in self._sent and not self._barriers else set()
        self._sent[part] = len(self.jobs) if number is None else number
        return before

    def _first_parcels(self, tensor: str) -> list[Parcel]:
        p, placement, operator = self.makers[tensor], self.plan[tensor], self.graph[tensor]
        e, post, pre, found = self.cluster.bytes_per_element, out_shape(operator), pre_pool_shape(operator), []
        if placement.gather is not None:
            found = [Parcel("gather", k, placement.gather, e * p.shares[k] * post.channels * post.width) for k in p.devices if k != placement.gather]
        if placement.reduce == "two_phase" and placement.stream is None:
            slices = slices_of(p, operator)
            found = [Parcel("reduce-scatter", k, j, e * slices[j] * pre.height * pre.width) for k in p.devices for j in p.devices if k != j]
        return [parcel for parcel in found if parcel.size > 0]

    def handed_on(self, tensor: str) -> End:
        """Who has the tensor, and how, when its consumers read it."""
        p, placement = self.makers[tensor], self.plan[tensor]
        if placement.gather is not None:
            return End(p.operator, None, {placement.gather: 1})
        if placement.reduce == "two_phase":
            return End(p.operator, "OC", slices_of(p, self.graph[tensor]))
        return p

    def _edges(self, item: int, q: End, producers: Sequence[str]) -> list[int]:
        """The transfers of all edges into a unit, but for first rounds."""
        numbers = []
        for slot, tensor in enumerate(producers):
            for parcel in self._parcels(q, slot, tensor):
                job = NaiveJob(item, unit_name(q), parcel.what, parcel.sender, float(parcel.size), parcel.receiver, tensor)
                numbers.append(self._add(job))
                job.after = self._before(tensor, unit_name(q), slot, parcel.sender, parcel.receiver, number=numbers[-1])
                if tensor != INPUT:
                    job.after |= self._made(item, tensor, parcel.sender, parcel.rows)
        self._behind_a_barrier(numbers)
        return numbers

    def _parcels(self, q: End, slot: int, tensor: str) -> list[Parcel]:
        if tensor != INPUT:
            edge = Edge(self.handed_on(tensor), q, out_shape(self.graph[tensor]), slot)
        elif self.cluster.source is not None:
            edge = Edge(End(None, None, {self.cluster.source: 1}), q, self.graph.input_shape, slot)
        else:
            return []
        return parcels_of(self.cluster.bytes_per_element, edge)

    def _made(self, item: int, tensor: str, k: int, rows: frozenset[int] | None = None) -> set[int]:
        """The jobs after which k has its own part of a tensor, or those rows of it."""
        p = self.makers[tensor]
        tasks = self.tasks.get((item, unit_name(p), k), [])
        if len(tasks) == 2 and rows is not None and rows <= self._boundary_rows(p, k):
            tasks = tasks[:1]
        return {*tasks, *self._received_first[item, tensor, k]}

    def _streamed_input(self, item: int, q: End, tensor: str, stream: int) -> None:
        """The tasks of a unit whose input comes in messages; the buffer for a message is free once the task on the one before has ended."""
        assert q.operator is not None
        name, shape, everybody = unit_name(q), q.operator.in_shape, tensor == INPUT and self.cluster.source is None
        owners, waits = self.owners(tensor, shape.channels), dict[int, set[int]]()
        for j in q.devices:
            self.tasks[item, name, j] = []
            waits[j] = {self.tasks[item - 1, name, j][-1]} if item else set()
            self._piece(item, q, j, "own", Fraction(owners.get(j, 0), shape.channels), self._to_be_awaited.pop(j, set()))
        queues = {j: [(k, size) for k in self._order_of_owners(q, owners, j) for size in _cut(owners[k], stream)] for j in q.devices}
        for j, queue in queues.items():
            for k, size in [] if everybody else queue:
                amount = self.cluster.bytes_per_element * shape.height * shape.width * size
                job = NaiveJob(item, name, "stream", k, amount, j, tensor)  # type: ignore[arg-type]
                job.after = waits[j] | (set() if tensor == INPUT else self._made(item, tensor, k))  # type: ignore[arg-type]
                waits[j] = {self._piece(item, q, j, "message", Fraction(size, shape.channels), {self._add(job)})}

    def stream(self, end: End) -> int | None:
        """How many channels at a time a unit streams."""
        return None if end.operator is None else self.plan[end.operator.name].stream

    def owners(self, tensor: str, channels: int) -> dict[int, int]:
        """How many channels of a streamed input each device has."""
        if tensor == INPUT:
            return dict.fromkeys(range(len(self.cluster)) if self.cluster.source is None else [self.cluster.source], channels)
        p = self.handed_on(tensor)
        return dict.fromkeys(p.devices, channels) if p.dim is None else p.shares

    def _order_of_owners(self, q: End, owners: dict[int, int], j: int) -> list[int]:
        """Whose channels j receives one after another: those of the next one in the order first."""
        after = [*q.devices[q.devices.index(j) + 1 :], *q.devices[: q.devices.index(j)]]
        return [k for k in after if k in owners] if set(owners) <= set(q.devices) and len(owners) > 1 else [k for k in owners if k != j]

    def _streamed_sums(self, item: int, q: End, arriving: Sequence[int], stream: int) -> None:
        """The tasks of a unit that sends partial sums in messages; the next is computed once the one before has left."""
        assert q.operator is not None
        name, pre, slices = unit_name(q), pre_pool_shape(q.operator), slices_of(q, q.operator)
        for j in q.devices:
            self.tasks[item, name, j] = []
            after = {number for number in arriving if self.jobs[number].receiver == j} | self._to_be_awaited.pop(j, set())
            for k in [*q.devices[q.devices.index(j) + 1 :], *q.devices[: q.devices.index(j)]]:
                for size in _cut(slices[k], stream):
                    task = self._piece(item, q, j, "message", Fraction(size, pre.channels), after)
                    amount = self.cluster.bytes_per_element * pre.height * pre.width * size
                    job = NaiveJob(item, name, "streamed reduce-scatter", j, amount, k, q.operator.name, first_round=True, after={task})
                    after = {self._add(job)}
                    self._received_first[item, q.operator.name, k] |= after
            self._piece(item, q, j, "own", Fraction(slices[j], pre.channels), after)
        for k in q.devices:
            self._to_be_awaited[k] |= self._received_first[item, q.operator.name, k]

    def _piece(self, item: int, q: End, j: int, what: str, part: Fraction, after: set[int]) -> int:
        """A part of the task of a device."""
        job = NaiveJob(item, unit_name(q), what, j, float(flops(q, j) * part), task_s=float(compute_s(self.cluster, q, j) * part))
        job.after = after | ({self._last_task[j]} if j in self._last_task else set())
        self._last_task[j] = self._add(job)
        self.tasks[item, unit_name(q), j].append(self._last_task[j])
        return self._last_task[j]

    def _tasks(self, item: int, q: End, arriving: Sequence[int]) -> None:
        numbers = []
        for j in q.devices:
            part = len(self._boundary_rows(q, j)) / q.shares[j] if self._boundary_first and q.shares[j] else 0.0
            own = self.tasks[item, unit_name(q), j] = []
            for what, of in (("boundary", part), ("interior", 1 - part)) if 0 < part < 1 else (("", 1.0),):
                job = NaiveJob(item, unit_name(q), what, j, float(flops(q, j)) * of, task_s=float(compute_s(self.cluster, q, j)) * of)
                job.after = {number for number in arriving if self.jobs[number].receiver == j} | self._to_be_awaited.pop(j, set())
                job.after |= {self._last_task[j]} if j in self._last_task else set()
                self._last_task[j] = self._add(job)
                own.append(self._last_task[j])
            numbers += own
        self._behind_a_barrier(numbers)

    def _boundary_rows(self, p: End, k: int) -> set[int]:
        """The rows of k that any other participant needs, where a single operator and all of its consumers are split by rows over the same."""
        assert p.operator is not None
        name, found = p.operator.name, set[int]()
        readers = [(q, slot) for q in self.units for slot, producer in enumerate(producers_of(self.graph, q)) if producer == name]
        alike = all(q.dim == "H" and q.devices == p.devices for q, _ in readers)
        if p.dim == "H" and p.block is None and self.plan[name].gather is None and alike:
            for q, slot in readers:
                for j in p.devices:
                    found |= really_needed_rows(Edge(p, q, out_shape(p.operator), slot), j) if j != k else set()
        return found & set(range(*p.intervals[k]))


# In time.


def _run(jobs: Sequence[NaiveJob], cluster: Cluster, shared_medium: float | None) -> None:
    """Start and end of every job, from event to event."""
    now, done, running = 0.0, set[int](), set[int]()
    left = [job.task_s if job.is_task else job.amount for job in jobs]
    ready_s = [0.0] * len(jobs)  # when connections are there
    while len(done) < len(jobs):
        for number, job in enumerate(jobs):
            if number not in done and number not in running and job.after <= done:
                running.add(number)
                job.start_s, ready_s[number] = now, now if job.is_task else now + cluster.connection_setup_s
        flows = [number for number in running if not jobs[number].is_task and ready_s[number] <= now]
        rates = _rates([(jobs[number].device, jobs[number].receiver) for number in flows], cluster, shared_medium)
        speed = dict(zip(flows, rates, strict=True)) | {number: 1.0 for number in running if jobs[number].is_task}
        ends = {number: now + left[number] / speed[number] for number in speed}
        then = min([*ends.values(), *(ready_s[number] for number in running - speed.keys())])
        for number, end_s in ends.items():
            left[number] -= speed[number] * (then - now)
            if end_s <= then * (1 + 1e-14):
                running.remove(number)
                done.add(number)
                jobs[number].end_s = then
        now = then


def _rates(flows: Sequence[tuple[int, int | None]], cluster: Cluster, shared_medium: float | None) -> list[float]:
    """Max-min fair: all flows grow evenly until a link is full; those on it stay as they are, and the others grow on."""
    if shared_medium is not None:
        return [shared_medium / len(flows) for _ in flows]
    room = {(end, j): device.bandwidth_bytes_per_s for j, device in enumerate(cluster.devices) for end in (0, 1)}  # up and down
    rates, growing = [0.0] * len(flows), set(range(len(flows)))
    while growing:
        users = {(end, j): [flow for flow in growing if flows[flow][end] == j] for end, j in room}
        more, fullest = min((room[link] / len(users[link]), link) for link in room if users[link])
        for flow in growing:
            rates[flow] += more
        for link in room:
            room[link] -= more * len(users[link])
        growing -= set(users[fullest])
    return rates


# Memory.


def _held(found: _PlanJobs, outputs: Sequence[float]) -> Iterator[Held]:
    """All but the weights."""
    jobs, e = found.jobs, found.cluster.bytes_per_element
    units = {unit_name(end): end for end in found.units}
    for (_, unit, j), tasks in found.tasks.items():
        held = float(demand(e, units[unit], j)[1]) if found.stream(units[unit]) is None else _stream_bytes(found, units[unit], j)
        yield Held(j, jobs[tasks[0]].start_s, jobs[tasks[-1]].end_s, held)
    for job in jobs:
        if job.receiver is not None and not job.first_round:
            task = found.tasks.get((job.item, job.unit, job.receiver))
            if job.what == "stream":
                assert task is not None  # only participants receive
                if job.start_s >= jobs[task[0]].start_s:
                    continue  # its place is in what is held while the tasks run
            yield Held(job.receiver, job.start_s, outputs[job.item] if task is None else jobs[task[0]].start_s, job.amount)
    for item in range(len(outputs)):
        for j in range(len(found.cluster)):
            yield from _held_input(found, outputs, item, j)
            for tensor in found.makers:
                yield from _held_tensor(found, outputs, item, tensor, j)


def _stream_bytes(found: _PlanJobs, end: End, j: int) -> float:
    """What j holds while it computes a streamed unit, without its own part of an input that is streamed."""
    operator, stream, e = end.operator, found.stream(end), found.cluster.bytes_per_element
    assert operator is not None
    assert stream is not None
    pre, shape = pre_pool_shape(operator), operator.in_shape
    if end.dim == "IC":
        slices = slices_of(end, operator)
        inputs = Fraction(elements(shape) * end.shares[j], shape.channels)
        return float(e * (inputs + pre.height * pre.width * (slices[j] + min(stream, max(slices.values())))))
    (tensor,) = producers_of(found.graph, end)
    owners = found.owners(tensor, shape.channels)
    lacking = [] if tensor == INPUT and j in owners else [channels for k, channels in owners.items() if k != j]
    message = shape.height * shape.width * min(stream, max(lacking, default=0))
    return float(e * (message + Fraction(elements(pre) * end.shares[j], operator.out_channels)))


def _held_input(found: _PlanJobs, outputs: Sequence[float], item: int, j: int) -> Iterator[Held]:
    """The input on a device that has it: the first from the start, later ones from when they are first read or sent."""
    uses = _uses(found, outputs, item, INPUT, j)
    if found.cluster.source in (None, j) and uses:
        begin_s = min(start_s for start_s, _ in uses) if item else 0.0
        yield Held(j, begin_s, max(end_s for _, end_s in uses), float(found.cluster.bytes_per_element * elements(found.graph.input_shape)))


def _held_tensor(found: _PlanJobs, outputs: Sequence[float], item: int, tensor: str, j: int) -> Iterator[Held]:
    """What j holds of its own part of a tensor, and of what arrives in the first round, if there is one."""
    p, handed_on, e = found.makers[tensor], found.handed_on(tensor), found.cluster.bytes_per_element
    made_s = max((found.jobs[number].end_s for number in found.tasks.get((item, unit_name(p), j), [])), default=0.0)
    last_s = max((end_s for _, end_s in _uses(found, outputs, item, tensor, j)), default=0.0)
    if handed_on is p:
        yield Held(j, made_s, last_s, owned_bytes(e, p, j))
        return
    first_round = [job for job in found.jobs if (job.item, job.tensor, job.first_round) == (item, tensor, True) and j in (job.device, job.receiver)]
    over_s = max([made_s, *(job.end_s for job in first_round)])
    if found.stream(p) is not None and j in p.shares:
        yield Held(
            j, made_s, over_s, owned_bytes(e, handed_on, j) * elements(pre_pool_shape(found.graph[tensor])) / elements(out_shape(found.graph[tensor]))
        )
        first_s = found.jobs[found.tasks[item, unit_name(p), j][0]].start_s
        yield from (Held(j, job.start_s, max(job.end_s, first_s), job.amount) for job in first_round if job.receiver == j)
        yield Held(j, over_s, last_s, owned_bytes(e, handed_on, j))
        return
    yield Held(j, made_s, over_s, owned_bytes(e, p, j))
    yield from (Held(j, job.start_s, over_s, job.amount) for job in first_round if job.receiver == j)
    yield Held(j, over_s, last_s, owned_bytes(e, handed_on, j))


def owned_bytes(e: int, p: End, k: int) -> float:
    """What k owns of the output of p: its partial sums, or its share of the rows or channels."""
    assert p.operator is not None
    if k not in p.shares:
        return 0.0
    if p.dim == "IC":
        return float(e * elements(pre_pool_shape(p.operator)))
    return float(Fraction(e * elements(out_shape(p.operator)) * p.shares[k], sum(p.shares.values())))


def _uses(found: _PlanJobs, outputs: Sequence[float], item: int, tensor: str, j: int) -> list[tuple[float, float]]:
    """From when to when j needs its own part of a tensor: for its transfers of it, until its tasks that read it start, and for the output."""
    times = [(job.start_s, job.end_s) for job in found.jobs if (job.item, job.tensor, job.device, job.first_round) == (item, tensor, j, False)]
    for q in found.units:
        if tensor in producers_of(found.graph, q) and j in q.shares:
            start_s = outputs[item] if q.operator is None else found.jobs[found.tasks[item, unit_name(q), j][0]].start_s
            if q.dim == "OC" and found.stream(q) is not None:
                start_s = found.jobs[found.tasks[item, unit_name(q), j][-1]].end_s  # it reads its own part where that is
            times.append((start_s, start_s))
    return times
