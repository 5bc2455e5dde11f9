"""Clusters by name or from a YAML or JSON file."""

from __future__ import annotations

import warnings
from pathlib import Path

from iopopt.cluster.boards import board_cluster, board_names, is_board_name
from iopopt.cluster.cluster import Cluster
from iopopt.cluster.reference import TIERS, is_reference_name, reference_cluster
from iopopt.cluster.yaml_files import read_yaml
from iopopt.errors import ClusterError, UnknownNameError
from iopopt.network.graph import Graph
from iopopt.network.records import read_json

_LINK_RATES_BIT_PER_S = (10e6, 11e6, 54e6, 100e6, 150e6, 300e6, 433e6, 867e6, 1e9, 2.5e9, 10e9)
"""Nominal rates of Ethernet and Wi-Fi; given as bytes per second they are almost certainly a mistake."""


class UnitWarning(UserWarning):
    """A figure looks as if it were in another unit."""


def load_cluster(name: str | Path, graph: Graph | None = None) -> Cluster:
    """A cluster by name (``pi4-x3``, ``edge-x3``) or from a ``.yaml``, ``.yml`` or ``.json`` file.

    Args:
        name: a preset of boards, a reference instance, or a path.
        graph: the network; required for a reference instance, because the memory of its devices depends on the model's size.

    Raises:
        UnknownNameError: if no preset or instance has that name; the message lists those that exist.
        ClusterError: if ``graph`` is missing for a reference instance.
        FileFormatError: if the file cannot be read as a cluster; the message names the file, the key, the value and what is allowed.
    """
    text = str(name)
    if Path(text).suffix.lower() in (".yaml", ".yml", ".json"):
        return _from_file(text)
    if is_reference_name(text):
        if graph is None:
            raise ClusterError(f"{text!r} is a reference instance, whose memory depends on the model: pass graph=")
        return reference_cluster(text, graph)
    if is_board_name(text):
        return board_cluster(text)
    known = [f"{stem}-x3" for stem in (*TIERS, *board_names())]
    raise UnknownNameError("cluster", text, [*known, "path/to/cluster.yaml"])


def _from_file(path: str) -> Cluster:
    cluster = Cluster.from_dict(read_json(path) if path.lower().endswith(".json") else read_yaml(path), path)
    for device in cluster.devices:
        if device.bandwidth_bytes_per_s in _LINK_RATES_BIT_PER_S:
            nominal = device.bandwidth_bytes_per_s
            warnings.warn(
                f"{path}: device {device.name!r}: bandwidth_bytes_per_s is {nominal:,.0f}, the nominal rate of a {nominal / 1e6:g} Mbit/s link "
                f"in bits; in bytes that is {nominal / 8:,.0f}",
                UnitWarning,
                stacklevel=3,
            )
    return cluster
