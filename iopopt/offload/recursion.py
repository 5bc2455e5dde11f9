"""When each path and each device's result is done: the recursion of ``offloading.md``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, get_args

from iopopt.errors import OffloadError, PlanError
from iopopt.network.records import foreign, short_repr
from iopopt.offload.instance import OffloadInstance, as_offload_instance
from iopopt.offload.paths import PathLoad, path_load, whole_load
from iopopt.offload.plan import OffloadPlan, Path, jobs, validate
from iopopt.offload.stages import Stages
from iopopt.schedule.regions import Interval

OffloadObjective = Literal["makespan", "mean"]
"""When the last device's result is there, or the mean over devices of when theirs is."""


def checked_objective(objective: str) -> OffloadObjective:
    """The objective unchanged.

    Raises:
        OffloadError: if there is no such objective.
    """
    if objective == "makespan":
        return "makespan"
    if objective == "mean":
        return "mean"
    raise OffloadError(f"objective is {short_repr(objective)}; it must be one of: {', '.join(get_args(OffloadObjective))}")


def objective_s(ends_s: Sequence[float], objective: OffloadObjective) -> float:
    """What the ends of all devices come to, seconds."""
    return max(ends_s) if objective == "makespan" else sum(ends_s) / len(ends_s)


class Job(NamedTuple):
    """How long a path takes where, seconds; None where it does not pass.

    Attributes:
        fetch_s: its input rows on the downlink, if servers have the input and the device begins.
        device_s: its stages up to the cut, on the device.
        upload_s: the tensor at the cut, on the uplink.
        server: by number; None if the device computes all fused stages.
        server_s: its stages after the cut, on a worker.
        return_s: its part of the result, on the downlink.
    """

    fetch_s: float | None
    device_s: float
    upload_s: float | None
    server: int | None
    server_s: float
    return_s: float | None


class Tail(NamedTuple):
    """How long the stages after the fused ones take on a worker of ``server``, and the result on the downlink, seconds."""

    server: int
    server_s: float
    return_s: float | None


class Progress(NamedTuple):
    """How far one device is, seconds: until when the downlink fetches inputs, the device computes, the uplink sends, the downlink returns results;
    and when the last of its paths, or its result, is done."""

    fetched_s: float = 0.0
    computed_s: float = 0.0
    uploaded_s: float = 0.0
    returned_s: float = 0.0
    ended_s: float = 0.0


class Step(NamedTuple):
    """One entry of a plan's dispatch: the number of its device, which path in its order (None: the stages after the fused ones), and the worker of
    its server that takes it (None if no server does)."""

    client: int
    path: int | None
    worker: int | None


def advance(progress: Progress, free_s: Sequence[list[float]], job: Job) -> tuple[Progress, int | None]:
    """The next path of a device: its progress afterwards, and the worker that takes the path.

    Args:
        free_s: when each worker of each server is free; changed.
    """
    fetched, computed, uploaded, returned, ended = progress
    if job.fetch_s is not None:
        fetched += job.fetch_s
        computed = max(computed, fetched)
    computed += job.device_s
    end = computed
    arrival = 0.0
    if job.upload_s is not None:
        uploaded = end = arrival = max(uploaded, computed) + job.upload_s
    worker = None
    if job.server is not None:
        worker, end = _occupy(free_s[job.server], arrival, job.server_s)
    if job.return_s is not None:
        returned = end = max(returned, end) + job.return_s
    return Progress(fetched, computed, uploaded, returned, max(ended, end)), worker


def finish(progress: Progress, free_s: Sequence[list[float]], tail: Tail) -> tuple[Progress, int]:
    """The stages after the fused ones, once all paths are done; and the worker that takes them."""
    worker, end = _occupy(free_s[tail.server], progress.ended_s, tail.server_s)
    if tail.return_s is not None:
        end = max(progress.returned_s, end) + tail.return_s
    return progress._replace(ended_s=end), worker


def _occupy(free_s: list[float], arrival_s: float, seconds: float) -> tuple[int, float]:
    """The worker that is free first takes a job; which it is, and when the job is done."""
    first = min(free_s)
    worker = free_s.index(first)
    end = free_s[worker] = max(first, arrival_s) + seconds
    return worker, end


def follow(
    starts: Sequence[Progress], free_s: Sequence[list[float]], jobs: Sequence[Sequence[Job]], tails: Sequence[Tail | None], dispatch: Iterable[int]
) -> tuple[list[Progress], list[Step]]:
    """A whole dispatch: the progress of each device at the end, and who takes which job.

    Args:
        free_s: when each worker of each server is free; changed.
        jobs: of the paths of each device, in order.
        tails: of each device; None if no stages follow the fused ones.
    """
    progress, steps, queues = list(starts), list[Step](), [iter(enumerate(of_client)) for of_client in jobs]
    for client in dispatch:
        number, job = next(queues[client], (None, None))
        if job is not None:
            progress[client], worker = advance(progress[client], free_s, job)
        else:
            tail = tails[client]
            assert tail is not None  # otherwise the dispatch has no entry for it
            progress[client], worker = finish(progress[client], free_s, tail)
        steps.append(Step(client, number, worker))
    return progress, steps


class OffloadPricer:
    """Prices plans of one instance; what it derives for one plan helps with the next.

    Raises:
        OffloadError: if ``instance`` is no OffloadInstance.
    """

    def __init__(self, instance: OffloadInstance) -> None:
        self.instance = as_offload_instance(instance)
        self.stages = tuple(Stages.of(client.graph) for client in instance.clients)
        self._jobs: dict[tuple[int, int, Path], Job] = {}
        self._tails: dict[tuple[int, int, int], Tail | None] = {}
        self._loads: dict[tuple[int, int, int, int], PathLoad] = {}

    def load(self, client: int, fused: int, start: int, stop: int) -> PathLoad:
        """The loads of a path of a device."""
        key = client, fused, start, stop
        if key not in self._loads:
            self._loads[key] = path_load(self.stages[client], fused, Interval(start, stop))
        return self._loads[key]

    def job(self, client: int, fused: int, path: Path) -> Job:
        """How long a path of a device takes where."""
        key = client, fused, path
        if key not in self._jobs:
            self._jobs[key] = self._job(*key)
        return self._jobs[key]

    def _job(self, client: int, fused: int, path: Path) -> Job:
        of, load, element = self.instance.clients[client], self.load(client, fused, path.start, path.stop), self.instance.bytes_per_element
        starts_at_server, served = of.input_at == "server", path.cut < fused
        kept = path.cut == len(self.stages[client]) and of.result_at == "device"
        returned = served and fused == len(self.stages[client]) and of.result_at == "device"
        return Job(
            fetch_s=of.down.transfer_s(element * load.elements[0]) if starts_at_server and path.cut else None,
            device_s=sum(load.flops[: path.cut]) / of.flops_per_s,
            upload_s=None if kept or (starts_at_server and not path.cut) else of.uplink.transfer_s(element * load.elements[path.cut]),
            server=path.server if served else None,
            server_s=sum(load.flops[path.cut :]) / self.instance.servers[path.server].flops_per_s,
            return_s=of.down.transfer_s(element * load.elements[fused]) if returned else None,
        )

    def tail(self, client: int, fused: int, server: int) -> Tail | None:
        """How long the stages after the fused ones take; None if there are none."""
        key = client, fused, server
        if key not in self._tails:
            self._tails[key] = self._tail(*key)
        return self._tails[key]

    def _tail(self, client: int, fused: int, server: int) -> Tail | None:
        of, stages = self.instance.clients[client], self.stages[client]
        if fused == len(stages):
            return None
        flops = sum(whole_load(stages, len(stages)).flops[fused:])
        size = self.instance.bytes_per_element * stages.shape(len(stages)).elements
        return_s = of.down.transfer_s(size) if of.result_at == "device" else None
        return Tail(server, flops / self.instance.servers[server].flops_per_s, return_s)

    def start(self, jobs: Sequence[Job]) -> Progress:
        """A device before its first path: the downlink returns results only after it has fetched all inputs."""
        return Progress(returned_s=sum(job.fetch_s for job in jobs if job.fetch_s is not None))

    def free(self) -> list[list[float]]:
        """When each worker of each server is free at the start."""
        return [[0.0] * server.workers for server in self.instance.servers]

    def dispatch(self, plan: OffloadPlan) -> Sequence[int]:
        """The dispatch of a plan, also where one device needs none."""
        return plan.dispatch or (0,) * jobs(self.stages[0], plan.clients[0])

    def ends_s(self, plan: OffloadPlan) -> tuple[float, ...]:
        """When each device's result is where it is needed, seconds; the plan is not checked."""
        return self._run(plan)[0]

    def steps(self, plan: OffloadPlan) -> tuple[Step, ...]:
        """The dispatch of a plan with the workers that take each job."""
        return self._run(plan)[1]

    def _run(self, plan: OffloadPlan) -> tuple[tuple[float, ...], tuple[Step, ...]]:
        planned = [[self.job(number, client.fused, path) for path in client.paths] for number, client in enumerate(plan.clients)]
        tails = [self.tail(number, client.fused, client.tail_server) for number, client in enumerate(plan.clients)]
        progress, steps = follow([self.start(of_client) for of_client in planned], self.free(), planned, tails, self.dispatch(plan))
        return tuple(of_client.ended_s for of_client in progress), tuple(steps)

    def value_s(self, plan: OffloadPlan, objective: OffloadObjective = "makespan") -> float:
        """What a plan comes to, seconds; the plan is not checked."""
        return objective_s(self.ends_s(plan), checked_objective(objective))

    def validate(self, plan: OffloadPlan) -> None:
        """Check a plan.

        Raises:
            PlanError: if it is no OffloadPlan, or does not belong to the instance.
        """
        if not isinstance(plan, OffloadPlan):
            raise PlanError(f"plan: found {foreign(plan)}; an OffloadPlan is expected (OffloadPlan.from_dict reads a record)")
        validate(self.instance, self.stages, plan)


def offload_latency_s(instance: OffloadInstance, plan: OffloadPlan, objective: OffloadObjective = "makespan") -> float:
    """What a plan comes to, seconds: when the last device's result is where it is needed, or the mean over devices.

    Raises:
        PlanError: if the plan does not belong to the instance.
    """
    pricer = OffloadPricer(instance)
    pricer.validate(plan)
    return pricer.value_s(plan, objective)
