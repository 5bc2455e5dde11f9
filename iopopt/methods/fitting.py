"""Does a network fit a cluster, and at least how much memory, or how many devices, does it take? With proof, by the least memory of any plan."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from iopopt.cluster.boards import board_cluster
from iopopt.cluster.cluster import MOST_FIGURE, Cluster, Device
from iopopt.cluster.units import trust_units
from iopopt.cost.evaluation import evaluate
from iopopt.cost.instance import Instance
from iopopt.cost.stopwatch import Stopwatch
from iopopt.methods.milp import solve_milp
from iopopt.methods.objective import largest_share
from iopopt.methods.settings import checked_integer, limited
from iopopt.methods.single import single_plan
from iopopt.network.graph import Graph
from iopopt.network.records import plain
from iopopt.plan.plan import Plan
from iopopt.plan.team import Team

Verdict = Literal["yes", "no", "unknown"]
"""``yes`` has a plan, ``no`` a proof; ``unknown`` has neither."""

_MOST_DEVICES = 1000

_LEAST_PART = 0.5
"""The part of the time for the least memory on the cluster itself; what is left is for counting devices."""

_ANY_PLAN = 0.99
"""The gap at which a search for any plan that fits stops: at the first."""

_ROOM = 1.01
"""How much more memory than its best plan known needs a cluster gets so that its limits do not bind."""

_LEAST_S = 1e-3


@dataclass(frozen=True)
class LeastMemory:
    """The least share of its limit that the device needs which needs most, whether or not that is more than it has.

    Attributes:
        share: of the plan.
        bound: a proven lower bound on the share of every plan of ``space``.
        fits: whether the plan keeps every limit.
    """

    share: float
    bound: float
    fits: bool
    space: str
    plan: Plan = field(repr=False)

    @property
    def verdict(self) -> Verdict:
        """Whether the network fits."""
        return "yes" if self.fits else "no" if self.bound > 1 else "unknown"


@dataclass(frozen=True)
class Count:
    """Whether a network fits so many equal devices.

    Attributes:
        reason: the proof that it does not: ``weights`` if these alone are more than all the memory, ``program`` by the exact program.
    """

    devices: int
    verdict: Verdict
    reason: Literal["plan", "weights", "program", "none"]
    plan: Plan | None = field(default=None, repr=False)


@dataclass(frozen=True)
class DeviceCount:
    """The least number of devices of one kind.

    Attributes:
        counts: what is known of 1, 2, ... devices, up to the first number that fits; the numbers below the first are excluded by the weights alone.
    """

    name: str
    memory_bytes: float
    counts: tuple[Count, ...]

    @property
    def at_least(self) -> int:
        """The least number that is not proven to be too small."""
        return next((count.devices for count in self.counts if count.verdict != "no"), self.counts[-1].devices + 1)

    @property
    def enough(self) -> int | None:
        """The least number for which there is a plan; None if none was found."""
        return next((count.devices for count in self.counts if count.verdict == "yes"), None)

    @property
    def plan(self) -> Plan | None:
        """The plan for that number."""
        return next((count.plan for count in self.counts if count.verdict == "yes"), None)

    def __str__(self) -> str:
        of_each = f"{self.name} with {self.memory_bytes / 1e6:.4g} MB each"
        if self.enough is None:
            return f"{of_each}: at least {self.at_least} (proven); of the numbers that were tried none was found to be enough"
        if self.enough == self.at_least:
            fewer = f"; {self.enough - 1} {'are' if self.enough > 2 else 'is'} not (proven)" if self.enough > 1 else ""
            return f"{of_each}: {self.enough} {'are' if self.enough > 1 else 'is'} enough{fewer}"
        return f"{of_each}: {self.enough} are enough, at least {self.at_least} are needed (proven)"


@dataclass(frozen=True, repr=False)
class Fit:
    """The answer to whether a network fits, with what is proven.

    Attributes:
        kinds: the least numbers of equal devices, a kind each.
        interrupted: whether Ctrl-C ended the search.
    """

    model: str
    least: LeastMemory
    kinds: tuple[DeviceCount, ...]
    solve_s: float
    interrupted: bool = False

    @property
    def verdict(self) -> Verdict:
        """Whether the network fits the cluster."""
        return self.least.verdict

    def __repr__(self) -> str:
        return f"Fit({self.model}: {self.verdict}, {self.least.share:.4g} of the memory, at least {self.least.bound:.4g})"

    def explain(self) -> str:
        """What was found and what is proven, a line each."""
        heading = ["Of equal devices, with every operator whole on one or split over all of them:"] if self.kinds else []
        beyond = ["Plans that stream channels (method vps) are outside the space of these proofs; they may need less."]
        return "\n".join(
            [*self._of_the_cluster(), *heading, *(f"  {kind}" for kind in self.kinds), *beyond, *(["Interrupted."] if self.interrupted else [])]
        )

    def _of_the_cluster(self) -> Iterator[str]:
        least = self.least
        yield {
            "yes": f"{self.model} fits: a plan of {least.space} keeps every limit.",
            "no": f"{self.model} does not fit: no plan of {least.space} keeps every limit (proven).",
            "unknown": f"It is not known whether {self.model} fits: no plan of {least.space} was found that keeps every limit, and it is not proven "
            "that none does.",
        }[least.verdict]
        needs = (
            f"The device that needs most needs {least.share:.2%} of its memory"
            if least.share < 100
            else f"The fullest device needs {least.share:.5g} times its memory"
        )
        if least.share - least.bound <= 2e-4 * least.share:
            yield f"{needs}, and in every plan of this space some device needs as much (proven)."
        else:
            yield f"{needs}; in every plan of this space some device needs at least {least.bound:.2%} (proven)."
        if not least.fits:
            grown = f"{_up(least.share):g} times the memory on every device is enough"
            yield f"{grown}; less than {least.bound:.4g} times is not (proven)." if least.bound > 1 else f"{grown}."

    def to_dict(self) -> dict[str, Any]:
        """A record of JSON's types."""
        return {"schema_version": 1, "verdict": self.verdict, **_record(self)}


def _record(value: Any) -> Any:
    """A value as JSON knows it, plans as their records."""
    if isinstance(value, Plan):
        return value.to_dict()
    if isinstance(value, (tuple, list)):
        return [_record(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        return {name: _record(getattr(value, name)) for name in value.__dataclass_fields__}
    return plain(value)


def _up(factor: float) -> float:
    """Rounded up, so that it is enough."""
    return math.ceil(factor * 1e4) / 1e4


def fit(
    graph: Graph,
    devices: Cluster | Sequence[Device],
    *,
    team: Team = "all",
    longest_block: int = 1,
    boards: Sequence[str] = (),
    most_devices: int = 32,
    time_limit_s: float = 120.0,
    gap: float = 1e-4,
    backend: str = "highs",
    seed: int = 0,
    threads: int = 1,
) -> Fit:
    """Whether some plan fits the memory, at least how much memory it takes, and how many equal devices, of each kind of the cluster or of boards.

    Args:
        team: the plan space on the cluster itself; equal devices are counted with splits over all of them.
        boards: short names of boards (:func:`iopopt.load_cluster`) to count, instead of the devices of the cluster.
        most_devices: no more than so many devices are tried.
        time_limit_s: seconds of wall clock for everything, half of them for the cluster itself.

    The other arguments are those of :func:`iopopt.solve_milp`.

    Raises:
        ClusterError, PluginError, SolverError: as :func:`iopopt.solve_milp` does.
        UnknownNameError: also if there is no such board.
    """
    watch, most = limited(time_limit_s, may_be_infinite=False), checked_integer("most_devices", most_devices, 1, _MOST_DEVICES)
    cluster = Instance.of(graph, devices).cluster
    settings: dict[str, Any] = {"longest_block": longest_block, "backend": backend, "seed": seed, "threads": threads}
    kinds = [_of_board(board) for board in boards] or list(_kinds(cluster))
    least, interrupted = _least_memory(graph, cluster, {**settings, "team": team, "gap": gap}, _LEAST_PART * watch.remaining_s)
    found: list[DeviceCount] = []
    for number, (device, of) in enumerate(kinds):
        counting = Stopwatch(max(watch.remaining_s, 0.0) / (len(kinds) - number))
        if not interrupted:
            counts, interrupted = _counts(graph, device, of, most, settings, counting)
            found.append(DeviceCount(device.name, device.memory_bytes, counts))
    return Fit(graph.name, least, tuple(found), watch.elapsed_s, interrupted)


def _least_memory(graph: Graph, cluster: Cluster, settings: dict[str, Any], time_limit_s: float) -> tuple[LeastMemory, bool]:
    """The least memory on a cluster whose limits are scaled up until none binds; and whether Ctrl-C ended the search."""
    single = single_plan(graph, cluster)
    grown = max(1.0, _ROOM * largest_share(evaluate(graph, cluster, single)))
    devices = (replace(device, memory_bytes=min(device.memory_bytes * grown, MOST_FIGURE)) for device in cluster.devices)
    roomy = replace(cluster, devices=tuple(devices))
    trust_units(roomy)
    found = solve_milp(graph, roomy, objective="memory", warm_start=single, time_limit_s=max(time_limit_s, _LEAST_S), **settings)
    assert found.plan is not None  # the start is one
    price = evaluate(graph, cluster, found.plan)
    share = largest_share(price)
    bound = min((found.bound_share or 0.0) * grown, share)
    return LeastMemory(share, bound, price.feasible, found.space, found.plan), found.termination == "interrupted"


_MOST_PERCENT = 10
"""Larger shares are said as multiples."""

Kind = tuple[Device, Callable[[int], Cluster]]
"""One device, and the cluster of so many of them."""


def _kinds(cluster: Cluster) -> Iterator[Kind]:
    """The devices of a cluster that differ in memory, each with the clusters that consist of it."""
    seen = set[float]()
    for device in cluster.devices:
        if device.memory_bytes not in seen:
            seen.add(device.memory_bytes)
            yield device, _several(cluster, device)


def _several(cluster: Cluster, device: Device) -> Callable[[int], Cluster]:
    def several(count: int) -> Cluster:
        devices = tuple(replace(device, name=f"{device.name}-{number}") for number in range(count))
        found = replace(cluster, devices=devices, source=None if cluster.source is None else 0, sink=0)
        trust_units(found)
        return found

    return several


def _of_board(board: str) -> Kind:
    device = board_cluster(board).devices[0]
    return replace(device, name=board), lambda count: board_cluster(f"{board}-x{count}")


def _counts(
    graph: Graph, device: Device, of: Callable[[int], Cluster], most: int, settings: dict[str, Any], watch: Stopwatch
) -> tuple[tuple[Count, ...], bool]:
    """What is known of 1, 2, ... devices, up to the first number that fits; and whether Ctrl-C ended the search."""
    weights, _ = graph.whole_memory_bytes(of(1).bytes_per_element)
    first = max(1, math.ceil(weights / device.memory_bytes * (1 - 1e-9)))
    counts = [Count(first - 1, "no", "weights")] if first > 1 else []
    for count in range(first, most + 1):
        if watch.remaining_s <= 0:
            break
        found = solve_milp(graph, of(count), objective="memory", gap=_ANY_PLAN, time_limit_s=watch.remaining_s, **settings)
        if found.termination == "interrupted" and found.plan is None:
            return tuple(counts), True
        if found.plan is not None:
            counts.append(Count(count, "yes", "plan", found.plan))
            break
        counts.append(Count(count, "no", "program") if found.status == "infeasible" else Count(count, "unknown", "none"))
    return tuple(counts) or (Count(0, "no", "weights"),), False
