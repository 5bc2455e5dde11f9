"""What plans cost in the annealing: the simulated makespan, or more than any makespan where a memory limit is broken."""

from __future__ import annotations

import math
from collections.abc import Iterator

from iopopt.cluster.cluster import Cluster
from iopopt.cost.instance import Instance
from iopopt.cost.memory import memory_demands, peak_bytes
from iopopt.cost.work import work_of
from iopopt.methods.annealing.space import Pieces, Space
from iopopt.network.shapes import Dim
from iopopt.network.terms import Position, amount
from iopopt.network.unit import Unit
from iopopt.simulation.simulate import Simulator


class Objective:
    """The costs of the plans of a space, seconds.

    Attributes:
        penalty_s: what a plan costs at least that breaks a memory limit; the more it exceeds them, the more it costs.
    """

    def __init__(self, space: Space) -> None:
        self._instance, self._simulator = Instance(space.graph, space.cluster), Simulator(space.graph, space.cluster)
        self._limits = [device.memory_bytes for device in space.cluster.devices]
        self._roomy = min(self._limits) >= _demand_at_most(space)
        self.penalty_s = _longest_s(space)

    def cost(self, pieces: Pieces, most: float = math.inf) -> float:
        """What a plan costs; infinite where that is above ``most``."""
        makespan_s = self._simulator.makespan_of_pieces_s(pieces, most)
        if math.isinf(makespan_s) or self._roomy or not (excess := self._excess_bytes(pieces)):
            return makespan_s
        cost = makespan_s + self.penalty_s * (1 + excess / sum(self._limits))
        return cost if cost <= most else math.inf

    def fits(self, cost: float) -> bool:
        """Whether a plan of this cost fits the memory: then it is the makespan."""
        return cost < self.penalty_s

    def _excess_bytes(self, pieces: Pieces) -> float:
        runs, placements = zip(*pieces, strict=True)
        instance = self._instance.covered([len(run) for run in runs])
        demand = peak_bytes(memory_demands(instance, (*placements, *instance.terminals)))
        return sum(max(0.0, needed - limit) for needed, limit in zip(demand, self._limits, strict=True))


def _longest_s(space: Space) -> float:
    """Longer than any plan takes: of every operator, by itself or in a block, the most that a share can have, on all devices one after another, and
    every tensor between all pairs of devices twice."""
    instance, cluster = Instance(space.graph, space.cluster), space.cluster
    longest = [0.0] * len(space.graph)
    for run in _runs(space):
        for i in run:
            longest[i] = max(longest[i], _longest_share_s(space.unit(run), cluster) / len(run))
    slowest = min([device.bandwidth_bytes_per_s for device in cluster.devices] + [cluster.shared_medium_bytes_per_s or math.inf])
    tensors = [edge.p.pre_pool_shape.elements + edge.p.out_shape.elements for edges in instance.edges_into for edge in edges]
    sending = sum(cluster.connection_setup_s + cluster.bytes_per_element * elements / slowest for elements in tensors)
    return len(cluster) * sum(longest) + 2 * len(cluster) ** 2 * sending


def _longest_share_s(unit: Unit, cluster: Cluster) -> float:
    """The most that a participant of a unit can have to compute, on the device that takes longest."""
    works = [work_of(unit, dim, size, place, cluster.bytes_per_element) for dim, size, place in _full_shares(unit)]
    return max(device.compute_s(*work) for device in cluster.devices for work in works)


def _demand_at_most(space: Space) -> float:
    """At least what any plan demands of a device, bytes: all weights, the most that a share of a unit can need, and all tensors that can be live."""
    instance = Instance(space.graph, space.cluster)
    weights = sum(amount(unit.weights[None], 1) for unit in instance.placed)
    units = [space.unit(run) for run in _runs(space)]
    most = max(amount(terms, size, place) for unit in units for dim, size, place in _full_shares(unit) for terms in unit.activations[dim])
    live = [instance.units[producer] for producer, _ in instance.live_tensors]
    return instance.cluster.bytes_per_element * (weights + most + sum(max(unit.pre_pool_shape.elements, unit.out_shape.elements) for unit in live))


def _runs(space: Space) -> Iterator[range]:
    """The single operators and the blocks that a plan of the space may have."""
    yield from (range(i, i + 1) for i in range(len(space.graph)))
    yield from space.blocks


def _full_shares(unit: Unit) -> Iterator[tuple[Dim | None, int, Position]]:
    """All of a unit as one share, whole or at each position of a split: no amount falls with the size of a share.

    It can be more than the whole: rows beyond the edge of a map count as rows, except for the first participant and the last.
    """
    if unit.span == 1:
        yield None, 1, Position.INNER
    yield from ((dim, unit.sizes[dim], place) for dim in unit.dims for place in Position)
