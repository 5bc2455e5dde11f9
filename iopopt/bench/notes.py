"""The notes below a table: why a method has no plan, and what the table alone would not tell."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from iopopt.bench.instance import Instance
from iopopt.bench.run import Run, best_latency_s
from iopopt.cost.evaluation import evaluate
from iopopt.cost.stopwatch import Stopwatch
from iopopt.methods.dp import dp_plan
from iopopt.methods.exhaustive import MAX_PLANS, plan_count
from iopopt.plan.team import resolve_team

_ROUNDING = 1e-9
TEAM_SEARCH_S = 10.0
"""How long smaller teams are searched for, seconds."""

Team = tuple[int, ...]


def notes(instance: Instance, runs: Sequence[Run]) -> Iterator[str]:
    """The notes on one instance."""
    for run in runs:
        if run.solution.reason:
            yield f"{run.label}: {run.solution.reason}"
    yield from dict.fromkeys(_gained(runs))  # several seeds may gain the same
    yield from _one_device(instance, runs)
    yield from _outside_the_space(instance, runs)
    count = plan_count(instance.graph, instance.cluster, instance.team, runs[0].settings.longest_block)
    if count <= MAX_PLANS and all(run.method != "exhaustive" for run in runs):
        yield f"Exhaustive search would price {count:,} plans; --methods exhaustive adds it."


def _gained(runs: Sequence[Run]) -> Iterator[str]:
    """What a search gained over the plan from which it started."""
    for run in runs:
        latency_s, start_s = run.solution.latency_s, run.solution.start_latency_s
        if run.fits and start_s:
            gain = "no faster than" if latency_s >= start_s * (1 - _ROUNDING) else f"{1 - latency_s / start_s:.1%} faster than"
            yield f"{run.label}: {gain} the best plan from which it started ({run.solution.started_from}, {start_s * 1e3:.4g} ms)."


def _one_device(instance: Instance, runs: Sequence[Run]) -> Iterator[str]:
    """Where cooperation brings nothing."""
    if math.isfinite(best := best_latency_s(runs)) and best >= instance.single_s * (1 - _ROUNDING) and any(run.method != "single" for run in runs):
        yield f"No plan of the table is faster than one device alone ({instance.single_s * 1e3:.4g} ms)."


def _outside_the_space(instance: Instance, runs: Sequence[Run]) -> Iterator[str]:
    """Where a plan of another space, of the table or of a smaller team, is faster than a plan called optimal in its own."""
    by_latency = (run for run in runs if run.solution.timing == "bulk-synchronous" and run.solution.objective == "latency")
    proven = [run for run in by_latency if run.solution.status == "optimal"]
    for run in proven:
        faster = [other for other in runs if other.fits and _beats(other.latency_s, run)]
        if faster:
            other = min(faster, key=lambda other: other.latency_s)
            yield f"{run.label} is optimal for {run.solution.space} only: {other.label} found a faster plan outside that space."
    fitting = next((run for run in runs if run.fits), None)
    for run in runs:
        if fitting is not None and run.solution.status == "infeasible":
            yield f"{run.label}: that nothing fits is proven for {run.solution.space} only; {fitting.label} has a plan outside that space which fits."
    if not proven or instance.team == "best":
        return
    best = min(proven, key=lambda run: run.latency_s)
    found = _smaller_team(instance, best.settings.longest_block)
    if found is not None and _beats(found[1], best):
        (team, latency_s), devices = found, instance.cluster.devices
        yield (
            f"{best.label} is optimal for {best.solution.space} only: over {', '.join(devices[j].name for j in team)} the dynamic program finds "
            f"{latency_s * 1e3:.4g} ms, {1 - latency_s / best.latency_s:.1%} less; --team best searches all teams, with proof."
        )


def _beats(latency_s: float, run: Run) -> bool:
    """Whether a latency is below what the run proved of its space, and by more than its gap."""
    bound = run.solution.bound_s
    return bound is not None and latency_s < bound * (1 - _ROUNDING)


def _smaller_team(instance: Instance, longest_block: int) -> tuple[Team, float] | None:
    """The best team found by leaving one device out at a time, the slowest first, while that helps, and its latency in seconds."""
    watch, team, best = Stopwatch(), resolve_team(instance.team, instance.cluster), None
    while len(team) > 2:
        slowest_first = sorted(team, key=lambda j: instance.cluster.devices[j].flops_per_s)
        found: list[tuple[float, Team]] = []
        for left_out in slowest_first:
            if watch.elapsed_s > TEAM_SEARCH_S:
                break
            smaller = tuple(j for j in team if j != left_out)
            price = evaluate(instance.graph, instance.cluster, dp_plan(instance.graph, instance.cluster, smaller, longest_block=longest_block))
            if price.feasible:
                found.append((price.latency_s, smaller))
        if not found or (best is not None and min(found)[0] >= best[1]):
            break
        latency_s, team = min(found)
        best = team, latency_s
    return best
