"""Seeded random instances: small chain graphs, clusters, teams and plans that reach every case of the cost model.

Every function draws from a ``random.Random`` alone, so a seed names an instance.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import replace

from iopopt import Cluster, Device, Graph, Operator, Placement, Plan
from iopopt.errors import GraphError
from iopopt.network.epilogue import Activation, EpilogueStep, Normalisation, Pool
from iopopt.network.operators.conv import Conv
from iopopt.network.operators.fc import FullyConnected
from iopopt.network.shapes import Dim, Shape, Window
from iopopt.plan.shares import even_shares

MOST_PLANS = 100_000
"""What exhaustive search of a tiny graph may have to look at, for a team of three devices."""


def random_graph(rng: random.Random, operators: int | None = None, tiny: bool = False) -> Graph:
    """A chain of convolutions, grouped and depthwise ones among them, and fully connected operators, most with an epilogue.

    Args:
        operators: how many; two to five (tiny: two to four) unless given.
        tiny: keep it so small that all plans of a team of three devices number less than ``MOST_PLANS``.
    """
    count = operators or rng.randint(2, 4 if tiny else 5)
    while True:
        graph = _chain(rng, count, tiny)
        if not tiny or count_plans(graph, 3) < MOST_PLANS:
            return graph


def random_cluster(rng: random.Random, devices: int | None = None, memory_bytes: float = 1e9) -> Cluster:
    """Unequal devices (two to four unless ``devices`` is given), both ways of counting connections, any source and sink; often with rooflines."""
    count = devices or rng.randint(2, 4)
    return Cluster(
        with_rooflines(Device(f"d{j}", rng.uniform(1e5, 1e6), memory_bytes, rng.uniform(1e4, 1e6)) for j in range(count)),
        connection_setup_s=rng.choice([0.0, 1e-4, 1e-3]),
        connections=rng.choice(["peer", "round"]),
        source=rng.choice([None, *range(count)]),
        sink=rng.randrange(count),
        bytes_per_element=rng.choice([1, 2, 4]),
    )


def with_rooflines(devices: Iterable[Device]) -> tuple[Device, ...]:
    """The devices, in two of five cases most of them with a memory bandwidth, at which some operators are bound by arithmetic and others by memory.

    What is drawn follows from their figures.
    """
    given = tuple(devices)
    rng = random.Random(repr(given))
    if rng.random() < 0.6:
        return given
    return tuple(
        replace(device, memory_bytes_per_s=device.flops_per_s / 10 ** rng.uniform(-0.7, 0.8)) if rng.random() < 0.75 else device for device in given
    )


def with_powers(rng: random.Random, cluster: Cluster) -> Cluster:
    """The cluster, each power of each device given in four of five cases, and at least one of the first device."""

    def powers() -> dict[str, float]:
        keys = ("compute_watts", "transmit_watts", "receive_watts", "idle_watts")
        return {key: rng.choice([0.0, rng.uniform(0.1, 10)]) for key in keys if rng.random() < 0.8} or {"idle_watts": 1.0}

    return replace(cluster, devices=tuple(replace(device, **powers()) for device in cluster.devices))


def random_team(rng: random.Random, device_count: int) -> tuple[int, ...]:
    """Any devices, in ascending order: two or more where there are as many."""
    return tuple(sorted(rng.sample(range(device_count), rng.randint(min(2, device_count), device_count))))


def random_plan(rng: random.Random, graph: Graph, device_count: int, team: Sequence[int] | None = None) -> Plan:
    """Any valid plan: participants differ from operator to operator, unless ``team`` says over whom all splits go.

    Shares are drawn so that neighbours often interleave, align or are left empty-handed.
    """
    placements: list[Placement] = []
    for operator, reader in zip(graph.operators, [*graph.operators[1:], None], strict=True):
        previous = placements[-1] if placements else None
        devices = tuple(team) if team is not None else _participants(rng, device_count, previous)
        if len(devices) == 1 or rng.random() < 0.1:
            placements.append(Placement.whole(rng.randrange(device_count)))
            continue
        follows = previous if previous is not None and previous.devices == devices else None
        dim = rng.choice(_dims(operator, follows))
        shares = _shares(rng, operator, dim, len(devices), follows, reader)
        placements.append(Placement.split(dim, devices, shares, rng.choice(["direct", "two_phase"])))
    return Plan.of(graph, placements)


def count_plans(graph: Graph, devices: int) -> int:
    """How many plans the team of all ``devices`` has: n units fall to m participants in C(n + m - 1, m - 1) ways."""
    plans = 1
    for operator in graph.operators:
        units = {dim: operator.groups if dim == "OC" and operator.groups > 1 else operator.size(dim) for dim in operator.splittable_dims}
        ways = {dim: math.comb(count + devices - 1, devices - 1) for dim, count in units.items()}
        plans *= devices + sum(ways.values()) + ways.get("IC", 0)
    return plans


def _chain(rng: random.Random, count: int, tiny: bool) -> Graph:
    widest = {1: 8, 2: 5, 3: 3, 4: 2}.get(count, 1) if tiny else 6
    input_shape = Shape(rng.randint(1, min(widest, 4)), rng.randint(4, 9) if tiny else rng.randint(8, 25), rng.randint(3, 12))
    operators: list[Operator] = []
    while len(operators) < count:
        shape = operators[-1].out_shape if operators else input_shape
        try:
            operators.append(_operator(rng, f"op{len(operators)}", shape, widest, tiny))
        except GraphError:  # a window that does not fit: draw again
            continue
    return Graph("random", input_shape, tuple(operators))


def _operator(rng: random.Random, name: str, shape: Shape, widest: int, tiny: bool) -> Operator:
    channels, bias = rng.randint(1, widest), rng.random() < 0.7
    if rng.random() < 0.12 or shape.height == 1:
        return FullyConnected(name, shape, channels, bias=bias)
    steps: list[EpilogueStep] = [step for step in (Normalisation(), Activation()) if rng.random() < 0.4]
    if rng.random() < 0.5:
        steps.append(Pool(rng.choice(["max", "average"]), _pool_window(rng), _pool_window(rng)))
    groups = _groups(rng, shape.channels)
    channels = channels if groups == 1 else groups * rng.randint(1, max(1, widest // groups))
    return Conv(name, shape, channels, _window(rng, tiny), _window(rng, tiny), groups, bias=bias, epilogue=tuple(steps))


def _groups(rng: random.Random, channels: int) -> int:
    """One group half of the time, else as many as there are input channels (depthwise), or a part of them."""
    if rng.random() < 0.5:
        return 1
    return channels if rng.random() < 0.4 else rng.choice([count for count in range(1, channels + 1) if channels % count == 0])


def _window(rng: random.Random, tiny: bool) -> Window:
    before = rng.choice([0, 0, 1, 2])
    after = before if rng.random() < 0.7 else rng.randint(0, 2)
    return Window(rng.choice([1, 1, 2, 3, 4]), rng.choice([1, 2, 2, 3] if tiny else [1, 1, 1, 2, 3]), before, after, rng.choice([1, 1, 1, 2]))


def _pool_window(rng: random.Random) -> Window:
    """Overlapping (kernel above stride), exact and with gaps (kernel below stride); padding of half the kernel at most."""
    kernel = rng.randint(1, 3)
    return Window(kernel, rng.randint(1, 3), rng.randint(0, kernel // 2), rng.randint(0, kernel // 2))


def _participants(rng: random.Random, device_count: int, previous: Placement | None) -> tuple[int, ...]:
    if previous is not None and not previous.is_whole and rng.random() < 0.6:
        return previous.devices
    fewest = 1 if rng.random() < 0.1 else min(2, device_count)
    return tuple(sorted(rng.sample(range(device_count), rng.randint(fewest, device_count))))


def _dims(operator: Operator, previous: Placement | None) -> Sequence[Dim]:
    """The dimensions to draw from; rows, which not every operator has, and the partner of the previous dimension count twice."""
    channels = "OC" if operator.groups > 1 else "IC"
    partner = {"H": "H", "OC": channels, "IC": channels}.get(previous.dim or "") if previous else None
    return [*operator.splittable_dims, *(dim for dim in operator.splittable_dims if dim == partner)] + ["H"] * ("H" in operator.splittable_dims)


def _shares(rng: random.Random, operator: Operator, dim: Dim, count: int, previous: Placement | None, reader: Operator | None) -> Sequence[int]:
    """Shares that continue the previous operator's half of the time, where it has the same participants; else at random.

    Output channels are often drawn in the groups that a grouped ``reader`` reads.
    """
    size = operator.size(dim)
    if previous is not None and rng.random() < 0.5:
        if dim == "H" and previous.dim == "H":
            return _following_rows(operator, size, previous)
        owned = previous.shares if previous.dim == "OC" else even_shares(operator.in_shape.channels, count)
        if previous.dim == "OC" or previous.reduce == "two_phase":
            following = _following_channels(operator, dim, owned)
            if following is not None:
                return following
    unit = size // operator.groups if dim == "OC" and operator.groups > 1 else 1
    if dim == "OC" and reader is not None and reader.groups > 1 and rng.random() < 0.5:
        unit = math.lcm(unit, size // reader.groups)
    return [unit * share for share in _any_shares(rng, size // unit, count)]


def _any_shares(rng: random.Random, size: int, count: int) -> Sequence[int]:
    style = rng.random()
    if style < 0.1:
        return even_shares(size, count)
    if style < 0.25:
        lucky = rng.randrange(count)
        return [size * (rank == lucky) for rank in range(count)]
    return _differences([0, *sorted(rng.randint(0, size) for _ in range(count - 1)), size])


def _following_rows(operator: Operator, size: int, previous: Placement) -> Sequence[int]:
    """Row shares whose fields begin as near as possible to the rows that the same participant owns."""
    cuts = [min(size, round((shard.stop + operator.P) / operator.S)) for shard in previous.shards[:-1]]
    return _differences([0, *cuts, size])


def _following_channels(operator: Operator, dim: Dim, owned: Sequence[int]) -> Sequence[int] | None:
    """Shares that need just the input channels which each participant owns; None where there are no such shares."""
    if dim == "IC":
        return owned
    inputs, outputs = operator.in_shape.channels // operator.groups, operator.out_channels // operator.groups
    if dim == "OC" and operator.groups > 1 and all(channels % inputs == 0 for channels in owned):
        return [channels // inputs * outputs for channels in owned]
    return None


def _differences(cuts: Sequence[int]) -> list[int]:
    return [stop - start for start, stop in itertools.pairwise(cuts)]
