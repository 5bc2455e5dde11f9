"""DeeperThings: fused rows up to a breakpoint, split weights after it (Stahl, Hoffman, Mueller-Gritschneder, Gerstlauer, Schlichtmann: DeeperThings:
Fully Distributed CNN Inference on Resource-Constrained Edge Devices, IJPP 2021).

Two integer programs decide (:mod:`iopopt.methods.weight_splits`): from which layer on weights are split instead of maps, for the least memory, and
how each layer is split from there on, for the fewest elements exchanged. Both count convolutions as the authors' published scripts do; so they repeat
its published optima. All shares are even.

Reconstructed is the plan that follows from them:

- Operators before the breakpoint are fused blocks of rows, as few as possible, where the paper has a grid of tiles; one that is in no block is split
  by rows, or is whole on the gateway if it has none.
- LOP is an OC split, LIP an IC split, FUSE1 and FUSE2 an OC-IC pair. In the paper the gateway collects and hands out maps between layers. Here the
  participants exchange them as the cost model says; partial sums are completed in even slices, by a two-phase reduce, or on the gateway where the
  only reader runs there.
- Fully connected operators take part in the programs as convolutions do. Published counts have none.
- After the breakpoint, grouped convolutions, pools, activations and sums stay in their slice of the channels, also where they are part of an
  operator with a kernel; concatenations, slices and blocks of pixels to channels are whole on the gateway. So the method takes any network, branches
  included.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from iopopt.cluster.cluster import Cluster, Device
from iopopt.cost.instance import Instance
from iopopt.cost.stopwatch import Stopwatch, TimeUpError
from iopopt.errors import GraphError
from iopopt.methods.settings import checked_device, limited
from iopopt.methods.solution import Solution, heuristic_solution
from iopopt.methods.weight_splits.layers import Layer, weight_layers
from iopopt.network.graph import Graph
from iopopt.network.records import short_repr
from iopopt.plan.placement import Placement
from iopopt.plan.plan import Plan
from iopopt.plan.shares import unit_even_shares
from iopopt.plan.team import Team, resolve_team, space_name


def solve_deeperthings(
    graph: Graph,
    devices: Cluster | Sequence[Device],
    *,
    team: Team = "all",
    first_split: str | None = None,
    gateway: int | str | None = None,
    backend: str = "highs",
    time_limit_s: float = math.inf,
) -> Solution:
    """Rows of fused blocks up to the breakpoint, from there on weights split by the program of the fewest exchanged elements.

    Memory limits are ignored: a plan that breaks one is returned as ``violates_memory``. The plan is always the same unless the time limit, in
    seconds of wall clock for everything, cuts the search short (``termination="time_limit"``); then all layers are split by output channels.

    Args:
        first_split: the name of the first operator whose weights are split; by default that of the memory program.
        gateway: a device of the team, by index or name, that runs what is whole; by default the sink, or the first of a team that it is not in.
        backend: of the two programs, a name of :data:`iopopt.BACKENDS` or ``package.module:Class``.

    Raises:
        ClusterError: if ``team`` names a device that does not exist, or ``gateway`` one that is not in it.
        GraphError: if ``first_split`` is no convolution of one group and no fully connected operator.
        SolverError: if ``time_limit_s`` is not positive, or the back end fails.
        UnknownNameError: if no back end has that name.
    """
    cluster, watch = Instance.of(graph, devices).cluster, limited(time_limit_s)
    members = resolve_team(team, cluster)
    default = cluster.sink if cluster.sink in members else members[0]
    scheme = _Scheme(graph, members, default if gateway is None else checked_device("gateway", gateway, cluster, members), watch)
    plan = scheme.plan(first_split, backend) if len(members) > 1 else Plan.of(graph, [Placement.whole(scheme.gateway)] * len(graph))
    return heuristic_solution(
        graph,
        cluster,
        plan,
        method="deeperthings",
        space=space_name(team, cluster, max(map(len, plan.blocks), default=1)),
        solve_s=watch.elapsed_s,
        termination="time_limit" if watch.cut_short else "finished",
    )


class _Scheme:
    """The plans of a team of several devices."""

    def __init__(self, graph: Graph, team: Sequence[int], gateway: int, watch: Stopwatch) -> None:
        self.graph, self.team, self.gateway, self.watch = graph, team, gateway, watch

    def plan(self, first_split: str | None, backend: str) -> Plan:
        """The plan of the programs; without time for them, that of all layers split by output channels."""
        layers = weight_layers(self.graph)
        if first_split is not None and first_split not in {layer.name for layer in layers}:
            allowed = ", ".join(layer.name for layer in layers) or "none"
            raise GraphError(f"first_split is {short_repr(first_split)}; of {self.graph.name} it may be one of these operators: {allowed}")
        try:
            splits = self._splits(layers, first_split, backend)
            rows, spans = self._rows(next((i for i, operator in enumerate(self.graph.operators) if operator.name in splits), len(self.graph)))
        except TimeUpError:
            splits, rows, spans = {layer.name: "OC" for layer in layers}, [], []
        rest = range(sum(spans), len(self.graph))
        return Plan.of(self.graph, [*rows, *(self._placement(i, splits) for i in rest)], [*spans, *[1] * len(rest)])

    def _splits(self, layers: Sequence[Layer], first_split: str | None, backend: str) -> Mapping[str, str]:
        """The dimension of each layer from the breakpoint on.

        Raises:
            TimeUpError: if the time is up.
        """
        # The programs and their back ends are loaded when they are needed, so that ``import iopopt`` stays fast.
        from iopopt.methods.weight_splits.communication import FUSE2, LIP, least_communication
        from iopopt.methods.weight_splits.memory_breakpoint import memory_breakpoint

        if first_split is None:
            first = memory_breakpoint(layers, len(self.team), backend=backend, watch=self.watch)
        else:
            first = [layer.name for layer in layers].index(first_split)
        found = least_communication(layers[first:], len(self.team), backend=backend, watch=self.watch)
        return {name: "IC" if split in (LIP, FUSE2) else "OC" for name, split in found.items()}

    def _rows(self, stop: int) -> tuple[list[Placement], list[int]]:
        """The placements of the operators before number ``stop``, and how many each is of: the longest blocks, first come first served.

        Raises:
            TimeUpError: if the time is up.
        """
        placements: list[Placement] = []
        spans: list[int] = []
        start = 0
        while start < stop:
            members = range(start, self._end_of_block(start, stop))
            unit = self.graph.placed_units[start] if len(members) == 1 else self.graph.block(members)
            by_rows = "H" in unit.dims
            shares = unit_even_shares(unit, "H", len(self.team))
            placements.append(Placement.split("H", self.team, shares) if by_rows else Placement.whole(self.gateway))
            spans.append(len(members))
            start = members.stop
        return placements, spans

    def _end_of_block(self, start: int, stop: int) -> int:
        """Where the longest block ends that begins with operator ``start``."""
        for end in range(stop, start + 1, -1):
            self.watch.check()
            if self.graph.block_fault(range(start, end)) is None:
                return end
        return start + 1

    def _placement(self, number: int, splits: Mapping[str, str]) -> Placement:
        """The placement of an operator after the breakpoint."""
        unit = self.graph.placed_units[number]
        if self._is_whole(number, splits):
            return Placement.whole(self.gateway)
        if splits.get(unit.name) != "IC":
            return Placement.split("OC", self.team, unit_even_shares(unit, "OC", len(self.team)))
        readers = [edge.consumer for edge in self.graph.edges_from[number]]
        on_gateway = len(readers) == 1 and self._is_whole(readers[0], splits)
        return Placement.split("IC", self.team, unit_even_shares(unit, "IC", len(self.team)), "direct" if on_gateway else "two_phase")

    def _is_whole(self, number: int, splits: Mapping[str, str]) -> bool:
        """Whether one device runs a unit after the breakpoint: one without a kernel that mixes channels, or the sink."""
        if number == self.graph.sink:
            return True
        operator = self.graph.operators[number]
        return operator.name not in splits and not operator.is_channel_local
