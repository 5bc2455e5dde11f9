"""What plans cost in the annealing: the simulated makespan, or more than any makespan where a memory limit is broken."""

from __future__ import annotations

import math

from iopopt.cost.instance import Instance
from iopopt.cost.memory import memory_demands, peak_bytes
from iopopt.cost.work import whole_work
from iopopt.methods.annealing.space import Pieces, Space
from iopopt.simulation.simulate import Simulator


class Objective:
    """The costs of the plans of a space, seconds.

    Attributes:
        penalty_s: what a plan costs at least that breaks a memory limit; the more it exceeds them, the more it costs.
    """

    def __init__(self, space: Space) -> None:
        self._instance, self._simulator = Instance(space.graph, space.cluster), Simulator(space.graph, space.cluster)
        self._limits = [device.memory_bytes for device in space.cluster.devices]
        self._roomy = min(self._limits) >= _demand_at_most(self._instance)
        self.penalty_s = _longest_s(self._instance)

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


def _longest_s(instance: Instance) -> float:
    """Longer than any plan takes: everything on the slowest device, as often as there are devices, and every tensor between all pairs twice."""
    cluster, e = instance.cluster, instance.cluster.bytes_per_element
    work = [whole_work(unit, e) for unit in instance.placed]
    computing = max(sum(device.compute_s(*of_unit) for of_unit in work) for device in cluster.devices)
    slowest = min([device.bandwidth_bytes_per_s for device in cluster.devices] + [cluster.shared_medium_bytes_per_s or math.inf])
    tensors = [edge.p.pre_pool_shape.elements + edge.p.out_shape.elements for edges in instance.edges_into for edge in edges]
    sending = sum(cluster.connection_setup_s + e * elements / slowest for elements in tensors)
    return len(cluster) * computing + 2 * len(cluster) ** 2 * sending


def _demand_at_most(instance: Instance) -> float:
    """More bytes than any plan demands of a device: all weights, and every tensor before and after its pool at once."""
    operators = instance.graph.operators
    weights = sum(operator.kernel_elements + operator.bias_elements for operator in operators)
    tensors = sum(2 * operator.in_elements + operator.pre_pool_shape.elements + operator.out_shape.elements for operator in operators)
    return instance.cluster.bytes_per_element * (weights + tensors)
