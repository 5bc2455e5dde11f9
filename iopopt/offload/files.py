"""Offloading instances from YAML or JSON files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iopopt.cluster.boards import board_flops_per_s
from iopopt.cluster.units import warn_of
from iopopt.cluster.yaml_files import read_yaml
from iopopt.errors import FileFormatError, GraphError, IopoptError, OffloadError
from iopopt.models import load_model
from iopopt.network.graph import Graph
from iopopt.network.records import as_list, check_keys, check_schema, foreign, read_json, short_repr
from iopopt.offload.instance import Client, Link, OffloadInstance, Server
from iopopt.offload.units import doubts

_SPEED = {"flops_per_s", "board"}
_NETWORK = {"model", "graph"}
_INPUT = {"input_shape", "input_size"}


def load_offload_instance(path: str | Path) -> OffloadInstance:
    """An offloading instance from a ``.yaml``, ``.yml`` or ``.json`` file; files of networks that it names are looked for beside it.

    Warns:
        UnitWarning: if a figure looks as if it were in another unit.

    Raises:
        OffloadError: if ``path`` is no path.
        FileFormatError: if the file cannot be read as an instance; the message names the file, the key, the value and what is allowed.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise OffloadError(f"offloading instance: found {foreign(path)}; a path is expected")
    text = str(path)
    suffix = Path(text).suffix.lower()
    if suffix not in (".yaml", ".yml", ".json"):
        raise FileFormatError(f"{text}: suffix {short_repr(suffix)} is unknown; an offloading instance is a .yaml, .yml or .json file")
    instance = offload_instance_from(read_json(text) if suffix == ".json" else read_yaml(text), text, Path(text).parent)
    warn_of(list(doubts(instance)), text)
    return instance


def offload_instance_from(record: Any, where: str = "offloading instance", folder: Path | None = None) -> OffloadInstance:
    """Read the record of an instance file, or of :meth:`OffloadInstance.to_dict`.

    A device has ``model``, the name of a network or of its file, or ``graph``, the record of one; and, as a server, ``flops_per_s`` or ``board``.

    Args:
        folder: where files of networks are looked for; the current one by default.

    Raises:
        FileFormatError: if a key is missing or unknown, a network cannot be loaded, or a figure is not allowed; the message begins with ``where``.
    """
    check_schema(record, where, 1)
    check_keys(record, where, {"schema_version", "devices", "servers"}, {"bytes_per_element"})
    devices = [
        _client(item, f"{where}: devices[{number}]", folder or Path()) for number, item in enumerate(_some(record, "devices", "device", where))
    ]
    servers = [_server(item, f"{where}: servers[{number}]") for number, item in enumerate(_some(record, "servers", "server", where))]
    try:
        return OffloadInstance(tuple(devices), tuple(servers), **{key: record[key] for key in record.keys() & {"bytes_per_element"}})
    except OffloadError as error:
        raise FileFormatError(f"{where}: {error}") from None


def _some(record: Mapping[str, Any], key: str, one: str, where: str) -> Any:
    """The list of a record, which is not empty."""
    found = as_list(record[key], f"{where}: {key!r}")
    if not found:
        raise FileFormatError(f"{where}: {key!r} is empty; there must be at least one {one}")
    return found


def _server(record: Any, where: str) -> Server:
    check_keys(record, where, {"name"}, _SPEED | {"workers"})
    try:
        return Server(**_rest(record, _SPEED), flops_per_s=_flops_per_s(record, where))
    except OffloadError as error:
        raise FileFormatError(f"{where}: {error}") from None


def _client(record: Any, where: str, folder: Path) -> Client:
    check_keys(record, where, {"name", "uplink"}, _SPEED | _NETWORK | _INPUT | {"downlink", "input_at", "result_at"})
    values = _rest(record, _SPEED | _NETWORK | _INPUT | {"downlink"}) | {"uplink": _link(record["uplink"], f"{where}: 'uplink'")}
    if record.get("downlink") is not None:
        values["downlink"] = _link(record["downlink"], f"{where}: 'downlink'")
    try:
        return Client(**values, graph=_graph(record, where, folder), flops_per_s=_flops_per_s(record, where))
    except OffloadError as error:
        raise FileFormatError(f"{where}: {error}") from None


def _link(record: Any, where: str) -> Link:
    check_keys(record, where, {"bytes_per_s"}, {"delay_s"})
    try:
        return Link(**record)
    except OffloadError as error:
        raise FileFormatError(f"{where}: {error}") from None


def _flops_per_s(record: Mapping[str, Any], where: str) -> Any:
    """The speed, as it is given or of the board that is named."""
    if _one_of(record, where, "flops_per_s", "board") == "flops_per_s":
        return record["flops_per_s"]
    if not isinstance(record["board"], str):
        raise FileFormatError(f"{where}: 'board' is {short_repr(record['board'])}; it must be the name of a board")
    try:
        return board_flops_per_s(record["board"])
    except IopoptError as error:
        raise FileFormatError(f"{where}: {error}") from None


def _graph(record: Mapping[str, Any], where: str, folder: Path) -> Graph:
    """The network, of a name, a file or a record."""
    options = {key: record[key] for key in sorted(_INPUT) if record.get(key) is not None}
    if _one_of(record, where, "model", "graph") == "graph":
        if options:
            raise FileFormatError(f"{where}: {next(iter(options))!r} is for a model by name or file; a graph has its input already")
        try:
            return Graph.from_dict(record["graph"], f"{where}: graph")
        except GraphError as error:
            raise FileFormatError(f"{where}: graph: {error}") from None
    model = record["model"]
    if not isinstance(model, str):
        raise FileFormatError(f"{where}: 'model' is {short_repr(model)}; it must be the name of a network, or of its .json or .onnx file")
    _check_input(options, where)
    place = str(folder / model) if model.lower().endswith((".json", ".onnx")) else model
    try:
        return load_model(place, **{key: tuple(value) if isinstance(value, list) else value for key, value in options.items()})
    except IopoptError as error:
        raise FileFormatError(f"{where}: {error}") from None


def _check_input(options: Mapping[str, Any], where: str) -> None:
    """Refuse an input of the wrong type; whether the network takes it, the network says."""
    for key, value in options.items():
        sizes = value if isinstance(value, list) else [value]
        counts = (1, 2) if key == "input_size" else (3,)
        if len(sizes) not in counts or not all(isinstance(size, int) and not isinstance(size, bool) and 0 < size < 2**31 for size in sizes):
            allowed = "a positive integer, or the list of height and width" if key == "input_size" else "a list of channels, height and width"
            raise FileFormatError(f"{where}: {key!r} is {short_repr(value)}; it must be {allowed}")


def _one_of(record: Mapping[str, Any], where: str, first: str, second: str) -> str:
    """Which of two keys is given."""
    given = [key for key in (first, second) if key in record]
    if not given:
        raise FileFormatError(f"{where}: {first!r} or {second!r} is missing")
    if len(given) > 1:
        raise FileFormatError(f"{where}: {first!r} and {second!r} are both given; one is enough")
    return given[0]


def _rest(record: Mapping[str, Any], taken: set[str]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in taken}
