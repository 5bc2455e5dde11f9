"""Devices and clusters."""

from __future__ import annotations

import json
import math
import random
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from support.damage import attempt, damaged, without_each_key
from support.random_instances import random_cluster

from iopopt import Cluster, ClusterError, Device, FileFormatError
from iopopt.cluster.cluster import as_cluster

TWO = (Device("a", 1e9, 1e9, 1e6), Device("b", 2e9, 1e9, 1e6))
WRONG_NUMBERS: tuple[Any, ...] = (0, -1, -1e9, math.nan, math.inf, -math.inf, True, False, None, "1e9", [1], 10**400)


@pytest.mark.parametrize("key", ["flops_per_s", "memory_bytes", "bandwidth_bytes_per_s"])
@pytest.mark.parametrize("value", WRONG_NUMBERS, ids=lambda value: str(value)[:8])
def test_wrong_device_figures_are_refused(key: str, value: Any) -> None:
    """Zero, negative, not finite, truth values and texts are refused with the device, the key and what is allowed."""
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
