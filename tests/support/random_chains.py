"""Hypothesis strategies: chains of operators of every structure that the executor runs, clusters, and any valid plan of them."""

from __future__ import annotations

import itertools
import random
from typing import NamedTuple

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from support.random_gathers import with_gathers

from iopopt import Cluster, Device, Graph, Operator, Placement, Plan
from iopopt.network.epilogue import Activation, EpilogueStep, Normalisation, Pool
from iopopt.network.operators.conv import Conv
from iopopt.network.operators.fc import FullyConnected
from iopopt.network.shapes import Shape, Window
from iopopt.plan.shares import even_shares


class Instance(NamedTuple):
    """A plan to run, and the seed of its weights and input."""

    graph: Graph
    cluster: Cluster
    plan: Plan
    seed: int


@st.composite
def windows(draw: DrawFn, size: int) -> Window:
    """Any window that fits ``size`` rows: strides 1 to 3, uneven padding, dilation; now and then exact, without overlap or padding."""
    if size >= 2 and draw(st.integers(0, 3)) == 0:
        exact = draw(st.integers(1, 2))
        return Window(exact, exact)
    before, after = draw(st.integers(0, 2)), draw(st.integers(0, 2))
    dilation = draw(st.sampled_from([1, 1, 2]))
    most = (size + before + after - 1) // dilation + 1
    return Window(draw(st.integers(1, min(4, most))), draw(st.sampled_from([1, 1, 2, 3])), before, after, dilation)


@st.composite
def pool_windows(draw: DrawFn, size: int, function: str) -> Window:
    """Overlapping, exact and with gaps; a max pool has an element of the tensor under every window, an average pool may have padding only."""
    kernel = draw(st.integers(1, 3))
    most = kernel - 1 if function == "max" else kernel
    before, after = draw(st.integers(0, most)), draw(st.integers(0, most))
    dilation = 2 if function == "max" and before == after == 0 and draw(st.booleans()) else 1
    if (kernel - 1) * dilation + 1 > size + before + after:
        return Window()
    return Window(kernel, draw(st.integers(1, 3)), before, after, dilation)


@st.composite
def operators(draw: DrawFn, name: str, shape: Shape) -> Operator:
    """A convolution, grouped or depthwise now and then, or a fully connected operator; most have an epilogue."""
    channels, bias = draw(st.integers(1, 6)), draw(st.booleans())
    activation = Activation(draw(st.sampled_from(["relu", "tanh", "sigmoid"])))
    if shape.height == 1 or draw(st.integers(0, 7)) == 0:
        steps = (activation,) if draw(st.booleans()) else ()
        return FullyConnected(name, shape, channels, bias=bias, epilogue=steps)
    groups = draw(st.sampled_from([1, 1, *(count for count in range(1, shape.channels + 1) if shape.channels % count == 0)]))
    channels = groups * max(1, channels // groups)
    rows, columns = draw(windows(shape.height)), draw(windows(shape.width))
    plain = Conv(name, shape, channels, rows, columns, groups, bias=bias)
    steps = draw(st.lists(st.sampled_from([Normalisation(), activation]), unique=True, max_size=2))
    if draw(st.booleans()):
        steps.insert(draw(st.integers(0, len(steps))), draw(pools(plain.pre_pool_shape)))
    return Conv(name, shape, channels, rows, columns, groups, bias=bias, epilogue=tuple(steps))


@st.composite
def pools(draw: DrawFn, shape: Shape) -> EpilogueStep:
    """A pool over a map of this shape."""
    function = draw(st.sampled_from(["max", "average"]))
    return Pool(function, draw(pool_windows(shape.height, function)), draw(pool_windows(shape.width, function)))


@st.composite
def chains(draw: DrawFn) -> Graph:
    """One to five operators on a small map of odd and even sizes."""
    shape = Shape(draw(st.integers(1, 5)), draw(st.integers(6, 24)), draw(st.integers(1, 9)))
    chain: list[Operator] = []
    for number in range(draw(st.sampled_from([1, 2, 3, 3, 4, 5]))):
        chain.append(draw(operators(f"op{number}", chain[-1].out_shape if chain else shape)))
    return Graph("chain", shape, tuple(chain))


@st.composite
def clusters(draw: DrawFn) -> Cluster:
    """Two to five devices, any source and sink, elements of four or eight bytes."""
    count = draw(st.sampled_from([2, 3, 4, 5]))
    devices = tuple(Device(f"d{j}", 1e6 * (j + 1), 1e9, 1e6) for j in range(count))
    source = draw(st.sampled_from([None, *range(count)]))
    connections, width = draw(st.sampled_from(["peer", "round"])), draw(st.sampled_from([4, 4, 8]))
    return Cluster(devices, 1e-3, connections, source, draw(st.integers(0, count - 1)), width)


@st.composite
def plans(draw: DrawFn, graph: Graph, cluster: Cluster) -> Plan:
    """Any valid plan; the participants and intervals of an operator often continue those of the one before it.

    In half of the plans some row splits are gathered; which ones follows from the plan, so nothing else is drawn than without.
    """
    placements: list[Placement] = []
    for operator in graph.operators:
        placements.append(draw(placements_after(operator, placements[-1] if placements else None, len(cluster))))
    drawn = repr(placements).replace(", stream=None", "")  # what a seed names does not depend on the fields of a placement
    return with_gathers(random.Random(drawn), Plan.of(graph, placements), len(cluster))


@st.composite
def placements_after(draw: DrawFn, operator: Operator, previous: Placement | None, count: int) -> Placement:
    """A placement of one operator, given that of its predecessor."""
    if draw(st.integers(0, 7)) == 0:
        return Placement.whole(draw(st.integers(0, count - 1)))
    if previous is not None and not previous.is_whole and draw(st.integers(0, 3)) > 0:
        devices = previous.devices
    else:
        left_out = draw(st.sets(st.integers(0, count - 1), max_size=count - 2)) if draw(st.booleans()) else set()
        devices = tuple(j for j in range(count) if j not in left_out)
        previous = None
    rows = ("H",) * ("H" in operator.splittable_dims)
    dims = (*operator.splittable_dims, *rows)
    if previous is not None and draw(st.booleans()):
        partner = "H" if previous.dim == "H" else "OC" if operator.is_channel_local else "IC"
        dims = (partner,) if partner in dims else dims
    dim = draw(st.sampled_from(dims))
    units = operator.size(dim) // operator.granularity(dim)
    shares = _continued(operator, dim, previous) if previous is not None and draw(st.integers(0, 3)) > 0 else None
    if shares is None:
        shares = [operator.granularity(dim) * share for share in draw(any_shares(units, len(devices)))]
    return Placement.split(dim, devices, shares, draw(st.sampled_from(["direct", "two_phase"])))


@st.composite
def any_shares(draw: DrawFn, size: int, count: int) -> list[int]:
    """Even, all on one participant, or cut anywhere (uneven, empty ones among them)."""
    style = draw(st.sampled_from(["even", "one", "cut", "cut"]))
    if style == "even":
        return list(even_shares(size, count))
    if style == "one":
        lucky = draw(st.integers(0, count - 1))
        return [size * (rank == lucky) for rank in range(count)]
    cuts = sorted(draw(st.lists(st.integers(0, size), min_size=count - 1, max_size=count - 1)))
    return [stop - start for start, stop in itertools.pairwise([0, *cuts, size])]


def _continued(operator: Operator, dim: str, previous: Placement) -> list[int] | None:
    """Shares whose input is, as near as may be, what the same participant owns already; None where there are none."""
    if dim == "H" and previous.dim == "H":
        size = operator.size("H")
        cuts = [min(size, round((shard.stop + operator.P) / operator.S)) for shard in previous.shards[:-1]]
        return [stop - start for start, stop in itertools.pairwise([0, *cuts, size])]
    owned = previous.shares if previous.dim == "OC" else even_shares(operator.in_shape.channels, len(previous.devices))
    if dim == "IC":
        return list(owned)
    inputs = operator.in_shape.channels // operator.groups
    if dim == "OC" and operator.is_channel_local and not any(share % inputs for share in owned):
        return [share // inputs * operator.channel_unit for share in owned]
    return None


@st.composite
def instances(draw: DrawFn) -> Instance:
    """A chain, a cluster and a plan."""
    graph, cluster = draw(chains()), draw(clusters())
    return Instance(graph, cluster, draw(plans(graph, cluster)), draw(st.integers(0, 2**16)))
