"""A dynamic programme over every strategy of the exact model, at a few fixed shares for each: milliseconds, no bound.

On a chain the latency is a sum over operators and edges, so with shares fixed the best plan is a shortest path; memory couples all
operators, and is respected by prices on resident weights that rise where a device overflows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from iopopt.batch import PlanBatch
from iopopt.cluster import Cluster, Device, as_cluster
from iopopt.graph import Graph
from iopopt.methods.stopwatch import Stopwatch
from iopopt.operators import Dim, Operator
from iopopt.plan import Placement, Plan
from iopopt.pricer import Pricer
from iopopt.shares import operator_even_shares, operator_makespan_shares, operator_proportional_shares
from iopopt.solution import Solution, heuristic_solution
from iopopt.team import Team, resolve_team, space_name

Array = npt.NDArray[np.float64]

_PRICE_ROUNDS = 60


def dp_plan(graph: Graph, cluster: Cluster, team: Sequence[int]) -> Plan:
    """The best plan at fixed shares; if none found fits the memory, the one of the least excess."""
    return _Trellis(graph, cluster, team).best_plan()


def solve_dp(graph: Graph, devices: Cluster | Sequence[Device], *, team: Team = "all") -> Solution:
    """The dynamic programme over all strategies at fixed shares.

    Raises:
        ClusterError: if ``team`` names a device that does not exist.
    """
    cluster, watch = as_cluster(devices), Stopwatch()
    trellis = _Trellis(graph, cluster, resolve_team(team, cluster))
    build_s = watch.lap()
    plan = trellis.best_plan()
    return heuristic_solution(graph, cluster, plan, method="dp", space=space_name(team, cluster), build_s=build_s, solve_s=watch.lap())


def candidate_placements(operator: Operator, cluster: Cluster, team: Sequence[int]) -> list[Placement]:
    """Whole on each device, and every dimension at each rule's shares."""
    placements = [Placement.whole(device) for device in range(len(cluster))]
    if len(team) > 1:
        for dim in operator.splittable_dims:
            for shares in _share_rules(operator, dim, cluster, team):
                placements.append(Placement.split(dim, team, shares))
                if dim == "IC":
                    placements.append(Placement.split(dim, team, shares, "two_phase"))
    return placements


def _share_rules(operator: Operator, dim: Dim, cluster: Cluster, team: Sequence[int]) -> list[tuple[int, ...]]:
    """Proportional to speed, of the least makespan, proportional to memory and between the two, and even."""
    speeds = np.array([cluster.devices[j].flops_per_s for j in team])
    memory = np.array([cluster.devices[j].memory_bytes for j in team])
    makespan = operator_makespan_shares(operator, dim, speeds.tolist())
    blends = [speeds, np.sqrt(speeds / speeds.sum() * memory / memory.sum()), memory]
    proportional = [operator_proportional_shares(operator, dim, list(blend)) for blend in blends]
    rules = [makespan, *proportional, operator_even_shares(operator, dim, len(team))]
    return list(dict.fromkeys(shares for shares in rules if shares is not None))


class _Trellis:
    """Candidates of each operator, and the costs of and between them."""

    def __init__(self, graph: Graph, cluster: Cluster, team: Sequence[int]) -> None:
        self._graph, self._cluster = graph, cluster
        self._pricer = pricer = Pricer(graph, cluster)
        self._limits = np.array([device.memory_bytes for device in cluster.devices])
        candidates = [candidate_placements(operator, cluster, team) for operator in graph.operators]
        self._states = [PlanBatch.of([[placement] for placement in placements], len(cluster)) for placements in candidates]
        self._placements = candidates
        demands = [pricer.operator_demands(i, states) for i, states in enumerate(self._states)]
        self._weights = [weights for weights, _ in demands]
        self._activations = [activations for _, activations in demands]
        self._node_s = [pricer.operator_compute_s(i, states) for i, states in enumerate(self._states)]
        self._node_s[0] = self._node_s[0] + pricer.source_s(self._states[0])
        self._node_s[-1] = self._node_s[-1] + pricer.sink_s(self._states[-1])
        self._edge_s = [self._between(i) for i in range(1, len(graph))]

    def best_plan(self) -> Plan:
        """Paths under rising prices for the memory of devices that overflow; the fastest that fits, else the one of least excess."""
        prices = np.zeros(len(self._cluster))
        best: tuple[float, float, list[int]] | None = None
        for round_ in range(_PRICE_ROUNDS):
            path = self._shortest_path(prices)
            latency, excess = self._path_latency(path), self._path_excess(path)
            found = (float(np.maximum(excess, 0).sum()), latency, path)
            best = found if best is None or found[:2] < best[:2] else best
            if round_ == 0 and found[0] == 0:
                break
            step = latency / (1 + round_)
            prices = np.maximum(0, prices + step * excess / self._limits)
        assert best is not None  # there is at least one round
        return Plan.of(self._graph, [self._placements[i][state] for i, state in enumerate(best[2])])

    def _between(self, i: int) -> Array:
        """t_com from every candidate of operator i - 1 to every candidate of operator i."""
        p, q = self._states[i - 1], self._states[i]
        rows, columns = np.divmod(np.arange(len(p) * len(q)), len(q))
        return self._pricer.edge_s(i, p.take(rows), q.take(columns)).reshape(len(p), len(q))

    def _shortest_path(self, prices: Array) -> list[int]:
        """The path of least latency plus priced memory; candidates that no device could hold alone cost too much."""
        node = [self._priced(i, prices) for i in range(len(self._states))]
        value, choices = node[0], []
        for i in range(1, len(node)):
            arrivals = value[:, None] + self._edge_s[i - 1]
            choices.append(arrivals.argmin(axis=0))
            value = arrivals.min(axis=0) + node[i]
        path = [int(value.argmin())]
        for choice in reversed(choices):
            path.append(int(choice[path[-1]]))
        return path[::-1]

    def _priced(self, i: int, prices: Array) -> Array:
        weights, activations = self._weights[i], self._activations[i]
        impossible = (weights + activations > self._limits[:, None]).any(axis=0)
        alone = 1e6 * self._node_s[i].max() if not impossible.all() else 0.0
        return np.asarray(self._node_s[i] + (prices / self._limits) @ weights + np.where(impossible, alone, 0.0))

    def _path_latency(self, path: list[int]) -> float:
        nodes = sum(float(self._node_s[i][state]) for i, state in enumerate(path))
        return nodes + sum(float(edge[a, b]) for edge, a, b in zip(self._edge_s, path, path[1:], strict=False))

    def _path_excess(self, path: list[int]) -> Array:
        weights = sum((self._weights[i][:, state] for i, state in enumerate(path)), np.zeros(len(self._limits)))
        activations = np.max([self._activations[i][:, state] for i, state in enumerate(path)], axis=0)
        return np.asarray(weights + activations - self._limits)
