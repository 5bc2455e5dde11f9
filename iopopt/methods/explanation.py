"""Explains the price of a plan."""

from __future__ import annotations

from iopopt.cost.evaluation import Evaluation

_NEARLY_FULL = 0.95


def explain(evaluation: Evaluation) -> list[str]:
    """Lines on how operators are split, what dominates the latency, and which memory limit binds."""
    table = evaluation.to_frame().to_string(index=False, float_format=lambda value: f"{value:.6g}")
    return ["", table, "", _latency_parts(evaluation), _slowest(evaluation), _memory(evaluation), "Terms: see 'iopopt glossary'."]


def _latency_parts(evaluation: Evaluation) -> str:
    share = evaluation.compute_s / evaluation.latency_s if evaluation.latency_s else 0.0
    return (
        f"Latency: {evaluation.compute_s * 1e3:.4g} ms of computation ({share:.0%}) and {evaluation.communication_s * 1e3:.4g} ms of communication, "
        f"{evaluation.transferred_bytes:,.0f} bytes over {evaluation.connections} connections."
    )


def _slowest(evaluation: Evaluation) -> str:
    cost = max(evaluation.operators, key=lambda cost: cost.compute_s + cost.communication_s)
    device = max(range(len(cost.device_compute_s)), key=lambda j: cost.device_compute_s[j])
    edges = [(cost.communication_s, f"into {cost.name}", cost.cases) for cost in evaluation.operators]
    seconds, place, cases = max([*edges, (evaluation.sink_s, "to the sink", evaluation.sink_cases)])
    return (
        f"Costliest operator: {cost.name} ({(cost.compute_s + cost.communication_s) * 1e3:.4g} ms; device {evaluation.device_names[device]!r} is the "
        f"last to finish it). Costliest edge: {place} ({seconds * 1e3:.4g} ms, {'+'.join(cases)})."
    )


def _memory(evaluation: Evaluation) -> str:
    uses = [
        f"{name} {demand / 1e6:.4g} of {limit / 1e6:.4g} MB"
        + (" (over the limit)" if demand > limit else " (binds)" if demand > _NEARLY_FULL * limit else "")
        for name, demand, limit in zip(evaluation.device_names, evaluation.memory_bytes, evaluation.memory_limit_bytes, strict=True)
    ]
    return "Peak memory: " + ", ".join(uses) + "."
