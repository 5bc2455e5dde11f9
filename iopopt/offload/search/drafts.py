"""Offloading plans as searches change them, and the best of those priced so far."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from iopopt.cost.stopwatch import Stopwatch
from iopopt.methods.solution import Point
from iopopt.offload.dispatch import in_order_of_arrival
from iopopt.offload.plan import ClientPlan, OffloadPlan
from iopopt.offload.recursion import OffloadObjective, OffloadPricer, Tail, follow, objective_s
from iopopt.offload.space import Option


class ClientDraft(NamedTuple):
    """The plan of one device, with the durations of everything in it.

    Attributes:
        client: the number of the device.
        options: its paths, in their order.
        tail: the stages after the fused ones; None if there are none.
    """

    client: int
    fused: int
    options: tuple[Option, ...]
    tail: Tail | None

    @property
    def jobs(self) -> int:
        """How many entries of a dispatch are the device's."""
        return len(self.options) + (self.tail is not None)

    @property
    def plan(self) -> ClientPlan:
        """As a plan has it."""
        return ClientPlan(self.fused, tuple(option.path for option in self.options), 0 if self.tail is None else self.tail.server)


class Draft(NamedTuple):
    """A plan of some devices.

    Attributes:
        dispatch: places in ``clients``, in the order in which servers take the jobs.
    """

    clients: tuple[ClientDraft, ...]
    dispatch: tuple[int, ...]

    @classmethod
    def alone(cls, client: ClientDraft) -> Draft:
        """One device, as if there were no others."""
        return cls((client,), (0,) * client.jobs)

    def of_all(self) -> OffloadPlan:
        """The plan of all devices of an instance."""
        return OffloadPlan(tuple(client.plan for client in self.clients), self.dispatch if len(self.clients) > 1 else ())

    def with_client(self, place: int, client: ClientDraft) -> Draft:
        """Another plan for a device, with as many jobs."""
        return self._replace(clients=(*self.clients[:place], client, *self.clients[place + 1 :]))


def together(pricer: OffloadPricer, clients: Sequence[ClientDraft]) -> Draft:
    """The drafts of all devices, with servers that take first what arrives first."""
    if len(clients) == 1:
        return Draft.alone(clients[0])
    return Draft(tuple(clients), in_order_of_arrival(pricer, [client.plan for client in clients]).dispatch)


class Incumbent:
    """Prices drafts, and keeps the best plan of all devices.

    Attributes:
        best: the best draft that was offered; None before the first.
        least: what it comes to, seconds.
        trajectory: its improvements over time.
        limited: whether the time limit holds: not before the first plans.
    """

    def __init__(self, pricer: OffloadPricer, objective: OffloadObjective, watch: Stopwatch) -> None:
        self.pricer, self._objective, self._watch = pricer, objective, watch
        self.best: Draft | None = None
        self.least = math.inf
        self.limited = False
        self.trajectory: list[Point] = []

    def value_s(self, draft: Draft) -> float:
        """What a draft comes to, seconds: of the devices in it.

        Raises:
            TimeUpError: if the time is up, and the limit holds.
        """
        if self.limited:
            self._watch.check()
        jobs = [[option.job for option in client.options] for client in draft.clients]
        progress, _ = follow([*map(self.pricer.start, jobs)], self.pricer.free(), jobs, [client.tail for client in draft.clients], draft.dispatch)
        return objective_s([of_client.ended_s for of_client in progress], self._objective)

    def offer(self, draft: Draft) -> float:
        """Price a draft of all devices, and keep it if it is the best."""
        value_s = self.value_s(draft)
        if value_s < self.least:
            self.best, self.least = draft, value_s
            self.trajectory.append(Point(self._watch.elapsed_s, value_s, None))
        return value_s
