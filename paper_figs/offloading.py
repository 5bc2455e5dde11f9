"""The instances of the offloading table, and every method on one of them."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import NamedTuple

from iopopt import load_cluster, load_model
from iopopt.offload.instance import Client, Link, OffloadInstance, Server
from iopopt.offload.methods import solve_offload
from iopopt.offload.recursion import OffloadObjective, OffloadPricer
from iopopt.offload.solution import OffloadSolution
from iopopt.offload.space import OffloadSpace
from paper_figs.comparison import Progress

BOARD, DELAY_S, MBIT = "pi3", 5e-3, 1e6 / 8
LABELS = {
    "vgg11": "VGG11",
    "vgg13": "VGG13",
    "vgg16": "VGG16",
    "vgg19": "VGG19",
    "alexnet": "AlexNet",
    "lenet5": "LeNet",
    "mobilenet_v1": "MobileNet-V1",
    "yolov2": "YOLOv2",
}
"""The networks, by name in the zoo: six chains, and two whose stages are blocks of operators where they branch."""

UPLINKS_MBIT = (5.0, 20.0, 100.0)
RATIOS = (5.0, 10.0, 50.0)
"""The speed of a worker over that of the device."""

MORE_WORKERS, THEIR_UPLINK_MBIT = (4, 16), 20.0
"""More workers, at one uplink."""

SEEDS, UNEVEN_SEEDS, ROW_STEPS = 10, 1, 16
EXACT_LIMITS = 6
"""How many times the time limit of a seed brute force gets, and CP-SAT where that does not end."""


class Setting(NamedTuple):
    """A network on one device with one server."""

    model: str
    uplink_mbit: float
    ratio: float
    workers: int

    @property
    def label(self) -> str:
        """In progress lines."""
        return f"{LABELS[self.model]}, {self.uplink_mbit:g} Mbit/s, {self.workers} x {self.ratio:g}"

    def instance(self) -> OffloadInstance:
        """The device has the input, and the result stays on the server."""
        speed = device_flops_per_s()
        client = Client(BOARD, load_model(self.model), speed, Link(self.uplink_mbit * MBIT, DELAY_S))
        return OffloadInstance((client,), (Server("server", self.ratio * speed, self.workers),))


SETTINGS = (
    *(Setting(*key, 1) for key in itertools.product(LABELS, UPLINKS_MBIT, RATIOS)),
    *(Setting(model, THEIR_UPLINK_MBIT, ratio, workers) for workers in MORE_WORKERS for model, ratio in itertools.product(LABELS, RATIOS)),
)


class Shared(NamedTuple):
    """Devices, each with a network, that share one server."""

    models: tuple[str, ...]
    uplink_mbit: float
    ratio: float
    workers: int
    objective: OffloadObjective

    @property
    def label(self) -> str:
        """The networks."""
        return " + ".join(LABELS[model] for model in self.models)

    def instance(self) -> OffloadInstance:
        """Each device has its own uplink."""
        speed = device_flops_per_s()
        link = Link(self.uplink_mbit * MBIT, DELAY_S)
        clients = tuple(Client(f"device {number + 1}", load_model(model), speed, link) for number, model in enumerate(self.models))
        return OffloadInstance(clients, (Server("server", self.ratio * speed, self.workers),))


SHARED = tuple(
    Shared(models, 20.0, 10.0, workers, objective)
    for models in (("vgg16", "vgg16"), ("vgg16", "alexnet", "mobilenet_v1"))
    for workers in (1, 2)
    for objective in ("makespan", "mean")
)


def device_flops_per_s() -> float:
    """The speed of the device."""
    return load_cluster(BOARD).devices[0].flops_per_s


@dataclass(frozen=True)
class Measured:
    """What each method finds on one instance, seconds.

    Attributes:
        psomw_s: by seed.
        seconds: the longest run of PSOMW.
        uneven_s: PSOMW's best over the first seeds, with paths of uneven rows.
        bound_s: no plan of even rows takes less.
        bf_ended: whether brute force searched everything.
        split: m and n of the best plan.
        total_s: of the best plan, the seconds of all paths and of the tail on the device, on the uplink and on workers.
    """

    best_cut_s: float
    local_s: float
    remote_s: float
    mw_s: float
    psomw_s: tuple[float, ...]
    seconds: float
    uneven_s: float
    exact_s: float
    bound_s: float
    exact: str
    bf_ended: bool
    split: tuple[int, int]
    total_s: float

    @property
    def best_s(self) -> float:
        """Of all methods, with even rows."""
        return min(self.best_cut_s, self.mw_s, *self.psomw_s, self.exact_s)

    @property
    def gap_percent(self) -> float:
        """How much any plan of even rows could be below the best."""
        return 100 * (self.best_s - self.bound_s) / self.best_s

    def above_bf_percent(self, psomw_s: float) -> float:
        """How far a result of PSOMW is above brute force; NaN where that did not end."""
        return 100 * (psomw_s / self.exact_s - 1) if self.bf_ended else math.nan

    @property
    def uneven_percent(self) -> float:
        """By how much the best plan of uneven rows is below the best of even rows, which is one of that space too; 0 where none better was found."""
        return 100 * max(0.0, 1 - self.uneven_s / self.best_s)


def measure(setting: Setting, time_limit_s: float, progress: Progress, seeds: int = SEEDS) -> Measured:
    """Every method on one instance; the limit is that of one seed."""
    instance = setting.instance()
    cut, local, remote = (solve_offload(instance, name) for name in ("best-cut", "local", "remote"))
    mw = solve_offload(instance, "mw", time_limit_s=time_limit_s)
    swarms = [solve_offload(instance, "psomw", seed=seed, time_limit_s=time_limit_s) for seed in range(seeds)]
    space = OffloadSpace(row_steps=ROW_STEPS)
    uneven = [solve_offload(instance, "psomw", space=space, seed=seed, time_limit_s=time_limit_s) for seed in range(min(seeds, UNEVEN_SEEDS))]
    exact, bound_s = _exact(instance, EXACT_LIMITS * time_limit_s)
    best = min((exact, *swarms, mw, cut), key=lambda solution: solution.value_s)
    found = Measured(
        best_cut_s=cut.value_s,
        local_s=local.value_s,
        remote_s=remote.value_s,
        mw_s=mw.value_s,
        psomw_s=tuple(swarm.value_s for swarm in swarms),
        seconds=max(swarm.solve_s for swarm in swarms),
        uneven_s=min(solution.value_s for solution in uneven),
        exact_s=exact.value_s,
        bound_s=bound_s,
        exact=exact.method,
        bf_ended=exact.method == "bf" and exact.status == "optimal",
        split=(best.plan.clients[0].fused, len(best.plan.clients[0].paths)),
        total_s=_total_s(instance, best),
    )
    progress(f"{setting.label}: best {found.best_s * 1e3:.1f} ms, {found.best_cut_s / found.best_s:.2f} times the best cut, by {exact.method}")
    return found


def _exact(instance: OffloadInstance, time_limit_s: float) -> tuple[OffloadSolution, float]:
    """Brute force; where it does not end, CP-SAT too, of which the better plan and the larger bound count."""
    found = [solve_offload(instance, "bf", time_limit_s=time_limit_s)]
    if found[0].status != "optimal":
        found.append(solve_offload(instance, "cpsat", time_limit_s=time_limit_s))
    return min(found, key=lambda solution: solution.value_s), max(solution.bound_s or 0.0 for solution in found)


def _total_s(instance: OffloadInstance, solution: OffloadSolution) -> float:
    """D + U + S of a plan of one device."""
    pricer, (client,) = OffloadPricer(instance), solution.plan.clients
    jobs = [pricer.job(0, client.fused, path) for path in client.paths]
    tail = pricer.tail(0, client.fused, client.tail_server)
    return sum(job.device_s + (job.upload_s or 0.0) + job.server_s for job in jobs) + (0.0 if tail is None else tail.server_s)


@dataclass(frozen=True)
class MeasuredShared:
    """The same of several devices, by their objective, seconds."""

    best_cut_s: float
    mw_s: float
    psomw_s: tuple[float, ...]
    cpsat_s: float
    bound_s: float

    @property
    def best_s(self) -> float:
        """Of all methods."""
        return min(self.best_cut_s, self.mw_s, *self.psomw_s, self.cpsat_s)

    @property
    def gap_percent(self) -> float:
        """How much any plan could be below the best."""
        return 100 * (self.best_s - self.bound_s) / self.best_s


def measure_shared(shared: Shared, time_limit_s: float, progress: Progress, seeds: int = SEEDS) -> MeasuredShared:
    """Every method that plans several devices on one instance; the limit is that of one seed."""
    instance, goal = shared.instance(), {"objective": shared.objective}
    cut = solve_offload(instance, "best-cut", **goal)
    mw = solve_offload(instance, "mw", time_limit_s=time_limit_s, **goal)
    swarms = [solve_offload(instance, "psomw", seed=seed, time_limit_s=time_limit_s, **goal) for seed in range(seeds)]
    cpsat = solve_offload(instance, "cpsat", time_limit_s=EXACT_LIMITS * time_limit_s, **goal)
    found = MeasuredShared(cut.value_s, mw.value_s, tuple(swarm.value_s for swarm in swarms), cpsat.value_s, cpsat.bound_s or 0.0)
    progress(f"{shared.label}, {shared.workers} workers, {shared.objective}: best {found.best_s * 1e3:.1f} ms, gap {found.gap_percent:.1f} %")
    return found
