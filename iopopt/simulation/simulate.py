"""Simulates plans: how long they take where nobody waits for more than what it needs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from iopopt.cluster.cluster import Cluster, Device, checked_medium
from iopopt.cost.instance import Instance
from iopopt.errors import PlanError
from iopopt.network.graph import Graph
from iopopt.network.records import is_integer, short_repr
from iopopt.plan.pieces import Piece, pieces_of
from iopopt.plan.plan import Plan, validate_plan
from iopopt.simulation.events import Times, predecessors, run, run_within
from iopopt.simulation.held_memory import HeldMemory
from iopopt.simulation.memory_use import held_memory
from iopopt.simulation.plan_tasks import PlanTasks, plan_tasks
from iopopt.simulation.real_schedule import PlanScheduler
from iopopt.simulation.tasks import Milestone, Network, TransferTask
from iopopt.simulation.timeline import Span, Timeline


class Simulator:
    """Simulates many plans of one graph on one cluster; what it derives for one plan helps with the next.

    Args:
        boundary_first: an operator split by rows computes the rows that other devices need first, so that they travel while the rest is computed.
        barriers: all devices wait for each other before every round of transfers and before every unit, as in equation (6).
        shared_medium: the capacity of one half-duplex medium that all transfers share instead of the links, bytes/s; that of the cluster by default.
        inputs: how many inputs are in flight, one after another on each device.

    Raises:
        GraphError, ClusterError: if graph or devices are neither.
        PlanError: if ``inputs`` is no positive integer.
    """

    def __init__(
        self,
        graph: Graph,
        devices: Cluster | Sequence[Device],
        *,
        boundary_first: bool = True,
        barriers: bool = False,
        shared_medium: float | None = None,
        inputs: int = 1,
    ) -> None:
        instance = Instance.of(graph, devices)
        if not is_integer(inputs) or inputs < 1:
            raise PlanError(f"inputs is {short_repr(inputs)}; it must be a positive integer, the number of inputs in flight")
        self._graph, self._cluster = instance.graph, instance.cluster
        self._boundary_first, self._barriers, self._inputs = boundary_first, barriers, int(inputs)
        self._medium = instance.cluster.shared_medium_bytes_per_s if shared_medium is None else checked_medium(shared_medium, "shared_medium")
        self._network = Network.of(instance.cluster, self._medium)
        self._scheduler = PlanScheduler(instance.graph, instance.cluster)

    def makespan_s(self, plan: Plan) -> float:
        """When the sink has the whole output (of the last input), seconds.

        Raises:
            PlanError: if the plan breaks equations (2) to (5) or belongs to another graph or cluster.
        """
        validate_plan(self._graph, self._cluster, plan)
        return self.makespan_of_pieces_s(pieces_of(self._graph, plan))

    def makespan_of_pieces_s(self, pieces: Sequence[Piece], most_s: float = math.inf) -> float:
        """The same for the pieces of a plan that is known to be valid, which is not checked again; infinite where it is above ``most_s``.

        Most plans that are above are found out before they are simulated.
        """
        tasks = self._tasks(pieces, labelled=False)
        times = run_within(tasks.tasks, self._network, tasks.outputs, most_s) if most_s < math.inf else run(tasks.tasks, self._network)
        if times is None:
            return math.inf
        found = max([times.end_s[output] for output in tasks.outputs])
        return found if found <= most_s else math.inf

    def timeline(self, plan: Plan) -> Timeline:
        """Every task and transfer in time, and what each device holds.

        Raises:
            PlanError: if the plan breaks equations (2) to (5) or belongs to another graph or cluster.
        """
        validate_plan(self._graph, self._cluster, plan)
        tasks = self._tasks(pieces_of(self._graph, plan), labelled=True)
        times = run(tasks.tasks, self._network)
        instance = Instance(self._graph, self._cluster, plan.spans(self._graph))
        return Timeline(
            cluster=self._cluster,
            spans=_spans(instance, tasks, times),
            outputs_s=tuple(times.end_s[output] for output in tasks.outputs),
            shared_medium_bytes_per_s=self._medium,
            memory=self._memory(instance, plan, tasks, times),
        )

    def _tasks(self, pieces: Sequence[Piece], *, labelled: bool) -> PlanTasks:
        return plan_tasks(
            self._scheduler.schedule_of(pieces),
            self._cluster,
            boundary_first=self._boundary_first,
            barriers=self._barriers,
            inputs=self._inputs,
            labelled=labelled,
        )

    def _memory(self, instance: Instance, plan: Plan, tasks: PlanTasks, times: Times) -> tuple[HeldMemory, ...]:
        return held_memory(instance, instance.placements(plan), tasks, times)


def simulate(
    graph: Graph,
    devices: Cluster | Sequence[Device],
    plan: Plan,
    *,
    boundary_first: bool = True,
    barriers: bool = False,
    shared_medium: float | None = None,
    inputs: int = 1,
) -> Timeline:
    """Time without barriers (``cost_model.md``): when each task and transfer of ``plan`` starts and ends.

    Args:
        boundary_first: an operator split by rows computes the rows that other devices need first, so that they travel while the rest is computed.
        barriers: all devices wait for each other before every round of transfers and before every unit, as in equation (6).
        shared_medium: the capacity of one half-duplex medium that all transfers share instead of the links, bytes/s; that of the cluster by default.
        inputs: how many inputs are in flight, one after another on each device.

    Raises:
        PlanError: if the plan breaks equations (2) to (5) or belongs to another graph or cluster, or ``inputs`` is no positive integer.
        ClusterError: if ``shared_medium`` is no positive finite number.
    """
    simulator = Simulator(graph, devices, boundary_first=boundary_first, barriers=barriers, shared_medium=shared_medium, inputs=inputs)
    return simulator.timeline(plan)


def _spans(instance: Instance, tasks: PlanTasks, times: Times) -> tuple[Span, ...]:
    """The tasks and transfers without the milestones; who waited for one waited for what it waited for last."""
    numbers: list[int | None] = []  # of the span that stands for each task, or for the last one before a milestone
    spans: list[Span] = []
    units = instance.units
    for number, (task, after, label) in enumerate(zip(tasks.tasks, predecessors(tasks.tasks), tasks.labels, strict=True)):
        waited = [found for found in (numbers[other] for other in after) if found is not None]
        if label is None:
            numbers.append(max(waited, key=lambda found: spans[found].end_s, default=None))
            continue
        assert not isinstance(task, Milestone)  # which has no label
        numbers.append(len(spans))
        device, receiver = (task.sender, task.receiver) if isinstance(task, TransferTask) else (task.device, None)
        spans.append(
            Span(
                unit=units[label.step].name,
                what=str(label.part),
                device=device,
                receiver=receiver,
                start_s=times.start_s[number],
                end_s=times.end_s[number],
                amount=label.amount,
                producer="" if receiver is None else units[label.producer].name,
                after=tuple(waited),
                item=label.item,
            )
        )
    return tuple(spans)
