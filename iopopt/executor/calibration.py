"""Fits the cost model's devices to measured runs: effective FLOP/s, memory and link bandwidths, and set-up time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import yaml

from iopopt.cluster.cluster import Cluster, Device
from iopopt.commands.command_line import WARNING
from iopopt.cost.evaluation import schedule_of_plan
from iopopt.errors import ExecutionError, FileFormatError
from iopopt.executor.execution import Execution
from iopopt.executor.link_fit import fit_links
from iopopt.executor.roofline_fit import fit_roofline
from iopopt.network.graph import Graph
from iopopt.plan.plan import Plan
from iopopt.schedule.rounds import Work

Array = npt.NDArray[np.float64]

TRUSTED_RESIDUAL = 0.3
"""A larger residual is more than most methods differ by, so that prices with the fitted cluster do not tell which plan is faster."""

_MEMORY = "memory of "
"""How :attr:`Fit.unseen` begins where it is the memory of a device."""

_CAUSES = {
    "computation": "operators so short that starting them is what was measured, or kinds of operators that a device computes at different speeds: "
    "one speed and one memory bandwidth cannot fit all",
    "communication": "messages so short, or devices that share this machine so closely, that waiting for each other is what was measured: one "
    "bandwidth for each link and one set-up time cannot fit that",
}


@dataclass(frozen=True)
class Fit:
    """A cluster whose figures fit the measurements.

    Attributes:
        cluster: the given one with fitted speeds, memory and link bandwidths and set-up time; memory limits and names are kept.
        compute_residual, communication_residual: root of the mean squared difference between measured and fitted time of an operator on a device,
            over the mean measured time.
        unseen: devices and links that the runs do not exercise, whose figures are unchanged, and memory that they do not exercise, whose bandwidth is
            left out.
    """

    cluster: Cluster
    compute_residual: float
    communication_residual: float
    unseen: tuple[str, ...]


def calibrate(graph: Graph, cluster: Cluster, runs: Sequence[tuple[Plan, Execution]]) -> Fit:
    """A fit over every operator, device and run.

    Computation: t = max(C_ij / f_j, D_ij / m_j), two unknowns for each device (:mod:`iopopt.executor.roofline_fit`), or C_ij / f_j alone where a
    memory bandwidth does not explain the times much better. Communication: one bandwidth for each link and one set-up time, with which a simulation
    of the transfers takes as long as they did (:mod:`iopopt.executor.link_fit`).

    Raises:
        ExecutionError: if there are no runs.
    """
    if not runs:
        raise ExecutionError("no measured runs to calibrate with")
    computing, compute_residual, unseen_devices = _fit_devices(graph, cluster, runs)
    links = fit_links(graph, cluster, runs)
    devices = tuple(replace(device, bandwidth_bytes_per_s=bandwidth) for device, bandwidth in zip(computing, links.bandwidths, strict=True))
    fitted = replace(cluster, devices=devices, connection_setup_s=links.setup_s)
    unseen_links = [f"link of {cluster.devices[j].name}" for j in links.unseen]
    return Fit(fitted, compute_residual, _relative([links.residuals], links.measured), (*unseen_devices, *unseen_links))


def _fit_devices(graph: Graph, cluster: Cluster, runs: Sequence[tuple[Plan, Execution]]) -> tuple[list[Device], float, list[str]]:
    """The devices with fitted rooflines, the residual, and what was not exercised."""
    works: list[list[Work]] = [[] for _ in cluster.devices]
    seconds: list[list[float]] = [[] for _ in cluster.devices]
    for plan, execution in runs:
        measured = {(timing.operator, timing.device): timing.compute_s for timing in execution.timings}
        for step in schedule_of_plan(graph, cluster, plan).steps:
            for number, work in step.tasks.items():
                works[number].append(work)
                seconds[number].append(measured[step.name, number])
    devices, residuals, unseen = [], [], []
    for device, of_device, taken in zip(cluster.devices, works, seconds, strict=True):
        roofline = fit_roofline(of_device, taken)
        if roofline is None:
            devices.append(device)
            unseen.append(f"computation of {device.name}")
            continue
        fitted = replace(device, flops_per_s=roofline.flops_per_s, memory_bytes_per_s=roofline.memory_bytes_per_s)
        devices.append(fitted)
        residuals.append(np.array(taken) - np.array([fitted.compute_s(*work) for work in of_device]))
        if fitted.memory_bytes_per_s is None:
            unseen.append(f"{_MEMORY}{device.name}")
    return devices, _relative(residuals, np.concatenate([np.array(taken) for taken in seconds])), unseen


def _relative(residuals: Sequence[Array], measured: Array) -> float:
    if not measured.size or not measured.mean() > 0:
        return 0.0
    return float(np.sqrt(np.mean(np.concatenate(residuals) ** 2)) / measured.mean()) if residuals else 0.0


def describe_fit(fit: Fit) -> str:
    """The fitted figures and residuals, one on each line."""
    lines = [f"{device.name}: {_figures(device)}" for device in fit.cluster.devices]
    lines.append(f"set-up {fit.cluster.connection_setup_s * 1e3:.4g} ms")
    residuals = f"computation {fit.compute_residual:.1%}, communication {fit.communication_residual:.1%}"
    lines.append(f"residual (root mean square of measured minus fitted time, over the mean measured time): {residuals}")
    kept = [what for what in fit.unseen if not what.startswith(_MEMORY)]
    if kept:
        lines.append(f"not exercised, kept as given: {', '.join(kept)}")
    if left_out := [what.removeprefix(_MEMORY) for what in fit.unseen if what.startswith(_MEMORY)]:
        lines.append(f"memory bandwidth not exercised, left out: {', '.join(left_out)}")
    return "\n".join(lines)


def _figures(device: Device) -> str:
    memory = "" if device.memory_bytes_per_s is None else f", memory {device.memory_bytes_per_s / 1e9:.4g} GB/s"
    return f"{device.flops_per_s / 1e9:.4g} GFLOP/s{memory}, {device.bandwidth_bytes_per_s / 1e6:.4g} MB/s"


def doubts(fit: Fit) -> list[str]:
    """Why not to trust the fit, a sentence for each residual above ``TRUSTED_RESIDUAL``."""
    residuals = {"computation": fit.compute_residual, "communication": fit.communication_residual}
    return [
        f"the fitted cluster misses the measured times of {part} by {residual:.0%} of their mean; above {TRUSTED_RESIDUAL:.0%} do not trust its "
        f"prices to tell which plan is faster. Usual causes: {_CAUSES[part]}. Calibrate on a network with longer operators, with more --repeat."
        for part, residual in residuals.items()
        if residual > TRUSTED_RESIDUAL
    ]


def write_cluster(fit: Fit, path: Path) -> None:
    """The fitted cluster as a file that the benchmark reads, with its residuals and doubts as comments.

    Raises:
        FileFormatError: if the file cannot be written.
    """
    comments = "".join(f"# {line}\n" for line in [*describe_fit(fit).splitlines(), *(WARNING + doubt for doubt in doubts(fit))])
    try:
        path.write_text(comments + yaml.safe_dump(fit.cluster.to_dict(), sort_keys=False), encoding="utf-8")
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be written ({error.strerror})") from None
