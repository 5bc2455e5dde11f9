"""Who sends what to whom on an edge p -> q: the logical transfers of the cost model as slices of real tensors.

Every worker derives the same schedule from graph and plan, so that no message needs a header. What a transfer carries follows from what
its receiver needs and its sender owns, not from the evaluator's formulas.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from iopopt.cost.evaluation import SINK
from iopopt.network.graph import Graph, Link
from iopopt.network.operators.operator import Operator
from iopopt.plan.plan import Placement
from iopopt.plan.shares import even_shares
from iopopt.schedule.regions import Region, Regions, conv_rows, everything, needed_regions, owned_regions


@dataclass(frozen=True)
class Transfer:
    """``region`` of the producer's output goes from ``source`` to ``target``; of its partial sums before the pool where ``partial``."""

    source: int
    target: int
    region: Region
    partial: bool


@dataclass(frozen=True)
class Round:
    """Transfers that may all be under way at once, and what their receivers hold afterwards.

    Attributes:
        finished: the region of the producer's finished output that each device then holds; where the transfers are partial sums, the
            device adds them up and runs the producer's epilogue on the sum.
        sums: where partial sums are sent, the region before the pool of which each device gets them.
        completes: whether the partial sums end here: the finished regions are what the producer's devices own from now on.
        mixes: whether the receivers run the step at the end of the producer's epilogue that needs all channels.
    """

    transfers: tuple[Transfer, ...]
    finished: Regions
    sums: Regions = field(default_factory=dict)
    completes: bool = False
    mixes: bool = False

    @property
    def partial(self) -> bool:
        """Whether partial sums are sent."""
        return bool(self.sums)


@dataclass(frozen=True)
class Edge:
    """The rounds in which the tensor of ``producer`` (a number; None: the graph's input) becomes one input of its consumer."""

    producer: int | None
    rounds: tuple[Round, ...]


@dataclass(frozen=True)
class OperatorInputs:
    """All that the operator ``name``, or the sink, gets before it runs: an edge for each input.

    ``released`` are the producers whose tensors nobody reads later.
    """

    name: str
    edges: tuple[Edge, ...]
    released: tuple[int | None, ...]


def schedule(graph: Graph, placements: Sequence[Placement], source: int | None, sink: int) -> list[OperatorInputs]:
    """The inputs_of of each operator in order, and the sink's."""
    last = {link.producer: link.consumer for link in graph.links}  # links are in the order of their consumers
    operator_inputs = []
    for i, operator in enumerate(graph.operators):
        edges = tuple(Edge(link.producer, _link_rounds(graph, placements, source, link)) for link in graph.links_into[i])
        released = tuple(producer for producer, consumer in last.items() if consumer == i)
        operator_inputs.append(OperatorInputs(operator.name, edges, released))
    output = len(graph) - 1
    needs = {sink: everything(graph.output.out_shape)}
    rounds = _operator_rounds(graph.output, placements[output], None, Placement.whole(sink), needs)
    return [*operator_inputs, OperatorInputs(SINK, (Edge(output, rounds),), (output,))]


def _link_rounds(graph: Graph, placements: Sequence[Placement], source: int | None, link: Link) -> tuple[Round, ...]:
    consumer, q = graph.operators[link.consumer], placements[link.consumer]
    if link.producer is None:
        needs = needed_regions(consumer, q, link.slot)
        return (Round((), needs) if source is None else _from_owner(source, needs),)
    producer, p = graph.operators[link.producer], placements[link.producer]
    needs = needed_regions(consumer, q, link.slot, by_channels=not producer.mixes_channels)
    rounds = _operator_rounds(producer, p, consumer, q, needs, by_rows=q.dim == "H" and not consumer.is_gate(link.slot))
    return rounds if link == graph.links_from[link.producer][0] else rounds[-1:]  # partial sums are completed once


def _operator_rounds(
    producer: Operator, p: Placement, consumer: Operator | None, q: Placement, needs: Regions, *, by_rows: bool = False
) -> tuple[Round, ...]:
    """The rounds of one edge, the first phase of a two-phase reduce included; the sink is no operator."""
    if p.dim != "IC":
        return (_finished_round(producer, p, consumer, q, needs),)
    if p.reduce == "direct":
        sums = {j: _before_pool(producer, need, by_rows=by_rows) for j, need in needs.items()}
        return (replace(_reduce(p.devices, needs, sums), mixes=producer.mixes_channels),)
    completed = Placement.split("OC", p.devices, even_shares(producer.out_channels, len(p.devices)))
    slices = owned_regions(producer, completed)
    sums = {j: _before_pool(producer, region) for j, region in slices.items()}
    first = replace(_reduce(p.devices, slices, sums), completes=True)
    return first, _finished_round(producer, completed, consumer, q, needs)


def _before_pool(producer: Operator, finished: Region, *, by_rows: bool = False) -> Region:
    """The partial sums under a finished region: the rows under its rows, or all, those that no pool window touches included."""
    rows = conv_rows(producer, finished.rows) if by_rows else everything(producer.pre_pool_shape).rows
    return Region(finished.channels, rows)


def _from_owner(owner: int, needs: Regions) -> Round:
    transfers = tuple(Transfer(owner, j, need, partial=False) for j, need in needs.items() if j != owner and need)
    return Round(transfers, needs)


def _finished_round(producer: Operator, p: Placement, consumer: Operator | None, q: Placement, needs: Regions) -> Round:
    """The transfers of finished pieces: as needed where that is the rule, else everything to everyone (concatenate)."""
    if p.is_whole:
        return _from_owner(p.devices[0], needs)
    owned, same_team = owned_regions(producer, p), p.devices == q.devices
    part_read = consumer is not None and consumer.reads_part(q.dim) and not producer.mixes_channels
    if same_team and p.dim == "OC" and part_read and all(owned[j].holds(needs[j]) for j in q.devices):
        return Round((), needs)
    if same_team and p.dim == q.dim == "H":
        pieces = [(k, j, needs[j].meet(owned[k])) for j in q.devices for k in p.devices if k != j]
        return Round(tuple(Transfer(k, j, piece, partial=False) for k, j, piece in pieces if piece), needs)
    transfers = tuple(Transfer(k, j, piece, partial=False) for j in q.devices for k, piece in owned.items() if k != j and piece)
    return Round(transfers, dict.fromkeys(q.devices, everything(producer.out_shape)), mixes=p.dim == "OC" and producer.mixes_channels)


def _reduce(owners: tuple[int, ...], finished: Regions, sums: Regions) -> Round:
    """Every device gets the partial sums of the region that it is to finish, from every other owner."""
    transfers = tuple(Transfer(k, j, region, partial=True) for j, region in sums.items() for k in owners if k != j and region)
    return Round(transfers, finished, sums)
