"""Who sends what to whom on an edge p -> q: the logical transfers of the cost model as slices of real tensors.

Every worker derives the same schedule from graph and plan, so that no message needs a header. What a transfer carries follows from what
its receiver needs and its sender owns, not from the evaluator's formulas.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from iopopt.evaluation import SINK
from iopopt.executor.regions import Region, conv_rows, even_regions, everything, needed_regions, owned_regions
from iopopt.graph import Graph
from iopopt.operators import Operator, Shape
from iopopt.plan import Placement
from iopopt.shares import even_shares


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
    """

    transfers: tuple[Transfer, ...]
    finished: dict[int, Region]
    sums: dict[int, Region] = field(default_factory=dict)

    @property
    def partial(self) -> bool:
        """Whether partial sums are sent."""
        return bool(self.sums)


@dataclass(frozen=True)
class Edge:
    """The rounds between two placements; ``name`` is the consumer's, or ``(sink)``."""

    name: str
    producer: Operator | None
    rounds: tuple[Round, ...]


def edge_rounds(shape: Shape, producer: Operator | None, p: Placement, consumer: Operator | None, q: Placement) -> tuple[Round, ...]:
    """The rounds of one edge whose tensor has ``shape``; the input is produced by None, the output consumed by None."""
    needs = needed_regions(consumer, q) if consumer is not None else dict.fromkeys(q.devices, everything(shape))
    if producer is None:
        return (_from_owner(p.devices[0], needs),)
    if p.dim != "IC":
        return (_finished_round(producer, p, owned_regions(producer, p), consumer, q, needs),)
    if p.reduce == "direct":
        by_rows = consumer is not None and q.dim == "H"
        return (_reduce(producer, p.devices, needs, _rows_before_pool(producer, needs) if by_rows else _before_pool(producer, needs)),)
    slices = even_regions(producer, p.devices, even_shares(producer.out_channels, len(p.devices)))
    completed = Placement.split("OC", p.devices, even_shares(producer.out_channels, len(p.devices)))
    return _reduce(producer, p.devices, slices, _before_pool(producer, slices)), _finished_round(producer, completed, slices, consumer, q, needs)


def _from_owner(owner: int, needs: dict[int, Region]) -> Round:
    transfers = tuple(Transfer(owner, j, need, partial=False) for j, need in needs.items() if j != owner and need)
    return Round(transfers, needs)


def _finished_round(
    producer: Operator, p: Placement, owned: dict[int, Region], consumer: Operator | None, q: Placement, needs: dict[int, Region]
) -> Round:
    """The transfers of finished pieces: as needed where that is the rule, else everything to everyone (concatenate)."""
    if p.is_whole:
        return _from_owner(p.devices[0], needs)
    same_team = p.devices == q.devices
    by_channels = p.dim == "OC" and (q.dim == "IC" or (consumer is not None and consumer.groups > 1 and q.dim == "OC"))
    if same_team and by_channels and all(owned[j].holds(needs[j]) for j in q.devices):
        return Round((), needs)
    if same_team and p.dim == q.dim == "H":
        pieces = [(k, j, needs[j].meet(owned[k])) for j in q.devices for k in p.devices if k != j]
        return Round(tuple(Transfer(k, j, piece, partial=False) for k, j, piece in pieces if piece), needs)
    full = everything(producer.out_shape)
    transfers = tuple(Transfer(k, j, piece, partial=False) for j in q.devices for k, piece in owned.items() if k != j and piece)
    return Round(transfers, dict.fromkeys(q.devices, full))


def _reduce(producer: Operator, owners: tuple[int, ...], finished: dict[int, Region], sums: dict[int, Region]) -> Round:
    """Every device gets the partial sums of the region that it is to finish, from every other owner."""
    transfers = tuple(Transfer(k, j, region, partial=True) for j, region in sums.items() for k in owners if k != j and region)
    return Round(transfers, finished, sums)


def _before_pool(producer: Operator, finished: dict[int, Region]) -> dict[int, Region]:
    """All rows before the pool of the channels that each device finishes, those that no pool window touches included."""
    return {j: Region(region.channels, everything(producer.conv_shape).rows) for j, region in finished.items()}


def _rows_before_pool(producer: Operator, finished: dict[int, Region]) -> dict[int, Region]:
    """The rows before the pool that lie under the rows that each device finishes."""
    return {j: Region(region.channels, conv_rows(producer, region.rows)) for j, region in finished.items()}


def edges(graph: Graph, placements: list[Placement], source: int | None, sink: int) -> list[Edge]:
    """All edges of a chain, the source's (if it has one) first and the sink's last; one per operator and one more."""
    first, operators = graph.operators[0], graph.operators
    if source is None:
        held = Round((), needed_regions(first, placements[0]))
        result = [Edge(first.name, None, (held,))]
    else:
        result = [Edge(first.name, None, edge_rounds(graph.input_shape, None, Placement.whole(source), first, placements[0]))]
    for i in range(1, len(operators)):
        rounds = edge_rounds(operators[i].in_shape, operators[i - 1], placements[i - 1], operators[i], placements[i])
        result.append(Edge(operators[i].name, operators[i - 1], rounds))
    last = operators[-1]
    rounds = edge_rounds(last.out_shape, last, placements[-1], None, Placement.whole(sink))
    return [*result, Edge(SINK, last, rounds)]
