"""Devices and clusters."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from support.damage import attempt, damaged, without_each_key
from support.markup import cells
from support.random_instances import random_cluster

from iopopt import Cluster, ClusterError, Device, FileFormatError, Graph, PlanBatch, Pricer, solve
from iopopt.cluster.cluster import LEAST_FIGURE, MOST_FIGURE, as_cluster
from iopopt.cluster.units import trust_units

TWO = (Device("a", 1e9, 1e9, 1e6), Device("b", 2e9, 1e9, 1e6))
WRONG_NUMBERS: tuple[Any, ...] = (0, -1, -1e9, math.nan, math.inf, -math.inf, True, False, None, "1e9", [1], 10**400)


@pytest.mark.parametrize("key", ["flops_per_s", "memory_bytes", "bandwidth_bytes_per_s", "memory_bytes_per_s"])
@pytest.mark.parametrize("value", WRONG_NUMBERS, ids=lambda value: str(value)[:8])
def test_wrong_device_figures_are_refused(key: str, value: Any) -> None:
    """Zero, negative, not finite, truth values and texts are refused with the device, the key and what is allowed; a memory bandwidth may be None."""
    if (key, value) == ("memory_bytes_per_s", None):
        assert Device("pi", 1e9, 1e9, 1e6, None) == Device("pi", 1e9, 1e9, 1e6)
        return
    figures: dict[str, Any] = {"flops_per_s": 1e9, "memory_bytes": 1e9, "bandwidth_bytes_per_s": 1e6}
    with pytest.raises(ClusterError, match=f"'pi'.*{key} is .*positive finite number"):
        Device("pi", **(figures | {key: value}))


@pytest.mark.parametrize("name", ["", None, 3, ["a"]])
def test_wrong_device_names_are_refused(name: Any) -> None:
    """A name is a non-empty string."""
    with pytest.raises(ClusterError, match="name"):
        Device(name, 1, 1, 1)


def test_other_numbers_become_floats() -> None:
    """Fractions and numpy numbers are taken, and written to JSON, as floats."""
    device = Device("a", Fraction(1, 2), np.float32(2.5), 10)  # type: ignore[arg-type]
    assert json.loads(json.dumps(Cluster((device,)).to_dict()))["devices"][0] == {
        "name": "a",
        "flops_per_s": 0.5,
        "memory_bytes": 2.5,
        "bandwidth_bytes_per_s": 10,
    }


def test_the_larger_of_two_times() -> None:
    """12 FLOPs at 4 FLOP/s take 3 s, 10 bytes at 2 bytes/s take 5 s and 5 bytes 2.5 s; without a memory bandwidth bytes take none."""
    roofed, plain = Device("a", 4, 1, 1, 2), Device("b", 4, 1, 1)
    assert [roofed.compute_s(12, touched) for touched in (10, 5, 0)] == [5.0, 3.0, 3.0]
    assert roofed.compute_s(0, 10) == 5.0
    assert plain.compute_s(12, 1e30) == 3.0


def test_a_memory_bandwidth_is_written_only_where_there_is_one() -> None:
    """Records without the key, or with null, are read; older releases read what is written without it."""
    cluster = Cluster((TWO[0], replace(TWO[1], memory_bytes_per_s=Fraction(5, 2))))  # type: ignore[arg-type]
    first, second = cluster.to_dict()["devices"]
    assert "memory_bytes_per_s" not in first
    assert second["memory_bytes_per_s"] == 2.5
    assert type(second["memory_bytes_per_s"]) is float
    null = cluster.to_dict() | {"devices": [first | {"memory_bytes_per_s": None}, second]}
    assert Cluster.from_dict(cluster.to_dict()) == Cluster.from_dict(null) == cluster
    with pytest.raises(FileFormatError, match=r"devices\[0\]: .*memory_bytes_per_s is 0; .*positive finite"):
        Cluster.from_dict(cluster.to_dict() | {"devices": [first | {"memory_bytes_per_s": 0}, second]})


WATTS = ("compute_watts", "transmit_watts", "receive_watts", "idle_watts")


@pytest.mark.parametrize("key", WATTS)
def test_powers(key: str) -> None:
    """A power is a number from 0 to 1e9, or None; anything else is refused with the device, the key and what is allowed."""
    for value in (0, 0.5, 1e9):
        assert getattr(Device("pi", 1, 1, 1, **{key: value}), key) == value
    assert Device("pi", 1, 1, 1, **{key: None}) == Device("pi", 1, 1, 1)  # type: ignore[arg-type]
    for wrong in (-1e-9, 1.1e9, math.nan, math.inf, True, "3"):
        with pytest.raises(ClusterError, match=rf"'pi': {key} is .*; it must be a finite number, from 0 to 1e\+09"):
            Device("pi", 1, 1, 1, **{key: wrong})  # type: ignore[arg-type]


def test_powers_are_written_only_where_they_are_given() -> None:
    """Records without the keys, or with null, are read; an unknown one is refused with the nearest."""
    cluster = Cluster((TWO[0], replace(TWO[1], idle_watts=Fraction(5, 2), transmit_watts=0)))  # type: ignore[arg-type]
    first, second = cluster.to_dict()["devices"]
    assert first.keys() & set(WATTS) == set()
    assert (second["idle_watts"], second["transmit_watts"], "compute_watts" in second) == (2.5, 0.0, False)
    null = cluster.to_dict() | {"devices": [first | dict.fromkeys(WATTS), second]}
    assert Cluster.from_dict(cluster.to_dict()) == Cluster.from_dict(null) == cluster
    with pytest.raises(FileFormatError, match=r"devices\[0\]: unknown key 'idle_watt'. Did you mean 'idle_watts'"):
        Cluster.from_dict(cluster.to_dict() | {"devices": [first | {"idle_watt": 1}, second]})
    assert repr(cluster.devices[1]).endswith("memory_bytes_per_s=None, transmit_watts=0.0, idle_watts=2.5)")
    assert repr(TWO[0]).endswith("memory_bytes_per_s=None)")
    assert eval(repr(cluster.devices[1])) == cluster.devices[1]


def test_defaults() -> None:
    """One millisecond a connection, peers counted, the input everywhere, the output at device 0, four bytes an element."""
    cluster = Cluster(TWO)
    assert (cluster.connection_setup_s, cluster.connections, cluster.source, cluster.sink, cluster.bytes_per_element) == (1e-3, "peer", None, 0, 4)
    assert len(cluster) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"devices": ()}, "no device"),
        ({"devices": (TWO[0], TWO[0])}, "repeat: a"),
        ({"devices": (TWO[0], "b")}, "not a Device"),
        ({"connection_setup_s": -1e-3}, "connection_setup_s is -0.001"),
        ({"connection_setup_s": math.nan}, "connection_setup_s is nan"),
        ({"connection_setup_s": "1"}, "connection_setup_s is '1'"),
        ({"shared_medium_bytes_per_s": 0}, "shared_medium_bytes_per_s is 0; it must be a positive finite number"),
        ({"shared_medium_bytes_per_s": math.inf}, "shared_medium_bytes_per_s is inf"),
        ({"shared_medium_bytes_per_s": "1"}, "shared_medium_bytes_per_s is '1'"),
        ({"connections": "both"}, "'both'; allowed are 'peer' and 'round'"),
        ({"bytes_per_element": 0}, "bytes_per_element is 0"),
        ({"bytes_per_element": 2.0}, "bytes_per_element is 2.0"),
        ({"bytes_per_element": True}, "bytes_per_element is True"),
        ({"sink": 2}, "sink is 2; it must be the index of a device, 0 to 1"),
        ({"sink": -1}, "sink is -1"),
        ({"sink": None}, "sink is None"),
        ({"sink": False}, "sink is False"),
        ({"source": 2}, r"source is 2.*0 to 1, or None"),
        ({"source": "a"}, "source is 'a'"),
    ],
)
def test_wrong_clusters_are_refused(changes: dict[str, Any], message: str) -> None:
    """Figures out of range, repeated names and ends that do not exist are refused with what is allowed."""
    with pytest.raises(ClusterError, match=message):
        Cluster(**({"devices": TWO} | changes))


def test_as_cluster() -> None:
    """A cluster stays itself, any sequence of devices gets the defaults, and everything else is refused."""
    cluster = Cluster(TWO, sink=1)
    assert as_cluster(cluster) is cluster
    assert as_cluster(list(TWO)) == as_cluster(iter(TWO)) == Cluster(TWO)  # type: ignore[arg-type]
    for wrong in ("edge-x3", {"a": 1}, None, 3, ["a"], []):
        with pytest.raises(ClusterError):
            as_cluster(wrong)  # type: ignore[arg-type]


def test_round_trips() -> None:
    """Clusters come back from JSON as they were."""
    rng = random.Random(2)
    for _ in range(50):
        cluster = random_cluster(rng)
        assert Cluster.from_dict(json.loads(json.dumps(cluster.to_dict()))) == cluster


def test_ends_by_name() -> None:
    """A record may name source and sink; a name that does not exist is refused with those that do."""
    record = Cluster(TWO).to_dict()
    assert Cluster.from_dict(record | {"source": "b", "sink": "b"}) == Cluster(TWO, source=1, sink=1)
    with pytest.raises(FileFormatError, match=r"sink is 'c', which is not a device. Devices: a, b"):
        Cluster.from_dict(record | {"sink": "c"})


def test_damaged_records_are_refused() -> None:
    """No damage to a record raises anything but FileFormatError, and what is accepted says the same as the record."""
    record = json.loads(json.dumps(Cluster(TWO, source=1).to_dict()))
    refused = 0
    for path, wrong, broken in damaged(record):
        accepted, message = attempt(Cluster.from_dict, broken)
        if message is not None:
            refused += 1
            assert message.startswith("cluster"), path
        else:
            assert accepted.to_dict() == broken, (path, wrong)
    assert refused > 120
    for path, broken in without_each_key(record):
        if "devices" in path or path == ("schema_version",):
            with pytest.raises(FileFormatError, match=str(path[-1])):
                Cluster.from_dict(broken)


def test_records_are_of_jsons_types() -> None:
    """A record is what JSON would make of it, is read back without JSON, and with a tuple in the place of the list."""
    rng = random.Random(3)
    for _ in range(50):
        cluster = random_cluster(rng)
        record = cluster.to_dict()
        assert json.loads(json.dumps(record)) == record
        assert Cluster.from_dict(record) == cluster
        assert Cluster.from_dict(record | {"devices": tuple(record["devices"])}) == cluster


@pytest.mark.parametrize("key", ["flops_per_s", "memory_bytes", "bandwidth_bytes_per_s", "memory_bytes_per_s"])
def test_figures_far_beyond_any_device_are_refused(key: str) -> None:
    """The range is wide, but no latency within it overflows."""
    figures: dict[str, Any] = {"flops_per_s": 1e9, "memory_bytes": 1e9, "bandwidth_bytes_per_s": 1e6}
    for value in (LEAST_FIGURE, MOST_FIGURE):
        Device("pi", **(figures | {key: value}))
    for value in (0.99 * LEAST_FIGURE, 1.01 * MOST_FIGURE, 1e308, 1e-308):
        with pytest.raises(ClusterError, match=f"'pi'.*{key} is .* from 1e-06 to 1e\\+24"):
            Device("pi", **(figures | {key: value}))


def test_shared_figures_far_beyond_any_cluster_are_refused() -> None:
    """So are the figures that devices share, and more devices than anybody has."""
    for changes in ({"connection_setup_s": 1.1e9}, {"bytes_per_element": 1025}):
        with pytest.raises(ClusterError, match="at most"):
            Cluster(TWO, **changes)  # type: ignore[arg-type]
    with pytest.raises(ClusterError, match="10001 devices; at most 10000"):
        Cluster(tuple(Device(f"d{j}", 1, 1, 1) for j in range(10_001)))


@pytest.mark.parametrize(("slow", "fast"), [(LEAST_FIGURE, MOST_FIGURE), (MOST_FIGURE, LEAST_FIGURE)])
@pytest.mark.filterwarnings("error")
def test_every_method_survives_the_extremes(slow: float, fast: float, trio_graph: Graph) -> None:
    """At the ends of every range the quick methods give a finite latency, and the evaluator and the pricer agree on it."""
    devices = (Device("a", slow, MOST_FIGURE, fast), Device("b", fast, LEAST_FIGURE, slow), Device("c", 1e9, 1e9, 1e6))
    cluster = Cluster(devices, connection_setup_s=1e9, source=0, sink=1, bytes_per_element=1024)
    trust_units(cluster)
    for method in ("single", "oc", "coedge", "greedy", "iop_segments", "dp"):
        solution = solve(trio_graph, cluster, method)
        assert solution.plan is not None
        price = Pricer(trio_graph, cluster).price(PlanBatch.from_plans(trio_graph, [solution.plan], 3))
        assert price.latency_s[0] == pytest.approx(solution.latency_s, rel=1e-12)
        assert 0 < solution.latency_s < 1e30
        assert method in solution.explain()


def test_one_line() -> None:
    """A cluster on one line: how many devices, the first names, where input and output are."""
    assert repr(Cluster(TWO, sink=1)) == "Cluster(2 devices: a, b; source None, sink 1)"
    assert repr(Cluster(TWO[:1])) == "Cluster(1 device: a; source None, sink 0)"
    many = Cluster(tuple(Device("n" * 100 + str(j), 1, 1, 1) for j in range(100)))
    assert len(repr(many)) <= 120
    assert repr(many).startswith("Cluster(100 devices: nnn")


def test_a_cluster_is_a_table() -> None:
    """In a notebook: a row for each device, in units that people read, and what all share; names are text."""
    cluster = Cluster((Device("<script>", 1e9, 2e9, 12.5e6), TWO[1]), source=0, connections="round")
    found = cells(cluster._repr_html_())
    assert found[0] == "2 devices"
    assert found[1] == "input on <script>, output on <script>; 1 ms for a connection, counted by round; 4 bytes an element"
    assert found[-10:] == ["0", "<script>", "1", "2,000", "12.5", "1", "b", "2", "1,000", "1"]
    powered = cells(Cluster((replace(TWO[0], idle_watts=2.25), replace(TWO[1], transmit_watts=0)))._repr_html_())
    assert powered[-14:] == ["idle, W", "sending, + W", "0", "a", "1", "1,000", "1", "2.25", "1", "b", "2", "1,000", "1", "0"]
    roofed = cells(Cluster((replace(TWO[0], memory_bytes_per_s=4e9), TWO[1]))._repr_html_())
    assert roofed[-13:] == ["link, MB/s", "memory, GB/s", "0", "a", "1", "1,000", "1", "4", "1", "b", "2", "1,000", "1"]
