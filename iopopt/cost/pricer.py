"""The oracle in numpy: prices thousands of plans of one graph in one pass, with the numbers of :func:`iopopt.evaluate`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from iopopt.cluster.cluster import Cluster, Device, as_cluster
from iopopt.cost.batch_communication import EdgeConstants, Side, completion, volumes
from iopopt.cost.batch_workload import OperatorConstants
from iopopt.cost.communication import TensorEdge
from iopopt.network.graph import Graph, Link
from iopopt.plan.batch import Array, Mask, PlanBatch

_CHUNK = 256
"""Plans priced together: few enough that the working set stays in the processor's cache."""


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
    """Prices plans of one graph on one cluster; the constants of both are laid out as arrays once.

    Attributes:
        waiting: 1 where the output of an operator (second axis) waits while another (first axis) runs, else 0.
        waiting_input: the bytes of the input that wait on each device while each operator runs, shape (devices, operators).
    """

    def __init__(self, graph: Graph, devices: Cluster | Sequence[Device]) -> None:
        cluster = as_cluster(devices)
        self._graph, self._cluster, self._e = graph, cluster, cluster.bytes_per_element
        self._operators = OperatorConstants(graph.operators, self._e)
        self._f = np.array([device.flops_per_s for device in cluster.devices]).reshape(-1, 1, 1)
        self._b = np.array([device.bandwidth_bytes_per_s for device in cluster.devices]).reshape(-1, 1, 1)
        self._limits = np.array([device.memory_bytes for device in cluster.devices]).reshape(-1, 1)
        self._lay_out_edges()
        self._lay_out_long_lived()

    def price(self, batch: PlanBatch) -> BatchEvaluation:
        """Latency, memory and volume of every plan of the batch."""
        parts = [self._price(batch[slice(start, start + _CHUNK)]) for start in range(0, len(batch), _CHUNK)]
        return BatchEvaluation(*(np.concatenate([part[column] for part in parts], axis=-1) for column in range(5)))

    # What one operator adds to the price, at many placements of it and of its producers.

    def operator_s(self, operator: int, placements: PlanBatch) -> Array:
        """What the placement of one operator costs by itself, in several ways: t_cmp of equation (7), the first phase of a two-phase
        reduce, and of the last operator the edge to the sink."""
        constants = OperatorConstants([self._graph.operators[operator]], self._e)
        side = Side(placements)
        seconds = (constants.flops(placements) / self._f).max(axis=0)[0]
        seconds = seconds + self._times(*completion(constants.pre, constants.OC, side))[0][0]
        if operator == len(self._graph) - 1:
            sink = EdgeConstants([TensorEdge(self._graph.output, None)], self._e)
            seconds = seconds + self._times(*volumes(sink, side, Side(self._whole(self._cluster.sink, len(placements)))))[0][0]
        return np.asarray(seconds)

    def operator_demands(self, operator: int, placements: PlanBatch) -> tuple[Array, Array, Array]:
        """w_ij and a_ij of one operator, and what is kept of its output where it lives long (equation 1), each of shape (devices, placements)."""
        constants = OperatorConstants([self._graph.operators[operator]], self._e)
        weights, activations = constants.memory(placements)
        return weights[:, 0], activations[:, 0], constants.kept(placements)[:, 0]

    def edges_s(self, links: Sequence[Link], placements: Mapping[int, PlanBatch]) -> Array:
        """t_com of edges into one operator together, as if it had no others and first phases apart, for every combination of placements.

        ``placements`` holds those of each operator by number. There is one axis for each operator at an end of these edges, in ascending
        order; the last is that of the consumer.
        """
        (consumer,) = {link.consumer for link in links}
        ends = sorted({consumer, *(link.producer for link in links if link.producer is not None)})
        sums = [np.zeros((len(self._cluster), *(1 for _ in ends))) for _ in range(3)]
        for link in links:
            if link.producer is not None or self._cluster.source is not None:
                axes = tuple(slice(None) if end in (link.producer, consumer) else None for end in ends)
                sums = [total + load[:, *axes] for total, load in zip(sums, self._loads(link, placements), strict=True)]
        shape = tuple(len(placements[end]) for end in ends)
        flat = (np.broadcast_to(total, (len(self._cluster), *shape)).reshape(len(self._cluster), 1, -1) for total in sums)
        return np.asarray(self._times(*flat)[0].reshape(shape))

    def _loads(self, link: Link, placements: Mapping[int, PlanBatch]) -> tuple[Array, ...]:
        """R_j, S_j and N_j of one edge, of shape (devices, placements of the producer, of the consumer); without the former for the input."""
        q, consumer = placements[link.consumer], self._graph.operators[link.consumer]
        if link.producer is None:
            whole = self._whole(self._cluster.source or 0, len(q))
            parts = volumes(EdgeConstants([TensorEdge(None, consumer, link.slot)], self._e), Side(whole), Side(q))
            return tuple(part[:, 0] for part in parts)
        p = placements[link.producer]
        rows, columns = np.divmod(np.arange(len(p) * len(q)), len(q))
        handover = TensorEdge(self._graph.operators[link.producer], consumer, link.slot)
        parts = volumes(EdgeConstants([handover], self._e), Side(p.take(rows)), Side(q.take(columns)))
        return tuple(part.reshape(len(self._cluster), len(p), len(q)) for part in parts)

    # Whole plans.

    def _lay_out_edges(self) -> None:
        """The edges that are priced, consumer after consumer, the sink's last; source and sink follow the operators by number."""
        count, operators, source = len(self._graph), self._graph.operators, self._cluster.source
        links = [link for link in self._graph.links if link.producer is not None or source is not None]
        handovers = [TensorEdge(None if link.producer is None else operators[link.producer], operators[link.consumer], link.slot) for link in links]
        self._edges = EdgeConstants([*handovers, TensorEdge(self._graph.output, None)], self._e)
        self._producers = np.array([count + 1 if link.producer is None else link.producer for link in links] + [count - 1])
        self._consumers = np.array([link.consumer for link in links] + [count])
        self._first_edges = np.flatnonzero(np.diff(self._consumers, prepend=-1))

    def _lay_out_long_lived(self) -> None:
        """Which tensors wait while which operators run, and the input where it does, by device."""
        count = len(self._graph)
        self.waiting = np.zeros((count, count))
        self.waiting_input = np.zeros((len(self._cluster), count))
        holders = slice(None) if self._cluster.source is None else self._cluster.source
        for producer, during in self._graph.long_lived:
            if producer is None:
                self.waiting_input[holders, during] = self._e * self._graph.input_shape.elements
            else:
                self.waiting[during, producer] = 1

    def _price(self, batch: PlanBatch) -> tuple[Array, ...]:
        compute = (self._operators.flops(batch) / self._f).max(axis=0).sum(axis=0)
        memory = self._memory(batch)
        excess = np.maximum(memory - self._limits, 0).sum(axis=0)
        ends = Side(PlanBatch.join([batch, self._whole(self._cluster.sink, len(batch)), self._whole(self._cluster.source or 0, len(batch))]))
        parts = volumes(self._edges, ends.take(self._producers), ends.take(self._consumers))
        if len(self._first_edges) < len(self._consumers):
            parts = tuple(np.add.reduceat(part, self._first_edges, axis=1) for part in parts)  # type: ignore[assignment]
        times, received, connections = self._times(*parts)
        if ends.two_phase.any():
            every = ends.take(np.arange(len(self._graph)))
            first_phases = self._times(*completion(self._operators.pre, self._operators.OC, every))
            totals = zip((times, received, connections), first_phases, strict=True)
            times, received, connections = (np.concatenate(pair, axis=-2) for pair in totals)
        return compute + times.sum(axis=0), memory, excess, received.sum(axis=(0, 1)), connections.sum(axis=(0, 1))

    def _memory(self, batch: PlanBatch) -> Array:
        """Equation (1), of shape (devices, plans)."""
        weights, activations = self._operators.memory(batch)
        if self.waiting.any():
            activations = activations + np.matmul(self.waiting, self._operators.kept(batch))
        return np.asarray(weights.sum(axis=1) + (activations + self.waiting_input[:, :, None]).max(axis=1))

    def _whole(self, device: int, plans: int) -> PlanBatch:
        participants = np.zeros((len(self._cluster), 1, plans), bool)
        participants[device] = True
        return PlanBatch(np.zeros((1, plans), np.int8), participants.astype(float), participants)

    def _times(self, received: Array, sent: Array, connections: Array) -> tuple[Array, Array, Array]:
        """The largest t_com of each round, with R_j and the N_j as they are counted."""
        counted = connections if self._cluster.connections == "peer" else np.minimum(connections, 1)
        t_com = np.maximum(received, sent) / self._b + counted * self._cluster.connection_setup_s
        return t_com.max(axis=0), received, counted
