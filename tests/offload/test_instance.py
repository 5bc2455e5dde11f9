"""Offloading instances, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.offloading import worked_graph

from iopopt.errors import OffloadError
from iopopt.offload.instance import Client, Link, OffloadInstance, Server

LINK, SERVER = Link(1e6, 0.01), Server("edge", 1e9)


def client(**changes: Any) -> Client:
    return Client(**{"name": "phone", "graph": worked_graph(), "flops_per_s": 1e8, "uplink": LINK, **changes})


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: Link(0), "link: bytes_per_s is 0; it must be a positive"),
        (lambda: Link(float("inf")), "bytes_per_s is inf"),
        (lambda: Link("fast"), "bytes_per_s is 'fast'"),  # type: ignore[arg-type]
        (lambda: Link(1e6, -1), "delay_s is -1; it must be a finite number of at least 0"),
        (lambda: Server("edge", 1e9, 0), "server 'edge': workers is 0; it must be an integer from 1"),
        (lambda: Server("edge", 1e9, 1.5), "workers is 1.5"),  # type: ignore[arg-type]
        (lambda: Server("edge", 0), "server 'edge': flops_per_s is 0"),
        (lambda: Server("", 1e9), "server: name is ''"),
        (lambda: client(input_at="nowhere"), "device 'phone': input_at is 'nowhere'; it must be 'device' or 'server'"),
        (lambda: client(result_at=None), "result_at is None"),
        (lambda: client(graph="vgg16"), r"graph is 'vgg16' \(a str\); a Graph is expected"),
        (lambda: client(uplink=1e6), r"uplink is 1000000.0 \(a float\); a Link is expected"),
        (lambda: client(uplink=None), "uplink is None; a Link is expected"),
        (lambda: client(downlink=1e6), "downlink is"),
        (lambda: client(flops_per_s=-1), "device 'phone': flops_per_s is -1"),
        (lambda: OffloadInstance((), (SERVER,)), "there are 0 clients"),
        (lambda: OffloadInstance((client(),), ()), "there are 0 servers"),
        (lambda: OffloadInstance(client(), (SERVER,)), "clients is .*; it must be a sequence of Client"),  # type: ignore[arg-type]
        (lambda: OffloadInstance((client(),), (client(),)), "servers holds .*, which is not a Server"),  # type: ignore[arg-type]
        (lambda: OffloadInstance((client(), client()), (SERVER,)), "names repeat: 'phone'"),
        (lambda: OffloadInstance((client(name="edge"),), (SERVER,)), "names repeat: 'edge'"),
        (lambda: OffloadInstance((client(),), (SERVER,), 0), "bytes_per_element is 0"),
    ],
)
def test_what_is_wrong(made: Callable[[], Any], message: str) -> None:
    with pytest.raises(OffloadError, match=message):
        made()


def test_the_downlink_is_like_the_uplink_unless_given() -> None:
    assert client().down == LINK
    assert client(downlink=Link(5.0)).down == Link(5.0)


def test_repr_names_who_takes_part() -> None:
    assert repr(OffloadInstance((client(),), (SERVER,))) == "OffloadInstance(phone (worked) to edge (1 x 1e+09 FLOP/s))"
