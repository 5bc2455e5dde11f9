"""HALP's partition: a host between two secondaries (Dong, Li, Iosifidis, Zhang, arXiv 2211.13778; the same idea in arXiv 2207.11294).

Reconstructed from the idea: of the rows of every operator the first go to one secondary, the last to the other, and a zone between them to the host,
such that no field of a secondary reaches into rows of the other one. So the secondaries never exchange anything. Rows that others need are computed
first and travel while the rest is computed, so plans are priced without barriers (:func:`iopopt.simulate`). No row of an output is computed
twice, and what has no rows, or too few, runs on the host.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from iopopt.cluster.cluster import Cluster, Device
from iopopt.cost.instance import Instance
from iopopt.cost.memory import memory_demands, peak_bytes
from iopopt.cost.stopwatch import Stopwatch, TimeUpError
from iopopt.errors import ClusterError, UnsupportedError
from iopopt.methods.settings import checked_device, limited
from iopopt.methods.solution import Solution, heuristic_solution
from iopopt.network.graph import Graph
from iopopt.network.records import short_repr
from iopopt.plan.pieces import Piece, plan_of
from iopopt.plan.placement import Placement
from iopopt.plan.plan import Plan
from iopopt.plan.team import Team, resolve_team, space_name
from iopopt.schedule.region_transfers import needed_regions
from iopopt.simulation.simulate import Simulator

Width = Literal["min", "opt"]
"""How wide the host's zone is: as thin as may be, or as the simulation likes it best."""

Refine = Literal["ratio", "layer"]
"""How far ``"opt"`` goes: one ratio for all operators, or rows moved at single operators and runs of them after that."""

_STEPS = (1.0, 1 / 8, 1 / 32, 0.0)
"""By which parts of a map the zone's borders move, at least by one granule: the first moves them to the edges."""

_MOVES = tuple((start, stop) for start in (-1, 0, 1) for stop in (-1, 0, 1) if start or stop)
"""The directions in which the two borders of a zone move."""

_WORTH_REPEATING = 0.999
"""All moves of one step are tried again if they brought the makespan below this part of it."""

_FINEST_RATIO = 1 / 256


class Roles(NamedTuple):
    """Who is who: the host, and at most two secondaries in the order of their rows."""

    host: int
    secondaries: tuple[int, ...]

    @property
    def in_row_order(self) -> tuple[int, ...]:
        """All of them, the host in the middle, or last if there is one secondary."""
        return (*self.secondaries[:1], self.host, *self.secondaries[1:])


class Zone(NamedTuple):
    """The host's rows [start, stop); those before are the first secondary's, those behind the second's."""

    start: int
    stop: int


def solve_halp(
    graph: Graph,
    devices: Cluster | Sequence[Device],
    *,
    team: Team = "all",
    host: int | str | None = None,
    zone: Width = "opt",
    refine: Refine = "layer",
    time_limit_s: float = 60.0,
) -> Solution:
    """Rows over a host and two secondaries, its latency simulated (``timing="events"``).

    With one secondary the two share the rows, and one device computes everything. Of more than three devices the secondaries are the two fastest
    that are not the host. A plan that fits the memory is preferred to one that does not; if none is found that fits, it is
    ``violates_memory``. The plan is always the same unless the time limit, in seconds of wall clock for everything, cuts the search short
    (``termination="time_limit"``). For the ablation without overlap, price a plan by ``Simulator(..., boundary_first=False)``;
    :func:`halp_plan` also searches by that price.

    Args:
        host: a device of the team, by index or name; by default the source if it is in the team, or else the fastest, of several the sink.
        zone: ``"min"``: the thinnest zone, of at least one granule of rows, the secondaries by speed; ``"opt"``: the ratio of the three that is
            the fastest in simulation.
        refine: with ``"opt"``, whether the rows of single operators, and of runs of them, are moved after that.

    Raises:
        ClusterError: if ``team`` or ``host`` names a device that does not exist or is not in the team, or a secondary has the input and would send
            rows of it to the other one.
        UnsupportedError: if ``zone`` or ``refine`` is unknown.
        SolverError: if ``time_limit_s`` is not positive.
    """
    cluster, watch = Instance.of(graph, devices).cluster, limited(time_limit_s)
    roles = halp_roles(cluster, team, host)
    plan = _plan(graph, cluster, roles, zone, refine, Simulator(graph, cluster), watch)
    return heuristic_solution(
        graph,
        cluster,
        plan,
        method="halp",
        space=space_name(roles.in_row_order, cluster),
        solve_s=watch.elapsed_s,
        termination="time_limit" if watch.cut_short else "finished",
        timing="events",
    )


def halp_plan(
    graph: Graph,
    devices: Cluster | Sequence[Device],
    *,
    team: Team = "all",
    host: int | str | None = None,
    zone: Width = "opt",
    refine: Refine = "ratio",
    overlap: bool = True,
    time_limit_s: float = math.inf,
) -> Plan:
    """The plan alone, by default without the refinement: some hundred simulations; options and errors are those of :func:`solve_halp`.

    Args:
        overlap: whether the search prices plans with boundary rows first; without, rows travel when their operator is done.
    """
    cluster, watch = Instance.of(graph, devices).cluster, limited(time_limit_s)
    simulator = Simulator(graph, cluster, boundary_first=overlap)
    return _plan(graph, cluster, halp_roles(cluster, team, host), zone, refine, simulator, watch)


def halp_roles(cluster: Cluster, team: Team = "all", host: int | str | None = None) -> Roles:
    """Host and secondaries of a team, as :func:`solve_halp` chooses them.

    Raises:
        ClusterError: if there is no such team or host, or one of two secondaries has the input.
    """
    members, devices = resolve_team(team, cluster), cluster.devices
    if host is not None:
        chosen = checked_device("host", host, cluster, members)
    elif cluster.source in members:
        chosen = cluster.source
    else:
        chosen = max(members, key=lambda j: (devices[j].flops_per_s, j == cluster.sink))
    others = [j for j in members if j != chosen]
    fastest = sorted(others, key=lambda j: (-devices[j].flops_per_s, -devices[j].bandwidth_bytes_per_s))[:2]
    roles = Roles(chosen, tuple(j for j in members if j in fastest))
    if cluster.source in roles.secondaries and len(roles.secondaries) > 1:
        source = f"{cluster.source} ({devices[cluster.source].name})"
        raise ClusterError(
            f"host is {chosen} ({devices[chosen].name}), but the input is on device {source}, a secondary that would have to send rows of it to "
            f"the other one; make device {source} the host, or leave it out of the team"
        )
    return roles


def _plan(graph: Graph, cluster: Cluster, roles: Roles, width: Width, refine: Refine, simulator: Simulator, watch: Stopwatch) -> Plan:
    if width not in ("min", "opt"):
        raise UnsupportedError(f"zone is {short_repr(width)}; allowed are 'min' and 'opt'")
    if refine not in ("ratio", "layer"):
        raise UnsupportedError(f"refine is {short_repr(refine)}; allowed are 'ratio' and 'layer'")
    rows = RowZones(graph, cluster, roles)
    speeds = [cluster.devices[j].flops_per_s for j in roles.secondaries]
    by_speed = speeds[0] / sum(speeds) if speeds else 1.0
    thinnest = rows.nearest(rows.by_ratio(0.0, by_speed))
    if width == "min":
        return rows.plan(thinnest)
    search = _Search(rows, Instance(graph, cluster), simulator, thinnest)
    try:
        search.ratios(by_speed, watch)
        if refine == "layer":
            search.layers(watch)
    except TimeUpError:
        pass  # the best so far
    return rows.plan(search.best)


class RowZones:
    """The zones of all operators: which satisfy the zone constraint, and what plans they are.

    An operator is shared if it has at least one granule of rows for each device. The others are the host's alone, and so is the last one where one of
    two secondaries is the sink, to which the other one would send its rows: their zone is the whole map.
    """

    def __init__(self, graph: Graph, cluster: Cluster, roles: Roles) -> None:
        self._graph, self._roles, self._order = graph, roles, roles.in_row_order
        units = graph.placed_units
        self.heights = [unit.sizes["H"] for unit in units]
        self.granules = [unit.granularities["H"] for unit in units]
        enough = [number for number, unit in enumerate(units) if "H" in unit.dims and 1 < len(self._order) <= unit.granules("H")]
        last = len(units) - 1 if len(roles.secondaries) > 1 and cluster.sink in roles.secondaries else len(units)
        self.shared = tuple(number for number in enough if number != last)
        self._needs: dict[tuple[int, int, Zone], tuple[int, int]] = {}
        self._pieces: dict[tuple[int, Zone], Piece] = {}

    def by_ratio(self, host: float, first: float) -> list[Zone]:
        """Zones of a part ``host`` of each map; of the rest the first secondary gets the part ``first``."""
        zones = [Zone(0, height) for height in self.heights]
        for number in self.shared:
            height, granule = self.heights[number], self.granules[number]
            width = granule * max(1, round(host * height / granule))
            start = granule * round(first * (height - width) / granule)
            zones[number] = Zone(start, start + width)
        return zones

    def nearest(self, wanted: Sequence[Zone]) -> tuple[Zone, ...]:
        """The zones that satisfy the constraint, from the last operator back: each as wide as wanted, or as what the secondaries read of both
        sides of it if that is wider, and as near to what is wanted as then may be.
        """
        zones = list(wanted)
        for number in reversed(self.shared):
            zones[number] = self._nearest(number, wanted[number], zones)
        return tuple(zones)

    def _nearest(self, number: int, wanted: Zone, zones: Sequence[Zone]) -> Zone:
        height, granule = self.heights[number], self.granules[number]
        if len(self._roles.secondaries) == 1:  # which nobody is behind
            return Zone(min(wanted.start, height - granule), height)
        latest_start, earliest_stop = height, 0
        for edge in self._graph.unfused.edges_from[number]:
            if edge.consumer < len(zones):
                first_reads_to, second_reads_from = self._reads(edge.consumer, edge.slot, zones[edge.consumer])
                earliest_stop = max(earliest_stop, -(-first_reads_to // granule) * granule)
                latest_start = min(latest_start, second_reads_from // granule * granule)
        width = max(wanted.stop - wanted.start, earliest_stop - latest_start, granule)
        start = min(max(wanted.start, earliest_stop - width, 0), latest_start, height - width)
        return Zone(start, start + width)

    def _reads(self, consumer: int, slot: int, zone: Zone) -> tuple[int, int]:
        """Up to which row of its input the first secondary reads, and from which row the second one, where the consumer has this zone."""
        key = consumer, slot, zone
        if key not in self._needs:
            first, second = self._roles.secondaries
            needs = needed_regions(self._graph.operators[consumer], self._split(consumer, zone), slot)
            behind = needs[second].rows
            self._needs[key] = needs[first].rows.stop, behind.start if behind else self._graph.operators[consumer].in_shapes[slot].height
        return self._needs[key]

    def _split(self, number: int, zone: Zone) -> Placement:
        shares = (zone.start, zone.stop - zone.start, self.heights[number] - zone.stop)
        return Placement.split("H", self._order, shares[: len(self._order)])

    def pieces(self, zones: Sequence[Zone]) -> list[Piece]:
        """The plan of these zones; what is the host's alone is whole on it."""
        return [self._piece(number, zone) for number, zone in enumerate(zones)]

    def _piece(self, number: int, zone: Zone) -> Piece:
        key = number, zone
        if key not in self._pieces:
            alone = zone == (0, self.heights[number])
            placement = Placement.whole(self._roles.host) if alone else self._split(number, zone)
            self._pieces[key] = Piece(range(number, number + 1), placement)
        return self._pieces[key]

    def plan(self, zones: Sequence[Zone]) -> Plan:
        """The same as a Plan."""
        return plan_of(self._graph, self.pieces(zones))


class _Search:
    """Looks for zones; keeps the best: the fewest bytes beyond the memory limits, then the fastest in simulation."""

    def __init__(self, rows: RowZones, instance: Instance, simulator: Simulator, start: tuple[Zone, ...]) -> None:
        self._rows, self._instance, self._simulator = rows, instance, simulator
        self._seen = {start}
        self.best, pieces = start, rows.pieces(start)
        self._price = self._excess_bytes(pieces), simulator.makespan_of_pieces_s(pieces)

    def ratios(self, by_speed: float, watch: Stopwatch) -> None:
        """Zones of any width with the secondaries by speed, or with one of them alone; then both figures of the best by smaller and smaller steps."""
        ratio = 0.0, by_speed
        for new in itertools.product((step / 16 for step in range(17)), (by_speed, 1.0, 0.0)):
            ratio = new if self._improves(self._rows.by_ratio(*new), watch) else ratio
        step = 1 / 16
        while step >= _FINEST_RATIO:
            near = [(ratio[0] + x * step, ratio[1] + y * step) for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1))]
            better = [new for new in near if min(new) >= 0 and max(new) <= 1 and self._improves(self._rows.by_ratio(*new), watch)]
            ratio, step = (better[-1], step) if better else (ratio, step / 2)

    def layers(self, watch: Stopwatch) -> None:
        """Moves the borders of single operators and of runs of them, by smaller and smaller steps, each until it hardly helps."""
        for step in _STEPS:
            before = math.inf, math.inf
            while self._price[0] < before[0] or self._price[1] < before[1] * _WORTH_REPEATING:
                before = self._price
                for run, move in itertools.product(list(self._runs()), _MOVES):
                    self._improves(self._moved(run, step, *move), watch)

    def _runs(self) -> Iterator[Sequence[int]]:
        """All shared operators, halves, quarters and so on of them, down to single ones, and all from each one on."""
        shared, length = self._rows.shared, len(self._rows.shared)
        while length:
            yield from (shared[start : start + length] for start in range(0, len(shared), length))
            length = -(-length // 2) if length > 1 else 0
        yield from (shared[start:] for start in range(1, len(shared)))

    def _moved(self, run: Sequence[int], step: float, start: int, stop: int) -> list[Zone]:
        """The best zones with the borders of some operators moved in these directions, as far as the map goes."""
        zones = list(self.best)
        for number in run:
            height, granule = self._rows.heights[number], self._rows.granules[number]
            far = granule * max(1, round(step * height / granule))
            new_stop = min(max(zones[number].stop + stop * far, 0), height)
            zones[number] = Zone(min(max(zones[number].start + start * far, 0), new_stop), new_stop)
        return zones

    def _improves(self, wanted: Sequence[Zone], watch: Stopwatch) -> bool:
        """Whether the zones nearest to the wanted ones are better than the best so far, which they then are."""
        watch.check()
        zones = self._rows.nearest(wanted)
        if zones in self._seen:
            return False
        self._seen.add(zones)
        pieces, (least_excess, least_s) = self._rows.pieces(zones), self._price
        makespan_s = self._simulator.makespan_of_pieces_s(pieces, math.inf if least_excess else least_s)
        price = self._excess_bytes(pieces) if makespan_s < math.inf else 0.0, makespan_s
        if price >= self._price:
            return False
        self.best, self._price = zones, price
        return True

    def _excess_bytes(self, pieces: Sequence[Piece]) -> float:
        """What the devices need beyond their memory, equation (1)."""
        peaks = peak_bytes(memory_demands(self._instance, (*(piece.placement for piece in pieces), *self._instance.terminals)))
        return sum(max(0.0, peak - device.memory_bytes) for peak, device in zip(peaks, self._instance.cluster.devices, strict=True))
