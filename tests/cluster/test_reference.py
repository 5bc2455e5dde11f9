"""The reference instances."""

from __future__ import annotations

import pytest

from iopopt import ClusterError, Graph, load_model
from iopopt.cluster.reference import default_reference, is_reference_name, reference_cluster


def test_edge_of_ten(trio_graph: Graph) -> None:
    """Speeds are the base speed times 1, 2, 4, 1.5, 3, 2.5, 1, 2, and from the ninth device on these again."""
    cluster = reference_cluster("edge-x10", trio_graph)
    assert [device.flops_per_s / 0.5e9 for device in cluster.devices] == [1, 2, 4, 1.5, 3, 2.5, 1, 2, 1, 2]
    assert {device.bandwidth_bytes_per_s for device in cluster.devices} == {12.5e6}
    assert (cluster.connection_setup_s, cluster.source, cluster.sink, cluster.connections) == (1e-3, None, 0, "peer")


@pytest.mark.parametrize(
    ("tier", "figures"),
    [("slow-link", (0.5e9, 1.25e6, 4e-3)), ("fast", (5e9, 125e6, 1e-3)), ("mcu", (2e6, 1.25e6, 1e-3)), ("edge", (0.5e9, 12.5e6, 1e-3))],
)
def test_tiers(tier: str, figures: tuple[float, float, float], trio_graph: Graph) -> None:
    """Each tier has its base speed, link and time of a connection."""
    cluster = reference_cluster(f"{tier}-x1", trio_graph)
    (device,) = cluster.devices
    assert (device.flops_per_s, device.bandwidth_bytes_per_s, cluster.connection_setup_s) == figures


def test_memory(trio_graph: Graph) -> None:
    """Loose is twice the model, tight-x is x times the weights plus the largest in + pre: 4 x 543 and 4 x 192 bytes."""
    weights, activations = 4 * 543, 4 * 192
    for suffix, memory in {
        "": 2 * (weights + activations),
        "-loose": 2 * (weights + activations),
        "-tight-0.5": 0.5 * weights + activations,
        "-tight-2": 2 * weights + activations,
    }.items():
        assert {device.memory_bytes for device in reference_cluster(f"edge-x3{suffix}", trio_graph).devices} == {memory}


@pytest.mark.parametrize("name", ["edge-x3", "slow-link-x4-loose", "mcu-x2-tight-0.25", "fast-x12-tight-1"])
def test_names(name: str) -> None:
    """Tier, count and memory make a name."""
    assert is_reference_name(name)


@pytest.mark.parametrize(
    "name", ["edge", "edge-3", "edge-x", "edge-x3-", "edge-x3-tight", "edge-x3-tight-", "edge-x3-tight--1", "cloud-x3", "Edge-x3", "edge-x-1"]
)
def test_names_beyond_the_grammar(name: str, trio_graph: Graph) -> None:
    """Anything else is refused with the grammar."""
    assert not is_reference_name(name)
    with pytest.raises(ClusterError, match=r"<tier>-x<count>.*edge, slow-link, fast, mcu"):
        reference_cluster(name, trio_graph)


def test_no_device(trio_graph: Graph) -> None:
    """An instance of no device is refused."""
    with pytest.raises(ClusterError):
        reference_cluster("edge-x0", trio_graph)


def test_default_instances() -> None:
    """The bench runs LeNet on microcontrollers and the larger networks on edge boards."""
    assert default_reference(load_model("lenet5")) == "mcu-x3"
    assert default_reference(load_model("alexnet")) == default_reference(load_model("vgg16")) == "edge-x3"
