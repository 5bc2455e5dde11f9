"""What the particles and the neighbours of a search cost, and the best plan among all of them."""

from __future__ import annotations

import math

import numpy as np

from iopopt.cluster.cluster import Cluster
from iopopt.cost.pricer import Pricer
from iopopt.cost.stopwatch import Stopwatch
from iopopt.cost.work import whole_work
from iopopt.methods.solution import Point
from iopopt.methods.swarm.plan_space import Array
from iopopt.network.graph import Graph
from iopopt.plan.batch import PlanBatch
from iopopt.plan.plan import Plan


class Objective:
    """Latency with a penalty for what exceeds the memory; it keeps the best plan that was ever priced.

    Attributes:
        best: the best plan, a batch of one; None before the first is priced.
        least: what it costs.
        latency_s: its latency; None if it breaks a memory limit.
        trajectory: its improvements over time.
    """

    def __init__(self, graph: Graph, cluster: Cluster, watch: Stopwatch) -> None:
        self.best: PlanBatch | None = None
        self.least = math.inf
        self.latency_s: float | None = None
        self.trajectory: list[Point] = []
        self._graph, self._pricer, self._watch = graph, Pricer(graph, cluster), watch
        self._memory = sum(device.memory_bytes for device in cluster.devices)
        # Slower than any plan without transfers on the slowest device: the floor of the penalty.
        work = [whole_work(unit, cluster.bytes_per_element) for unit in graph.placed_units]
        every = [10 * sum(amounts) for amounts in zip(*work, strict=True)]
        self._penalty_s = max(device.compute_s(*every) for device in cluster.devices)

    @property
    def plan(self) -> Plan | None:
        """The best plan."""
        return None if self.best is None else self.best.plan(self._graph, 0)

    def costs(self, batch: PlanBatch) -> Array:
        """The cost of each plan: latency, seconds, plus a penalty for each excess byte.

        Raises:
            TimeUpError: if the time is up, and something has been priced before.
        """
        self.check()
        price = self._pricer.price(batch)
        over = price.excess_bytes > 0
        cost = price.latency_s + over * self._penalty_s * (1 + price.excess_bytes / self._memory)
        number = int(cost.argmin())
        if cost[number] < self.least:
            self.least, self.best = float(cost[number]), batch.take(np.array([number]))
            self.latency_s = None if over[number] else float(price.latency_s[number])
            self.trajectory.append(Point(self._watch.elapsed_s, self.latency_s, None))
        return np.asarray(cost)

    def check(self) -> None:
        """Go on while there is time.

        Raises:
            TimeUpError: if the time is up, and something has been priced before.
        """
        if self.best is not None:
            self._watch.check()
