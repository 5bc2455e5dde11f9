"""An evaluation as HTML, for notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iopopt.network.html import heading, table

if TYPE_CHECKING:
    from iopopt.cost.evaluation import Evaluation


def evaluation_html(evaluation: Evaluation) -> str:
    """A row for each operator and one for the sink, and the memory of each device."""
    columns = ("operator", "placement", "edge", "communication, ms", "computation, ms", "bytes", "connections")
    steps: list[tuple[object, ...]] = [
        (cost.name, cost.placement, "+".join(cost.cases), *_figures(cost.communication_s, cost.compute_s, cost.transferred_bytes, cost.connections))
        for cost in evaluation.operators
    ]
    sink = evaluation.sink_transfer
    steps.append(("(sink)", "", "+".join(evaluation.sink_cases), *_figures(evaluation.sink_s, None, *sink)))
    steps.append(("total", "", "", *_figures(evaluation.communication_s, evaluation.compute_s, evaluation.transferred_bytes, evaluation.connections)))
    columns_of_devices: tuple[str, ...] = ("device", "peak memory, MB", "of, MB", "used", "")
    devices: list[tuple[object, ...]] = [
        (name, f"{demand / 1e6:,.4g}", f"{limit / 1e6:,.4g}", f"{demand / limit:.0%}", "" if demand <= limit else "over the limit")
        for name, demand, limit in zip(evaluation.device_names, evaluation.memory_bytes, evaluation.memory_limit_bytes, strict=True)
    ]
    parts = f"{evaluation.compute_s * 1e3:.4g} ms of computation, {evaluation.communication_s * 1e3:.4g} ms of communication"
    if evaluation.energy is not None:
        columns_of_devices = (*columns_of_devices, "energy, J")
        devices = [(*row, f"{joules:.4g}") for row, joules in zip(devices, evaluation.energy.device_j, strict=True)]
        parts += f"; {evaluation.energy_j:.4g} J"
    return (
        heading(f"{evaluation.latency_s * 1e3:.4g} ms", parts)
        + table(columns, steps, figures=columns[3:])
        + table(columns_of_devices, devices, figures=("peak memory, MB", "of, MB", "used", "energy, J"))
    )


def _figures(communication_s: float, compute_s: float | None, transferred_bytes: float, connections: int) -> tuple[str, str, str, str]:
    compute = "" if compute_s is None else f"{compute_s * 1e3:.4g}"
    return f"{communication_s * 1e3:.4g}", compute, f"{transferred_bytes:,.0f}", f"{connections:,}"
