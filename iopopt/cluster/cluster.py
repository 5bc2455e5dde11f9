"""Devices and the cluster that they form."""

from __future__ import annotations

import numbers
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from iopopt.cluster.html import cluster_html
from iopopt.cluster.units import warn_of_units
from iopopt.errors import ClusterError, FileFormatError
from iopopt.network.records import check_keys, check_schema, foreign, is_integer, is_number, plain, short_repr, short_text

Connections = Literal["peer", "round"]

LEAST_FIGURE, MOST_FIGURE = 1e-6, 1e24
"""The figures that a device may have: far beyond any device, and such that no latency overflows."""

_FIGURES = ("flops_per_s", "memory_bytes", "bandwidth_bytes_per_s", "memory_bytes_per_s")

WATTS = ("compute_watts", "transmit_watts", "receive_watts", "idle_watts")
"""The powers that a device may have."""

MOST_WATTS = 1e9

_OPTIONAL = {"memory_bytes_per_s", *WATTS}

MOST_SETUP_S, MOST_ELEMENT_BYTES, MOST_DEVICES = 1e9, 1024, 10_000


@dataclass(frozen=True, repr=False)
class Device:
    """One device: computing capability f_j in FLOP/s (2 per MAC), memory capacity M_j in bytes, link bandwidth b_j in bytes/s.

    Attributes:
        memory_bytes_per_s: memory bandwidth m_j; None if only FLOPs take time.
        compute_watts, transmit_watts, receive_watts: the power that computing, sending and receiving draw in addition to ``idle_watts``; None if not
            known, which counts as 0.
        idle_watts: the power that the device draws all the time, whatever it does; None if not known, which counts as 0.

    Raises:
        ClusterError: if a figure is not a positive finite number from 1e-6 to 1e24, or a power not a number from 0 to 1e9.
    """

    name: str
    flops_per_s: float
    memory_bytes: float
    bandwidth_bytes_per_s: float
    memory_bytes_per_s: float | None = None
    compute_watts: float | None = None
    transmit_watts: float | None = None
    receive_watts: float | None = None
    idle_watts: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ClusterError(f"device: name is {short_repr(self.name)}; it must be a non-empty string")
        for key in (*_FIGURES, *WATTS):
            value = getattr(self, key)
            if value is None and key in _OPTIONAL:
                continue
            positive, least, most = ("", 0, MOST_WATTS) if key in WATTS else ("positive ", LEAST_FIGURE, MOST_FIGURE)
            if not is_number(value) or not least <= value <= most:
                allowed = f"it must be a {positive}finite number, from {least:g} to {most:g}"
                raise ClusterError(f"device {short_repr(self.name)}: {key} is {short_repr(value)}; {allowed}")
            object.__setattr__(self, key, float(value))  # a Fraction or a numpy number is nothing that JSON knows

    def figures(self) -> dict[str, float]:
        """Its figures by key, without those that are not given."""
        return {key: value for key in (*_FIGURES, *WATTS) if (value := getattr(self, key)) is not None}

    def __repr__(self) -> str:
        """As a call; powers that are not given are left out."""
        known = [f"{key}={getattr(self, key)!r}" for key in ("name", *_FIGURES, *WATTS) if key not in WATTS or getattr(self, key) is not None]
        return f"Device({', '.join(known)})"

    def compute_s(self, flops: float, touched_bytes: float) -> float:
        """t_cmp of equation (7): a roofline, the larger of the FLOPs at f_j and the bytes at m_j."""
        seconds = flops / self.flops_per_s
        return seconds if self.memory_bytes_per_s is None else max(seconds, touched_bytes / self.memory_bytes_per_s)


@dataclass(frozen=True, repr=False)
class Cluster:
    """The devices in their fixed order, and how they communicate.

    Attributes:
        connection_setup_s: t_est of equation (8), seconds per connection.
        connections: ``"peer"`` counts a connection for every peer that a device receives from; ``"round"`` one for each round of
            receiving.
        source: index of the device that has the input, or None if every device has it.
        sink: index of the device that needs the whole output.
        bytes_per_element: e, the size of one tensor element.
        shared_medium_bytes_per_s: the capacity of one half-duplex medium, such as a radio channel, that all transfers share instead of the links
            where time has no barriers (:func:`iopopt.simulate`); equation (8) knows links only. None if there is none.

    Raises:
        ClusterError: if a figure is out of range, a name repeats, or source or sink does not exist.
    """

    devices: tuple[Device, ...]
    connection_setup_s: float = 1e-3
    connections: Connections = "peer"
    source: int | None = None
    sink: int = 0
    bytes_per_element: int = 4
    shared_medium_bytes_per_s: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.devices, Iterable) or isinstance(self.devices, (str, Mapping)):
            raise ClusterError(f"cluster: devices is {foreign(self.devices)}; it must be a sequence of Device")
        object.__setattr__(self, "devices", tuple(self.devices))
        self._require(bool(self.devices), "has no device; it needs at least one")
        self._require(len(self.devices) <= MOST_DEVICES, f"has {len(self.devices)} devices; at most {MOST_DEVICES} are allowed")
        invalid = [device for device in self.devices if not isinstance(device, Device)]
        self._require(not invalid, f"holds {short_repr(invalid[:1])}, which is not a Device")
        names = [device.name for device in self.devices]
        repeated = sorted(name for name, count in Counter(names).items() if count > 1)
        self._require(not repeated, f"device names repeat: {', '.join(repeated)}")
        for key in ("source", "sink", "bytes_per_element"):
            value = getattr(self, key)
            if isinstance(value, numbers.Integral) and not isinstance(value, bool):
                object.__setattr__(self, key, int(value))  # numpy's integers become Python's, which JSON can hold
        setup, width = self.connection_setup_s, self.bytes_per_element
        allowed = f"it must be a finite number of at least 0 and at most {MOST_SETUP_S:g}"
        self._require(is_number(setup) and 0 <= setup <= MOST_SETUP_S, f"connection_setup_s is {short_repr(setup)}; {allowed}")
        self._require(self.connections in ("peer", "round"), f"connections is {short_repr(self.connections)}; allowed are 'peer' and 'round'")
        allowed = f"it must be a positive integer of at most {MOST_ELEMENT_BYTES}"
        self._require(is_integer(width) and 0 < width <= MOST_ELEMENT_BYTES, f"bytes_per_element is {short_repr(width)}; {allowed}")
        object.__setattr__(self, "connection_setup_s", float(setup))
        if self.shared_medium_bytes_per_s is not None:
            medium = checked_medium(self.shared_medium_bytes_per_s, "cluster: shared_medium_bytes_per_s")
            object.__setattr__(self, "shared_medium_bytes_per_s", medium)
        for key in ("source", "sink"):
            value = getattr(self, key)
            known = (key == "source" and value is None) or (is_integer(value) and 0 <= value < len(names))
            nobody = ", or None (every device has the input)" if key == "source" else ""
            self._require(known, f"{key} is {short_repr(value)}; it must be the index of a device, 0 to {len(names) - 1}{nobody}")

    @staticmethod
    def _require(holds: bool, message: str) -> None:
        if not holds:
            raise ClusterError(f"cluster: {message}")

    def __len__(self) -> int:
        return len(self.devices)

    def __repr__(self) -> str:
        names = ", ".join(device.name for device in self.devices[:4]) + (", ..." if len(self) > 4 else "")
        return f"Cluster({len(self)} device{'s' if len(self) > 1 else ''}: {short_text(names)}; source {self.source}, sink {self.sink})"

    def _repr_html_(self) -> str:
        return cluster_html(self)

    def to_dict(self) -> dict[str, Any]:
        """A record of JSON's types; :meth:`from_dict` reads it back. A figure that is not given is left out: older readers know no such key."""
        record = {"schema_version": 1, **plain(self), "devices": [{"name": device.name, **device.figures()} for device in self.devices]}
        if self.shared_medium_bytes_per_s is None:
            del record["shared_medium_bytes_per_s"]
        return record

    @classmethod
    def from_dict(cls, record: Any, where: str = "cluster") -> Cluster:
        """Read the record of a cluster file; ``source`` and ``sink`` may also name a device.

        Raises:
            FileFormatError: if a key is missing or unknown, or a figure is not allowed; the message begins with ``where``.
        """
        check_schema(record, where, 1)
        optional = {"connection_setup_s", "connections", "source", "sink", "bytes_per_element", "shared_medium_bytes_per_s"}
        check_keys(record, where, {"schema_version", "devices"}, optional)
        if not isinstance(record["devices"], (list, tuple)) or not record["devices"]:
            raise FileFormatError(f"{where}: 'devices' is {short_repr(record['devices'])}; it must be a list of at least one device")
        try:
            devices = tuple(_device_from(item, f"{where}: devices[{number}]") for number, item in enumerate(record["devices"]))
            names = [device.name for device in devices]
            values = {key: record[key] for key in optional & record.keys()}
            for key in {"source", "sink"} & values.keys():
                values[key] = _index_of(values[key], key, names)
            return cls(devices, **values)
        except ClusterError as error:
            raise FileFormatError(f"{where}: {error}") from None


def checked_medium(value: Any, name: str) -> float:
    """The capacity of a shared medium, bytes/s.

    Raises:
        ClusterError: if it is not a positive finite number from 1e-6 to 1e24; the message begins with ``name``.
    """
    if not is_number(value) or not LEAST_FIGURE <= value <= MOST_FIGURE:
        raise ClusterError(f"{name} is {short_repr(value)}; it must be a positive finite number, from {LEAST_FIGURE:g} to {MOST_FIGURE:g}")
    return float(value)


def as_cluster(devices: Cluster | Sequence[Device]) -> Cluster:
    """A cluster unchanged, or a plain sequence of devices with the cluster defaults.

    Warns:
        UnitWarning: if a figure looks as if it were in another unit, once for each cluster.

    Raises:
        ClusterError: if ``devices`` is neither.
    """
    if isinstance(devices, Cluster):
        cluster = devices
    elif isinstance(devices, Iterable) and not isinstance(devices, (str, Mapping)):
        cluster = Cluster(tuple(devices))
    else:
        advice = "load_cluster reads one by name or from a file, Cluster.from_dict from a record"
        raise ClusterError(f"cluster: {foreign(devices)} is neither a Cluster nor a sequence of Device ({advice})")
    warn_of_units(cluster)
    return cluster


def _device_from(record: Any, where: str) -> Device:
    check_keys(record, where, {"name", "flops_per_s", "memory_bytes", "bandwidth_bytes_per_s"}, _OPTIONAL)
    try:
        return Device(**record)
    except ClusterError as error:
        raise FileFormatError(f"{where}: {error}") from None


def _index_of(value: Any, key: str, names: list[str]) -> Any:
    if isinstance(value, str):
        if value not in names:
            raise ClusterError(f"{key} is {short_repr(value)}, which is not a device. Devices: {', '.join(names)}.")
        return names.index(value)
    return value
