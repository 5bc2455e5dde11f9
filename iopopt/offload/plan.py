"""Offloading plans: how each device's network is fused, split into paths and cut, and in which order servers take what arrives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from iopopt.errors import PlanError
from iopopt.network.records import as_list, check_keys, check_schema, short_repr, typed, typed_fields
from iopopt.offload.instance import Client, OffloadInstance
from iopopt.offload.stages import Stages


@dataclass(frozen=True)
class Path:
    """Rows [start, stop) of the last fused stage's output, with everything under them.

    Attributes:
        cut: k, the number of stages that the device computes; the rest are the server's.
        server: by number.
    """

    start: int
    stop: int
    cut: int
    server: int = 0


@dataclass(frozen=True)
class ClientPlan:
    """The plan of one device.

    Attributes:
        fused: m, the number of stages that are fused and split into paths.
        paths: in the order in which the device, its uplink and the servers take them. A single path holds whole stages, of whatever kind.
        tail_server: the server that computes the stages after the fused ones, if there are any, on one worker.
    """

    fused: int
    paths: tuple[Path, ...]
    tail_server: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "paths", tuple(self.paths))


@dataclass(frozen=True)
class OffloadPlan:
    """The plans of all devices.

    Attributes:
        dispatch: the devices, by number, in the order in which servers take their jobs: for each device once for every path, then once if there
            are stages after the fused ones. Empty with one device, whose order of paths says everything.
    """

    clients: tuple[ClientPlan, ...]
    dispatch: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "clients", tuple(self.clients))
        object.__setattr__(self, "dispatch", tuple(self.dispatch))

    def to_dict(self) -> dict[str, Any]:
        """A record of JSON's types; :meth:`from_dict` reads it back."""
        clients = [
            {"fused": client.fused, "paths": [vars(path) for path in client.paths], "tail_server": client.tail_server} for client in self.clients
        ]
        return {"schema_version": 1, "clients": clients, "dispatch": list(self.dispatch)}

    @classmethod
    def from_dict(cls, record: Any, where: str = "offloading plan") -> OffloadPlan:
        """Read a record of :meth:`to_dict`.

        Raises:
            FileFormatError: if a key is missing, unknown or of the wrong type; the message begins with ``where``.
        """
        check_schema(record, where, 1)
        check_keys(record, where, {"schema_version", "clients", "dispatch"})
        clients = as_list(record["clients"], f"{where}: 'clients'")
        dispatch = typed(record["dispatch"], tuple[int, ...], f"{where}: 'dispatch'")
        return cls(tuple(_client_from(client, f"{where}: clients[{number}]") for number, client in enumerate(clients)), dispatch)


def _client_from(record: Any, where: str) -> ClientPlan:
    check_keys(record, where, {"fused", "paths", "tail_server"})
    paths = []
    for number, path in enumerate(as_list(record["paths"], f"{where}: 'paths'")):
        check_keys(path, f"{where}: paths[{number}]", {"start", "stop", "cut", "server"})
        paths.append(Path(**typed_fields(path, Path, f"{where}: paths[{number}]")))
    values = typed_fields({key: record[key] for key in ("fused", "tail_server")}, ClientPlan, where)
    return ClientPlan(paths=tuple(paths), **values)


def validate(instance: OffloadInstance, stages: Sequence[Stages], plan: OffloadPlan) -> None:
    """Check a plan against an instance.

    Raises:
        PlanError: if the plan does not belong to the instance; the message says what is wrong and what is allowed.
    """
    if len(plan.clients) != len(instance.clients):
        raise PlanError(f"the plan is for {len(plan.clients)} devices; the instance has {len(instance.clients)}")
    for client, of_client, planned in zip(instance.clients, stages, plan.clients, strict=True):
        _validate_client(client, of_client, planned, len(instance.servers))
    if len(plan.clients) == 1 and not plan.dispatch:
        return
    expected = Counter({number: jobs(of_client, planned) for number, (of_client, planned) in enumerate(zip(stages, plan.clients, strict=True))})
    if Counter(plan.dispatch) != expected:
        need = ", ".join(f"device {number} {count} times" for number, count in expected.items())
        raise PlanError(f"dispatch is {short_repr(plan.dispatch)}; it must name {need}: once for each path, and once for the stages after them")


def jobs(stages: Stages, planned: ClientPlan) -> int:
    """How many jobs servers dispatch for a device: its paths, and the stages after the fused ones if there are any."""
    return len(planned.paths) + (planned.fused < len(stages))


def _validate_client(client: Client, stages: Stages, planned: ClientPlan, servers: int) -> None:
    where = f"device {short_repr(client.name)}"
    if not 1 <= planned.fused <= len(stages):
        raise PlanError(f"{where}: {planned.fused} stages are fused; {client.graph.name!r} has {len(stages)}, of which at least 1 is")
    rows = stages.shape(planned.fused).height
    if len(planned.paths) > 1 and (fault := stages.fault(planned.fused)):
        raise PlanError(f"{where}: the first {planned.fused} stages cannot be split into {len(planned.paths)} paths: {fault}")
    if not 1 <= len(planned.paths) <= rows:
        raise PlanError(f"{where}: there are {len(planned.paths)} paths for the {rows} rows of stage {planned.fused}; a path has at least one")
    stop = 0
    for path in sorted(planned.paths, key=lambda path: path.start):
        if path.start != stop or path.stop <= path.start:
            raise PlanError(f"{where}: a path has rows [{path.start}, {path.stop}); rows from {stop} on are due: paths cover each row once")
        stop = path.stop
        if not 0 <= path.cut <= planned.fused:
            raise PlanError(f"{where}: the path of rows [{path.start}, {path.stop}) is cut after {path.cut} stages; 0 to {planned.fused} are fused")
    if stop != rows:
        raise PlanError(f"{where}: the paths end at row {stop} of {rows}")
    unknown = [server for server in (*(path.server for path in planned.paths), planned.tail_server) if not 0 <= server < servers]
    if unknown:
        raise PlanError(f"{where}: there is no server {unknown[0]}; the instance has servers 0 to {servers - 1}")
