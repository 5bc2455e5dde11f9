"""All plans of the space of time without barriers: every operator or block over any ordered devices; all of them, or a fast one by descent."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence

from iopopt import Cluster, Graph, Placement, Plan
from iopopt.methods.exhaustive import all_placements
from iopopt.network.unit import Unit


def any_placements(unit: Unit, cluster: Cluster) -> list[Placement]:
    """Whole on every device, and every split over every ordered set of devices."""
    devices = range(len(cluster))
    teams = [team for size in range(2, len(cluster) + 1) for team in itertools.permutations(devices, size)]
    found = [placement for team in teams for placement in all_placements(unit, cluster, team) if not placement.is_whole]
    return [*(Placement.whole(device) for device in devices if unit.span == 1), *found]


class AnyTeams:
    """The plans of a graph on a cluster, by cover and by the placements of each unit."""

    def __init__(self, graph: Graph, cluster: Cluster, longest_block: int) -> None:
        self.graph, self.cluster = graph, cluster
        self._covers = list(graph.covers(longest_block if len(cluster) > 1 else 1))
        self._of: dict[range, list[Placement]] = {}

    def plans(self) -> Iterator[Plan]:
        """All plans; there are far more than one thinks."""
        for spans in self._covers:
            choices = [self._placements(run) for run in _runs(spans)]
            yield from (Plan.of(self.graph, chosen, spans) for chosen in itertools.product(*choices))

    def count(self) -> int:
        """How many they are."""
        total = 0
        for spans in self._covers:
            number = 1
            for run in _runs(spans):
                number *= len(self._placements(run))
            total += number
        return total

    def fast(self, rng: random.Random, makespan_s: Callable[[Plan], float], rounds: int) -> float:
        """The makespan of a plan from which so many random changes of one or two units gain nothing more."""
        spans = rng.choice(self._covers)
        chosen = [rng.choice(self._placements(run)) for run in _runs(spans)]
        best = makespan_s(Plan.of(self.graph, chosen, spans))
        for _ in range(rounds):
            other = list(chosen)
            for number in rng.sample(range(len(spans)), min(len(spans), rng.choice([1, 1, 2, 3]))):
                other[number] = rng.choice(self._placements(_runs(spans)[number]))
            makespan = makespan_s(Plan.of(self.graph, other, spans))
            if makespan <= best:
                chosen, best = other, makespan
        return best

    def _placements(self, run: range) -> list[Placement]:
        if run not in self._of:
            unit = self.graph.placed_units[run.start] if len(run) == 1 else self.graph.block(run)
            self._of[run] = any_placements(unit, self.cluster)
        return self._of[run]


def _runs(spans: Sequence[int]) -> list[range]:
    return [range(stop - span, stop) for span, stop in zip(spans, itertools.accumulate(spans), strict=True)]
