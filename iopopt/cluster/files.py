"""Clusters by name or from a YAML or JSON file."""

from __future__ import annotations

import os
from pathlib import Path

from iopopt.cluster.boards import board_cluster, board_names, is_board_name
from iopopt.cluster.cluster import Cluster
from iopopt.cluster.reference import TIERS, is_reference_name, reference_cluster
from iopopt.cluster.units import warn_of_units
from iopopt.cluster.yaml_files import read_yaml
from iopopt.errors import ClusterError, UnknownNameError
from iopopt.network.graph import Graph, as_graph
from iopopt.network.records import foreign, read_json


def load_cluster(name: str | Path, graph: Graph | None = None) -> Cluster:
    """A cluster by name (``pi4-x3``, ``edge-x3``) or from a ``.yaml``, ``.yml`` or ``.json`` file.

    Args:
        name: a preset of boards, a reference instance, or a path.
        graph: the network; required for a reference instance, because the memory of its devices depends on the model's size.

    Raises:
        UnknownNameError: if no preset or instance has that name; the message lists those that exist.
        ClusterError: if ``name`` is neither a name nor a path, or ``graph`` is missing for a reference instance.
        GraphError: if ``graph`` is no Graph.
        FileFormatError: if the file cannot be read as a cluster; the message names the file, the key, the value and what is allowed.
    """
    if not isinstance(name, (str, os.PathLike)):
        raise ClusterError(f"cluster: found {foreign(name)}; a name or a path is expected (Cluster.from_dict reads a record)")
    text = str(name)
    if Path(text).suffix.lower() in (".yaml", ".yml", ".json"):
        return _from_file(text)
    if is_reference_name(text):
        if graph is None:
            raise ClusterError(f"{text!r} is a reference instance, whose memory depends on the model: pass graph=")
        return reference_cluster(text, as_graph(graph))
    if is_board_name(text):
        return board_cluster(text)
    known = [f"{stem}-x3" for stem in (*TIERS, *board_names())]
    raise UnknownNameError("cluster", text, [*known, "path/to/cluster.yaml"])


def _from_file(path: str) -> Cluster:
    cluster = Cluster.from_dict(read_json(path) if path.lower().endswith(".json") else read_yaml(path), path)
    warn_of_units(cluster, path)
    return cluster
