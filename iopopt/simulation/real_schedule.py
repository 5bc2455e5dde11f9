"""The schedule of a plan by real needs: what devices really send, as :mod:`iopopt.schedule` derives it, instead of what equation (8) counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from iopopt.cluster.cluster import Cluster
from iopopt.cost.work import share_work
from iopopt.network.graph import Graph
from iopopt.network.tensor_edge import TensorEdge
from iopopt.network.unit import Unit
from iopopt.network.unit_graph import UnitGraph
from iopopt.plan.placement import Placement
from iopopt.plan.plan import Plan
from iopopt.schedule.boundary import Reader, boundary_rows
from iopopt.schedule.region_transfers import RegionRound, edge_rounds
from iopopt.schedule.rounds import EdgeRounds, Round, Schedule, Step, Work

_MOST_KEPT = 100_000


class _Edge(NamedTuple):
    """The rounds of an edge between two placements, as regions and as bytes."""

    regions: tuple[RegionRound, ...]
    rounds: tuple[Round, ...]


class PlanScheduler:
    """Makes the schedules of plans of one graph on one cluster; what it knows of an edge between two placements it keeps for the next plan."""

    def __init__(self, graph: Graph, cluster: Cluster) -> None:
        self._graph, self._cluster = graph, cluster
        self._edges: dict[tuple[object, ...], _Edge] = {}
        self._tasks: dict[tuple[range, Placement], Mapping[int, Work]] = {}

    def schedule(self, plan: Plan) -> Schedule:
        """The steps of a valid plan, and the sink's; transfers of 0 bytes are left out."""
        spans = plan.spans(self._graph)
        network = self._graph.unfused if spans is None else self._graph.covered(spans)
        runs = _runs([unit.span for unit in network.placed])
        placements = [plan[self._graph.operators[run[-1]].name] for run in runs]
        edges = [self._edges_into(network, runs, placements, number) for number in range(len(network.placed) + 1)]
        readers: list[list[Reader]] = [[] for _ in network.units]
        sink = Placement.whole(self._cluster.sink)
        for number, into in enumerate(edges):
            placement = placements[number] if number < network.sink else sink
            for edge, found in into:
                readers[edge.producer].append(Reader(placement, found.regions[-1]))
        steps = []
        for number, into in enumerate(edges):
            rounds = tuple([EdgeRounds(edge.producer, found.rounds) for edge, found in into])
            if number == network.sink:
                steps.append(Step(network.units[number].name, rounds, {}))
                break
            unit, placement = network.units[number], placements[number]
            boundary = _boundary(placement, readers[number]) if unit.span == 1 else {}  # a block is one piece
            steps.append(Step(unit.name, rounds, self._task(unit, runs[number], placement), boundary))
        return Schedule(tuple(steps))

    def _task(self, unit: Unit, run: range, placement: Placement) -> Mapping[int, Work]:
        """The work of each participant."""
        key = run, placement
        if key not in self._tasks:
            _make_room(self._tasks)
            self._tasks[key] = dict(share_work(unit, placement, self._cluster.bytes_per_element))
        return self._tasks[key]

    def _edges_into(self, network: UnitGraph, runs: Sequence[range], placements: Sequence[Placement], number: int) -> list[tuple[TensorEdge, _Edge]]:
        """The priced edges into a unit, or the sink."""
        graph, source, members = self._graph, self._cluster.source, runs[number] if number < network.sink else range(0)
        q = placements[number] if members else Placement.whole(self._cluster.sink)
        found = []
        for edge in network.edges_into[number]:
            if edge.producer != network.source:
                tensor, p = runs[edge.producer][-1], placements[edge.producer]
            elif source is not None:
                tensor, p = graph.source, Placement.whole(source)
            else:
                continue
            key = tensor, p, members, q, edge.slot, edge.first
            if key not in self._edges:
                _make_room(self._edges)
                regions = edge_rounds(graph, tensor, p, members, q, edge)
                self._edges[key] = _Edge(regions, tuple([self._in_bytes(tensor, round_) for round_ in regions]))
            found.append((edge, self._edges[key]))
        return found

    def _in_bytes(self, tensor: int, round_: RegionRound) -> Round:
        unit = self._graph.units[tensor]
        size = self._cluster.bytes_per_element * (unit.pre_pool_shape if round_.partial else unit.out_shape).width
        moved = [(move.sender, move.receiver, float(size * len(move.region.channels) * len(move.region.rows))) for move in round_.transfers]
        return Round((round_.kind,), tuple([transfer for transfer in moved if transfer[2]]))


def _make_room(kept: dict[Any, Any]) -> None:
    """Forget everything if it has become too much."""
    if len(kept) >= _MOST_KEPT:
        kept.clear()


def _runs(spans: Sequence[int]) -> list[range]:
    """The operators of each unit, by number."""
    runs, start = [], 0
    for span in spans:
        runs.append(range(start, start + span))
        start += span
    return runs


def _boundary(placement: Placement, readers: Sequence[Reader]) -> dict[int, float]:
    """The part of each participant's task that is on its boundary."""
    rows = boundary_rows(placement, readers)
    return {shard.device: sum(map(len, rows[shard.device])) / shard.size for shard in placement.shards if shard.device in rows}
