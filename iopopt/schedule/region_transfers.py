"""The transfers of an edge p -> q: those of the cost model as slices of real tensors.

Every worker derives the same schedule from graph and plan, so that no message needs a header. The content of a transfer follows from what
its receiver needs and its sender owns, not from the evaluator's formulas.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from iopopt.network.graph import Graph
from iopopt.network.operators.operator import Operator
from iopopt.network.shapes import Dim
from iopopt.network.tensor_edge import TensorEdge
from iopopt.plan.placement import Placement
from iopopt.plan.shares import even_shares
from iopopt.schedule.regions import Interval, Region, Regions, everything
from iopopt.schedule.rounds import TransferKind
from iopopt.schedule.streams import parts, passed_around


@dataclass(frozen=True)
class RegionTransfer:
    """``region`` of the producer's output goes from ``sender`` to ``receiver``; of its pre-pool partial sums if ``partial``."""

    sender: int
    receiver: int
    region: Region
    partial: bool


@dataclass(frozen=True)
class RegionRound:
    """Transfers that may run concurrently, and what their receivers hold afterwards.

    Attributes:
        kind: the way in which the tensor is passed on.
        finished: the region of the producer's finished output that each device then holds; if the transfers are partial sums, the
            device adds them up and runs the producer's epilogue on the sum. In a stream, the part of it that is in this message.
        sums: if partial sums are sent, the pre-pool region that each device receives.
        completes: whether the round is a reduce-scatter or a gather: from then on the finished regions are what devices own of the output.
        mixes: whether the receivers run the mixing step of the producer's epilogue.
    """

    kind: TransferKind
    transfers: tuple[RegionTransfer, ...]
    finished: Regions
    sums: Regions = field(default_factory=dict)
    completes: bool = False
    mixes: bool = False

    @property
    def partial(self) -> bool:
        """Whether partial sums are sent."""
        return bool(self.sums)


@dataclass(frozen=True)
class EdgeTransfers:
    """The rounds in which the tensor of unit ``producer``, by number, becomes one input of its consumer."""

    producer: int
    rounds: tuple[RegionRound, ...]


@dataclass(frozen=True)
class UnitInputs:
    """Everything that an operator, a fused block or the sink receives before it runs: an edge for each input.

    Attributes:
        name: as reports name it.
        members: the numbers of its operators, more than one for a block; none for the sink.
        freed: the producers whose tensors nobody reads later.
        scatter: the rounds of a streamed reduce-scatter, in which participants pass partial sums to each other while they compute.
    """

    name: str
    members: range
    edges: tuple[EdgeTransfers, ...]
    freed: tuple[int, ...]
    scatter: tuple[RegionRound, ...] = ()


def unit_inputs(graph: Graph, placements: Sequence[Placement], source: int | None, sink: int, spans: Sequence[int] | None = None) -> list[UnitInputs]:
    """The inputs of each unit in order, and the sink's.

    Args:
        placements: of each operator; the members of a fused block have the block's.
        spans: how many operators each unit has; always one by default.
    """
    network = graph.unfused if spans is None else graph.covered(spans)
    stops = itertools.accumulate([1] * len(graph) if spans is None else spans)
    runs = [range(stop - span, stop) for span, stop in zip([1] * len(graph) if spans is None else spans, stops, strict=False)]
    tensors = [*(run[-1] for run in runs), graph.sink, graph.source]
    last = {edge.producer: edge.consumer for edges in network.edges_into for edge in edges}  # consumer after consumer
    inputs = []
    for number, edges in enumerate(network.edges_into):
        members = runs[number] if number < network.sink else range(0)
        q = placements[members[-1]] if members else Placement.whole(sink)
        producers = [tensors[edge.producer] for edge in edges]
        owners = [_input_placement(source) if tensor == graph.source else placements[tensor] for tensor in producers]
        rounds = [edge_rounds(graph, tensor, p, members, q, edge) for tensor, p, edge in zip(producers, owners, edges, strict=True)]
        transfers = tuple(map(EdgeTransfers, producers, rounds))
        freed = tuple(tensors[producer] for producer, consumer in last.items() if consumer == number)
        scatter = scatter_rounds(graph.operators[members[0]], q) if len(members) == 1 else ()
        inputs.append(UnitInputs(network.units[number].name, members, transfers, freed, scatter))
    return inputs


def _input_placement(source: int | None) -> Placement | None:
    """Where the input is; None if every device has it."""
    return None if source is None else Placement.whole(source)


def edge_rounds(graph: Graph, tensor: int, p: Placement | None, members: range, q: Placement, edge: TensorEdge) -> tuple[RegionRound, ...]:
    """The rounds of an edge into the operators ``members``, or into the sink, whose members are none.

    Args:
        tensor: the number of the operator that makes it, or the source's.
        p: where that is; None for an input that every device has.
        q: where the members are, or the sink.
    """
    if q.streams_input:
        rounds = _streamed_rounds(graph, tensor, p, q)
        return rounds if edge.first else tuple(round_ for round_ in rounds if not round_.completes)
    if p is None:
        return (RegionRound(TransferKind.SEND, (), _needs(graph, members, q, tensor, edge, by_channels=True)),)
    if tensor == graph.source:
        return (_from_owner(p.devices[0], _needs(graph, members, q, tensor, edge, by_channels=True)),)
    producer = graph.operators[tensor]
    needs = _needs(graph, members, q, tensor, edge, by_channels=not producer.mixes_channels)
    consumer = graph.operators[members[-1]] if members else None
    by_rows = consumer is not None and q.dim == "H" and (len(members) > 1 or not consumer.is_gate(edge.slot))
    rounds = _operator_rounds(producer, p, consumer, q, needs, by_rows=by_rows)
    return rounds if edge.first else rounds[-1:]  # a reduce-scatter or a gather happens once


def _streamed_rounds(graph: Graph, tensor: int, p: Placement | None, q: Placement) -> tuple[RegionRound, ...]:
    """The rounds in which a streamed input arrives, a message each at most, after what completes it; none where every device has it."""
    assert q.stream is not None  # only such placements stream
    if p is None:
        return ()
    if tensor == graph.source:
        return _from_one(p.devices[0], everything(graph.input_shape), q, q.stream)
    producer = graph.operators[tensor]
    if p.handed_on.is_whole:
        completing = () if p.gather is None else (_gather(producer, p, p.gather),)
        return completing + _from_one(p.handed_on.devices[0], everything(producer.out_shape), q, q.stream)
    completing = (_reduce_scatter(producer, p),) if p.dim == "IC" and not p.streams_sums else ()
    slices = even_slices(producer, p.devices) if p.dim == "IC" else owned_regions(producer, p)
    found = passed_around(q.devices, slices, q.stream)
    return completing + tuple(_message(TransferKind.STREAM, [(owner, device, part) for device, (owner, part) in of.items()]) for of in found)


def _from_one(owner: int, tensor: Region, q: Placement, stream: int) -> tuple[RegionRound, ...]:
    """One device sends every part of a tensor to all others."""
    return tuple(_message(TransferKind.STREAM, [(owner, j, part) for j in q.devices if j != owner]) for part in parts(tensor, stream))


def _message(kind: TransferKind, moves: Sequence[tuple[int, int, Region]]) -> RegionRound:
    transfers = tuple(RegionTransfer(sender, receiver, part, partial=False) for sender, receiver, part in moves)
    return RegionRound(kind, transfers, {receiver: part for _, receiver, part in moves})


def scatter_rounds(operator: Operator, placement: Placement) -> tuple[RegionRound, ...]:
    """The rounds of a streamed reduce-scatter: each participant computes partial sums of a part of another's slice, and sends them."""
    if not placement.streams_sums:
        return ()
    assert placement.stream is not None
    slices, rounds = even_slices(operator, placement.devices), []
    for of in passed_around(placement.devices, slices, placement.stream):
        sums = {owner: _before_pool(operator, part) for owner, part in of.values()}
        transfers = tuple(RegionTransfer(device, owner, sums[owner], partial=True) for device, (owner, _) in of.items())
        rounds.append(RegionRound(TransferKind.STREAMED_REDUCE_SCATTER, transfers, dict(of.values()), sums))
    return tuple(rounds)


def _needs(graph: Graph, members: range, q: Placement, tensor: int, edge: TensorEdge, *, by_channels: bool) -> Regions:
    """What each participant of a unit, or the sink, needs of a tensor."""
    if not members:
        return {q.devices[0]: everything(graph.output.out_shape)}
    if len(members) > 1:
        return block_needs(graph, members, q, tensor, by_channels=by_channels)
    return needed_regions(graph.operators[members[0]], q, edge.slot, by_channels=by_channels)


def _operator_rounds(
    producer: Operator, p: Placement, consumer: Operator | None, q: Placement, needs: Regions, *, by_rows: bool = False
) -> tuple[RegionRound, ...]:
    """The rounds of one edge, including a gather or the reduce-scatter of a two-phase reduce; ``consumer`` is None for the sink."""
    if p.gather is not None:
        return _gather(producer, p, p.gather), _from_owner(p.gather, needs)
    if p.dim is None:
        return (_from_owner(p.devices[0], needs),)
    if p.dim != "IC":
        return (_finished_round(producer, p.dim, owned_regions(producer, p), consumer, q, needs),)
    if p.reduce == "direct":
        sums = {j: _before_pool(producer, need, by_rows=by_rows) for j, need in needs.items()}
        return (replace(_reduce(p.devices, needs, sums), mixes=producer.mixes_channels),)
    last = _finished_round(producer, "OC", even_slices(producer, p.devices), consumer, q, needs)
    return (last,) if p.streams_sums else (_reduce_scatter(producer, p), last)


def _reduce_scatter(producer: Operator, p: Placement) -> RegionRound:
    """Every participant adds up an even slice."""
    slices = even_slices(producer, p.devices)
    sums = {j: _before_pool(producer, region) for j, region in slices.items()}
    return replace(_reduce(p.devices, slices, sums), kind=TransferKind.REDUCE_SCATTER, completes=True)


def even_slices(producer: Operator, devices: Sequence[int]) -> dict[int, Region]:
    """The even slices of the output channels that the participants complete, in their order."""
    rows = everything(producer.out_shape).rows
    stops = list(itertools.accumulate(even_shares(producer.out_channels, len(devices))))
    return {j: Region(Interval(start, stop), rows) for j, start, stop in zip(devices, [0, *stops], stops, strict=False)}


def _before_pool(producer: Operator, finished: Region, *, by_rows: bool = False) -> Region:
    """The partial sums under a finished region: the rows under its rows, or all, including those that no pool window touches; none under none."""
    rows = pre_pool_rows(producer, finished.rows) if by_rows or not finished.rows else everything(producer.pre_pool_shape).rows
    return Region(finished.channels, rows)


def _gather(producer: Operator, p: Placement, device: int) -> RegionRound:
    """Every other participant sends its rows to one device, which then owns them all."""
    owned = owned_regions(producer, p)
    transfers = tuple(RegionTransfer(k, device, region, partial=False) for k, region in owned.items() if k != device and region)
    return RegionRound(TransferKind.GATHER, transfers, {device: everything(producer.out_shape)}, completes=True)


def _from_owner(owner: int, needs: Regions) -> RegionRound:
    transfers = tuple(RegionTransfer(owner, j, need, partial=False) for j, need in needs.items() if j != owner and need)
    return RegionRound(TransferKind.SEND, transfers, needs)


def _finished_round(producer: Operator, dim: Dim, owned: Regions, consumer: Operator | None, q: Placement, needs: Regions) -> RegionRound:
    """The transfers of finished slices of rows or channels: what each device needs, or an all-gather among those that need any rows."""
    same_team = tuple(owned) == q.devices
    part_read = consumer is not None and consumer.reads_part(q.dim) and not producer.mixes_channels
    if same_team and dim == "OC" and part_read and all(owned[j].holds(needs[j]) for j in q.devices):
        return RegionRound(TransferKind.INTERLEAVED, (), needs)
    if same_team and dim == q.dim == "H":
        pieces = [(k, j, needs[j].meet(owned[k])) for j in q.devices for k in owned if k != j]
        exchanged = tuple(RegionTransfer(k, j, piece, partial=False) for k, j, piece in pieces if piece)
        return RegionRound(TransferKind.HALO_EXCHANGE if exchanged else TransferKind.ROW_ALIGNED, exchanged, needs)
    whole = {j: everything(producer.out_shape) if needs[j].rows else needs[j] for j in q.devices}
    transfers = tuple(RegionTransfer(k, j, piece, partial=False) for j in q.devices for k, piece in owned.items() if k != j and whole[j] and piece)
    return RegionRound(TransferKind.ALL_GATHER, transfers, whole, mixes=dim == "OC" and producer.mixes_channels)


def _reduce(owners: tuple[int, ...], finished: Regions, sums: Regions) -> RegionRound:
    """Every device receives the partial sums of the region that it finishes, from every other owner."""
    transfers = tuple(RegionTransfer(k, j, region, partial=True) for j, region in sums.items() for k in owners if k != j and region)
    return RegionRound(TransferKind.REDUCE, transfers, finished, sums)


# What a participant owns, needs and computes.


def owned_regions(operator: Operator, placement: Placement) -> dict[int, Region]:
    """What each participant owns of the finished output of an operator that is whole or split by H or OC."""
    full = everything(operator.out_shape)
    if placement.dim is None:
        return {placement.devices[0]: full}
    cut = {shard.device: Interval(shard.start, shard.stop) for shard in placement.shards}
    if placement.dim == "H":
        return {device: Region(full.channels, rows) for device, rows in cut.items()}
    return {device: Region(channels, full.rows) for device, channels in cut.items()}


def read_region(operator: Operator, slot: int) -> Region:
    """The region of input ``slot`` that the operator reads."""
    channels = operator.read_channels(slot)
    return Region(Interval(channels.start, channels.stop), everything(operator.in_shapes[slot]).rows)


def needed_regions(operator: Operator, placement: Placement, slot: int = 0, *, by_channels: bool = True) -> dict[int, Region]:
    """What each participant needs of input ``slot``.

    For H the rows under its output rows, but all of a gate, and for no rows nothing; for IC its input channels; for OC of a channel-local
    operator the input channels of its groups. Otherwise everything that the operator reads. Without ``by_channels``, all channels are needed
    instead of some.
    """
    full = read_region(operator, slot) if by_channels else everything(operator.in_shapes[slot])
    needs = {}
    for shard in placement.shards:
        share = Interval(shard.start, shard.stop)
        if placement.dim == "H" and not (share and operator.is_gate(slot)):
            needs[shard.device] = Region(full.channels, field_rows(operator, share))
        elif by_channels and operator.reads_part(placement.dim):
            needs[shard.device] = Region(_input_channels(operator, placement, share), full.rows)
        else:
            needs[shard.device] = full
    return needs


def block_needs(graph: Graph, members: range, placement: Placement, tensor: int, *, by_channels: bool = True) -> dict[int, Region]:
    """What each participant of a fused block needs of the tensor that the block reads."""
    reads = graph.unfused.reads
    readers = [member for member in members if tensor in reads[member]]
    shape = graph.input_shape if tensor == graph.source else graph.operators[tensor].out_shape
    channels = everything(shape).channels
    if by_channels and len(readers) == 1:  # which may be a slice
        channels = read_region(graph.operators[readers[0]], reads[readers[0]].index(tensor)).channels
    rows = {shard.device: block_rows(graph, members, Interval(shard.start, shard.stop))[tensor] for shard in placement.shards}
    return {device: Region(channels, of_device) for device, of_device in rows.items()}


def block_rows(graph: Graph, members: range, share: Interval) -> dict[int, Interval]:
    """The rows of each tensor of a fused block, the one that it reads included, under a share of the rows of its last operator."""
    rows = {members[-1]: share}
    read = {tensor for member in members for tensor in graph.unfused.reads[member]}
    for tensor in sorted(read, key=lambda tensor: -1 if tensor == graph.source else tensor, reverse=True):
        under = [field_rows(graph.operators[member], rows[member]) for member in members if tensor in graph.unfused.reads[member]]
        rows[tensor] = _hull(interval for interval in under if interval)
    return rows


def _hull(intervals: Iterable[Interval]) -> Interval:
    """From the first row to the last."""
    listed = list(intervals)
    return Interval(min((rows.start for rows in listed), default=0), max((rows.stop for rows in listed), default=0))


def _input_channels(operator: Operator, placement: Placement, share: Interval) -> Interval:
    """A share of input channels, or the input channels that the groups of a share of output channels read."""
    if placement.dim == "IC":
        return share
    C, OC = operator.in_shape.channels, operator.out_channels
    return Interval(share.start * C // OC, share.stop * C // OC)


def computed_region(operator: Operator, placement: Placement, device: int) -> Region:
    """What a participant computes before the pool.

    Unless the split is by rows, all rows, including those that no pool window touches; for IC, partial sums of all channels.
    """
    full = everything(operator.pre_pool_shape)
    if placement.dim in (None, "IC"):
        return full
    mine = owned_regions(operator, placement)[device]
    return Region(mine.channels, pre_pool_rows(operator, mine.rows) if placement.dim == "H" else full.rows)


def pre_pool_rows(operator: Operator, rows: Interval) -> Interval:
    """The pre-pool rows under output rows."""
    pool = operator.pool.rows
    if not rows:
        return Interval(0, 0)
    return Interval(
        max(0, rows.start * pool.stride - pool.before),
        min(operator.pre_pool_shape.height, (rows.stop - 1) * pool.stride - pool.before + pool.extent),
    )


def field_rows(operator: Operator, rows: Interval) -> Interval:
    """Input rows under output rows: the composite field of pool and kernel, cut at the tensor's edges."""
    if not rows:
        return Interval(0, 0)
    first, last = rows.start * operator.S - operator.P, (rows.stop - 1) * operator.S - operator.P + operator.K
    return Interval(max(0, int(first)), min(operator.in_shape.height, int(last)))  # whole numbers, because shares are whole granules
