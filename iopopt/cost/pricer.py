"""The evaluator in numpy: prices thousands of plans of one graph in one pass, with the same results as :func:`iopopt.evaluate`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from iopopt.cluster.cluster import WATTS, Cluster, Device
from iopopt.cost.block_table import BlockTable
from iopopt.cost.edge_arrays import EdgeArrays, Side, gather_volumes, scatter_volumes, volumes
from iopopt.cost.instance import Instance
from iopopt.cost.unit_arrays import Columns, UnitArrays
from iopopt.errors import PlanError
from iopopt.network.graph import Graph
from iopopt.network.records import foreign
from iopopt.network.tensor_edge import TensorEdge
from iopopt.network.unit import Unit
from iopopt.plan.batch import Array, Mask, PlanBatch

_CHUNK = 256
"""Plans priced together: few enough that the working set stays in the processor's cache."""


@dataclass(frozen=True)
class BatchEvaluation:
    """Prices of a batch, one entry for each plan: seconds, bytes (``memory_bytes`` has shape (devices, plans)), counts, and joules if asked for."""

    latency_s: Array
    memory_bytes: Array
    excess_bytes: Array
    transferred_bytes: Array
    connections: Array
    energy_j: Array | None = None

    @property
    def feasible(self) -> Mask:
        """Whether every memory limit holds; ``excess_bytes`` is the excess summed over devices."""
        return self.excess_bytes <= 0


class _Blocks(NamedTuple):
    """Fused blocks up to a length as arrays, beside the operators."""

    table: BlockTable
    units: UnitArrays
    edges: EdgeArrays


class Pricer:
    """Prices plans of one graph on one cluster; the constants of both are laid out as arrays once.

    Attributes:
        live: 1 where the output of an operator (second axis) is live while another (first axis) runs, else 0.
        live_input: the bytes of the input that are live on each device while each operator runs, shape (devices, operators).
    """

    def __init__(self, graph: Graph, devices: Cluster | Sequence[Device]) -> None:
        self._instance = Instance.of(graph, devices)
        cluster = self._instance.cluster
        self._e, self._peer, self._setup_s = cluster.bytes_per_element, cluster.connections == "peer", cluster.connection_setup_s
        self._units = UnitArrays(self._instance.placed, self._e)
        self._f = np.array([device.flops_per_s for device in cluster.devices]).reshape(-1, 1, 1)
        given = [device.memory_bytes_per_s for device in cluster.devices]
        self._m = np.array([np.inf if rate is None else rate for rate in given]).reshape(-1, 1, 1)
        self._b = np.array([device.bandwidth_bytes_per_s for device in cluster.devices]).reshape(-1, 1, 1)
        self._watts = {key: np.array([[getattr(device, key) or 0.0] for device in cluster.devices]) for key in WATTS}
        self._limits = np.array([device.memory_bytes for device in cluster.devices]).reshape(-1, 1)
        self._edge_list = edges = [edge for into in self._instance.edges_into for edge in into]
        self._edges = EdgeArrays(edges, self._e)
        self._known_blocks: dict[int, _Blocks] = {}
        self._producers, self._consumers = (np.array([getattr(edge, end) for edge in edges]) for end in ("producer", "consumer"))
        self._first_edges = np.flatnonzero(np.diff(self._consumers, prepend=-1))
        self._lay_out_live_tensors()

    def price(self, batch: PlanBatch, *, energy: bool = False) -> BatchEvaluation:
        """Latency, memory and volume of every plan of the batch, and with ``energy`` what it draws; powers that are not given count as 0.

        Raises:
            PlanError: if ``batch`` is no PlanBatch.
        """
        if not isinstance(batch, PlanBatch):
            raise PlanError(f"pricer: {foreign(batch)} is not a PlanBatch; PlanBatch.from_plans makes one")
        parts = [self._price(batch[slice(start, start + _CHUNK)], energy) for start in range(0, len(batch), _CHUNK)]
        return BatchEvaluation(*(np.concatenate(column, axis=-1) for column in zip(*parts, strict=True)))

    # The contribution of one operator, at many placements of it and of its producers.

    def operator_s(self, operator: int, placements: PlanBatch, block: Unit | None = None) -> Array:
        """The cost of each of several placements of one operator, or of a block that ends with it, by itself: t_cmp of equation (7), its
        reduce-scatter or gather, and for the last operator the edge to the sink."""
        arrays, side = UnitArrays([block or self._instance.units[operator]], self._e), Side(placements.handed_on)
        seconds = self._compute_s(arrays, placements)[0]
        seconds = seconds + self._times(*scatter_volumes(arrays.pre, arrays.OC, side))[0][0]
        if placements.gathers is not None:
            seconds = seconds + self._times(*gather_volumes(arrays.post, arrays.H_o, placements))[0][0]
        (sink_edge,) = self._instance.edges_into[self._instance.sink]
        if sink_edge.producer == operator:
            sink = Side(self._terminal(0, len(placements)))
            seconds = seconds + self._times(*volumes(EdgeArrays([sink_edge], self._e), side, sink))[0][0]
        return np.asarray(seconds)

    def operator_demands(self, operator: int, placements: PlanBatch, block: Unit | None = None) -> tuple[Array, Array, Array]:
        """w_ij and a_ij of one operator, or of a block that ends with it, and what is held of its output while it is live (equation 1), each of
        shape (devices, placements)."""
        arrays = UnitArrays([block or self._instance.units[operator]], self._e)
        weights, activations = arrays.memory(placements)
        return weights[:, 0], activations[:, 0], arrays.live(placements)[:, 0]

    def edges_s(self, edges: Sequence[TensorEdge], placements: Mapping[int, PlanBatch]) -> Array:
        """t_com of some edges into one operator together, without its other edges, reduce-scatters and gathers, for all placements.

        ``placements`` holds those of each operator by number. There is one axis for each operator at an end of these edges, in ascending
        order; the last is that of the consumer.
        """
        (consumer,) = {edge.consumer for edge in edges}
        source, devices = self._instance.source, len(self._f)
        ends = sorted({consumer, *(edge.producer for edge in edges if edge.producer != source)})
        sums = [np.zeros((devices, *(1 for _ in ends))) for _ in range(3)]
        for edge in edges:
            axes = tuple(slice(None) if end in (edge.producer, consumer) else None for end in ends)
            sums = [total + load[:, *axes] for total, load in zip(sums, self._loads(edge, placements), strict=True)]
        shape = tuple(len(placements[end]) for end in ends)
        flat = (np.broadcast_to(total, (devices, *shape)).reshape(devices, 1, -1) for total in sums)
        return np.asarray(self._times(*flat)[0].reshape(shape))

    def _loads(self, edge: TensorEdge, placements: Mapping[int, PlanBatch]) -> tuple[Array, ...]:
        """R_j, S_j and N_j of one edge, of shape (devices, placements of the producer, of the consumer); without the producer axis for the input."""
        q, arrays = placements[edge.consumer], EdgeArrays([edge], self._e)
        if edge.producer == self._instance.source:
            return tuple(part[:, 0] for part in volumes(arrays, Side(self._terminal(1, len(q))), Side(q)))
        p = placements[edge.producer].handed_on
        rows, columns = np.divmod(np.arange(len(p) * len(q)), len(q))
        parts = volumes(arrays, Side(p.take(rows)), Side(q.take(columns)))
        return tuple(part.reshape(len(self._f), len(p), len(q)) for part in parts)

    # Whole plans.

    def _lay_out_live_tensors(self) -> None:
        """Which tensors are live while which operators run, and the bytes of the input on each device while it is live."""
        graph = self._instance.graph
        self.live = np.zeros((len(graph), len(graph)))
        self.live_input = np.zeros((len(self._f), len(graph)))
        for producer, during in graph.live_tensors:
            if producer == graph.source:
                self.live_input[list(self._instance.input_holders), during.start : during.stop] = self._e * graph.input_shape.elements
            else:
                self.live[during, producer] = 1

    def _price(self, batch: PlanBatch, energy: bool) -> tuple[Array, ...]:
        table = None if batch.spans is None else self._blocks(int(batch.spans.max()))
        device_s = self._device_s(*self._placed(batch, table))
        compute = device_s.max(axis=0).sum(axis=0)
        memory = self._memory(batch, table)
        excess = np.maximum(memory - self._limits, 0).sum(axis=0)
        terminals = [self._terminal(0, len(batch)), self._terminal(1, len(batch))]
        terminals += [] if table is None else [PlanBatch.nobody(len(self._f), len(batch))]
        ends = Side(PlanBatch.join([batch, *terminals]))
        producers = ends if batch.gathers is None else Side(PlanBatch.join([batch.handed_on, *terminals]))
        parts = self._edge_volumes(producers, ends, batch, table)
        if len(self._first_edges) < len(self._consumers):
            parts = tuple(np.add.reduceat(part, self._first_edges, axis=1) for part in parts)
        loads = [parts]
        if ends.two_phase.any():
            operators = ends.take(np.arange(len(batch.strategies)))
            loads.append(scatter_volumes(self._units.pre, self._units.OC, operators))
        if batch.gathers is not None:
            loads.append(gather_volumes(self._units.post, self._units.H_o, batch))
        times, received, connections = _beside([self._times(*load) for load in loads])
        latency = compute + times.sum(axis=0)
        found = latency, memory, excess, received.sum(axis=(0, 1)), connections.sum(axis=(0, 1))
        return (*found, self._energy_j(latency, device_s, loads)) if energy else found

    def _energy_j(self, latency_s: Array, device_s: Array, loads: Sequence[tuple[Array, ...]]) -> Array:
        """The energy of each plan, from its latency, t_cmp of each device for each unit, and the R_j and S_j of all rounds."""
        compute, transmit, receive, idle = (self._watts[key] for key in WATTS)
        joules = idle.sum() * latency_s + (compute * device_s.sum(axis=1)).sum(axis=0)
        rate = self._b[:, 0]
        for received, sent, _ in loads:
            joules = joules + ((receive * received.sum(axis=1) + transmit * sent.sum(axis=1)) / rate).sum(axis=0)
        return np.asarray(joules)

    def _edge_volumes(self, producers: Side, consumers: Side, batch: PlanBatch, table: _Blocks | None) -> tuple[Array, ...]:
        """R_j, S_j and N_j of every edge of the graph, or of the block's edge that stands in its place."""
        if table is None or batch.spans is None:
            return volumes(self._edges, producers.take(self._producers), consumers.take(self._consumers))
        places = table.table.edge_places(batch.spans)
        return volumes(table.edges.at(places.edges), producers.take(places.producers), consumers.take(places.consumers))

    def _placed(self, batch: PlanBatch, table: _Blocks | None) -> tuple[UnitArrays, PlanBatch, Columns | None]:
        """The units that stand in a batch, and their numbers where there are blocks."""
        if table is None or batch.spans is None:
            return self._units, batch, None
        return table.units, batch, table.table.unit_rows(batch.spans)

    def _compute_s(self, units: UnitArrays, batch: PlanBatch, rows: Columns | None = None) -> Array:
        """t_cmp of the slowest participant of each unit, of shape (units, plans)."""
        return np.asarray(self._device_s(units, batch, rows).max(axis=0))

    def _device_s(self, units: UnitArrays, batch: PlanBatch, rows: Columns | None = None) -> Array:
        """t_cmp of each device for each unit, of shape (devices, units, plans)."""
        seconds = units.flops(batch, rows) / self._f
        if np.isfinite(self._m).any():
            seconds = np.maximum(seconds, units.touched_bytes(batch, rows) / self._m)
        return np.asarray(seconds)

    def _memory(self, batch: PlanBatch, table: _Blocks | None) -> Array:
        """Equation (1), of shape (devices, plans)."""
        units, _, rows = self._placed(batch, table)
        weights, activations = units.memory(batch, rows)
        if self.live.any():
            activations = activations + np.matmul(self.live, self._units.live(batch))
        held = activations + self.live_input[:, :, None]
        if batch.spans is not None:
            held = np.where(batch.spans > 0, held, 0)  # nothing runs at an operator inside a block
        return np.asarray(weights.sum(axis=1) + held.max(axis=1))

    def _blocks(self, longest: int) -> _Blocks:
        """The blocks of at most so many operators, laid out as arrays at their first use."""
        if longest not in self._known_blocks:
            table = BlockTable(self._instance, self._edge_list, longest)
            self._known_blocks[longest] = _Blocks(table, UnitArrays(table.units, self._e), EdgeArrays(table.edges, self._e))
        return self._known_blocks[longest]

    def _terminal(self, number: int, plans: int) -> PlanBatch:
        """The placement of the sink (0) or the source (1), in several plans."""
        return PlanBatch.of([[self._instance.terminals[number]]], len(self._f)).take(np.zeros(plans, np.int64))

    def _times(self, received: Array, sent: Array, connections: Array) -> tuple[Array, Array, Array]:
        """The largest t_com of each round, from R_j, S_j and the counted N_j."""
        counted = connections if self._peer else np.minimum(connections, 1)
        t_com = np.maximum(received, sent) / self._b + counted * self._setup_s
        return t_com.max(axis=0), received, counted


def _beside(rounds: Sequence[tuple[Array, ...]]) -> tuple[Array, ...]:
    """Times, received bytes and connections of several sorts of rounds, one after another."""
    return rounds[0] if len(rounds) == 1 else tuple(np.concatenate(parts, axis=-2) for parts in zip(*rounds, strict=True))
