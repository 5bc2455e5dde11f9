"""Pairwise transfers, the rounds in which they happen, and the schedule of a plan: tasks and rounds, unit after unit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple


class TransferKind(StrEnum):
    """The ways in which a tensor passes from one placement to the next: the rows of the table of equation (8)."""

    SEND = "send"
    INTERLEAVED = "interleaved"
    ROW_ALIGNED = "row-aligned"
    HALO_EXCHANGE = "halo exchange"
    REDUCE = "reduce"
    ALL_GATHER = "all-gather"
    REDUCE_SCATTER = "reduce-scatter"


class Transfer(NamedTuple):
    """What one device sends to another on one edge, bytes. One of 0 bytes opens its connection all the same."""

    sender: int
    receiver: int
    bytes: float


@dataclass(frozen=True)
class Round:
    """Transfers that are under way at once, and of what kind each edge's are; R_j, S_j and N_j of equation (8) follow from them."""

    kinds: tuple[TransferKind, ...]
    transfers: tuple[Transfer, ...]

    @cached_property
    def received(self) -> Mapping[int, float]:
        """R_j, bytes."""
        sums: dict[int, float] = {}
        for _, receiver, size in self.transfers:
            sums[receiver] = sums.get(receiver, 0.0) + size
        return sums

    @cached_property
    def sent(self) -> Mapping[int, float]:
        """S_j, bytes."""
        sums: dict[int, float] = {}
        for sender, _, size in self.transfers:
            sums[sender] = sums.get(sender, 0.0) + size
        return sums

    @cached_property
    def connections(self) -> Mapping[int, int]:
        """N_j: how many transfers a device receives."""
        return Counter(transfer.receiver for transfer in self.transfers)

    @property
    def total_bytes(self) -> float:
        """The sum of all R_j."""
        return sum(transfer.bytes for transfer in self.transfers)

    def __str__(self) -> str:
        return "+".join(self.kinds)


def together(rounds: Sequence[Round]) -> Round:
    """One round of all these transfers."""
    if len(rounds) == 1:
        return rounds[0]
    return Round(tuple(kind for part in rounds for kind in part.kinds), tuple(transfer for part in rounds for transfer in part.transfers))


@dataclass(frozen=True)
class Step:
    """One unit of a plan: the rounds in which it gets its inputs, one after another, and then the FLOPs of each participant."""

    name: str
    rounds: tuple[Round, ...]
    tasks: Mapping[int, float]


@dataclass(frozen=True)
class Schedule:
    """A plan as tasks and transfers: a step for every unit in order; the last is the sink's, which has no tasks."""

    steps: tuple[Step, ...]
