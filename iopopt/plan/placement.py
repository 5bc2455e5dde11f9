"""Placements: one operator's dimension and which device computes which interval of it, in the order of the participants."""

from __future__ import annotations

import itertools
import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Any, Literal, NamedTuple, get_args

from iopopt.cluster.cluster import MOST_DEVICES
from iopopt.errors import FileFormatError, PlanError
from iopopt.network.records import as_list, check_keys, is_integer, short_repr
from iopopt.network.shapes import Dim

Reduce = Literal["direct", "two_phase"]
"""How the partial sums of an input-channel split are added up."""


class Strategy(IntEnum):
    """A placement's dimension and reduce as one code."""

    WHOLE = 0
    H = 1
    OC = 2
    IC = 3
    IC_TWO_PHASE = 4

    @property
    def dim(self) -> Dim | None:
        """The dimension that it splits; None for a whole operator."""
        return _FORMS[self][0]

    @property
    def reduce(self) -> Reduce | None:
        """How it adds up partial sums; None if it has none."""
        return _FORMS[self][1]


_MOST_SHARES = 2**63
"""The end of the last interval stays below: no dimension is as large, and arrays hold such integers."""

_FORMS: tuple[tuple[Dim | None, Reduce | None], ...] = (None, None), ("H", None), ("OC", None), ("IC", "direct"), ("IC", "two_phase")
_STRATEGIES = dict(zip(_FORMS, Strategy, strict=True))
_DIMS, _REDUCES = get_args(Dim), get_args(Reduce)


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
    """One operator's dimension and shards; their devices are the participants, in their order, including those with an empty interval.

    ``dim`` is None if the operator runs whole on one device. :meth:`whole` makes this form, :meth:`split` the others from shares.

    Attributes:
        gather: of a split by rows, the device on which the output is gathered before anyone reads it, a participant or not; None if participants
            keep their rows.
        stream: the most channels at a time of what participants pass to each other: of an OC split, the input channels that a participant does not
            own, each used and dropped before the next ones arrive; of a two-phase IC split, the output channels of which a participant computes
            partial sums for another before the next ones. None if all are there at once.

    Raises:
        PlanError: if participants repeat, intervals are not consecutive, or ``reduce``, ``gather`` or ``stream`` does not fit.
    """

    dim: Dim | None
    shards: tuple[Shard, ...]
    reduce: Reduce | None = None
    gather: int | None = None
    stream: int | None = None

    def __post_init__(self) -> None:
        if fault := self._fault():
            raise PlanError(f"placement: {fault}")

    def _fault(self) -> str | None:
        """What is wrong, if anything is."""
        for shard in self.shards:
            if not isinstance(shard, Shard) or not all(map(is_integer, shard)):
                return f"{short_repr([shard])} is not a Shard(device, start, stop) of integers"
        devices = self.devices
        if not devices or len(set(devices)) < len(devices) or min(devices) < 0 or max(devices) >= MOST_DEVICES:
            return f"participants {short_repr(list(devices))} must be distinct device indices (equation 2), below {MOST_DEVICES}"
        if fault := self._gather_fault() or self._stream_fault():
            return fault
        if self.dim is None:
            canonical = self.shards == (Shard(devices[0], 0, 1),) and self.reduce is None
            return None if canonical else "a whole operator is written Placement.whole(device)"
        if self.dim not in _DIMS:
            return f"dim is {short_repr(self.dim)}; allowed are {', '.join(_DIMS)} (equation 2)"
        if len(devices) == 1:
            return "one participant means the operator is whole: write Placement.whole(device)"
        if (self.reduce not in _REDUCES) if self.dim == "IC" else (self.reduce is not None):
            return f"reduce is {short_repr(self.reduce)}; an IC split needs 'direct' or 'two_phase', other placements None"
        if any(shard.start != stop for shard, stop in zip(self.shards, [0, *(shard.stop for shard in self.shards)], strict=False)):
            return f"intervals {short_repr([list(shard[1:]) for shard in self.shards])} are not consecutive from 0"
        if self.shards[-1].stop >= _MOST_SHARES:
            return f"intervals {short_repr([list(shard[1:]) for shard in self.shards])} end beyond 2**63"
        if any(shard.stop < shard.start for shard in self.shards):
            return f"intervals {short_repr([list(shard[1:]) for shard in self.shards])} hold a negative share"
        return None

    def _gather_fault(self) -> str | None:
        if self.gather is None:
            return None
        if self.dim != "H":
            placed = "whole" if self.dim is None else f"split by {short_repr(self.dim)}"
            return f"gather is {short_repr(self.gather)}, but the operator is {placed}; only a split by H is gathered"
        if not is_integer(self.gather) or not 0 <= self.gather < MOST_DEVICES:
            return f"gather is {short_repr(self.gather)}; it must be the index of a device, below {MOST_DEVICES}"
        return None

    def _stream_fault(self) -> str | None:
        if self.stream is None:
            return None
        if self.dim != "OC" and self.reduce != "two_phase":
            placed = "whole" if self.dim is None else f"split by {short_repr(self.dim)}" + (", reduced directly" if self.dim == "IC" else "")
            return f"stream is {short_repr(self.stream)}, but the operator is {placed}; only OC and two-phase IC splits are streamed"
        if not is_integer(self.stream) or self.stream < 1:
            return f"stream is {short_repr(self.stream)}; it must be a positive integer, the most channels at a time"
        return None

    @staticmethod
    def whole(device: int) -> Placement:
        """The operator runs unsplit on ``device``."""
        return Placement(None, (Shard(_index(device), 0, 1),))

    @staticmethod
    def split(
        dim: Dim,
        devices: Sequence[int],
        shares: Sequence[int],
        reduce: Reduce = "direct",
        gather: int | None = None,
        stream: int | None = None,
    ) -> Placement:
        """Consecutive intervals of the given sizes, in the order of ``devices``; with one device the operator is whole.

        ``reduce`` applies to IC only. ``gather`` names the device on which the rows of an H split are gathered; a whole operator has nothing to
        gather on its own device, and cannot be gathered on another. ``stream`` is refused with one device.
        """
        if len(devices) != len(shares):
            raise PlanError(f"placement: {len(shares)} shares for {len(devices)} devices")
        if not all(float(share).is_integer() for share in shares):
            raise PlanError(f"placement: shares {short_repr(list(shares))} are not all integers")
        gather = None if gather is None else _index(gather)
        if isinstance(stream, numbers.Integral) and not isinstance(stream, bool):
            stream = int(stream)  # it may be one of numpy's
        if len(devices) == 1 and gather in (None, _index(devices[0])) and stream is None:
            return Placement.whole(devices[0])
        stops = list(itertools.accumulate(int(share) for share in shares))
        shards = tuple(Shard(_index(j), start, stop) for j, start, stop in zip(devices, [0, *stops], stops, strict=False))
        return Placement(dim, shards, reduce if dim == "IC" else None, gather, stream)

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.dim, self.shards, self.reduce, self.gather, self.stream))  # once: searches look placements up by the million

    @cached_property
    def devices(self) -> tuple[int, ...]:
        """The participants G_i, in the order of their intervals."""
        return tuple(shard.device for shard in self.shards)

    @cached_property
    def shares(self) -> tuple[int, ...]:
        """The sizes n_ij of the intervals, in the order of :attr:`devices`."""
        return tuple(shard.size for shard in self.shards)

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """The starts of the intervals, in the order of :attr:`devices`."""
        return tuple(shard.start for shard in self.shards)

    @property
    def is_whole(self) -> bool:
        return self.dim is None

    @cached_property
    def strategy(self) -> Strategy:
        """Dimension and reduce as one code."""
        return _STRATEGIES[self.dim, self.reduce]

    @cached_property
    def handed_on(self) -> Placement:
        """The placement of the output as its readers meet it: whole on the device that gathered it, if one does."""
        return self if self.gather is None else Placement.whole(self.gather)

    @property
    def streams_input(self) -> bool:
        """Whether participants receive the input some channels at a time."""
        return self.stream is not None and self.dim == "OC"

    @property
    def streams_sums(self) -> bool:
        """Whether participants compute partial sums for each other some channels at a time, and so add them up in the operator's own turn."""
        return self.stream is not None and self.dim == "IC"

    @property
    def holders(self) -> frozenset[int]:
        """The devices that compute the operator or hold its output: the participants, and the one that gathers."""
        return frozenset(self.devices) if self.gather is None else frozenset((*self.devices, self.gather))

    def __str__(self) -> str:
        if self.is_whole:
            return f"whole on {self.devices[0]}"
        return f"{self.dim} " + "/".join(str(share) for share in self.shares) + self.whereabouts

    @property
    def whereabouts(self) -> str:
        """The end of the text of a split: its participants, and how its parts are put together."""
        reduce = ", two-phase" if self.reduce == "two_phase" else ""
        gathered = "" if self.gather is None else f", gathered on {self.gather}"
        streamed = "" if self.stream is None else f", streamed {self.stream}"
        return f" on {'/'.join(map(str, self.devices))}{reduce}{gathered}{streamed}"


def _index(device: object) -> int:
    """A device's index as a plain integer."""
    if type(device) is int:  # asking the abstract class is slow
        return device
    if not isinstance(device, numbers.Integral) or isinstance(device, bool):
        raise PlanError(f"placement: device is {short_repr(device)}; it must be the index of a device")
    return int(device)


_OPTIONAL = "reduce", "gather", "stream"
"""The keys of a record that are left out where there is nothing to say."""


def placement_record(placement: Placement) -> dict[str, Any]:
    """One placement as a JSON record."""
    record: dict[str, Any] = {"dim": placement.dim, "shards": [shard._asdict() for shard in placement.shards]}
    return record | {key: value for key in _OPTIONAL if (value := getattr(placement, key)) is not None}


def placement_from(record: Any, where: str) -> Placement:
    """Read a record of :func:`placement_record`; FileFormatError begins with ``where``."""
    check_keys(record, where, {"dim", "shards"}, set(_OPTIONAL))
    for shard in as_list(record["shards"], f"{where}: 'shards'"):
        check_keys(shard, f"{where}: shards", set(Shard._fields))
        if not all(isinstance(value, int) and not isinstance(value, bool) for value in shard.values()):
            raise FileFormatError(f"{where}: shards: {short_repr(shard)} must hold integers")
    try:
        return Placement(record["dim"], tuple(Shard(**shard) for shard in record["shards"]), *map(record.get, _OPTIONAL))
    except PlanError as error:
        raise FileFormatError(f"{where}: {error}") from None
