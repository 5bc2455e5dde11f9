"""The messages of a plan without barriers: when each is sent, in an order that sender and receiver derive alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from iopopt.schedule.region_transfers import EdgeTransfers, RegionRound, RegionTransfer, UnitInputs

BEFORE = -1
"""The turn in which the input is there."""


@dataclass(frozen=True, eq=False)
class Message:
    """One transfer, and its place in the plan.

    Attributes:
        turn: the number of the unit that it is for.
        slot: which edge into that unit.
        round: which round of that edge, and its transfers.
        sent: the number of the unit in whose turn its sender sends it.
        completed: whether its sender must first complete its part of the tensor, by a reduce-scatter or a gather.
    """

    turn: int
    slot: int
    edge: EdgeTransfers
    round: RegionRound
    transfer: RegionTransfer
    sent: int
    completed: bool

    @property
    def completes(self) -> bool:
        """Whether its receiver completes its part of the tensor with it."""
        return self.round.kind.is_first_of_two


def messages(inputs: Sequence[UnitInputs], source: int) -> tuple[Message, ...]:
    """All messages of a plan, in the order in which every device sends its own: as soon as the task that makes the tensor is done, whichever
    unit they are for. What a reduce-scatter or a gather completes is sent in the turn of the first unit that reads it, before its task.

    Args:
        source: the number of the graph's input.
    """
    made = made_in(inputs, source)
    completed: dict[int, tuple[int, int]] = {}  # by producer, the turn and the slot
    found = []
    for turn, unit in enumerate(inputs):
        for slot, edge in enumerate(unit.edges):
            for round_ in edge.rounds:
                if round_.kind.is_first_of_two:
                    completed[edge.producer] = turn, slot
                again = edge.producer in completed and not round_.kind.is_first_of_two
                sent = completed[edge.producer][0] if again else made[edge.producer]
                found += [Message(turn, slot, edge, round_, transfer, sent, again) for transfer in round_.transfers]
    return tuple(sorted(found, key=lambda message: (message.sent, *((0, completed[message.edge.producer][1]) if message.completed else (1, 0)))))


def made_in(inputs: Sequence[UnitInputs], source: int) -> Mapping[int, int]:
    """The turn in which each tensor is made."""
    return {unit.members[-1]: turn for turn, unit in enumerate(inputs) if unit.members} | {source: BEFORE}


def last_uses(inputs: Sequence[UnitInputs], source: int, device: int) -> Mapping[int, tuple[int, ...]]:
    """The tensors, by producer, that ``device`` needs no more after each turn: it reads, adds up and sends them no later."""
    last = dict(made_in(inputs, source))
    for turn, unit in enumerate(inputs):
        for edge in unit.edges:
            if any(device in round_.finished for round_ in edge.rounds):
                last[edge.producer] = turn
    uses: dict[int, list[int]] = defaultdict(list)
    for producer, turn in last.items():
        uses[turn].append(producer)
    return {turn: tuple(producers) for turn, producers in uses.items()}
