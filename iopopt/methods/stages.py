"""Sequential partitioning: contiguous operators whole on one device after another, cut by an exact dynamic program for memory or for throughput."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from iopopt.cluster.cluster import Cluster, Device
from iopopt.cost.instance import Instance
from iopopt.cost.memory import share_memory
from iopopt.cost.stopwatch import Stopwatch
from iopopt.cost.work import whole_work
from iopopt.errors import UnknownNameError
from iopopt.methods.scheme import solve_by
from iopopt.methods.solution import Solution
from iopopt.network.cut_points import single_tensor_runs
from iopopt.network.graph import Graph
from iopopt.plan.placement import Placement
from iopopt.plan.plan import Plan
from iopopt.plan.team import Team

Aim = Literal["memory", "throughput"]
"""The least largest share of a device's memory, or the most inputs per second with many in flight."""

_ROUNDING = 1e-12
"""Sums of the same terms in another order differ by less, relatively."""


def solve_stages(graph: Graph, devices: Cluster | Sequence[Device], *, team: Team = "all", aim: Aim = "memory") -> Solution:
    """Each device of the team runs contiguous operators whole, in the order of the team.

    The cuts are the best possible ones: for memory between any two operators, and of those as good the ones that balance computation best; for
    throughput wherever one tensor passes, and of those as good the ones that need least memory. With many inputs in flight
    (:func:`iopopt.simulate`, ``inputs=``) the throughput is that of the slowest stage: its computation, or what its link sends or receives
    (:func:`stage_period_s`).

    Args:
        team: the devices in the order of the stages; some may stay without one.
        aim: what the cuts are best for.

    Raises:
        ClusterError: if ``team`` names a device that does not exist.
        UnknownNameError: if there is no such aim.
    """
    if aim not in get_args(Aim):
        raise UnknownNameError("aim", str(aim), get_args(Aim))

    def make_plan(graph: Graph, cluster: Cluster, members: tuple[int, ...], _: Stopwatch) -> Plan:
        return stages_plan(graph, cluster, members, aim)

    return solve_by(make_plan, graph, devices, team, "stages")


def stages_plan(graph: Graph, cluster: Cluster, team: Sequence[int], aim: Aim = "memory") -> Plan:
    """The best stages."""
    everywhere = tuple(range(member, member + 1) for member in range(len(graph)))
    costs = _StageCosts(Instance(graph, cluster), everywhere if aim == "memory" else single_tensor_runs(graph))
    first, second = (costs.memory_share, costs.computed_s) if aim == "memory" else (costs.period_s, costs.memory_share)
    least = _largest(_cuts(first, len(costs.runs), team), first, team)

    def within(start: int, stop: int, device: int) -> float:
        return second(start, stop, device) if first(start, stop, device) <= least * (1 + _ROUNDING) else math.inf

    cuts = _cuts(within, len(costs.runs), team)
    on = [device for device, (start, stop) in zip(team, itertools.pairwise(cuts), strict=True) for run in costs.runs[start:stop] for _ in run]
    return Plan.of(graph, [Placement.whole(device) for device in on])


def stage_period_s(graph: Graph, cluster: Cluster, plan: Plan) -> float:
    """The seconds from one output to the next, with many inputs in flight: the most that a device computes, sends or receives.

    The plan is one of stages that are cut where one tensor passes.

    A transfer waits for the same one of the input before, and so counts with its set-up. Where two tensors share a link in one
    direction, because the source or the sink has a stage in the middle, the simulated period can be longer.
    """
    costs = _StageCosts(Instance(graph, cluster), single_tensor_runs(graph))
    on = [plan[graph.operators[run[0]].name].devices[0] for run in costs.runs]
    groups = [(device, list(numbers)) for device, numbers in itertools.groupby(range(len(on)), key=lambda number: on[number])]
    return max(costs.period_s(numbers[0], numbers[-1] + 1, device) for device, numbers in groups)


def _cuts(cost: Callable[[int, int, int], float], runs: int, team: Sequence[int]) -> list[int]:
    """Where the stages of the team begin, and the end: those with the least largest cost; an empty stage costs nothing."""
    best = [0.0] + [math.inf] * runs  # of the devices so far, for the first so many runs
    chosen = []
    for device in team:
        so_far = best

        def largest(start: int, stop: int, device: int = device, so_far: list[float] = so_far) -> float:
            return so_far[start] if start == stop else max(so_far[start], cost(start, stop, device))

        costs = [[largest(start, stop) for start in range(stop + 1)] for stop in range(runs + 1)]
        begins = [min(range(stop + 1), key=of.__getitem__) for stop, of in enumerate(costs)]
        best = [of[begin] for of, begin in zip(costs, begins, strict=True)]
        chosen.append(begins)
    cuts = [runs]
    for begins in reversed(chosen):
        cuts.append(begins[cuts[-1]])
    return cuts[::-1]


def _largest(cuts: Sequence[int], cost: Callable[[int, int, int], float], team: Sequence[int]) -> float:
    return max(cost(start, stop, device) for device, (start, stop) in zip(team, itertools.pairwise(cuts), strict=True) if start < stop)


class _StageCosts:
    """What runs ``start`` to ``stop`` cost as one stage on a device, whatever the others do."""

    def __init__(self, instance: Instance, runs: Sequence[range]) -> None:
        self._instance, self._cluster, self.runs = instance, instance.cluster, runs
        self._demands = {holds_input: self._stage_demands(holds_input) for holds_input in (False, True)}

    def memory_share(self, start: int, stop: int, device: int) -> float:
        """Equation (1) as a share of the device's limit."""
        demands = self._demands[device in self._instance.input_holders]
        return demands[start][stop - start - 1] / self._cluster.devices[device].memory_bytes

    def _stage_demands(self, holds_input: bool) -> list[list[float]]:
        """Equation (1), bytes: for each first run, the stages of one, two, ... runs."""
        instance, e = self._instance, self._cluster.bytes_per_element
        own = [next(share_memory(unit, Placement.whole(0), e))[1] for unit in instance.placed]
        live = {producer: (during, e * instance.units[producer].out_shape.elements) for producer, during in instance.live_tensors}
        found = []
        for start in range(len(self.runs)):
            weights, held, of_start = 0.0, np.zeros(len(own)), list[float]()
            if holds_input:
                _hold(held, *live.get(instance.source, (range(0), 0.0)))
            for run in self.runs[start:]:
                for i in run:
                    weights += own[i].weights
                    held[i] += own[i].activations
                    _hold(held, *live.get(i, (range(0), 0.0)))
                of_start.append(weights + float(held.max()))
            found.append(of_start)
        return found

    def computed_s(self, start: int, stop: int, device: int) -> float:
        """What the device computes for one input, seconds."""
        return self._computed_until[device][stop] - self._computed_until[device][start]

    def period_s(self, start: int, stop: int, device: int) -> float:
        """The most that the device computes, or that its link sends or receives for one input, set-ups included, seconds."""
        of, last, cluster = self._cluster.devices[device], stop == len(self.runs), self._cluster
        received = [self._passing[start]] if start or cluster.source not in (None, device) else []
        sent = [] if last and device == cluster.sink else [self._passing[stop]]
        if start and device == cluster.source:
            sent.append(self._passing[0])
        if not last and device == cluster.sink:
            received.append(self._passing[-1])
        linked = [cluster.connection_setup_s + sum(way) / of.bandwidth_bytes_per_s for way in (received, sent) if way]
        return max(
            self.computed_s(start, stop, device), *linked, 0.0 if start else self._handing_out_s(device), self._result_s(device) if last else 0.0
        )

    def _handing_out_s(self, first: int) -> float:
        """What handing out one input to the device of the first stage takes the source."""
        source = self._cluster.source
        if source is None or source == first:
            return 0.0
        return self._cluster.connection_setup_s + self._passing[0] / self._cluster.devices[source].bandwidth_bytes_per_s

    def _result_s(self, last: int) -> float:
        """What receiving one output from the device of the last stage takes the sink."""
        sink = self._cluster.sink
        return 0.0 if sink == last else self._cluster.connection_setup_s + self._passing[-1] / self._cluster.devices[sink].bandwidth_bytes_per_s

    @cached_property
    def _computed_until(self) -> Sequence[Sequence[float]]:
        """What each device computes of the first so many runs, seconds."""
        works = [[whole_work(self._instance.units[i], self._cluster.bytes_per_element) for i in run] for run in self.runs]
        return [list(accumulate((sum(of.compute_s(*work) for work in run) for run in works), initial=0.0)) for of in self._cluster.devices]

    @cached_property
    def _passing(self) -> Sequence[float]:
        """The bytes of the tensor at each cut, the input and the output included."""
        graph = self._instance.graph
        shapes = [graph.input_shape, *(graph.operators[run[-1]].out_shape for run in self.runs)]
        return [self._cluster.bytes_per_element * shape.elements for shape in shapes]


def _hold(held: npt.NDArray[np.float64], during: range, size: float) -> None:
    """Add a tensor to what is held while some operators run."""
    held[during.start : during.stop] += size
