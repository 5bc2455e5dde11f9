"""Seeded random graphs with branches, of every kind of operator, and plans of them that often interleave and align.

Every function draws from a ``random.Random`` alone, so a seed names an instance. Clusters and teams come from ``random_instances``.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Sequence

from support.random_instances import MOST_PLANS, count_plans

from iopopt import Graph, GraphBuilder, Operator, Placement, Plan
from iopopt.errors import GraphError
from iopopt.network.epilogue import Activation, EpilogueStep, Mixing, Normalisation, Pool
from iopopt.network.operators.operator import INPUT
from iopopt.network.shapes import Dim, Window
from iopopt.plan.shares import even_shares

ACTIVATIONS = (
    Activation("relu"),
    Activation("tanh"),
    Activation("sigmoid"),
    Activation("leaky_relu", (0.1,)),
    Activation("prelu"),
    Activation("clip", (-0.5, 1.0)),
    Activation("hard_sigmoid", (0.2, 0.4)),
    Activation("hard_swish"),
    Activation("silu"),
    Activation("multiply", (1.5,)),
    Activation("add", (-0.25,)),
)
"""One of every elementwise function."""


def is_chain(graph: Graph) -> bool:
    """Whether every operator reads the one before it."""
    names = [INPUT, *(operator.name for operator in graph.operators)]
    return set(graph.edges) == set(itertools.pairwise(names))


def random_branched_graph(rng: random.Random, tiny: bool = False) -> Graph:
    """Two to eight operators with at least one tensor that is read twice, or one operator that reads two.

    Args:
        tiny: two to four operators, so small that all plans of a team of three devices number less than ``MOST_PLANS``.
    """
    while True:
        try:
            graph = Drawing(rng, tiny).graph()
        except GraphError:  # something does not fit: draw again
            continue
        if is_chain(graph) or not 2 <= len(graph) <= (4 if tiny else 8):
            continue
        if not tiny or count_plans(graph, 3) < MOST_PLANS:
            return graph


class Drawing:
    """Writes one graph down, block after block; every block begins and ends with one tensor at hand."""

    def __init__(self, rng: random.Random, tiny: bool) -> None:
        self._rng, self._tiny = rng, tiny
        self._widest = 3 if tiny else 6
        height, width = (rng.randint(2, 4), rng.randint(1, 3)) if tiny else (rng.randint(4, 14), rng.randint(3, 8))
        if rng.random() < 0.4:  # blocks of pixels fit even sizes
            height, width = height + height % 2, width + width % 2
        self._net = GraphBuilder("branched", (rng.randint(1, 2 if tiny else 4), height, width))
        self._shapes = {INPUT: self._net.shape}

    def graph(self) -> Graph:
        blocks = (self._residual, self._residual, self._gated, self._concatenated, self._shuffled, self._joined_again, self._down_and_up)
        # Blocks without a branch stand before, between and behind those with one.
        for _ in range(self._rng.randint(1, 1 if self._tiny else 3)):
            if self._rng.random() < 0.4:
                self._anything()
            self._rng.choice(blocks)()
        if self._rng.random() < (0.2 if self._tiny else 0.4):
            self._anything()
        return self._net.build()

    # Blocks.

    def _residual(self) -> None:
        """The tensor at hand and what becomes of it, added or multiplied; now and then the tensor twice, or a third one."""
        tensors = [self._tip()]
        for _ in range(self._rng.choice([0, 1, 1, 2])):
            self._like(same_channels=True)
        tensors.append(self._tip())
        same = [name for name, shape in self._shapes.items() if shape == self._net.shape]
        if self._rng.random() < 0.25:
            tensors.append(self._rng.choice(same))
        self._rng.shuffle(tensors)
        self._join(self._rng.choice(["add", "add", "mul"]), tensors)

    def _gated(self) -> None:
        """Squeeze and excitation: a map times (or plus) one element a channel that is computed from it."""
        tensor, channels = self._tip(), self._net.shape.channels
        self._net.global_average_pool()
        if self._rng.random() < 0.5:
            self._conv(channels, Window(), Window(), self._rng.choice([1, channels]))
        self._steps(pool=False)
        self._join(self._rng.choice(["mul", "mul", "add"]), [tensor, self._tip()])

    def _concatenated(self) -> None:
        """Two or three branches of one height and width, of which one may be the tensor itself."""
        begin, ends = self._tip(), []
        for _ in range(self._rng.choice([2, 2, 3])):
            self._net.at(begin)
            for _ in range(self._rng.choice([0, 1, 1, 2])):
                self._like()
            ends.append(self._tip())
        self._join("concat", ends)

    def _shuffled(self) -> None:
        """Some channels are worked on, the others are not; then they are joined, and often shuffled."""
        begin, channels = self._tip(), self._net.shape.channels
        cut = self._rng.randint(1, max(1, channels - 1))
        ends = []
        for start, stop in ((0, cut), (cut, channels)):
            if start < stop:
                self._net.at(begin).slice(start, stop)
                ends.append(self._tip())
        self._like()
        self._join("concat", [ends[0], self._tip()], steps=False)
        groups = [count for count in range(2, self._net.shape.channels) if self._net.shape.channels % count == 0]
        if groups and self._rng.random() < 0.7:
            self._net.step(Mixing("shuffle", (float(self._rng.choice(groups)),)))

    def _joined_again(self) -> None:
        """Any tensor so far that fits is joined to the one at hand."""
        self._like()
        at_hand, shape = self._tip(), self._net.shape
        others = [name for name, other in self._shapes.items() if other[1:] == shape[1:]]
        other = self._rng.choice(others)
        kind = self._rng.choice(["add", "mul"]) if self._shapes[other] == shape else "concat"
        self._join(kind, [other, at_hand])

    def _down_and_up(self) -> None:
        """Fewer rows, then more, joined to the tensor from before (an hourglass)."""
        before = self._tip()
        factor = tuple(2 if size % 2 == 0 else 1 for size in self._net.shape[1:])
        rows, columns = (Window(times, times) for times in factor)
        if factor == (2, 2) and self._rng.random() < 0.3:
            self._net.space_to_depth(2)
        elif self._rng.random() < 0.5:
            self._net.operator("pool", self._net.shape.channels, rows=rows, columns=columns, function=self._rng.choice(["max", "average"]))
        else:
            self._conv(self._net.shape.channels, rows, columns)
        self._tip()
        self._net.upsample(factor, linear=self._rng.random() < 0.5)
        self._steps(pool=False)
        self._join(self._rng.choice(["add", "concat"]), [before, self._tip()])

    # Single operators.

    def _like(self, *, same_channels: bool = False) -> None:
        """An operator that keeps height and width, and the channels if they must be the same."""
        channels = self._net.shape.channels
        wanted = channels if same_channels else self._rng.randint(1, self._widest)
        kind = self._rng.choice(["conv", "conv", "grouped", "elementwise", "pool", "upsample" if same_channels else "slice"])
        if kind == "conv":
            self._conv(wanted, self._same_window(), self._same_window())
        elif kind == "grouped":
            groups = self._rng.choice([count for count in range(1, channels + 1) if channels % count == 0])
            self._conv(channels if same_channels else groups * max(1, wanted // groups), self._same_window(), self._same_window(), groups)
        elif kind == "pool":
            windows = (self._rng.choice([Window(3, 1, 1, 1), Window(2, 1, 0, 1), Window()]) for _ in "hw")
            self._pool_operator(*windows)
        elif kind == "slice":
            start = self._rng.randrange(channels)
            self._net.slice(start, self._rng.randint(start + 1, channels))
        elif kind == "upsample":
            self._net.upsample(1, linear=self._rng.random() < 0.5)
        if kind == "elementwise":
            self._net.operator("elementwise", channels, epilogue=self._epilogue() or (self._rng.choice(ACTIVATIONS),))
        else:
            self._steps(pool=False)
        self._tip()

    def _anything(self) -> None:
        """An operator of any kind that may change every size."""
        shape = self._net.shape
        kind = self._rng.choice(["conv", "conv", "conv", "grouped", "pool", "upsample", "space_to_depth", "fc", "slice"])
        if kind == "fc":
            self._net.fc(self._rng.randint(1, self._widest))
        elif kind == "grouped":
            self._conv(shape.channels * self._rng.choice([1, 1, 2]), self._window(), self._window(), shape.channels)
        elif kind == "conv":
            self._conv(self._rng.randint(1, self._widest), self._window(), self._window())
        elif kind == "pool":
            self._pool_operator(self._pool_window(), self._pool_window())
        elif kind == "upsample":
            factors = self._rng.choice([(2, 2), (2, 1), (1, 2), (3, 2)] if not self._tiny else [(2, 1), (1, 2)])
            self._net.upsample(factors, linear=self._rng.random() < 0.5)
        elif kind == "slice":
            self._net.slice(shape.channels // 2, shape.channels)
        elif shape.height % 2 == 0 and shape.width % 2 == 0:
            self._net.space_to_depth(2)
        else:
            self._pool_operator(Window(), Window())
        self._steps(pool=kind in ("conv", "grouped"))
        self._tip()

    def _conv(self, channels: int, rows: Window, columns: Window, groups: int = 1) -> None:
        bias = self._rng.random() < 0.7
        self._net.operator("conv", channels, rows=rows, columns=columns, groups=groups, bias=bias)

    def _pool_operator(self, rows: Window, columns: Window) -> None:
        function = self._rng.choice(["max", "average", "average_inside"])
        self._net.operator("pool", self._net.shape.channels, rows=rows, columns=columns, function=function)

    def _join(self, kind: str, tensors: Sequence[str], *, steps: bool = True) -> None:
        join: Callable[..., GraphBuilder] = getattr(self._net, kind)
        join(*tensors)
        if steps:
            self._steps(pool=False)
            self._tip()

    def _tip(self) -> str:
        """The tensor at hand, now finished."""
        name = self._net.tip
        self._shapes[name] = self._net.shape
        return name

    # Windows and steps.

    def _same_window(self) -> Window:
        return self._rng.choice([Window(), Window(3, 1, 1, 1), Window(3, 1, 2, 2, 2), Window(2, 1, 1, 0), Window(4, 1, 1, 2)])

    def _window(self) -> Window:
        kernel, before = self._rng.choice([1, 2, 3, 4]), self._rng.choice([0, 0, 1, 2])
        after = before if self._rng.random() < 0.7 else self._rng.randint(0, 2)
        return Window(kernel, self._rng.choice([1, 1, 2, 2, 3]), before, after, self._rng.choice([1, 1, 1, 2]))

    def _pool_window(self) -> Window:
        """Overlapping, exact and with gaps; padding of half the kernel at most."""
        kernel = self._rng.randint(1, 3)
        return Window(kernel, self._rng.randint(1, 3), self._rng.randint(0, kernel // 2), self._rng.randint(0, kernel // 2))

    def _steps(self, *, pool: bool) -> None:
        for step in self._epilogue(pool=pool):
            self._net.step(step)

    def _epilogue(self, *, pool: bool = False) -> tuple[EpilogueStep, ...]:
        """Often nothing; else what is elementwise or per channel, a pool if there may be one, and now and then a step that mixes channels."""
        if self._rng.random() < 0.35:
            return ()
        steps: list[EpilogueStep] = []
        if self._rng.random() < 0.5:
            steps.append(Normalisation(self._rng.choice(["batch", "batch", "scale", "shift"])))
        if self._rng.random() < 0.7:
            steps.append(self._rng.choice(ACTIVATIONS))
        if pool and self._rng.random() < 0.4:
            function = self._rng.choice(["max", "average", "average_inside"])
            steps.insert(self._rng.randint(0, len(steps)), Pool(function, self._pool_window(), self._pool_window()))
        if self._net.shape.channels > 1 and self._rng.random() < 0.2:
            steps.append(self._mixing())
        return tuple(steps)

    def _mixing(self) -> Mixing:
        channels = self._net.shape.channels
        groups = [count for count in range(2, channels) if channels % count == 0]
        if groups and self._rng.random() < 0.5:
            return Mixing("shuffle", (float(self._rng.choice(groups)),))
        size = self._rng.choice([2.0, 3.0, 4.0, 5.0])
        return self._rng.choice([Mixing("softmax"), Mixing("lrn", (size, 0.5, 0.75, 1.0))])


def random_branched_plan(rng: random.Random, graph: Graph, device_count: int, team: Sequence[int] | None = None) -> Plan:
    """Any valid plan: participants differ from operator to operator, unless ``team`` says over whom all splits go.

    An operator often continues the split of one of those that it reads, so that every row of the communication table is reached.
    """
    placements: list[Placement] = []
    for i, operator in enumerate(graph.operators):
        sources = [edge for edge in graph.edges_into[i] if edge.producer != graph.source]
        link = rng.choice(sources) if sources else None
        previous = None if link is None else placements[link.producer]
        devices = tuple(team) if team is not None else _participants(rng, device_count, previous)
        if len(devices) == 1 or rng.random() < 0.1:
            placements.append(Placement.whole(rng.randrange(device_count)))
            continue
        follows = previous if previous is not None and previous.devices == devices else None
        slot = 0 if link is None else link.slot
        dim = rng.choice(_dims(operator, follows))
        readers = [graph.operators[out.consumer] for out in graph.edges_from[i] if out.consumer != graph.sink]
        shares = _shares(rng, operator, dim, len(devices), follows, slot, readers)
        placements.append(Placement.split(dim, devices, shares, rng.choice(["direct", "two_phase"])))
    return Plan.of(graph, placements)


def _participants(rng: random.Random, device_count: int, previous: Placement | None) -> tuple[int, ...]:
    if previous is not None and not previous.is_whole and rng.random() < 0.7:
        return previous.devices
    return tuple(sorted(rng.sample(range(device_count), rng.randint(min(2, device_count), device_count))))


def _dims(operator: Operator, previous: Placement | None) -> Sequence[Dim]:
    """The dimensions to draw from; rows, which not every operator has, and the partner of the previous dimension count twice."""
    channels = "OC" if operator.is_channel_local else "IC"
    partner = {"H": "H", "OC": channels, "IC": channels}.get(previous.dim or "") if previous else None
    return [*operator.splittable_dims, *(dim for dim in operator.splittable_dims if dim == partner)] + ["H"] * ("H" in operator.splittable_dims)


def _shares(
    rng: random.Random, operator: Operator, dim: Dim, count: int, previous: Placement | None, slot: int, readers: Sequence[Operator]
) -> Sequence[int]:
    """Shares that continue the previous operator's half of the time, where it has the same participants; else at random."""
    size, unit = operator.size(dim), operator.granularity(dim)
    if previous is not None and rng.random() < 0.6:
        following = _following(operator, dim, previous, slot)
        if following is not None:
            return following
    grouped = [reader.groups for reader in readers if dim == "OC" and reader.groups > 1 and size % reader.groups == 0]
    if grouped and rng.random() < 0.5:
        unit = math.lcm(unit, size // rng.choice(grouped))
    return [unit * share for share in any_shares(rng, size // unit, count)]


def _following(operator: Operator, dim: Dim, previous: Placement, slot: int) -> Sequence[int] | None:
    """Shares that need, as nearly as may be, what each participant owns of input ``slot``; None where there are no such shares."""
    size, unit = operator.size(dim), operator.granularity(dim)
    if dim == "H" and previous.dim == "H":
        cuts = [min(size, max(0, unit * round((shard.stop + operator.P) / (operator.S * unit)))) for shard in previous.shards[:-1]]
        return differences([0, *cuts, size])
    if not operator.reads_part(dim) or previous.dim == "H" or previous.reduce == "direct":
        return None
    channels = operator.read_shape(slot).channels
    owned = previous.shares if previous.dim == "OC" else even_shares(channels, len(previous.devices))
    shares = [share * size // channels for share in owned]
    fits = sum(owned) == channels and all(share % unit == 0 for share in shares) and sum(shares) == size
    return shares if fits else None


def any_shares(rng: random.Random, size: int, count: int) -> Sequence[int]:
    style = rng.random()
    if style < 0.3:
        return even_shares(size, count)
    if style < 0.4:
        lucky = rng.randrange(count)
        return [size * (rank == lucky) for rank in range(count)]
    return differences([0, *sorted(rng.randint(0, size) for _ in range(count - 1)), size])


def differences(cuts: Sequence[int]) -> list[int]:
    return [stop - start for start, stop in itertools.pairwise(cuts)]
