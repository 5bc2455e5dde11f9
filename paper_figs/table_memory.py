"""Peak memory of OC, CoEdge and the IOP variants on LeNet, AlexNet and VGG11, with the IOP paper's percentages in a separate column.

Seconds per model; writes table_memory.csv (largest peak), table_memory_devices.csv (each device), table_memory.md and .png.
The setting is that of paper_figs/setting.py.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from paper_figs.appearance import label
from paper_figs.columns import PAPER, Column, Table, fixed, method_columns
from paper_figs.command_line import run
from paper_figs.comparison import Comparison, Progress, compare, solver_note
from paper_figs.published import caveat, iop_paper
from paper_figs.report import Report
from paper_figs.setting import METHODS_COMPARED, TABLE_INSTANCES, VARIANTS, Instance, describe
from paper_figs.table_drawing import draw_tables

STEM = "table_memory"
STEPS = len(TABLE_INSTANCES) * len(METHODS_COMPARED)

_MEGABYTES = fixed(3, scale=1e-6)
_DEVICES_GROUP = "peak of each device, their sum, and the limit of each, MB"
_REDUCTION_GROUP = "reduction vs CoEdge, %"


def largest_table(comparisons: Sequence[Comparison]) -> Table:
    """One row for each model: the largest peak over the devices."""
    columns = (
        Column("model", "", "model"),
        *method_columns(METHODS_COMPARED, "largest_memory_bytes", "largest peak of a device, MB", _MEGABYTES),
        *method_columns(("oc", *VARIANTS), "reduction_vs_coedge_percent", _REDUCTION_GROUP, fixed(2)),
        Column("paper_reduction_vs_coedge_percent", _REDUCTION_GROUP, PAPER, fixed(2)),
    )
    marked = tuple(frozenset(f"{method}_largest_memory_bytes" for method in comparison.violators) for comparison in comparisons)
    return Table(STEM, columns, tuple(_largest_row(comparison) for comparison in comparisons), marked)


def _largest_row(comparison: Comparison) -> dict[str, Any]:
    return {
        "model": comparison.instance.label,
        **{f"{method}_largest_memory_bytes": max(comparison.memory_bytes(method)) for method in METHODS_COMPARED},
        **{f"{method}_reduction_vs_coedge_percent": comparison.memory_reduction_percent(method, "coedge") for method in ("oc", *VARIANTS)},
        "milp_gap_percent": comparison.gap_percent,
        **{f"{method}_status": solution.status for method, solution in comparison.solutions.items()},
        "paper_reduction_vs_coedge_percent": iop_paper().reductions[comparison.instance.model].peak_memory_vs_coedge,
    }


def devices_table(comparisons: Sequence[Comparison]) -> Table:
    """One row for each model and method: the peak of each device, and their sum."""
    devices = range(max(len(comparison.cluster) for comparison in comparisons))
    columns = (
        Column("model", "", "model"),
        Column("method_label", "", "method"),
        *(Column(f"device_{j}_memory_bytes", _DEVICES_GROUP, f"device {j}", _MEGABYTES) for j in devices),
        Column("sum_memory_bytes", _DEVICES_GROUP, "sum", _MEGABYTES),
        Column("limit_memory_bytes", _DEVICES_GROUP, "limit", _MEGABYTES),
    )
    rows = tuple(_device_row(comparison, method) for comparison in comparisons for method in METHODS_COMPARED)
    marked = tuple(frozenset({"method_label"} if row["status"] == "violates_memory" else ()) for row in rows)
    return Table(f"{STEM}_devices", columns, rows, marked)


def _device_row(comparison: Comparison, method: str) -> dict[str, Any]:
    memory = comparison.memory_bytes(method)
    return {
        "model": comparison.instance.label,
        "method": method,
        "method_label": label(method),
        **{f"device_{j}_memory_bytes": value for j, value in enumerate(memory)},
        "sum_memory_bytes": sum(memory),
        "limit_memory_bytes": min(device.memory_bytes for device in comparison.cluster.devices),
        "status": comparison.solutions[method].status,
    }


def build(time_limit_s: float, progress: Progress, instances: Sequence[Instance] = TABLE_INSTANCES) -> Report:
    """Solve and report."""
    comparisons = [compare(instance, time_limit_s, progress) for instance in instances]
    tables = (largest_table(comparisons), devices_table(comparisons))
    report = Report(
        stem=STEM,
        title="Peak memory of OC, CoEdge and the IOP variants",
        tables=tables,
        frames={table.stem: table.frame() for table in tables},
        setting=describe(instances),
        notes=(
            "Peak memory by equation (1): all weights of a device and its largest activation; 1 MB is 1e6 bytes.",
            "A reduction is 100 (1 - method / CoEdge) of the largest peak over the devices; all methods seek latency, memory is a limit only.",
            solver_note(comparisons, time_limit_s),
            caveat(),
        ),
    )
    return report.with_figure(draw_tables(report))


def main(argv: Sequence[str] | None = None) -> int:
    """The command ``python -m paper_figs.table_memory``."""
    return run(STEM, __doc__ or "", build, STEPS, argv)


if __name__ == "__main__":
    sys.exit(main())
