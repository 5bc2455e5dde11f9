"""Pairwise transfers, the rounds in which they happen, and the schedule of a plan: tasks and rounds, unit after unit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple, TypeVar


class TransferKind(StrEnum):
    """The ways to pass a tensor from one placement to the next: the rows of the table of equation (8)."""

    SEND = "send"
    INTERLEAVED = "interleaved"
    ROW_ALIGNED = "row-aligned"
    HALO_EXCHANGE = "halo exchange"
    REDUCE = "reduce"
    ALL_GATHER = "all-gather"
    REDUCE_SCATTER = "reduce-scatter"
    GATHER = "gather"

    @property
    def is_first_of_two(self) -> bool:
        """Whether it is a round of its own, which comes before the others and is charged once for all edges out of an operator."""
        return self in (TransferKind.REDUCE_SCATTER, TransferKind.GATHER)


V = TypeVar("V")


Transfer = tuple[int, int, V]
"""(sender, receiver, bytes): what one device sends to another on one edge. One of 0 bytes still opens its connection."""


class Loads(NamedTuple):
    """R_j and S_j, bytes, and N_j of equation (8), by device; missing devices have 0."""

    received: Mapping[int, float]
    sent: Mapping[int, float]
    connections: Mapping[int, int]


@dataclass(frozen=True)
class Round:
    """Transfers that run concurrently, and the kind of each edge; R_j, S_j and N_j of equation (8) follow from them."""

    kinds: tuple[TransferKind, ...]
    transfers: tuple[Transfer[float], ...]

    @cached_property
    def loads(self) -> Loads:
        """What every device receives and sends, and how many transfers it receives."""
        received, sent, connections = defaultdict[int, float](float), defaultdict[int, float](float), defaultdict[int, int](int)
        for sender, receiver, size in self.transfers:
            received[receiver] += size
            sent[sender] += size
            connections[receiver] += 1
        return Loads(received, sent, connections)

    def __str__(self) -> str:
        return "+".join(self.kinds)


def together(rounds: Sequence[Round]) -> Round:
    """One round of all these transfers."""
    if len(rounds) == 1:
        return rounds[0]
    return Round(tuple(kind for part in rounds for kind in part.kinds), tuple(transfer for part in rounds for transfer in part.transfers))


@dataclass(frozen=True)
class Step:
    """One unit of a plan: the rounds in which it receives its inputs, one after another, and then the FLOPs of each participant."""

    name: str
    rounds: tuple[Round, ...]
    tasks: Mapping[int, float]


@dataclass(frozen=True)
class Schedule:
    """A plan as tasks and transfers: a step for every unit in order; the last is the sink's, which has no tasks."""

    steps: tuple[Step, ...]
