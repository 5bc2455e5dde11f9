"""The worked cases of the cost model's last section: small graphs with branches, other kinds and fused blocks, and a plan of each.

Devices compute one FLOP and send one byte in a second, a connection takes half a second, and an element is one byte. Every device has the
input and device 0 needs the output, unless a case says otherwise. No operator has a bias.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from iopopt import Cluster, Device, Graph, GraphBuilder, Placement, Plan

PAIR = Cluster(tuple(Device(f"d{j}", 1.0, 1000.0, 1.0) for j in range(2)), connection_setup_s=0.5, bytes_per_element=1)
ROOFED = replace(PAIR, devices=tuple(replace(device, memory_bytes_per_s=rate) for device, rate in zip(PAIR.devices, (1.0, 0.25), strict=True)))
TRIO = replace(PAIR, devices=(*PAIR.devices, replace(PAIR.devices[0], name="d2")))
BOTH = (0, 1)


class BranchedCase(NamedTuple):
    graph: Graph
    plan: Plan
    cluster: Cluster = PAIR


def branched_cases() -> dict[str, BranchedCase]:
    """All cases without fused blocks, by the names that the statement gives them."""
    zero, one = Placement.whole(0), Placement.whole(1)
    joined, gated, concat, sliced = _pool_and_add(), _squeeze_and_excitation(), _concat(), _slice()
    nearest, linear, depth, mixing = _upsample(linear=False), _upsample(linear=True), _space_to_depth(), _mixing()
    twice, kept_input, thrice = _two_consumers(), _input_again(), _three_times()
    by_channels = [_oc(1, 0), _oc(1, 1), _oc(2, 1)]
    return {
        "pool and add by channels": _case(joined, _oc(1, 1), _oc(1, 1), _oc(1, 1)),
        "pool and add by rows": _case(joined, _h(2, 2), _h(2, 2), _h(2, 2)),
        "gate by rows": _case(gated, zero, one, _h(1, 1)),
        "gate by channels": _case(gated, _oc(1, 1), _oc(1, 1), _oc(1, 1)),
        "concat by rows": _case(concat, _h(1, 1), _h(1, 1), _h(1, 1)),
        "concat by channels": _case(concat, *by_channels),
        "concat in rounds": _case(concat, *by_channels, cluster=replace(PAIR, connections="round")),
        "slice of a whole tensor": _case(sliced, zero, _h(1, 1)),
        "slice of rows": _case(sliced, _h(2, 0), _h(1, 1)),
        "slice of channels": _case(sliced, _oc(2, 1), _oc(1, 1)),
        "nearest, aligned": _case(nearest, _h(2, 2), _h(4, 4)),
        "nearest, not aligned": _case(nearest, _h(2, 2), _h(2, 6)),
        "linear": _case(linear, _h(2, 2), _h(4, 4)),
        "space to depth by rows": _case(depth, _h(2, 2), _h(1, 1)),
        "space to depth by channels": _case(depth, _h(2, 2), _oc(2, 2)),
        "softmax behind channels": _case(mixing, _oc(1, 1), _ic("direct")),
        "softmax on one device": _case(mixing, zero, _ic("direct")),
        "two consumers": _case(twice, zero, one, one),
        "two phases, two consumers": _case(twice, _ic("two_phase"), _oc(1, 1), _oc(1, 1)),
        "partial sums, two consumers": _case(twice, _ic("direct"), _oc(1, 1), _oc(1, 1)),
        "input everywhere, kept": _case(kept_input, zero, zero, zero),
        "input on device 1, kept": _case(kept_input, zero, zero, zero, cluster=replace(PAIR, source=1)),
        "one tensor three times": _case(thrice, zero, one),
        "one tensor three times, in rounds": _case(thrice, zero, one, cluster=replace(PAIR, connections="round")),
        "host in the middle": _host_in_the_middle(),
        "gathered on a participant": _case(_gathered(), _gathered_h(0, 2, 2), _h(1, 3)),
        "gathered on a third device": _case(_gathered(), _gathered_h(2, 2, 2), _h(1, 3), cluster=TRIO),
        "gathered and live": _case(twice, _gathered_h(0, 1, 1), _h(1, 1), _oc(1, 1)),
        "a convolution by rows": _case(GraphBuilder("rows", (1, 4, 1)).conv(2, 1, bias=False).build(), _h(3, 1), cluster=ROOFED),
        "a fully connected operator": _case(GraphBuilder("fc", (2, 2, 1)).fc(3, bias=False).build(), _oc(2, 1), cluster=ROOFED),
        "a sum alone": _case(GraphBuilder("sum", (1, 4, 1)).add("input", "input").build(), one, cluster=ROOFED),
    }


def fused_cases() -> dict[str, BranchedCase]:
    """The cases with fused blocks, by the names that the statement gives them."""
    zero, one = Placement.whole(0), Placement.whole(1)
    return {
        "residual block": _case(_residual(), _h(3, 3), _h(3, 3), spans=(1, 3)),
        "a tensor that waits": _case(_waiting(), _h(2, 2), cluster=replace(PAIR, source=1), spans=(5,)),
        "two fields": _case(_two_fields(), one, _h(4, 2), _h(4, 2), spans=(1, 3, 1)),
        "two ways down": _case(_two_ways_down(), _h(4, 4), _h(2, 2), spans=(1, 4)),
        "a row that nobody reads": _case(_leftover_row(), zero, _h(1, 1), spans=(1, 2)),
        "a block gathered for the sink": _case(_leftover_row(), zero, _gathered_h(1, 1, 1), spans=(1, 2)),
        "a block of two": _case(_block_of_two(), _h(2, 2), cluster=ROOFED, spans=(2,)),
    }


def _case(graph: Graph, *placements: Placement, cluster: Cluster = PAIR, spans: Sequence[int] | None = None) -> BranchedCase:
    return BranchedCase(graph, Plan.of(graph, placements, spans), cluster)


def _host_in_the_middle() -> BranchedCase:
    """Two 3 x 3 convolutions by rows over the team (1, 0, 2); device 0 is the source and the sink."""
    net = GraphBuilder("host in the middle", (1, 6, 1)).conv(2, 3, padding=1, bias=False, name="c").conv(1, 3, padding=1, bias=False, name="d")
    team = (1, 0, 2)
    return _case(net.build(), Placement.split("H", team, (1, 3, 2)), Placement.split("H", team, (2, 2, 2)), cluster=replace(TRIO, source=0))


def _h(*shares: int) -> Placement:
    return Placement.split("H", BOTH, shares)


def _gathered_h(device: int, *shares: int) -> Placement:
    return Placement.split("H", BOTH, shares, gather=device)


def _oc(*shares: int) -> Placement:
    return Placement.split("OC", BOTH, shares)


def _ic(reduce: str) -> Placement:
    return Placement.split("IC", BOTH, (1, 1), "two_phase" if reduce == "two_phase" else "direct")


def _pool_and_add() -> Graph:
    """c gives 2x4x2, the pool reads it, and the sum reads both."""
    net = GraphBuilder("pool and add", (1, 4, 2)).conv(2, 1, bias=False, name="c")
    return net.add(net.tip, net.max_pool(3, 1, 1).tip, name="sum").build()


def _squeeze_and_excitation() -> Graph:
    """The input times a gate that is computed from it."""
    net = GraphBuilder("gate", (2, 2, 2)).global_average_pool().conv(2, 1, bias=False, name="c")
    return net.mul("input", net.tip, name="product").build()


def _concat() -> Graph:
    """a of one channel and b of two, both from the input."""
    net = GraphBuilder("concat", (1, 2, 2)).conv(1, 1, bias=False, name="a")
    net.at("input").conv(2, 1, bias=False, name="b")
    return net.concat("a", "b", name="join").build()


def _slice() -> Graph:
    return GraphBuilder("slice", (1, 2, 2)).conv(3, 1, bias=False, name="c").slice(1, 3, name="part").build()


def _upsample(*, linear: bool) -> Graph:
    """Twice as many rows."""
    return GraphBuilder("upsample", (1, 4, 1)).conv(1, 1, bias=False, name="c").upsample((2, 1), linear=linear, name="up").build()


def _space_to_depth() -> Graph:
    return GraphBuilder("space to depth", (1, 4, 2)).conv(1, 1, bias=False, name="c").space_to_depth(2, name="blocks").build()


def _mixing() -> Graph:
    return GraphBuilder("softmax", (1, 2, 2)).conv(2, 1, bias=False, name="c").softmax().conv(2, 1, bias=False, name="d").build()


def streamed_cases() -> dict[str, BranchedCase]:
    """The cases that stream channels, by the names that the statement gives them."""
    in_messages = GraphBuilder("in messages", (1, 4, 1)).conv(6, 1, bias=False, name="c").conv(4, 1, bias=False, name="d").build()
    sums = GraphBuilder("sums", (1, 4, 2)).conv(4, 1, bias=False, name="c").conv(3, 1, bias=False, name="d").max_pool(2).build()
    pair = GraphBuilder("pair", (1, 4, 1)).conv(4, 1, bias=False, name="c").conv(3, 1, bias=False, name="d").conv(2, 1, bias=False, name="f").build()
    alone = GraphBuilder("alone", (2, 4, 1)).conv(2, 1, bias=False, name="c").build()
    shared = [Placement.split("OC", (0, 1, 2), (3, 1, 2)), Placement.split("OC", (0, 1, 2), (2, 1, 1), stream=2)]
    summed = [_oc(1, 3), Placement.split("IC", BOTH, (1, 3), "two_phase", stream=1)]
    paired = [_oc(3, 1), Placement.split("IC", BOTH, (3, 1), "two_phase", stream=2), replace(_oc(1, 1), stream=1)]
    return {
        "channels in messages": _case(in_messages, *shared, cluster=TRIO),
        "sums in messages": _case(sums, *summed),
        "a pair, then messages": _case(pair, *paired),
        "messages of one device": _case(alone, replace(_oc(1, 1), stream=1), cluster=replace(PAIR, source=1)),
    }


def _two_consumers() -> Graph:
    """c is read by d and, with d, by the sum."""
    net = GraphBuilder("two consumers", (2, 2, 1)).conv(2, 1, bias=False, name="c")
    return net.add(net.tip, net.conv(2, 1, bias=False, name="d").tip, name="sum").build()


def _gathered() -> Graph:
    return GraphBuilder("gathered", (1, 4, 1)).conv(2, 1, bias=False, name="c").conv(1, 3, padding=1, bias=False, name="d").build()


def _input_again() -> Graph:
    """The input is read by c and, two operators later, by the sum."""
    net = GraphBuilder("input again", (1, 2, 1)).conv(4, 1, bias=False, name="c").conv(1, 1, bias=False, name="d")
    return net.add("input", net.tip, name="sum").build()


def _three_times() -> Graph:
    return GraphBuilder("three times", (2, 2, 1)).conv(2, 1, bias=False, name="c").add("c", "c", "c", name="sum").build()


def _residual() -> Graph:
    """c, and two convolutions whose result is added to it."""
    net = GraphBuilder("residual", (1, 6, 1)).conv(2, 1, bias=False, name="c")
    net.conv(2, 3, padding=1, bias=False, name="a").conv(2, 3, padding=1, bias=False, name="b")
    return net.add("c", "b", name="sum").build()


def _waiting() -> Graph:
    """a is read by b and, three operators later, by the sum."""
    net = GraphBuilder("waiting", (1, 4, 1)).conv(2, 1, bias=False, name="a").conv(4, 1, bias=False, name="b").conv(4, 1, bias=False, name="d")
    return net.add("a", net.conv(2, 3, padding=1, bias=False, name="f").tip, name="sum").build()


def _two_fields() -> Graph:
    """c is read by a pool of 3 x 3, by a pointwise convolution, and once more at the end."""
    net = GraphBuilder("two fields", (1, 6, 1)).conv(2, 1, bias=False, name="c")
    c, pool = net.tip, net.max_pool(3, 1, 1).tip
    net.at(c).conv(1, 1, bias=False, name="a")
    joined = net.concat(pool, "a", name="join").tip
    return net.concat(joined, c, name="all").build()


def _two_ways_down() -> Graph:
    """Half the rows by blocks of pixels and by a strided convolution, added up, and a convolution of the sum."""
    net = GraphBuilder("two ways down", (1, 8, 2)).conv(1, 1, bias=False, name="c")
    blocks = net.space_to_depth(2, name="blocks").tip
    net.at("c").conv(4, 3, stride=2, padding=1, bias=False, name="d")
    return net.add(blocks, "d", name="sum").conv(1, 3, padding=1, bias=False, name="e").build()


def _block_of_two() -> Graph:
    return GraphBuilder("block of two", (1, 4, 1)).conv(2, 3, padding=1, bias=False, name="a").conv(1, 1, bias=False, name="b").build()


def _leftover_row() -> Graph:
    """a reads the rows 0 and 2 of the four of c."""
    net = GraphBuilder("leftover row", (1, 4, 1)).conv(1, 1, bias=False, name="c").conv(1, 1, stride=2, bias=False, name="a")
    return net.conv(1, 3, padding=1, bias=False, name="b").build()
