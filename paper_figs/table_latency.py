"""Latency of OC, CoEdge and the IOP variants on LeNet, AlexNet and VGG11, with the IOP paper's percentages in separate columns.

Seconds per model; writes table_latency.csv, .md and .png. The setting is that of paper_figs/setting.py.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from paper_figs.columns import PAPER, Column, Table, fixed
from paper_figs.command_line import run
from paper_figs.comparison import Comparison, Progress, compare, one_device_notes, order_note, solver_note
from paper_figs.latency_rows import BASELINE_GROUPS, GAP_COLUMN, LATENCY_COLUMNS, PLAN_COLUMNS, latency_row, marked_latencies, reduction_columns
from paper_figs.published import caveat, iop_paper
from paper_figs.report import Report
from paper_figs.setting import BASELINES, METHODS_COMPARED, TABLE_INSTANCES, Instance, describe
from paper_figs.table_drawing import draw_tables

STEM = "table_latency"
STEPS = len(TABLE_INSTANCES) * len(METHODS_COMPARED)


def latency_table(comparisons: Sequence[Comparison]) -> Table:
    """One row for each model."""
    columns = [Column("model", "", "model"), *LATENCY_COLUMNS, GAP_COLUMN, *PLAN_COLUMNS]
    for baseline in BASELINES:
        columns += [*reduction_columns(baseline), Column(f"paper_reduction_vs_{baseline}_percent", BASELINE_GROUPS[baseline], PAPER, fixed(2))]
    published = iop_paper().reductions
    rows = []
    for comparison in comparisons:
        paper = published[comparison.instance.model]
        paper_cells = {
            "paper_reduction_vs_oc_percent": paper.latency_vs_oc,
            "paper_reduction_vs_coedge_percent": paper.latency_vs_coedge,
        }
        rows.append(latency_row(comparison) | paper_cells)
    return Table(STEM, tuple(columns), tuple(rows), tuple(map(marked_latencies, comparisons)))


def build(time_limit_s: float, progress: Progress, instances: Sequence[Instance] = TABLE_INSTANCES) -> Report:
    """Solve and report."""
    comparisons = [compare(instance, time_limit_s, progress) for instance in instances]
    table = latency_table(comparisons)
    report = Report(
        stem=STEM,
        title="Latency of OC, CoEdge and the IOP variants",
        tables=(table,),
        frames={STEM: table.frame()},
        setting=describe(instances),
        notes=(
            "A reduction is 100 (1 - method / baseline): positive where the method is faster, negative where it is slower.",
            order_note(comparisons),
            *one_device_notes(comparisons),
            solver_note(comparisons, time_limit_s),
            caveat(),
        ),
    )
    return report.with_figure(draw_tables(report))


def main(argv: Sequence[str] | None = None) -> int:
    """The command ``python -m paper_figs.table_latency``."""
    return run(STEM, __doc__ or "", build, STEPS, argv)


if __name__ == "__main__":
    sys.exit(main())
