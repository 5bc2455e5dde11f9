"""Devices and the cluster that they form."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from iopopt.errors import ClusterError, FileFormatError
from iopopt.network.records import check_keys, check_schema, is_integer, is_number, short_repr

Connections = Literal["peer", "round"]


@dataclass(frozen=True)
class Device:
    """One device: computing capability f_j in FLOP/s (2 per MAC), memory capacity M_j in bytes, link bandwidth b_j in bytes/s.

    Raises:
        ClusterError: if a figure is not a positive finite number.
    """

    name: str
    flops_per_s: float
    memory_bytes: float
    bandwidth_bytes_per_s: float

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ClusterError(f"device: name is {short_repr(self.name)}; it must be a non-empty string")
        for key in ("flops_per_s", "memory_bytes", "bandwidth_bytes_per_s"):
            value = getattr(self, key)
            if not is_number(value) or not value > 0:
                raise ClusterError(f"device {self.name!r}: {key} is {short_repr(value)}; it must be a positive finite number")
            if not isinstance(value, (int, float)):  # a Fraction or a numpy number, which JSON does not know
                object.__setattr__(self, key, float(value))


@dataclass(frozen=True)
class Cluster:
    """The devices in their fixed order, and how they communicate.

    Attributes:
        connection_setup_s: t_est of equation (8), seconds per connection.
        connections: ``"peer"`` counts a connection for every peer that a device receives from; ``"round"`` one for each round of
            receiving.
        source: index of the device that has the input, or None if every device has it.
        sink: index of the device that needs the whole output.
        bytes_per_element: e, the size of one tensor element.

    Raises:
        ClusterError: if a figure is out of range, a name repeats, or source or sink does not exist.
    """

    devices: tuple[Device, ...]
    connection_setup_s: float = 1e-3
    connections: Connections = "peer"
    source: int | None = None
    sink: int = 0
    bytes_per_element: int = 4

    def __post_init__(self) -> None:
        object.__setattr__(self, "devices", tuple(self.devices))
        self._require(bool(self.devices), "has no device; it needs at least one")
        invalid = [device for device in self.devices if not isinstance(device, Device)]
        self._require(not invalid, f"holds {short_repr(invalid[:1])}, which is not a Device")
        names = [device.name for device in self.devices]
        repeated = sorted({name for name in names if names.count(name) > 1})
        self._require(not repeated, f"device names repeat: {', '.join(repeated)}")
        for key in ("source", "sink", "bytes_per_element"):
            value = getattr(self, key)
            if isinstance(value, numbers.Integral) and not isinstance(value, bool):
                object.__setattr__(self, key, int(value))  # numpy's integers become Python's, which JSON can hold
        setup, width = self.connection_setup_s, self.bytes_per_element
        self._require(is_number(setup) and setup >= 0, f"connection_setup_s is {short_repr(setup)}; it must be a finite number of at least 0")
        self._require(self.connections in ("peer", "round"), f"connections is {short_repr(self.connections)}; allowed are 'peer' and 'round'")
        self._require(is_integer(width) and width > 0, f"bytes_per_element is {short_repr(width)}; it must be a positive integer")
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

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready record; :meth:`from_dict` reads it back."""
        return {"schema_version": 1, **asdict(self), "devices": [asdict(device) for device in self.devices]}

    @classmethod
    def from_dict(cls, record: Any, where: str = "cluster") -> Cluster:
        """Read the record of a cluster file; ``source`` and ``sink`` may also name a device.

        Raises:
            FileFormatError: if a key is missing or unknown, or a figure is not allowed; the message begins with ``where``.
        """
        check_schema(record, where, 1)
        optional = {"connection_setup_s", "connections", "source", "sink", "bytes_per_element"}
        check_keys(record, where, {"schema_version", "devices"}, optional)
        if not isinstance(record["devices"], list) or not record["devices"]:
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


def as_cluster(devices: Cluster | Sequence[Device]) -> Cluster:
    """A cluster unchanged, or a plain sequence of devices with the cluster defaults.

    Raises:
        ClusterError: if ``devices`` is neither.
    """
    if isinstance(devices, Cluster):
        return devices
    if isinstance(devices, Iterable) and not isinstance(devices, (str, Mapping)):
        return Cluster(tuple(devices))
    raise ClusterError(f"cluster: {short_repr(devices)} is neither a Cluster nor a sequence of Device")


def _device_from(record: Any, where: str) -> Device:
    check_keys(record, where, {"name", "flops_per_s", "memory_bytes", "bandwidth_bytes_per_s"})
    try:
        return Device(**record)
    except ClusterError as error:
        raise FileFormatError(f"{where}: {error}") from None


def _index_of(value: Any, key: str, names: list[str]) -> Any:
    if isinstance(value, str):
        if value not in names:
            raise ClusterError(f"{key} is {value!r}, which is not a device. Devices: {', '.join(names)}.")
        return names.index(value)
    return value
