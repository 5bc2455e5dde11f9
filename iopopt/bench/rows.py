"""Runs as rows of tidy tables, one value in each cell."""

from __future__ import annotations

from collections.abc import Iterator

from iopopt.bench.run import Run
from iopopt.commands.results import Row, environment
from iopopt.cost.evaluation import Evaluation


def run_row(run: Run, name: str, best_s: float) -> Row:
    """One run; every figure is the evaluator's for the returned plan, and empty without one. ``name`` is the stem of its files.

    ``events_s`` is the makespan of the same plan without barriers. ``timing`` says by which of the two clocks the method searched, and which one
    ``bound_s`` and ``proven_gap`` belong to; under another objective ``proven_gap`` is that of its value to its bound, as of ``energy_j``
    to ``bound_j``.
    """
    instance, solution = run.instance, run.solution
    latency, events = (run.latency_s, run.events_s) if solution.plan else (None, None)
    return {
        **_key(run, name),
        "devices": len(instance.cluster),
        "status": solution.status,
        "termination": solution.termination,
        "space": solution.space,
        "timing": solution.timing,
        "objective": solution.objective,
        "latency_s": latency,
        "events_s": events,
        "energy_j": solution.evaluation.energy_j if solution.evaluation else None,
        "bound_s": solution.bound_s,
        "bound_j": solution.bound_j,
        "bound_share": solution.bound_share,
        "bound_bytes": solution.bound_bytes,
        "gap_to_best": run.latency_s / best_s - 1 if run.fits else None,
        "proven_gap": solution.gap,
        "speedup_over_coedge": instance.coedge_s / latency if latency else None,
        "speedup_over_single": instance.single_s / latency if latency else None,
        "share_of_perfect_split": instance.perfect_s / latency if latency else None,
        **_evaluation_columns(solution.evaluation),
        "build_s": solution.build_s,
        "solve_s": solution.solve_s,
        "backend": solution.backend,
        "backend_version": solution.backend_version,
        "reason": solution.reason,
        **_settings_columns(run),
        "started": run.started.isoformat(timespec="seconds"),
        **environment(),
    }


def device_rows(run: Run, name: str) -> Iterator[Row]:
    """One row for each device: what the cluster says of it, and what the plan asks of it."""
    evaluation = run.solution.evaluation
    for j, device in enumerate(run.instance.cluster.devices):
        yield {
            **_key(run, name),
            "device": j,
            "device_name": device.name,
            "flops_per_s": device.flops_per_s,
            "memory_limit_bytes": device.memory_bytes,
            "bandwidth_bytes_per_s": device.bandwidth_bytes_per_s,
            "memory_bytes_per_s": device.memory_bytes_per_s,
            "memory_bytes": evaluation.memory_bytes[j] if evaluation else None,
            "compute_s": sum(cost.device_compute_s[j] for cost in evaluation.operators) if evaluation else None,
        }


def _key(run: Run, name: str) -> Row:
    return {"run": name, "model": run.instance.model, "cluster": run.instance.cluster_name, "method": run.method, "seed": run.seed}


def _evaluation_columns(evaluation: Evaluation | None) -> Row:
    if evaluation is None:
        return dict.fromkeys(("peak_memory_bytes", "connections", "transferred_bytes", "compute_s", "communication_s"))
    return {
        "peak_memory_bytes": max(evaluation.memory_bytes),
        "connections": evaluation.connections,
        "transferred_bytes": evaluation.transferred_bytes,
        "compute_s": evaluation.compute_s,
        "communication_s": evaluation.communication_s,
    }


def _settings_columns(run: Run) -> Row:
    """What was asked for; the names say where it differs from what was found."""
    instance, settings, shape = run.instance, run.settings, run.instance.graph.input_shape
    team = instance.team if isinstance(instance.team, str) else "-".join(map(str, instance.team))
    return {
        "asked_team": team,
        "asked_time_limit_s": settings.time_limit_s,
        "asked_gap": settings.gap,
        "asked_backend": settings.backend,
        "asked_threads": settings.threads,
        "asked_longest_block": settings.longest_block,
        "asked_objective": settings.objective,
        "asked_deadline_s": settings.deadline_s,
        "asked_bandwidth_mbit": instance.bandwidth_mbit,
        "connection_setup_s": instance.cluster.connection_setup_s,
        "input_channels": shape.channels,
        "input_height": shape.height,
        "input_width": shape.width,
    }
