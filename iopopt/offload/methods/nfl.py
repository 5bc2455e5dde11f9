"""No fused layers: the whole network as one path, cut once at the best place, or all of it on the device or on a server."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from iopopt.cost.stopwatch import Stopwatch
from iopopt.offload.dispatch import in_order_of_arrival
from iopopt.offload.instance import OffloadInstance
from iopopt.offload.plan import ClientPlan, Path
from iopopt.offload.recursion import OffloadObjective, OffloadPricer
from iopopt.offload.solution import OffloadSolution, offload_solution


def solve_best_cut(instance: OffloadInstance, *, objective: OffloadObjective = "makespan") -> OffloadSolution:
    """The best single cut of each network, as if there were no other devices."""
    return _solve(instance, objective, "best-cut", lambda stages: range(stages + 1))


def solve_local(instance: OffloadInstance, *, objective: OffloadObjective = "makespan") -> OffloadSolution:
    """Everything on the devices; results that servers need are sent to them."""
    return _solve(instance, objective, "local", lambda stages: [stages])


def solve_remote(instance: OffloadInstance, *, objective: OffloadObjective = "makespan") -> OffloadSolution:
    """Everything on servers, each network on the one that is best as if there were no other devices."""
    return _solve(instance, objective, "remote", lambda stages: [0])


def _solve(instance: OffloadInstance, objective: OffloadObjective, method: str, cuts: Callable[[int], Sequence[int]]) -> OffloadSolution:
    watch, pricer = Stopwatch(), OffloadPricer(instance)
    plan = in_order_of_arrival(pricer, [best_single(pricer, number, cuts(len(stages))) for number, stages in enumerate(pricer.stages)])
    space = "one path" if method == "best-cut" else f"one path, {method}"
    return offload_solution(instance, plan, objective=objective, space=space, method=method, solve_s=watch.elapsed_s)


def best_single(pricer: OffloadPricer, client: int, cuts: Sequence[int]) -> ClientPlan:
    """The best of these cuts of a device's whole network, and the best server, as if there were no other devices."""
    stages = pricer.stages[client]
    paths = [Path(0, stages.shape(len(stages)).height, cut, server) for cut in cuts for server in range(len(pricer.instance.servers))]
    return ClientPlan(len(stages), (min(paths, key=lambda path: _alone_s(pricer, client, path)),))


def _alone_s(pricer: OffloadPricer, client: int, path: Path) -> float:
    """How long the whole network takes as one path, seconds."""
    job = pricer.job(client, len(pricer.stages[client]), path)
    return sum(part or 0.0 for part in (job.fetch_s, job.device_s, job.upload_s, job.server_s, job.return_s))
