"""The schedule of a plan by real needs: what devices really send, as :mod:`iopopt.schedule` derives it, instead of what equation (8) counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from iopopt.cluster.cluster import Cluster
from iopopt.cost.work import share_work
from iopopt.network.graph import Graph
from iopopt.network.tensor_edge import TensorEdge
from iopopt.network.unit import Unit
from iopopt.plan.pieces import Piece, pieces_of
from iopopt.plan.placement import Placement
from iopopt.plan.plan import Plan
from iopopt.schedule.boundary import Reader, boundary_rows
from iopopt.schedule.region_transfers import RegionRound, edge_rounds, scatter_rounds
from iopopt.schedule.rounds import EdgeRounds, Round, Schedule, Step, Work

_MOST_KEPT = 100_000


class _Edge(NamedTuple):
    """The rounds of an edge between two placements, as regions and as bytes."""

    regions: tuple[RegionRound, ...]
    rounds: tuple[Round, ...]


class _Covered:
    """The graph covered by runs of certain lengths, with the steps known of it.

    Attributes:
        runs: the operators of each unit, by number.
        near: for each unit and the sink, those on whose placements its step depends: itself, its producers and its consumers.
        steps: by number and the placements of these units.
    """

    def __init__(self, graph: Graph, runs: Sequence[range]) -> None:
        self.network, self.runs = graph.covered([len(run) for run in runs]), runs
        self.steps: dict[tuple[object, ...], Step] = {}
        edges = self.network.edges_into, self.network.edges_from
        self.near = [
            (number, *(edge.producer for edge in edges[0][number]), *(edge.consumer for edge in edges[1][number]))
            for number in range(self.network.sink + 1)
        ]


class PlanScheduler:
    """Makes the schedules of plans of one graph on one cluster; what it knows of units between placed neighbours it keeps for the next plan."""

    def __init__(self, graph: Graph, cluster: Cluster) -> None:
        self._graph, self._cluster = graph, cluster
        self._terminals = Placement.whole(cluster.sink), None if cluster.source is None else Placement.whole(cluster.source)
        self._covers: dict[tuple[range, ...], _Covered] = {}
        self._steps = 0
        self._edges: dict[tuple[object, ...], _Edge] = {}
        self._tasks: dict[tuple[range, Placement], Mapping[int, Work]] = {}

    def schedule(self, plan: Plan) -> Schedule:
        """The steps of a valid plan, and the sink's."""
        return self.schedule_of(pieces_of(self._graph, plan))

    def schedule_of(self, pieces: Sequence[Piece]) -> Schedule:
        """The same of a valid plan's pieces."""
        runs, placements = zip(*pieces, strict=True)
        covered = self._covers.get(runs)
        if covered is None:
            covered = self._covers[runs] = _Covered(self._graph, runs)
        placed, known, steps = (*placements, *self._terminals), covered.steps, []
        for number, near in enumerate(covered.near):
            key = (number, *[placed[other] for other in near])
            step = known.get(key)
            if step is None:
                step = known[key] = self._step(covered, number, placed)
                self._steps += 1
            steps.append(step)
        if self._steps > _MOST_KEPT:
            self._covers.clear()
            self._steps = 0
        return Schedule(tuple(steps))

    def _step(self, covered: _Covered, number: int, placed: Sequence[Placement | None]) -> Step:
        """The step of a unit, or of the sink."""
        network, placement = covered.network, placed[number]
        assert placement is not None  # only the source has none
        into = [(edge, self._edge(covered, edge, placed)) for edge in network.edges_into[number]]
        edges = tuple([EdgeRounds(edge.producer, found.rounds) for edge, found in into if found is not None])
        unit = network.units[number]
        if number == network.sink:
            return Step(unit.name, edges, {})
        readers = [self._reader(covered, edge, placed) for edge in network.edges_from[number]] if unit.span == 1 else []  # a block is one piece
        run = covered.runs[number]
        tasks, boundary = self._task(unit, run, placement), _boundary(placement, readers) if readers else {}
        if placement.stream is None:
            return Step(unit.name, edges, tasks, boundary)
        scatter = tuple([self._in_bytes(run[0], round_) for round_ in scatter_rounds(self._graph.operators[run[0]], placement)])
        return Step(unit.name, edges, tasks, boundary, scatter, _pieces(unit, placement, into, scatter, self._cluster.bytes_per_element))

    def _reader(self, covered: _Covered, edge: TensorEdge, placed: Sequence[Placement | None]) -> Reader:
        placement, found = placed[edge.consumer], self._edge(covered, edge, placed)
        assert placement is not None  # the source reads nothing
        assert found is not None  # the source is no operator
        return Reader(placement, found.regions[-1])

    def _task(self, unit: Unit, run: range, placement: Placement) -> Mapping[int, Work]:
        """The work of each participant."""
        key = run, placement
        if key not in self._tasks:
            _make_room(self._tasks)
            self._tasks[key] = dict(share_work(unit, placement, self._cluster.bytes_per_element))
        return self._tasks[key]

    def _edge(self, covered: _Covered, edge: TensorEdge, placed: Sequence[Placement | None]) -> _Edge | None:
        """The rounds of an edge; None if every device has its tensor, the input."""
        network, p, q = covered.network, placed[edge.producer], placed[edge.consumer]
        if p is None:
            return None
        tensor = self._graph.source if edge.producer == network.source else covered.runs[edge.producer][-1]
        members = range(0) if edge.consumer == network.sink else covered.runs[edge.consumer]
        key = tensor, p, members, q, edge.slot, edge.first
        if key not in self._edges:
            assert q is not None  # the source reads nothing
            _make_room(self._edges)
            regions = edge_rounds(self._graph, tensor, p, members, q, edge)
            self._edges[key] = _Edge(regions, tuple([self._in_bytes(tensor, round_) for round_ in regions]))
        return self._edges[key]

    def _in_bytes(self, tensor: int, round_: RegionRound) -> Round:
        unit = self._graph.units[tensor]
        size = self._cluster.bytes_per_element * (unit.pre_pool_shape if round_.partial else unit.out_shape).width
        moved = [(move.sender, move.receiver, float(size * len(move.region.channels) * len(move.region.rows))) for move in round_.transfers]
        return Round((round_.kind,), tuple(moved))


def _make_room(kept: dict[Any, Any]) -> None:
    """Forget everything if it has become too much."""
    if len(kept) >= _MOST_KEPT:
        kept.clear()


def _boundary(placement: Placement, readers: Sequence[Reader]) -> dict[int, float]:
    """The part of each participant's task that is on its boundary."""
    rows = boundary_rows(placement, readers)
    return {shard.device: sum(map(len, rows[shard.device])) / shard.size for shard in placement.shards if shard.device in rows}


def _pieces(
    unit: Unit, placement: Placement, into: Sequence[tuple[TensorEdge, _Edge | None]], scatter: Sequence[Round], bytes_per_element: int
) -> dict[int, tuple[float, ...]]:
    """The parts of each participant's task, in proportion to the channels that they read of a streamed input, or make of streamed sums."""
    sums = placement.streams_sums
    ((_, edge),) = into
    streamed = scatter if sums else () if edge is None else [round_ for round_ in edge.rounds if round_.kinds[0].is_streamed]
    whole = bytes_per_element * (unit.pre_pool_shape if sums else unit.reads[0].tensor).elements
    messages: dict[int, list[float]] = {device: [] for device in placement.devices}
    for round_ in streamed:
        for sender, receiver, size in round_.transfers:
            messages[sender if sums else receiver].append(size / whole)
    own = {device: max(0.0, 1 - sum(parts)) for device, parts in messages.items()}
    return {device: (*parts, own[device]) if sums else (own[device], *parts) for device, parts in messages.items()}
