"""Plans: for each operator a dimension and who computes which interval of it."""

from __future__ import annotations

import itertools
import numbers
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple, get_args

from iopopt.cluster.cluster import Cluster
from iopopt.errors import FileFormatError, PlanError
from iopopt.network.graph import Graph
from iopopt.network.operators import Dim, Operator
from iopopt.records import check_keys, check_schema, is_integer, short_repr

Reduce = Literal["direct", "two_phase"]
"""How the partial sums of an input-channel split are added up."""

EQUATIONS: Mapping[Dim, int] = {"H": 3, "IC": 4, "OC": 5}
"""The equation that says what the shares of a dimension sum to."""


class Shard(NamedTuple):
    """``device`` computes the interval [start, stop) of the operator's dimension."""

    device: int
    start: int
    stop: int

    @property
    def size(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Placement:
    """One operator's dimension and shards; the devices named are its participants, ascending, even with an empty interval.

    ``dim`` is None where the operator runs whole on one device; :meth:`whole` makes that one canonical form, and
    :meth:`split` makes the others from shares.

    Raises:
        PlanError: if participants repeat or are not ascending, intervals are not consecutive, or ``reduce`` does not fit.
    """

    dim: Dim | None
    shards: tuple[Shard, ...]
    reduce: Reduce | None = None

    def __post_init__(self) -> None:
        invalid = [shard for shard in self.shards if not isinstance(shard, Shard) or not all(is_integer(value) for value in shard)]
        self._require(not invalid, f"{short_repr(invalid[:1])} is no Shard(device, start, stop) of integers")
        devices = self.devices
        if not devices or any(a >= b for a, b in itertools.pairwise(devices)) or devices[0] < 0:
            raise PlanError(f"participants {list(devices)} must be distinct device indices in ascending order (equation 2)")
        if self.dim is None:
            self._require(self.shards == (Shard(devices[0], 0, 1),) and self.reduce is None, "a whole operator is written Placement.whole(device)")
            return
        self._require(self.dim in get_args(Dim), f"dim is {short_repr(self.dim)}; allowed are {', '.join(get_args(Dim))} (equation 2)")
        self._require(len(devices) > 1, "one participant means the operator is whole: write Placement.whole(device)")
        fits = self.reduce in get_args(Reduce) if self.dim == "IC" else self.reduce is None
        self._require(fits, f"reduce is {short_repr(self.reduce)}; an IC split says 'direct' or 'two_phase', the others None")
        bounds = [0, *itertools.chain.from_iterable(shard[1:] for shard in self.shards)]
        consecutive = all(stop == start for stop, start in zip(bounds[::2], bounds[1::2], strict=False))
        self._require(consecutive, f"intervals {[list(shard[1:]) for shard in self.shards]} are not consecutive from 0")
        self._require(all(shard.size >= 0 for shard in self.shards), f"intervals {[list(s[1:]) for s in self.shards]} hold a negative share")

    @staticmethod
    def _require(holds: bool, message: str) -> None:
        if not holds:
            raise PlanError(f"placement: {message}")

    @staticmethod
    def whole(device: int) -> Placement:
        """The operator runs unsplit on ``device``."""
        return Placement(None, (Shard(_index(device), 0, 1),))

    @staticmethod
    def split(dim: Dim, devices: Sequence[int], shares: Sequence[int], reduce: Reduce = "direct") -> Placement:
        """Consecutive intervals of the given sizes, in device order; one device alone runs the operator whole.

        ``reduce`` counts for IC only.
        """
        if len(devices) != len(shares):
            raise PlanError(f"placement: {len(shares)} shares for {len(devices)} devices")
        if not all(float(share).is_integer() for share in shares):
            raise PlanError(f"placement: shares {short_repr(list(shares))} are not all integers")
        if len(devices) == 1:
            return Placement.whole(devices[0])
        stops = list(itertools.accumulate(int(share) for share in shares))
        shards = tuple(Shard(_index(j), start, stop) for j, start, stop in zip(devices, [0, *stops], stops, strict=False))
        return Placement(dim, shards, reduce if dim == "IC" else None)

    @cached_property
    def devices(self) -> tuple[int, ...]:
        """The participants G_i."""
        return tuple(shard.device for shard in self.shards)

    @cached_property
    def shares(self) -> tuple[int, ...]:
        """The sizes n_ij of the intervals, in the order of :attr:`devices`."""
        return tuple(shard.size for shard in self.shards)

    @property
    def is_whole(self) -> bool:
        return self.dim is None

    def __str__(self) -> str:
        if self.is_whole:
            return f"whole on {self.devices[0]}"
        reduce = ", two-phase" if self.reduce == "two_phase" else ""
        return f"{self.dim} " + "/".join(str(share) for share in self.shares) + f" on {'/'.join(map(str, self.devices))}{reduce}"


def _index(device: object) -> int:
    """A device's index as a plain integer."""
    if not isinstance(device, numbers.Integral) or isinstance(device, bool):
        raise PlanError(f"placement: device is {short_repr(device)}; it must be the index of a device")
    return int(device)


@dataclass(frozen=True)
class Plan(Mapping[str, Placement]):
    """A placement for every operator, by name, in the order of the graph."""

    placements: tuple[tuple[str, Placement], ...]

    @classmethod
    def of(cls, graph: Graph, placements: Sequence[Placement]) -> Plan:
        """The plan that gives the operators of ``graph``, in order, these placements."""
        invalid = [placement for placement in placements if not isinstance(placement, Placement)]
        if invalid:
            raise PlanError(f"plan: {short_repr(invalid[0])} is no Placement; give one for each operator, in order")
        if len(placements) != len(graph):
            raise PlanError(f"plan: {len(placements)} placements for the {len(graph)} operators of {graph.name}")
        return cls(tuple((operator.name, placement) for operator, placement in zip(graph.operators, placements, strict=True)))

    @cached_property
    def _by_name(self) -> dict[str, Placement]:
        return dict(self.placements)

    def __getitem__(self, name: str) -> Placement:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self.placements)

    def __hash__(self) -> int:
        return hash(self.placements)

    @property
    def split_operators(self) -> tuple[str, ...]:
        """The operators that more than one device works on."""
        return tuple(name for name, placement in self.placements if not placement.is_whole)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready record; :meth:`from_dict` reads it back."""
        return {"schema_version": 1, "placements": {name: placement_record(placement) for name, placement in self.placements}}

    @classmethod
    def from_dict(cls, record: Any, where: str = "plan") -> Plan:
        """Read a record of :meth:`to_dict`.

        Raises:
            FileFormatError: if a key is missing, unknown or of the wrong type; the message begins with ``where``.
        """
        check_schema(record, where, 1)
        check_keys(record, where, {"schema_version", "placements"})
        if not isinstance(record["placements"], Mapping):
            raise FileFormatError(f"{where}: 'placements' is {short_repr(record['placements'])}; it must map operators to placements")
        return cls(tuple((name, placement_from(item, f"{where}: {name}")) for name, item in record["placements"].items()))


def validate_plan(graph: Graph, cluster: Cluster, plan: Plan) -> None:
    """Refuse a plan that breaks equations (2) to (5) or belongs to another graph or cluster.

    Raises:
        PlanError: the message names the operator, what was found and what is allowed.
    """
    if not isinstance(plan, Plan):
        raise PlanError(f"plan: {short_repr(plan)} is no Plan; Plan.of makes one from placements")
    names = {operator.name for operator in graph.operators}
    for problem, found in (("has no placement for", names - plan.keys()), ("places unknown", plan.keys() - names)):
        if found:
            listed = ", ".join(sorted(found)[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
            raise PlanError(f"plan: {problem} {listed}; is it a plan of {graph.name}?")
    if len(plan.placements) != len(graph):
        raise PlanError(f"plan: {len(plan.placements)} placements for the {len(graph)} operators of {graph.name}; a name repeats")
    for operator in graph.operators:
        _validate_placement(operator, plan[operator.name], len(cluster))


def _validate_placement(operator: Operator, placement: Placement, device_count: int) -> None:
    if placement.devices[-1] >= device_count:
        raise PlanError(f"operator {operator.name!r}: device {placement.devices[-1]} does not exist; the cluster has devices 0 to {device_count - 1}")
    if placement.dim is None:
        return
    refusal = operator.refusal(placement.dim)
    if refusal is not None:
        raise PlanError(f"operator {operator.name!r}: {refusal} (equation 2)")
    size, total = operator.size(placement.dim), sum(placement.shares)
    if total != size:
        equation = EQUATIONS[placement.dim]
        raise PlanError(f"operator {operator.name!r}: its {placement.dim} shares sum to {total}, the dimension has {size} (equation {equation})")
    unit = operator.unit(placement.dim)
    for share in placement.shares:
        if share % unit:
            whole = f"OC/g = {unit}, a whole group" if placement.dim == "OC" else f"{unit}, the rows that come of one row upsampled"
            equation = EQUATIONS[placement.dim]
            raise PlanError(f"operator {operator.name!r}: its {placement.dim} share {share} is no multiple of {whole} (equation {equation})")


def placement_record(placement: Placement) -> dict[str, Any]:
    """One placement as JSON holds it."""
    record: dict[str, Any] = {"dim": placement.dim, "shards": [shard._asdict() for shard in placement.shards]}
    return record | ({"reduce": placement.reduce} if placement.reduce else {})


def placement_from(record: Any, where: str) -> Placement:
    """Read a record of :func:`placement_record`; FileFormatError begins with ``where``."""
    check_keys(record, where, {"dim", "shards"}, {"reduce"})
    if not isinstance(record["shards"], list):
        raise FileFormatError(f"{where}: 'shards' is {short_repr(record['shards'])}; it must be a list")
    for shard in record["shards"]:
        check_keys(shard, f"{where}: shards", set(Shard._fields))
        if not all(isinstance(value, int) and not isinstance(value, bool) for value in shard.values()):
            raise FileFormatError(f"{where}: shards: {short_repr(shard)} must hold integers")
    try:
        return Placement(record["dim"], tuple(Shard(**shard) for shard in record["shards"]), record.get("reduce"))
    except PlanError as error:
        raise FileFormatError(f"{where}: {error}") from None
