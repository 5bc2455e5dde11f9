"""The offloading table: its figures follow from what the methods return, and the published ones stand apart."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from iopopt.offload.instance import OffloadInstance
from iopopt.offload.methods.nfl import solve_best_cut, solve_local, solve_remote
from iopopt.offload.solution import OffloadSolution
from paper_figs import offloading, table_offloading
from paper_figs.offloading import SETTINGS, SHARED, Measured, Setting, Shared
from paper_figs.published import PAPERS, offload_paper
from paper_figs.report import Report, write
from paper_figs.table_offloading import MEANS, STEM, TOGETHER, ceiling_note

QUICK, SLOW = Setting("lenet5", 5.0, 10.0, 1), Setting("alexnet", 20.0, 50.0, 4)
PAIR = Shared(("lenet5", "alexnet"), 20.0, 10.0, 2, "mean")
SEEDS = 4

PARTS = {"mw": 0.9, "bf": 0.5, "cpsat": 0.4}
"""What each method finds here, as a part of the best cut."""


def _psomw_part(seed: int, *, uneven: bool = False) -> float:
    return (0.42 if uneven else 0.6) + 0.1 * seed


def _solve(instance: OffloadInstance, method: str, **options: Any) -> OffloadSolution:
    """Methods of known quality: brute force ends on LeNet alone."""
    objective = options.get("objective", "makespan")
    cut = solve_best_cut(instance, objective=objective)
    if method in ("best-cut", "local", "remote"):
        return {"best-cut": solve_best_cut, "local": solve_local, "remote": solve_remote}[method](instance, objective=objective)
    ends = method == "bf" and [client.graph.name for client in instance.clients] == ["lenet5"]
    part = _psomw_part(options["seed"], uneven="space" in options) if method == "psomw" else PARTS[method]
    bound = {"bf": 0.5 if ends else 0.1, "cpsat": 0.3}.get(method)
    return replace(
        cut,
        value_s=part * cut.value_s,
        bound_s=None if bound is None else bound * cut.value_s,
        status="optimal" if ends else "feasible",
        method=method,
        solve_s=1.5,
    )


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> Report:
    """Two instances of one device, and one of two."""
    monkeypatch.setattr(offloading, "solve_offload", _solve)
    return table_offloading.build(2.0, lambda line: None, [QUICK, SLOW], [PAIR], SEEDS)


def _rows(report: Report, stem: str) -> list[dict[str, Any]]:
    return [dict(row) for row in next(table for table in report.tables if table.stem == stem).rows]


def test_each_instance_holds_what_the_methods_found(report: Report) -> None:
    """Latencies, the median and the worst seed, gains of the best plan over each way without fused layers, the gap of the larger bound."""
    quick, slow = _rows(report, STEM)
    for row, setting, best in ((quick, QUICK, 0.5), (slow, SLOW, 0.4)):
        cut, local, remote = (solve(setting.instance()).value_s for solve in (solve_best_cut, solve_local, solve_remote))
        assert (row["best_cut_s"], row["local_s"], row["remote_s"]) == (cut, local, remote)
        assert row["mw_s"] == pytest.approx(0.9 * cut)
        assert row["psomw_median_s"] == pytest.approx(0.75 * cut)
        assert row["psomw_worst_s"] == pytest.approx(0.9 * cut)
        assert row["best_cut_gain"] == pytest.approx(1 / best)
        assert row["local_gain"] == pytest.approx(local / cut / best)
        assert row["remote_gain"] == pytest.approx(remote / cut / best)
        assert row["uneven_s"] == pytest.approx(0.42 * cut)
    assert (quick["exact"], quick["bf_ended"], quick["gap_percent"]) == ("bf", True, pytest.approx(0.0))
    assert (slow["exact"], slow["bf_ended"], slow["gap_percent"]) == ("cpsat", False, pytest.approx(100 * (0.4 - 0.3) / 0.4))
    assert (quick["uneven_percent"], slow["uneven_percent"]) == (pytest.approx(100 * (1 - 0.42 / 0.5)), 0)
    assert quick["median_above_bf_percent"] == pytest.approx(50)
    assert quick["worst_above_bf_percent"] == pytest.approx(80)
    assert math.isnan(slow["median_above_bf_percent"])


def test_the_means(report: Report) -> None:
    """By workers and over all, the gains of PSOMW's median and of MW; above brute force only where that ended; the ceiling is Q + 2."""
    rows = {(row["method"], row["workers"]): row for row in _rows(report, MEANS)}
    assert list(rows) == [(method, workers) for method in ("PSOMW", "MW") for workers in ("1", "4", "all")]
    local = [solve_local(setting.instance()).value_s / solve_best_cut(setting.instance()).value_s for setting in (QUICK, SLOW)]
    for method, part in (("PSOMW", 0.75), ("MW", 0.9)):
        assert rows[method, "all"]["instances"] == 2
        assert rows[method, "all"]["best_cut_gain"] == pytest.approx(1 / part)
        assert rows[method, "all"]["local_gain"] == pytest.approx(sum(local) / 2 / part)
        assert rows[method, "all"]["most_local_gain"] == pytest.approx(max(local) / part)
        assert rows[method, "4"]["local_gain"] == pytest.approx(local[1] / part)
        assert [rows[method, workers]["ceiling"] for workers in ("1", "4", "all")] == [3, 6, 6]
        assert [rows[method, workers]["bf_instances"] for workers in ("1", "4", "all")] == [1, 0, 1]
        assert rows[method, "all"]["median_above_bf_percent"] == pytest.approx(100 * (part / 0.5 - 1))
        assert math.isnan(rows[method, "4"]["median_above_bf_percent"])
    assert rows["PSOMW", "1"]["worst_above_bf_percent"] == pytest.approx(80)


def test_several_devices(report: Report) -> None:
    """By their own objective."""
    (row,) = _rows(report, TOGETHER)
    cut = solve_best_cut(PAIR.instance(), objective="mean").value_s
    assert row["models"] == "LeNet + AlexNet"
    assert row["best_cut_s"] == cut
    assert row["cpsat_s"] == pytest.approx(0.4 * cut)
    assert row["gap_percent"] == pytest.approx(25)
    assert row["best_cut_gain"] == pytest.approx(2.5)


def test_published_numbers_have_their_own_columns(report: Report) -> None:
    """They are the record's, beside the means over all instances, and named as the paper's in heading and note."""
    record = json.loads(PAPERS.read_text(encoding="utf-8"))["papers"]["psomw"]
    table = report.tables[0]
    columns = [column for column in table.columns if column.is_paper]
    assert len(columns) == 2
    assert all("paper" in column.heading for column in columns)
    shown = {(row["method"], row["workers"]): [row[column.key] for column in columns] for row in table.rows}
    assert shown["PSOMW", "all"] == [record["times_over_no_fused_layers"], record["percent_above_brute_force"]] == [12.75, 0.04]
    assert shown["MW", "all"][0] == record["precursor"]["times_over_no_fused_layers"] == 18.39
    assert all(math.isnan(value) for (_, workers), values in shown.items() if workers != "all" for value in values)
    assert not any(column.is_paper for each in report.tables[1:] for column in each.columns)
    assert "GLOBECOM 2022" in report.notes[-1]
    assert "Model Parallelism and Partial Computation Offloading" in report.notes[-1]


def test_the_ceiling_says_how_many_workers_the_published_gain_needs() -> None:
    """Eleven; and whether the sums of the plans' times are at least the best cut."""
    found = Measured(1.0, 2.0, 3.0, 0.9, (0.9,), 1.0, 0.9, 0.9, 0.9, "bf", True, (1, 1), 1.2)
    assert "12.75 times needs at least 11 workers" in ceiling_note([(QUICK, found)])
    assert "in all of these instances" in ceiling_note([(QUICK, found)])
    assert "in all but 1 of these 2 instances" in ceiling_note([(QUICK, found), (SLOW, replace(found, total_s=0.5))])


def test_the_sum_of_a_plans_times() -> None:
    """Of one path cut at the best place it is its latency."""
    for setting in (QUICK, SLOW):
        solution = solve_best_cut(setting.instance())
        assert offloading._total_s(setting.instance(), solution) == pytest.approx(solution.value_s)


def test_settings() -> None:
    """Every network at every uplink and speed with one worker, and with more workers at one uplink; every progress step is counted."""
    assert len(SETTINGS) == len(set(SETTINGS)) == 8 * 3 * 3 + 2 * 8 * 3
    assert len(SETTINGS) + len(SHARED) == table_offloading.STEPS
    instance = Setting("lenet5", 20.0, 50.0, 16).instance()
    assert instance.clients[0].uplink.bytes_per_s == 2.5e6
    assert instance.servers[0].workers == 16
    assert instance.servers[0].flops_per_s == pytest.approx(50 * instance.clients[0].flops_per_s)
    assert (instance.clients[0].input_at, instance.clients[0].result_at) == ("device", "server")


def test_files(report: Report, tmp_path: Path) -> None:
    """CSVs, Markdown and a picture; the source of the published figures is named."""
    names = {f"{STEM}.{kind}" for kind in ("csv", "md", "png")} | {f"{MEANS}.csv", f"{TOGETHER}.csv"}
    assert {path.name for path in write(report, tmp_path)} == names
    assert len(pd.read_csv(tmp_path / f"{STEM}.csv")) == 2
    assert offload_paper().source in (tmp_path / f"{STEM}.md").read_text(encoding="utf-8")
