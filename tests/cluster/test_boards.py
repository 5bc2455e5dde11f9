"""Clusters of real boards by name."""

from __future__ import annotations

import pytest

from iopopt import UnknownNameError
from iopopt.cluster.boards import board_cluster, board_names, is_board_name, link_names


def test_boards_of_a_name_in_order() -> None:
    """Parts joined by + stand in order, counts repeat them, and the devices are numbered through."""
    cluster = board_cluster("pi3-x2+pi4+nano")
    assert [device.name for device in cluster.devices] == ["pi3-0", "pi3-1", "pi4-2", "nano-3"]
    # The figures of data/boards.yaml: ncnn's ResNet-50 times for the Raspberry Pis, TensorRT's for the Jetson Nano.
    assert [device.flops_per_s for device in cluster.devices] == [1.31e10, 1.31e10, 2.30e10, 1.35e11]
    assert [device.memory_bytes for device in cluster.devices] == [640 * 2**20, 640 * 2**20, 3 * 2**30, 4157145088 - 1.5 * 2**30]


@pytest.mark.parametrize("board", board_names())
def test_every_board_has_powers(board: str) -> None:
    """So that the energy of a mixed cluster counts all of its boards; computing draws most on all but microcontrollers, whose radio does."""
    (device,) = board_cluster(board).devices
    watts = [device.compute_watts, device.transmit_watts, device.receive_watts, device.idle_watts]
    assert all(power is not None and power > 0 for power in watts)
    assert (max(power or 0 for power in watts[:3]) == device.compute_watts) == (board != "esp32")


def test_links() -> None:
    """Boards share Fast Ethernet unless @ says otherwise; its payload is 100e6/8 x 1448/1538 bytes/s, ten times that at 1000 Mbit/s."""
    payload = 100e6 / 8 * 1448 / 1538
    assert board_cluster("pi4").devices[0].bandwidth_bytes_per_s == pytest.approx(payload, rel=1e-3)
    assert board_cluster("pi4@ethernet-1000").devices[0].bandwidth_bytes_per_s == pytest.approx(10 * payload, rel=1e-3)
    wifi = board_cluster("pi4-x2@wifi")
    assert {device.bandwidth_bytes_per_s for device in wifi.devices} == {5.56e6}
    assert wifi.connection_setup_s == 4.1e-3


def test_microcontrollers_have_wifi() -> None:
    """An ESP32 has no Ethernet: a cluster with one is on Wi-Fi unless it says otherwise."""
    assert board_cluster("esp32-x3") == board_cluster("esp32-x3@wifi")
    assert board_cluster("pi4+esp32").connection_setup_s == board_cluster("pi4@wifi").connection_setup_s
    assert board_cluster("esp32@ethernet-100").connection_setup_s != board_cluster("esp32").connection_setup_s


@pytest.mark.parametrize("board", board_names())
@pytest.mark.parametrize("link", link_names())
def test_every_board_with_every_link(board: str, link: str) -> None:
    """Each board and link has complete figures, with the defaults of a cluster for the rest."""
    cluster = board_cluster(f"{board}-x2@{link}")
    assert len(cluster) == 2
    assert (cluster.source, cluster.sink, cluster.connections, cluster.bytes_per_element) == (None, 0, "peer", 4)


@pytest.mark.parametrize("name", ["pi4", "pi4-x12", "pi3+pi4-x2@nowhere"])
def test_board_names(name: str) -> None:
    """A name of boards is recognised by its boards; its link is looked at later."""
    assert is_board_name(name)


@pytest.mark.parametrize("name", ["", "pi5", "pi4-x0", "pi4-x", "pi4+", "+pi4", "pi4-x1000", "@wifi", "pi4 "])
def test_names_that_are_no_boards(name: str) -> None:
    """Counts of zero or without figure and empty or unknown parts make no name of boards."""
    assert not is_board_name(name)
    with pytest.raises(UnknownNameError):
        board_cluster(name)


def test_unknown_boards_and_links_suggest_the_nearest() -> None:
    """The message lists what exists and names the nearest."""
    with pytest.raises(UnknownNameError, match=r"unknown board 'nanno'. Did you mean 'nano'\? Known: esp32, nano, pi3, pi4, server, tx2"):
        board_cluster("nanno")
    with pytest.raises(UnknownNameError, match=r"unknown link 'ethernet'. Did you mean 'ethernet-100+'\? Known: "):
        board_cluster("pi4@ethernet")
