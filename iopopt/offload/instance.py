"""Offloading instances: devices with a network and a link each, and the servers that they share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from iopopt.cluster.cluster import LEAST_FIGURE, MOST_DEVICES, MOST_ELEMENT_BYTES, MOST_FIGURE, MOST_SETUP_S
from iopopt.errors import OffloadError
from iopopt.network.graph import Graph
from iopopt.network.records import foreign, is_integer, is_number, plain, short_repr, short_text

End = Literal["device", "server"]
"""The two ends of a link."""

MOST_WORKERS = 1000


@dataclass(frozen=True)
class Link:
    """One direction of a link; it carries one transfer at a time.

    Attributes:
        bytes_per_s: bandwidth B.
        delay_s: lambda, what every transfer waits before it flows; the next one waits for that too.

    Raises:
        OffloadError: if the bandwidth is not a finite number from 1e-6 to 1e24, or the delay not one from 0 to 1e9.
    """

    bytes_per_s: float
    delay_s: float = 0.0

    def __post_init__(self) -> None:
        _check_figure(self.bytes_per_s, "link: bytes_per_s")
        if not is_number(self.delay_s) or not 0 <= self.delay_s <= MOST_SETUP_S:
            raise OffloadError(f"link: delay_s is {short_repr(self.delay_s)}; it must be a finite number of at least 0 and at most {MOST_SETUP_S:g}")
        object.__setattr__(self, "bytes_per_s", float(self.bytes_per_s))
        object.__setattr__(self, "delay_s", float(self.delay_s))

    def transfer_s(self, size_bytes: float) -> float:
        """How long a transfer takes, its delay included."""
        return self.delay_s + size_bytes / self.bytes_per_s


@dataclass(frozen=True)
class Server:
    """A server with Q equal workers; each computes one thing at a time.

    Attributes:
        flops_per_s: g_S, of one worker, FLOP/s (2 per MAC).
        workers: Q.

    Raises:
        OffloadError: if the speed is not a finite number from 1e-6 to 1e24, or there is no worker.
    """

    name: str
    flops_per_s: float
    workers: int = 1

    def __post_init__(self) -> None:
        _check_name(self.name, "server")
        _check_figure(self.flops_per_s, f"server {short_repr(self.name)}: flops_per_s")
        if not is_integer(self.workers) or not 1 <= self.workers <= MOST_WORKERS:
            found = short_repr(self.workers)
            raise OffloadError(f"server {short_repr(self.name)}: workers is {found}; it must be an integer from 1 to {MOST_WORKERS}")
        object.__setattr__(self, "flops_per_s", float(self.flops_per_s))


@dataclass(frozen=True)
class Client:
    """A device with the network that it runs, and its link to the servers.

    Attributes:
        graph: the network, branches included.
        flops_per_s: g_D, FLOP/s (2 per MAC).
        uplink, downlink: to and from the servers; the downlink is as fast as the uplink unless given.
        input_at: who has the input; of several servers, each.
        result_at: who needs the result: by default it stays on the server.

    Raises:
        OffloadError: if something is of the wrong type or out of range.
    """

    name: str
    graph: Graph
    flops_per_s: float
    uplink: Link
    downlink: Link | None = None
    input_at: End = "device"
    result_at: End = "server"

    def __post_init__(self) -> None:
        _check_name(self.name, "device")
        where = f"device {short_repr(self.name)}"
        if not isinstance(self.graph, Graph):
            raise OffloadError(f"{where}: graph is {foreign(self.graph)}; a Graph is expected (iopopt.load_model reads one)")
        _check_figure(self.flops_per_s, f"{where}: flops_per_s")
        object.__setattr__(self, "flops_per_s", float(self.flops_per_s))
        for key in ("uplink", "downlink"):
            value = getattr(self, key)
            if not isinstance(value, Link) and (key == "uplink" or value is not None):
                raise OffloadError(f"{where}: {key} is {foreign(value)}; a Link is expected")
        for key in ("input_at", "result_at"):
            if getattr(self, key) not in get_args(End):
                raise OffloadError(f"{where}: {key} is {short_repr(getattr(self, key))}; it must be 'device' or 'server'")

    @property
    def down(self) -> Link:
        """The link from the servers."""
        return self.uplink if self.downlink is None else self.downlink


@dataclass(frozen=True, repr=False)
class OffloadInstance:
    """Devices and the servers that they share.

    What passes between servers takes no time: they stand in one room.

    Attributes:
        clients: mostly one; several share the workers, but not their links.
        bytes_per_element: e, the size of one tensor element.

    Raises:
        OffloadError: if there is no device or no server, a name repeats, or something is of the wrong type.
    """

    clients: tuple[Client, ...]
    servers: tuple[Server, ...]
    bytes_per_element: int = 4

    def __post_init__(self) -> None:
        for key, cls in (("clients", Client), ("servers", Server)):
            object.__setattr__(self, key, _all_of(getattr(self, key), cls, key))
        width = self.bytes_per_element
        if not is_integer(width) or not 0 < width <= MOST_ELEMENT_BYTES:
            allowed = f"it must be a positive integer of at most {MOST_ELEMENT_BYTES}"
            raise OffloadError(f"instance: bytes_per_element is {short_repr(width)}; {allowed}")
        names = Counter([*(client.name for client in self.clients), *(server.name for server in self.servers)])
        repeated = sorted(name for name, count in names.items() if count > 1)
        if repeated:
            raise OffloadError(f"instance: names repeat: {', '.join(map(short_repr, repeated))}")

    def __repr__(self) -> str:
        devices = ", ".join(f"{short_text(client.name, 24)} ({short_text(client.graph.name, 24)})" for client in self.clients)
        servers = ", ".join(f"{short_text(server.name, 24)} ({server.workers} x {server.flops_per_s:g} FLOP/s)" for server in self.servers)
        return f"OffloadInstance({devices} to {servers})"

    @property
    def workers(self) -> int:
        """Of all servers together."""
        return sum(server.workers for server in self.servers)

    def to_dict(self) -> dict[str, Any]:
        """A record of JSON's types, networks included; :func:`~iopopt.offload.files.offload_instance_from` reads it back."""
        devices = [
            {**{item.name: plain(getattr(client, item.name)) for item in fields(Client) if item.name != "graph"}, "graph": client.graph.to_dict()}
            for client in self.clients
        ]
        return {"schema_version": 1, "devices": devices, "servers": plain(self.servers), "bytes_per_element": self.bytes_per_element}


def as_offload_instance(instance: OffloadInstance) -> OffloadInstance:
    """The instance unchanged: the check of what was given as one.

    Raises:
        OffloadError: if it is no OffloadInstance.
    """
    if isinstance(instance, OffloadInstance):
        return instance
    raise OffloadError(f"instance: found {foreign(instance)}; an OffloadInstance is expected (iopopt.load_offload_instance reads one)")


def _all_of(values: Any, cls: type, key: str) -> tuple[Any, ...]:
    """A tuple of at least one and at most 10,000 of a class."""
    if not isinstance(values, Iterable) or isinstance(values, (str, Mapping)):
        raise OffloadError(f"instance: {key} is {foreign(values)}; it must be a sequence of {cls.__name__}")
    found = tuple(values)
    invalid = [value for value in found if not isinstance(value, cls)]
    if invalid:
        raise OffloadError(f"instance: {key} holds {foreign(invalid[0])}, which is not a {cls.__name__}")
    if not 1 <= len(found) <= MOST_DEVICES:
        raise OffloadError(f"instance: there are {len(found)} {key}; from 1 to {MOST_DEVICES} are allowed")
    return found


def _check_name(name: Any, kind: str) -> None:
    if not isinstance(name, str) or not name:
        raise OffloadError(f"{kind}: name is {short_repr(name)}; it must be a non-empty string")


def _check_figure(value: Any, name: str) -> None:
    if not is_number(value) or not LEAST_FIGURE <= value <= MOST_FIGURE:
        raise OffloadError(f"{name} is {short_repr(value)}; it must be a positive finite number, from {LEAST_FIGURE:g} to {MOST_FIGURE:g}")
