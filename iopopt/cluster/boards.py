"""Clusters of real boards by name; ``boards.yaml`` in the same directory has every figure and its source.

A name is boards joined by ``+``, each with an optional count, and an optional link after ``@``: ``pi4-x3``, ``pi3-x2+pi4+nano``,
``esp32-x4@wifi``, ``pi4-x3+server@ethernet-1000``.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import Any

from iopopt.cluster.cluster import WATTS, Cluster, Device
from iopopt.cluster.yaml_files import parse_yaml
from iopopt.errors import UnknownNameError

_SHORT_NAMES = {"pi3": "pi3b+", "pi4": "pi4b", "nano": "jetson-nano", "tx2": "jetson-tx2", "esp32": "esp32", "server": "server"}
_PART = re.compile(r"(?P<board>.+?)(-x(?P<count>[1-9]\d{0,2}))?")
DEFAULT_LINK = "ethernet-100"


@cache
def _profiles() -> Any:
    """The content of ``boards.yaml``."""
    name = "boards.yaml"
    return parse_yaml(resources.files("iopopt.cluster").joinpath(name).read_text(encoding="utf-8"), name)


def board_names() -> tuple[str, ...]:
    """The boards that may occur in a preset's name."""
    return tuple(_SHORT_NAMES)


def board_flops_per_s(name: str) -> float:
    """The speed of a board, FLOP/s.

    Raises:
        UnknownNameError: if there is no such board.
    """
    if name not in _SHORT_NAMES:
        raise UnknownNameError("board", name, _SHORT_NAMES)
    return _device(name, name, 1.0).flops_per_s


def link_names() -> tuple[str, ...]:
    """The links that may follow ``@``."""
    return tuple(_profiles()["links"])


def is_board_name(name: str) -> bool:
    """Whether every part of ``name`` is a known board."""
    parts = [_PART.fullmatch(part) for part in name.partition("@")[0].split("+")]
    return all(part is not None and part["board"] in _SHORT_NAMES for part in parts)


def board_cluster(name: str) -> Cluster:
    """The cluster of boards of that name; all share one kind of link, Wi-Fi by default if there are microcontrollers.

    Raises:
        UnknownNameError: if a board or the link does not exist.
    """
    boards_text, _, link_name = name.partition("@")
    boards = [board for part in boards_text.split("+") for board in _expand(part)]
    link_name = link_name or ("wifi" if "esp32" in boards else DEFAULT_LINK)
    if link_name not in link_names():
        raise UnknownNameError("link", link_name, link_names())
    link = _profiles()["links"][link_name]
    bandwidth = float(link["bandwidth_bytes_per_s"]["value"])
    devices = tuple(_device(board, f"{board}-{number}", bandwidth) for number, board in enumerate(boards))
    return Cluster(devices, connection_setup_s=float(link["connection_setup_s"]["value"]))


def _expand(part: str) -> list[str]:
    match = _PART.fullmatch(part)
    board = match["board"] if match else part
    if board not in _SHORT_NAMES:
        raise UnknownNameError("board", board, _SHORT_NAMES)
    return [board] * int((match and match["count"]) or 1)


def _device(board: str, name: str, bandwidth_bytes_per_s: float) -> Device:
    profile = _profiles()["boards"][_SHORT_NAMES[board]]
    watts = {key: float(profile[key]["value"]) for key in WATTS}
    return Device(name, float(profile["flops_per_s"]["value"]), float(profile["memory_bytes"]["value"]), bandwidth_bytes_per_s, **watts)
