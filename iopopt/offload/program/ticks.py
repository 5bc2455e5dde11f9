"""All devices and the servers that they share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from iopopt.offload.bounds import SplitBound
from iopopt.offload.dispatch import in_order_of_arrival
from iopopt.offload.plan import OffloadPlan
from iopopt.offload.program.device import ClientProgram, ServerJob
from iopopt.offload.recursion import OffloadObjective, OffloadPricer


class TickProgram:
    """The program of some splits for each device, in ticks.

    Attributes:
        model: minimises the ticks of the objective, which are at most ``most_ticks``.
    """

    def __init__(
        self,
        pricer: OffloadPricer,
        splits: Sequence[Sequence[SplitBound]],
        objective: OffloadObjective,
        tick_s: float,
        most_ticks: int,
        limits_s: Sequence[float],
    ) -> None:
        from ortools.sat.python import cp_model

        self._pricer, self.model = pricer, cp_model.CpModel()
        self._several = len(splits) > 1
        self._capacity = [server.workers for server in pricer.instance.servers]
        self._jobs: list[list[ServerJob]] = [[] for _ in self._capacity]
        self._clients = [
            ClientProgram(self.model, pricer, client, of_client, tick_s, max(most_ticks, 0), limit_s, self._jobs, tails=self._several)
            for client, (of_client, limit_s) in enumerate(zip(splits, limits_s, strict=True))
        ]
        ends = [client.end for client in self._clients]
        value = self.model.new_int_var(0, max(most_ticks, 0), "value")
        if objective == "makespan" or not self._several:
            self.model.add_max_equality(value, ends)
        else:
            self.model.add(value == sum(ends))
        self._share_servers(value if objective == "makespan" else None)
        if most_ticks < 0:
            self.model.add_bool_or([])
        self.model.minimize(value)

    def _share_servers(self, value: Any) -> None:
        """No more jobs at a time than workers; one worker of one device is a chain already. All of them take no longer than the makespan."""
        for of_server, workers in zip(self._jobs, self._capacity, strict=True):
            if workers == 1 and self._several:
                self.model.add_no_overlap([job.interval for job in of_server])
            elif 1 < workers < len(of_server):
                self.model.add_cumulative([job.interval for job in of_server], [1] * len(of_server), workers)
            if value is not None:
                self.model.add(sum(job.ticks for job in of_server) <= workers * value)

    def plans(self, solver: Any) -> list[OffloadPlan]:
        """The plan of a solution: paths as they come, and in the order in which servers begin them; servers begin jobs as the solution does."""
        found = []
        for by_start in (False, True):
            decoded = [client.decode(solver, by_start=by_start) for client in self._clients]
            clients = [planned for planned, _ in decoded]
            if not self._several:
                found.append(OffloadPlan(tuple(clients)))
                continue
            waiting, dispatch = [list(starts) for _, starts in decoded], []
            while any(waiting):
                number = min((number for number in range(len(waiting)) if waiting[number]), key=lambda number: waiting[number][0])
                waiting[number].pop(0)
                dispatch.append(number)
            found += [OffloadPlan(tuple(clients), tuple(dispatch)), in_order_of_arrival(self._pricer, clients)]
        return found
