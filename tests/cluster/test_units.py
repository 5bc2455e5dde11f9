"""Figures in another unit are noticed, in files and in Python alike, and only once."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from iopopt import Cluster, Device, Graph, Pricer, UnitWarning, evaluate, load_cluster, load_model, solve_dp, solve_greedy, solve_single
from iopopt.cluster.boards import board_names, link_names
from iopopt.cluster.cluster import as_cluster
from iopopt.cluster.reference import TIERS
from iopopt.cluster.units import LINK_RATES_BIT_PER_S, doubts
from iopopt.network.records import write_json

SOUND = Device("pi", 1e9, 1e9, 1.2e7)


@pytest.fixture(autouse=True)
def _heard() -> Iterator[None]:
    """The suite ignores these warnings, because its clusters are toys."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("always", UnitWarning)
        yield


def _warned(cluster: Any) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        as_cluster(cluster)
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize(
    ("figures", "message"),
    [
        ({"flops_per_s": 2.0}, "flops_per_s is 2, but 100000 to 1e+16 FLOP/s are plausible; is it in MFLOP/s, GFLOP/s or TFLOP/s?"),
        ({"flops_per_s": 23_000}, "flops_per_s is 23000, but"),
        ({"flops_per_s": 5e18}, "flops_per_s is 5e+18, but"),
        ({"memory_bytes": 200}, "memory_bytes is 200, but 20000 to 1e+14 bytes are plausible; is it in kB, MB or GB?"),
        ({"memory_bytes": 4096}, "memory_bytes is 4096, but"),
        ({"memory_bytes_per_s": 25.6}, "memory_bytes_per_s is 25.6, but 100000 to 1e+14 bytes/s are plausible; is it in MB/s or GB/s?"),
        ({"compute_watts": 3200}, "compute_watts is 3200, but 0 to 2000 watts are plausible; is it in milliwatts?"),
        ({"bandwidth_bytes_per_s": 12.5}, "bandwidth_bytes_per_s is 12.5, but 1000 to 1e+12 bytes/s are plausible; is it in kB/s, MB/s or Mbit/s?"),
        ({"bandwidth_bytes_per_s": 100e6}, "100,000,000, the nominal rate of a 100 Mbit/s link in bits; in bytes that is 12,500,000"),
    ],
)
def test_devices(figures: dict[str, float], message: str) -> None:
    """A figure below or above everything that is built is named with the device, the range, and the unit that it may be in."""
    (found,) = _warned([SOUND, replace(SOUND, name="odd", **figures)])
    assert found.startswith("device 'odd': ")
    assert message in found


@pytest.mark.parametrize(("changes", "unit"), [({"connection_setup_s": 1}, "milliseconds"), ({"bytes_per_element": 32}, "bits")])
def test_clusters(changes: dict[str, Any], unit: str) -> None:
    """So are the figures that all devices share."""
    (found,) = _warned(Cluster((SOUND,), **changes))
    assert found.startswith(f"{next(iter(changes))} is {next(iter(changes.values()))}, but ")
    assert found.endswith(f"is it in {unit}?")


@pytest.mark.parametrize("rate", LINK_RATES_BIT_PER_S)
def test_nominal_rates(rate: float) -> None:
    """A link's nominal rate in bits warns; the same rate in bytes does not."""
    assert len(_warned([replace(SOUND, bandwidth_bytes_per_s=rate)])) == 1
    if rate / 8 not in LINK_RATES_BIT_PER_S:
        assert not _warned([replace(SOUND, bandwidth_bytes_per_s=rate / 8)])


def test_many_faults_are_one_warning() -> None:
    """One warning for a cluster, with the first faults and the number of the others."""
    (found,) = _warned([Device(f"d{j}", 1, 1, 1) for j in range(4)])
    assert found.count("plausible") == 3
    assert found.endswith("; and 9 more")


@pytest.mark.parametrize("solver", [solve_single, solve_greedy, solve_dp])
def test_one_warning_at_the_callers_line(solver: Any, trio_graph: Graph) -> None:
    """However often a method prices plans, it warns once, at the line that called it."""
    with pytest.warns(UnitWarning) as caught:
        solver(trio_graph, [SOUND, replace(SOUND, name="odd", memory_bytes=512)])
    assert [Path(warning.filename) for warning in caught] == [Path(__file__)]


def test_a_cluster_warns_once_in_its_life(trio_graph: Graph) -> None:
    """A cluster that has warned is silent, also where it is copied to another process; a changed one is looked at anew."""
    cluster = Cluster((replace(SOUND, memory_bytes=512),))
    with pytest.warns(UnitWarning):
        solution = solve_single(trio_graph, cluster)
    assert solution.plan is not None
    evaluate(trio_graph, cluster, solution.plan)
    Pricer(trio_graph, pickle.loads(pickle.dumps(cluster)))
    with pytest.warns(UnitWarning, match="512"):
        solve_single(trio_graph, replace(cluster, sink=0))
    assert cluster == Cluster((replace(SOUND, memory_bytes=512),))


def test_files_warn_when_they_are_read(tmp_path: Path, trio_graph: Graph) -> None:
    """A file's name is in the message, and the cluster does not warn again when it is used; a record alone warns when it is used."""
    cluster = Cluster((replace(SOUND, flops_per_s=2.0, memory_bytes=200),))
    path = tmp_path / "cluster.json"
    write_json(path, cluster.to_dict())
    with pytest.warns(UnitWarning, match=r"cluster\.json: device 'pi': flops_per_s is 2.*memory_bytes is 200") as caught:
        found = load_cluster(path)
    assert [Path(warning.filename) for warning in caught] == [Path(__file__)]
    solve_single(trio_graph, found)
    from_record = Cluster.from_dict(cluster.to_dict())
    with pytest.warns(UnitWarning):
        solve_single(trio_graph, from_record)


def test_boards_are_plausible() -> None:
    """No board and no link of the presets warns."""
    for board in board_names():
        for link in link_names():
            assert not list(doubts(load_cluster(f"{board}@{link}")))


@pytest.mark.parametrize("model", ["lenet5", "alexnet", "mobilenet_v1-0.25"])
@pytest.mark.parametrize("suffix", ["", "-loose", "-tight-0.5"])
def test_reference_instances_are_plausible(model: str, suffix: str) -> None:
    """No reference instance warns, by its figures."""
    graph = load_model(model)
    for tier in TIERS:
        assert not list(doubts(load_cluster(f"{tier}-x3{suffix}", graph)))


def test_a_reference_instance_of_a_toy_does_not_warn(trio_graph: Graph) -> None:
    """The memory of an instance follows from the network, and may be a few bytes."""
    cluster = load_cluster("edge-x3-tight-0.1", trio_graph)
    assert list(doubts(cluster))
    assert not _warned(cluster)
