"""Pairwise transfers, the rounds in which they happen, and the schedule of a plan: tasks and rounds, unit after unit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
    STREAM = "stream"
    STREAMED_REDUCE_SCATTER = "streamed reduce-scatter"

    @property
    def is_first_of_two(self) -> bool:
        """Whether it is a round of its own, which comes before the others and is charged once for all edges out of an operator."""
        return self in (TransferKind.REDUCE_SCATTER, TransferKind.GATHER)

    @property
    def completes(self) -> bool:
        """Whether its receivers own the result in the place of their partial sums or rows."""
        return self.is_first_of_two or self is TransferKind.STREAMED_REDUCE_SCATTER

    @property
    def is_streamed(self) -> bool:
        """Whether it has a round for each message."""
        return self in (TransferKind.STREAM, TransferKind.STREAMED_REDUCE_SCATTER)

    @property
    def is_alone(self) -> bool:
        """Whether its rounds take place by themselves, and not together with those of other edges."""
        return self.is_first_of_two or self.is_streamed


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


class Work(NamedTuple):
    """What a task computes, and the bytes of weights, input and output that it touches: C_ij and D_ij of equation (7)."""

    flops: float
    touched_bytes: float


@dataclass(frozen=True)
class EdgeRounds:
    """The rounds in which the tensor of unit ``producer``, by number, becomes one input of its consumer."""

    producer: int
    rounds: tuple[Round, ...]


@dataclass(frozen=True)
class Step:
    """One unit of a plan: the rounds in which it receives each of its inputs, and then the work of each participant.

    Attributes:
        boundary: the part of each participant's task that comes first, because other devices need its rows; no entry where a task is one piece.
        scatter: the rounds of a streamed reduce-scatter, in which participants pass partial sums to each other as part of the unit's own turn.
        pieces: of a streamed unit, the parts of each participant's task in order, which sum to 1: of a streamed input its own channels, then one for
            each message that it receives; of streamed sums one for each message that it sends, then its own slice.
    """

    name: str
    edges: tuple[EdgeRounds, ...]
    tasks: Mapping[int, Work]
    boundary: Mapping[int, float] = field(default_factory=dict)
    scatter: tuple[Round, ...] = ()
    pieces: Mapping[int, tuple[float, ...]] = field(default_factory=dict)

    @cached_property
    def turns(self) -> tuple[tuple[tuple[int, Round], ...], ...]:
        """Which rounds of the edges take place together, each with its producer: each reduce-scatter, each gather and each message of a stream
        separately, then all other rounds."""
        rounds = [(edge.producer, round_) for edge in self.edges for round_ in edge.rounds]
        own = [(pair,) for pair in rounds if pair[1].kinds[0].is_alone]
        rest = tuple([pair for pair in rounds if not pair[1].kinds[0].is_alone])
        return (*own, rest) if rest else tuple(own)

    @cached_property
    def rounds(self) -> tuple[Round, ...]:
        """The rounds of all edges, one after another, and then those of a streamed reduce-scatter; those that take place together are one."""
        return (*[together([round_ for _, round_ in turn]) for turn in self.turns], *self.scatter)


@dataclass(frozen=True)
class Schedule:
    """A plan as tasks and transfers: a step for every unit in order; the last is the sink's, which has no tasks.

    Equation (6) and the simulation of events read the same type: :func:`iopopt.cost.schedule.schedule_of` fills it with the transfers that
    equation (8) counts, :func:`iopopt.simulation.real_schedule.real_schedule` with those that really take place.
    """

    steps: tuple[Step, ...]
