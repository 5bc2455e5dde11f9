"""The table of a comparison, and the notes below it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from statistics import fmean

from rich.table import Table
from rich.text import Text

from iopopt.commands.tables import NONE, either, finite_text, four_digits, median_and_worst, ms_text
from iopopt.network.records import short_text
from iopopt.offload.comparison import Case, OffloadRun, best_run
from iopopt.offload.instance import Client, Link, Server
from iopopt.offload.plan import OffloadPlan
from iopopt.offload.solution import OffloadSolution
from iopopt.offload.stages import Stages

_MOST_SHOWN = 32
"""The longest text in a cell of cuts, characters; files have all."""

HEADINGS = ("gap to\nbest", "proven\ngap", "times\nbest cut", "times\nlocal", "times\nremote", "m", "n", "cuts", "time\ns")


def offload_table(runs: Sequence[OffloadRun]) -> Table:
    """All methods on one case; a method with several seeds shows its median, and its worst below it."""
    case, best = runs[0].case, best_run(runs)
    best_s = math.inf if best is None else best.value_s
    # Text, because names come from files and may look like markup.
    table = Table(title=Text(_title(case)), title_justify="left", caption=Text(_caption(case)), caption_justify="left")
    table.add_column("method", no_wrap=True)
    for heading in ("latency\nms" if case.settings.objective == "makespan" else "mean\nms", *HEADINGS):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("space", no_wrap=True)
    table.add_column("status")
    for method in dict.fromkeys(run.method for run in runs):
        of_method = [run for run in runs if run.method == method]
        for label, shown in median_and_worst(of_method[0].label, of_method, lambda run: run.value_s):
            table.add_row(Text(label), *_cells(shown, best_s))
    return table


def _cells(runs: Sequence[OffloadRun], best_s: float) -> list[str | Text]:
    """The figures of a run, or the means of those of two."""
    value, solutions = fmean(run.value_s for run in runs), [run.solution for run in runs]
    gaps = [math.nan if solution is None or solution.gap is None else solution.gap for solution in solutions]

    def each(text: Callable[[OffloadSolution], str]) -> str:
        return either(NONE if solution is None else text(solution) for solution in solutions)

    return [
        finite_text(value, ms_text),
        finite_text(value / best_s - 1 if best_s < math.inf else math.nan, lambda ratio: f"{ratio:.2%}"),
        finite_text(fmean(gaps), lambda gap: f"{gap:.3%}"),
        *(finite_text(over_s / value if value else math.nan, lambda ratio: f"{ratio:.3f}") for over_s in runs[0].case.baselines),
        each(lambda solution: fused_text(solution.plan)),
        each(lambda solution: paths_text(solution.plan)),
        each(lambda solution: short_text(cuts_text(solution.plan), _MOST_SHOWN)),
        f"{fmean(run.seconds for run in runs):.2f}",
        Text(each(lambda solution: solution.space)),
        either(status_text(run) for run in runs),
    ]


def fused_text(plan: OffloadPlan) -> str:
    """m, of each device."""
    return "/".join(str(client.fused) for client in plan.clients)


def paths_text(plan: OffloadPlan) -> str:
    """n, of each device."""
    return "/".join(str(len(client.paths)) for client in plan.clients)


def cuts_text(plan: OffloadPlan) -> str:
    """The cut of each path in its order, of each device."""
    return "/".join(",".join(str(path.cut) for path in client.paths) for client in plan.clients)


def status_text(run: OffloadRun) -> str:
    """The status, and what stopped a search early."""
    if run.solution is None:
        return "error"
    cut_short = run.solution.termination in ("time_limit", "interrupted")
    return run.solution.status + (f" ({run.solution.termination.replace('_', ' ')})" if cut_short else "")


def notes(runs: Sequence[OffloadRun], skipped: Sequence[str]) -> Iterator[str]:
    """Why a method has no plan, what exact methods enumerated, and which methods were left out."""
    for run in runs:
        if run.reason:
            yield f"{run.label}: {run.reason}"
        elif run.solution is not None and run.solution.searched and run.seed in (None, 0):
            yield f"{run.label}: {run.solution.searched}"
        if run.solution is not None and run.solution.resolution_s is not None:
            yield f"{run.label}: times are counted in ticks of {run.solution.resolution_s * 1e3:.3g} ms; what rounding may hide is part of the gap."
    if skipped:
        yield f"Left out, because they plan one device only: {', '.join(skipped)}."


def _title(case: Case) -> str:
    networks = []
    for client in case.instance.clients:
        stages = len(Stages.of(client.graph))
        networks.append(f"{short_text(client.graph.name, 24)} in {stages} stages, {four_digits(client.graph.macs / 1e6)} million MACs")
    objective = "" if case.settings.objective == "makespan" else "; the mean over devices of when results are there"
    return f"{case.name}: {'; '.join(networks)}{objective}"


def _caption(case: Case) -> str:
    devices = "; ".join(map(_client_text, case.instance.clients))
    servers = "; ".join(map(_server_text, case.instance.servers))
    found = case.baselines
    without = f"best cut {ms_text(found.best_cut_s)} ms, local {ms_text(found.local_s)} ms, remote {ms_text(found.remote_s)} ms"
    return f"Devices: {devices}. Servers: {servers}. No fused layers: {without}."


def _client_text(client: Client) -> str:
    links = f"up {_link_text(client.uplink)}" + ("" if client.downlink is None else f", down {_link_text(client.downlink)}")
    ends = f"input at the {client.input_at}, result at the {client.result_at}"
    return f"{client.name} {client.flops_per_s / 1e9:.4g} GFLOP/s, {links}, {ends}"


def _link_text(link: Link) -> str:
    return f"{link.bytes_per_s * 8 / 1e6:.4g} Mbit/s with {link.delay_s * 1e3:.4g} ms delay"


def _server_text(server: Server) -> str:
    return f"{server.name} {server.workers} worker{'s' * (server.workers > 1)} of {server.flops_per_s / 1e9:.4g} GFLOP/s"
