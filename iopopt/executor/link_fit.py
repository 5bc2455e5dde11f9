"""Link bandwidths and set-up time from measured rounds: those with which a simulation of the rounds takes as long as the runs did.

A device's time for its transfers depends on the links at their other ends as well, and on what shares them. Fitting each device's time to its own
bytes alone would blame its link for the slower ones of its neighbours. So each unit's transfers are simulated
(:mod:`iopopt.simulation.events`), between barriers as in the run, and compared device by device.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

from iopopt.cluster.cluster import Cluster
from iopopt.executor.execution import Execution
from iopopt.network.graph import Graph
from iopopt.plan.plan import Plan
from iopopt.schedule.rounds import Step
from iopopt.simulation.events import run
from iopopt.simulation.real_schedule import PlanScheduler
from iopopt.simulation.tasks import Network, TransferTask

Array = npt.NDArray[np.float64]

_LEAST_S = 1e-6
"""Smaller times count as this: relative errors of nothing mean nothing."""

_STARTS = (1.0, 0.3, 3.0)
"""The search starts at these multiples of the given bandwidths."""

_FARTHEST = 12.0
"""And ends at most this many powers of e away."""

_SMALL = 1e-3
"""Smaller relative errors have a deviance that is computed by its series."""

_SLOWER, _SAME = 0.05, 1e-3
"""The runs tell nothing of a link that makes no round slower by the second part, relatively, when it is itself slower by the first."""


class Links(NamedTuple):
    """What was fitted.

    Attributes:
        bandwidths: bytes/s by device; of a link that always has a slower one at its other end, what the runs need of it.
        residuals, measured: fitted minus measured, and measured seconds, of each exchange and receiver.
        unseen: the devices of which the runs tell nothing; they keep what was given.
    """

    bandwidths: tuple[float, ...]
    setup_s: float
    residuals: Array
    measured: Array
    unseen: tuple[int, ...]


class _Exchange(NamedTuple):
    """All transfers into one unit, in order, and how long each of their receivers waited, seconds; senders only see their own buffers."""

    transfers: tuple[TransferTask, ...]
    measured: dict[int, float]


def fit_links(graph: Graph, cluster: Cluster, runs: Sequence[tuple[Plan, Execution]]) -> Links:
    """The least Poisson deviance, which weighs every measured second alike (:mod:`iopopt.executor.roofline_fit`); of each plan the median run."""
    exchanges = _exchanges(graph, cluster, runs)
    given = np.array([device.bandwidth_bytes_per_s for device in cluster.devices])
    measured = np.array([max(seconds, _LEAST_S) for exchange in exchanges for seconds in exchange.measured.values()])
    if not measured.size:
        return Links(tuple(given), cluster.connection_setup_s, measured, measured, tuple(range(len(cluster))))
    scale_s = float(np.median(measured))

    def times(unknown: Array) -> Array:
        return _times(exchanges, given * np.exp(unknown[:-1]), float(unknown[-1]) * scale_s)

    def errors(unknown: Array) -> Array:
        return _deviance_roots(times(unknown), measured)

    count = len(cluster)
    bounds = [-_FARTHEST] * count + [0.0], [_FARTHEST] * count + [np.inf]
    starts = [np.array([np.log(factor)] * count + [cluster.connection_setup_s / scale_s]) for factor in _STARTS]
    best = min((least_squares(errors, start, bounds=bounds, x_scale="jac") for start in starts), key=lambda result: float(result.cost)).x
    fitted = times(best)
    unseen = tuple(j for j in range(count) if np.allclose(times(best - _SLOWER * np.eye(count + 1)[j]), fitted, rtol=_SAME, atol=0))
    bandwidths = tuple(float(given[j] * np.exp(0 if j in unseen else best[j])) for j in range(count))
    return Links(bandwidths, float(best[-1]) * scale_s, fitted - measured, measured, unseen)


def _deviance_roots(fitted: Array, measured: Array) -> Array:
    """The signed roots of the parts of the Poisson deviance: sqrt(2 m (x - log(1 + x))) of a relative error x, about x sqrt(m) where it is small."""
    error = fitted / measured - 1
    small = np.abs(error) < _SMALL
    apart = np.where(small, 1.0, error)  # the difference loses its digits where x is small
    curve = np.where(small, 1 - error * (2 / 3 - error / 2), 2 * (apart - np.log1p(apart)) / apart**2)
    return np.asarray(error * np.sqrt(measured * curve))


def _times(exchanges: Sequence[_Exchange], bandwidths: Array, setup_s: float) -> Array:
    """The seconds of every device in every exchange."""
    links = tuple(bandwidths.tolist())
    network, found = Network(links, links, setup_s), list[float]()
    for transfers, measured in exchanges:
        ends = run(transfers, network).end_s
        last = dict.fromkeys(measured, 0.0)
        for transfer, end_s in zip(transfers, ends, strict=True):
            if transfer.receiver in last:
                last[transfer.receiver] = max(last[transfer.receiver], end_s)
        found.extend(max(seconds, _LEAST_S) for seconds in last.values())
    return np.array(found)


def _exchanges(graph: Graph, cluster: Cluster, runs: Sequence[tuple[Plan, Execution]]) -> list[_Exchange]:
    """The exchanges of each plan, with the median times of its runs."""
    executions: dict[Plan, list[Execution]] = defaultdict(list)
    for plan, execution in runs:
        executions[plan].append(execution)
    scheduler, found = PlanScheduler(graph, cluster), []
    for plan, repeated in executions.items():
        measured: dict[tuple[str, int], list[float]] = defaultdict(list)
        for timing in (timing for execution in repeated for timing in execution.timings):
            measured[timing.operator, timing.device].append(timing.communication_s)
        for step in scheduler.schedule(plan).steps:
            if step.pieces:
                continue  # between the messages of a stream devices wait for each other's tasks as well
            if transfers := _transfers(step):
                waiting = sorted({transfer.receiver for transfer in transfers})
                found.append(_Exchange(transfers, {j: float(np.median(measured[step.name, j])) for j in waiting if (step.name, j) in measured}))
    return [exchange for exchange in found if any(exchange.measured.values())]


def _transfers(step: Step) -> tuple[TransferTask, ...]:
    """The transfers into a unit: a device sends in a round when it has received what the rounds before bring it."""
    tasks: list[TransferTask] = []
    received: dict[int, tuple[int, ...]] = defaultdict(tuple)
    for round_ in (round_ for edge in step.edges for round_ in edge.rounds):
        before, begun = dict(received), len(tasks)
        tasks.extend(TransferTask(sender, receiver, size, before.get(sender, ())) for sender, receiver, size in round_.transfers)
        for number in range(begun, len(tasks)):
            received[tasks[number].receiver] += (number,)
    return tuple(tasks)
