"""The oracle in numpy: prices thousands of plans of one graph in one pass, with the numbers of :func:`iopopt.evaluate`.

Arrays have the axes (device j, operator or edge i, plan). Every quantity of ``cost_model.md`` keeps its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np
import numpy.typing as npt

from iopopt.cluster import Cluster, Device, as_cluster
from iopopt.errors import PlanError
from iopopt.graph import Graph
from iopopt.operators import Operator, Shape
from iopopt.plan import Placement, Plan

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_CHUNK = 256
"""Plans priced together: few enough that the working set stays in the processor's cache."""


class Kind(IntEnum):
    """A placement's dimension and reduce as one code."""

    WHOLE = 0
    H = 1
    OC = 2
    IC = 3
    IC_TWO_PHASE = 4


def placement_kind(placement: Placement) -> Kind:
    """The code of a placement."""
    if placement.dim is None:
        return Kind.WHOLE
    return Kind.IC_TWO_PHASE if placement.reduce == "two_phase" else Kind[placement.dim]


@dataclass(frozen=True)
class PlanBatch:
    """Many plans of one graph.

    Attributes:
        kinds: codes of :class:`Kind`, shape (operators, plans).
        shares: n_ij, shape (devices, operators, plans); 0 outside the participants, 1 for a whole operator on its device.
        participants: whether the device takes part, same shape.
    """

    kinds: npt.NDArray[np.int8]
    shares: Array
    participants: Mask

    def __len__(self) -> int:
        return int(self.kinds.shape[-1])

    def __getitem__(self, plans: slice) -> PlanBatch:
        return PlanBatch(self.kinds[:, plans], self.shares[..., plans], self.participants[..., plans])

    def take(self, plans: npt.NDArray[np.int64]) -> PlanBatch:
        """The plans of these numbers, in this order; a number may repeat."""
        return PlanBatch(self.kinds[:, plans], self.shares[..., plans], self.participants[..., plans])

    def operators(self, first: int) -> PlanBatch:
        """The same plans from operator ``first`` on."""
        return PlanBatch(self.kinds[first:], self.shares[:, first:], self.participants[:, first:])

    @staticmethod
    def join(operators: Sequence[PlanBatch]) -> PlanBatch:
        """Batches of single operators, one after another, as one batch of whole plans."""
        return PlanBatch(
            np.concatenate([part.kinds for part in operators]),
            np.concatenate([part.shares for part in operators], axis=1),
            np.concatenate([part.participants for part in operators], axis=1),
        )

    @classmethod
    def of(cls, placements: Sequence[Sequence[Placement]], device_count: int) -> PlanBatch:
        """``placements[plan][operator]`` as arrays."""
        if not placements:
            raise PlanError("a batch holds at least one plan")
        plans, operators = len(placements), len(placements[0])
        kinds = np.zeros((operators, plans), np.int8)
        shares = np.zeros((device_count, operators, plans))
        participants = np.zeros(shares.shape, bool)
        for number, plan in enumerate(placements):
            for i, placement in enumerate(plan):
                kinds[i, number] = placement_kind(placement)
                for shard in placement.shards:
                    shares[shard.device, i, number] = shard.size
                    participants[shard.device, i, number] = True
        return cls(kinds, shares, participants)

    @classmethod
    def from_plans(cls, graph: Graph, plans: Sequence[Plan], device_count: int) -> PlanBatch:
        """Plans as arrays; they are taken to be valid (:func:`iopopt.plan.validate_plan`)."""
        return cls.of([[plan[operator.name] for operator in graph.operators] for plan in plans], device_count)

    def plan(self, graph: Graph, number: int) -> Plan:
        """One plan of the batch."""
        return Plan.of(graph, [self.placement(i, number) for i in range(len(graph))])

    def placement(self, operator: int, number: int) -> Placement:
        """One operator's placement in one plan."""
        devices = [int(j) for j in np.flatnonzero(self.participants[:, operator, number])]
        kind = Kind(int(self.kinds[operator, number]))
        if kind == Kind.WHOLE:
            return Placement.whole(devices[0])
        shares = [int(share) for share in self.shares[devices, operator, number]]
        if kind in (Kind.IC, Kind.IC_TWO_PHASE):
            return Placement.split("IC", devices, shares, "direct" if kind == Kind.IC else "two_phase")
        return Placement.split("H" if kind == Kind.H else "OC", devices, shares)


@dataclass(frozen=True)
class BatchEvaluation:
    """Prices of a batch, one entry for each plan: seconds, bytes (``memory_bytes`` has shape (devices, plans)), counts."""

    latency_s: Array
    memory_bytes: Array
    excess_bytes: Array
    transferred_bytes: Array
    connections: Array

    @property
    def feasible(self) -> Mask:
        """Whether every memory limit holds; ``excess_bytes`` is the sum over devices of what is too much."""
        return self.excess_bytes <= 0


class Pricer:
    """Prices plans of one graph on one cluster; the constants of both are laid out as arrays once."""

    def __init__(self, graph: Graph, devices: Cluster | Sequence[Device]) -> None:
        cluster = as_cluster(devices)
        self._graph, self._cluster = graph, cluster
        self._operators = _OperatorConstants(graph.operators, cluster.bytes_per_element)
        self._f = np.array([device.flops_per_s for device in cluster.devices]).reshape(-1, 1, 1)
        self._b = np.array([device.bandwidth_bytes_per_s for device in cluster.devices]).reshape(-1, 1, 1)
        self._limits = np.array([device.memory_bytes for device in cluster.devices]).reshape(-1, 1)

    def price(self, batch: PlanBatch) -> BatchEvaluation:
        """Latency, memory and volume of every plan of the batch."""
        parts = [self._price(batch[slice(start, start + _CHUNK)]) for start in range(0, len(batch), _CHUNK)]
        return BatchEvaluation(*(np.concatenate([part[column] for part in parts], axis=-1) for column in range(5)))

    def operator_compute_s(self, operator: int, placements: PlanBatch) -> Array:
        """max_j t_cmp of one operator (equation 7), which ``placements`` places in several ways."""
        constants = _OperatorConstants([self._graph.operators[operator]], self._cluster.bytes_per_element)
        return np.asarray((constants.flops(placements) / self._f).max(axis=0)[0])

    def operator_demands(self, operator: int, placements: PlanBatch) -> tuple[Array, Array]:
        """w_ij and a_ij of one operator (equation 1), both of shape (devices, placements)."""
        constants = _OperatorConstants([self._graph.operators[operator]], self._cluster.bytes_per_element)
        weights, activations = constants.memory(placements)
        return weights[:, 0], activations[:, 0]

    def edge_s(self, edge: int, p: PlanBatch, q: PlanBatch) -> Array:
        """t_com of the edge between operators ``edge - 1`` and ``edge``; p and q place one operator each, in as many ways."""
        consumer = self._graph.operators[edge]
        constants = _EdgeConstants([self._graph.operators[edge - 1]], [consumer.in_shape], [consumer], self._cluster.bytes_per_element)
        return np.asarray(self._edge_times(constants, _Side(p), _Side(q))[0].reshape(-1))

    def source_s(self, q: PlanBatch) -> Array:
        """t_com of the input to the first operator, which ``q`` places in several ways."""
        source = self._cluster.source
        if source is None:
            return np.zeros(len(q))
        first = self._graph.operators[0]
        constants = _EdgeConstants([None], [first.in_shape], [first], self._cluster.bytes_per_element)
        return np.asarray(self._edge_times(constants, _Side(self._whole(source, len(q))), _Side(q))[0].reshape(-1))

    def sink_s(self, p: PlanBatch) -> Array:
        """t_com of the last operator, which ``p`` places in several ways, to the sink."""
        last = self._graph.output
        constants = _EdgeConstants([last], [last.out_shape], [None], self._cluster.bytes_per_element)
        return np.asarray(self._edge_times(constants, _Side(p), _Side(self._whole(self._cluster.sink, len(p))))[0].reshape(-1))

    def _price(self, batch: PlanBatch) -> tuple[Array, ...]:
        compute = (self._operators.flops(batch) / self._f).max(axis=0).sum(axis=0)
        weights, activations = self._operators.memory(batch)
        memory = weights.sum(axis=1) + activations.max(axis=1)
        times, received, connections = self._edge_times(self._edges, *self._sides(batch))
        excess = np.maximum(memory - self._limits, 0).sum(axis=0)
        return compute + times.sum(axis=0), memory, excess, received.sum(axis=(0, 1)), connections.sum(axis=(0, 1))

    @cached_property
    def _edges(self) -> _EdgeConstants:
        operators = list(self._graph.operators)
        producers: list[Operator | None] = [*operators]
        consumers: list[Operator | None] = [*operators[1:], None]
        shapes = [operator.out_shape for operator in operators]
        if self._cluster.source is not None:
            producers, consumers, shapes = [None, *producers], [operators[0], *consumers], [operators[0].in_shape, *shapes]
        return _EdgeConstants(producers, shapes, consumers, self._cluster.bytes_per_element)

    def _sides(self, batch: PlanBatch) -> tuple[_Side, _Side]:
        """The producers and the consumers of every edge, with source and sink as whole operators."""
        sink = self._whole(self._cluster.sink, len(batch))
        producers, consumers = _Side(batch), _Side(PlanBatch.join([batch.operators(1), sink]))
        if self._cluster.source is not None:
            source = self._whole(self._cluster.source, len(batch))
            producers, consumers = _Side(PlanBatch.join([source, batch])), _Side(PlanBatch.join([batch, sink]))
        return producers, consumers

    def _whole(self, device: int, plans: int) -> PlanBatch:
        participants = np.zeros((len(self._cluster), 1, plans), bool)
        participants[device] = True
        return PlanBatch(np.zeros((1, plans), np.int8), participants.astype(float), participants)

    def _edge_times(self, constants: _EdgeConstants, p: _Side, q: _Side) -> tuple[Array, Array, Array]:
        """t_com of each edge (both phases), R_j and the counted N_j summed over phases."""
        phases = [_volumes(constants, p, q)]
        if p.two_phase.any():
            phases.append(_completion(constants, p))
        total_s, total_received, total_connections = np.zeros(1), np.zeros(1), np.zeros(1)
        for received, sent, connections in phases:
            counted = connections if self._cluster.connections == "peer" else np.minimum(connections, 1)
            t_com = np.maximum(received, sent) / self._b + counted * self._cluster.connection_setup_s
            total_s, total_received, total_connections = total_s + t_com.max(axis=0), total_received + received, total_connections + counted
        return total_s, total_received, total_connections


def _column(values: Iterator[float]) -> Array:
    return np.array(list(values), dtype=float).reshape(-1, 1)


class _OperatorConstants:
    """Work and memory figures of operators, as columns."""

    def __init__(self, operators: Sequence[Operator], e: int) -> None:
        self.F = _column(op.flops for op in operators)
        self.H_c = _column(op.conv_shape.height for op in operators)
        self.H_o = _column(op.out_shape.height for op in operators)
        self.OC = _column(op.out_channels for op in operators)
        self.C = _column(op.in_shape.channels for op in operators)
        self.K, self.S = _column(op.K for op in operators), _column(op.S for op in operators)
        self.k_p, self.s_p = _column(op.pool.rows.extent for op in operators), _column(op.pool.rows.stride for op in operators)
        self.W = _column(e * op.kernel_elements for op in operators)
        self.B = _column(e * op.bias_elements for op in operators)
        self.whole_in = _column(e * op.in_shape.elements for op in operators)
        self.pre = _column(e * op.conv_shape.elements for op in operators)
        self.in_row = _column(e * op.in_shape.channels * op.in_shape.width for op in operators)
        self.conv_row = _column(e * op.out_channels * op.conv_shape.width for op in operators)
        self.local = np.array([[op.is_channel_local] for op in operators])

    def flops(self, batch: PlanBatch) -> Array:
        """C_ij of equation (7)."""
        kinds, n = batch.kinds, batch.shares
        conv_rows = np.maximum(0, (n - 1) * self.s_p + self.k_p)
        size = np.where(kinds == Kind.WHOLE, 1.0, np.where(kinds == Kind.OC, self.OC, self.C))
        return np.where(batch.participants, np.where(kinds == Kind.H, self.F / self.H_c * conv_rows, self.F / size * n), 0)

    def memory(self, batch: PlanBatch) -> tuple[Array, Array]:
        """w_ij and a_ij of equation (1)."""
        kinds, n, mine = batch.kinds, batch.shares, batch.participants
        is_oc, is_ic, is_h = kinds == Kind.OC, kinds >= Kind.IC, kinds == Kind.H
        part = n / np.where(is_oc, self.OC, self.C)
        part_out, part_in = np.where(is_oc, part, 1.0), np.where(is_ic | (is_oc & self.local), part, 1.0)
        weights = np.where(mine, self.W * np.where(is_oc | is_ic, part, 1.0) + self.B * part_out, 0)
        rows = self.in_row * np.maximum(0, (n - 1) * self.S + self.K) + self.conv_row * np.maximum(0, (n - 1) * self.s_p + self.k_p)
        activations = np.where(is_h, rows, self.whole_in * part_in + self.pre * part_out)
        return weights, np.where(mine, activations, 0)


class _EdgeConstants:
    """Figures of edges p -> q as columns; None stands for the source as a producer and for the sink as a consumer."""

    def __init__(self, producers: Sequence[Operator | None], shapes: Sequence[Shape], consumers: Sequence[Operator | None], e: int) -> None:
        conv = [shape if op is None else op.conv_shape for op, shape in zip(producers, shapes, strict=True)]
        self.post = _column(e * shape.elements for shape in shapes)
        self.H_o, self.OC = _column(shape.height for shape in shapes), _column(shape.channels for shape in shapes)
        self.row = self.post / self.H_o
        self.pre = _column(e * shape.elements for shape in conv)
        self.H_c = _column(shape.height for shape in conv)
        self.conv_row = self.pre / self.H_c
        pools = [None if op is None else op.pool.rows for op in producers]
        self.k_p = _column(1 if pool is None else pool.extent for pool in pools)
        self.s_p = _column(1 if pool is None else pool.stride for pool in pools)
        self.p_p = _column(0 if pool is None else pool.before for pool in pools)
        self.K = _column(1 if op is None else op.K for op in consumers)
        self.S = _column(1 if op is None else op.S for op in consumers)
        self.P = _column(0 if op is None else op.P for op in consumers)
        self.consumer_OC = _column(1 if op is None else op.out_channels for op in consumers)
        self.local = np.array([[op is not None and op.is_channel_local] for op in consumers])


class _Side:
    """One end of each edge: who takes part, and where in the order of participants."""

    def __init__(self, batch: PlanBatch) -> None:
        self.kinds, self.shares, self.mine = batch.kinds, batch.shares, batch.participants
        self.count = self.mine.sum(axis=0)
        self.rank = np.cumsum(self.mine, axis=0) - 1
        self.first = self.mine & (self.rank == 0)
        self.last = self.mine & (self.rank == self.count - 1)
        self.stop = np.cumsum(self.shares, axis=0)
        self.start = self.stop - self.shares
        self.others = self.count - self.mine
        self.two_phase = self.kinds == Kind.IC_TWO_PHASE


def _needed_rows(edge: _EdgeConstants, q: _Side) -> tuple[Array, Array]:
    """[lo, hi) of each participant's composite field, cut above the first and below the last."""
    lo, hi = q.start * edge.S - edge.P, (q.stop - 1) * edge.S - edge.P + edge.K
    return np.where(q.first, np.maximum(lo, 0), lo), np.where(q.last, np.minimum(hi, edge.H_o), hi)


def _volumes(edge: _EdgeConstants, p: _Side, q: _Side) -> tuple[Array, Array, Array]:
    """R_j, S_j and N_j: of the only phase, or of the second where p adds up in two."""
    lo, hi = _needed_rows(edge, q)
    q_h, q_oc = q.kinds == Kind.H, q.kinds == Kind.OC
    reads_part = (q.kinds >= Kind.IC) | (q_oc & edge.local)
    same_team = (p.mine == q.mine).all(axis=0)
    p_whole, p_h, p_reduce = p.kinds == Kind.WHOLE, p.kinds == Kind.H, p.kinds == Kind.IC
    owned_shares = np.where(p.two_phase, _even(edge, p), p.shares)
    owned_part = owned_shares / np.where(p_h, edge.H_o, edge.OC)
    channel_part = np.where(reads_part, q.shares / np.where(q_oc, edge.consumer_OC, edge.OC), 1.0)
    # Equal fractions of integers are equal floats: a quotient is rounded once.
    interleaved = ((p.kinds == Kind.OC) | p.two_phase) & reads_part & same_team & (owned_part == channel_part).all(axis=0)
    rows_to_rows = p_h & q_h & same_team
    halo_received, halo_sent, aligned = _halo(edge, p, q, lo, hi)

    need = np.where(q_h, edge.row * np.maximum(0, hi - lo), edge.post * channel_part)
    from_whole = np.where(q.mine & ~p.mine, need, 0)
    sums = np.where(q.mine, np.where(q_h, edge.conv_row * _conv_rows(edge, q, lo, hi), edge.pre * channel_part), 0)
    owned = np.where(p.mine, edge.post * owned_part, 0)

    nothing = interleaved | (rows_to_rows & aligned)
    cases = [nothing, p_whole, rows_to_rows, p_reduce]
    received = np.select(cases, [0, from_whole, halo_received, sums * p.others], np.where(q.mine, edge.post - owned, 0))
    sent = np.select(cases, [0, p.mine * from_whole.sum(axis=0), halo_sent, p.mine * (sums.sum(axis=0) - sums)], owned * q.others)
    neighbours = np.where(q.mine, 2.0 - q.first - q.last, 0)
    connections = np.select([nothing, rows_to_rows], [0, neighbours], q.mine * p.others)
    return received, sent, connections


def _even(edge: _EdgeConstants, p: _Side) -> Array:
    """c_k: the even slices of the output channels that a two-phase reduce completes."""
    return np.asarray(np.where(p.mine, np.floor(edge.OC / p.count) + (p.rank < edge.OC % p.count), 0))


def _completion(edge: _EdgeConstants, p: _Side) -> tuple[Array, Array, Array]:
    """R_k, S_k and N_k of the first phase of a two-phase reduce; 0 where p is no such operator."""
    slices = edge.pre * _even(edge, p) / edge.OC
    mine = p.mine & p.two_phase
    return np.where(mine, slices * p.others, 0), np.where(mine, edge.pre - slices, 0), np.where(mine, p.others, 0)


def _conv_rows(edge: _EdgeConstants, q: _Side, lo: Array, hi: Array) -> Array:
    """How many rows before p's pool lie under its output rows [lo, hi)."""
    top, bottom = lo * edge.s_p - edge.p_p, (hi - 1) * edge.s_p - edge.p_p + edge.k_p
    span = np.where(q.last, np.minimum(bottom, edge.H_c), bottom) - np.where(q.first, np.maximum(top, 0), top)
    return np.asarray(np.maximum(0, span))


def _halo(edge: _EdgeConstants, p: _Side, q: _Side, lo: Array, hi: Array) -> tuple[Array, Array, Mask]:
    """Bytes received and sent between neighbours, and whether nothing need be; meant where both sides have one team."""
    above, below = np.where(q.mine, np.maximum(0, p.start - lo), 0), np.where(q.mine, np.maximum(0, hi - p.stop), 0)
    sent = np.zeros_like(above)
    carried = np.zeros_like(above[0])
    for j in range(len(sent)):
        sent[j] += carried
        carried = np.where(q.mine[j], below[j], carried)
    carried = np.zeros_like(above[0])
    for j in reversed(range(len(sent))):
        sent[j] += carried
        carried = np.where(q.mine[j], above[j], carried)
    aligned = (edge.K <= edge.S) & ~((above > 0) | (below > 0)).any(axis=0)
    return edge.row * (above + below), edge.row * np.where(q.mine, sent, 0), aligned
