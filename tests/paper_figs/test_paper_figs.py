"""The tables and figures beside the published ones: they hold what the evaluator gives, and published numbers only where they are named so."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure

import iopopt
from paper_figs import command_line, figure_setup_time, table_latency, table_memory
from paper_figs import published as published_figures
from paper_figs.appearance import LOOKS
from paper_figs.columns import MARK, MARK_NOTE, MISSING, Column, Table, fixed, small_percent
from paper_figs.command_line import OUTPUT, RESULTS
from paper_figs.comparison import Comparison, one_device_notes, reduction_percent, solver_note
from paper_figs.latency_rows import plan_cells
from paper_figs.published import PAPERS, iop_paper
from paper_figs.report import Report, write
from paper_figs.setting import BASELINES, LENET, METHODS_COMPARED, SWEEP_INSTANCES, TABLE_INSTANCES, VARIANTS, Instance, load

TIME_LIMIT_S = 20.0
VGG11 = SWEEP_INSTANCES[0]
SWEPT_MS = (1, 8)
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def silent(line: str) -> None:
    """A progress that says nothing."""


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    """The IOP paper's record as the package ships it."""
    record: dict[str, Any] = json.loads(PAPERS.read_text(encoding="utf-8"))["papers"]["iop"]
    return record


@pytest.fixture(scope="module")
def latency() -> Report:
    """The latency table of LeNet alone."""
    return table_latency.build(TIME_LIMIT_S, silent, [LENET])


@pytest.fixture(scope="module")
def memory() -> Report:
    """The memory tables of LeNet alone."""
    return table_memory.build(TIME_LIMIT_S, silent, [LENET])


@pytest.fixture(scope="module")
def sweep() -> Report:
    """The set-up time figure of VGG11 at its two ends; LeNet is not in the published sweep."""
    return figure_setup_time.build(TIME_LIMIT_S, silent, [VGG11], SWEPT_MS)


def lenet_evaluation(method: str) -> iopopt.Evaluation:
    """The evaluator's price of the method's plan."""
    graph, cluster = load(LENET)
    plan = iopopt.solve(graph, cluster, method=method).plan
    assert plan is not None
    return iopopt.evaluate(graph, cluster, plan)


@pytest.mark.parametrize("method", METHODS_COMPARED)
def test_latency_table_holds_the_evaluators_latency(latency: Report, method: str) -> None:
    """Every latency of the table is the evaluator's price of the method's plan."""
    assert latency.tables[0].rows[0][f"{method}_latency_s"] == pytest.approx(lenet_evaluation(method).latency_s, rel=1e-9)


@pytest.mark.parametrize("method", VARIANTS)
@pytest.mark.parametrize("baseline", BASELINES)
def test_reductions_follow_from_the_latencies_of_the_same_row(latency: Report, method: str, baseline: str) -> None:
    """A reduction is 100 (1 - method / baseline)."""
    row = latency.tables[0].rows[0]
    expected = 100 * (1 - row[f"{method}_latency_s"] / row[f"{baseline}_latency_s"])
    assert row[f"{method}_reduction_vs_{baseline}_percent"] == pytest.approx(expected)


@pytest.mark.parametrize("method", METHODS_COMPARED)
def test_memory_tables_hold_the_evaluators_peaks(memory: Report, method: str) -> None:
    """Each device's peak is the evaluator's, and the main table holds the largest."""
    largest, devices = memory.tables
    peaks = lenet_evaluation(method).memory_bytes
    row = next(row for row in devices.rows if row["method"] == method)
    assert [row[f"device_{j}_memory_bytes"] for j in range(3)] == pytest.approx(peaks)
    assert largest.rows[0][f"{method}_largest_memory_bytes"] == pytest.approx(max(peaks))


def test_paper_columns_equal_the_published_record(latency: Report, memory: Report, sweep: Report, published: dict[str, Any]) -> None:
    """The columns named after the paper hold its numbers, digit for digit."""
    record = published["reductions_percent"]["lenet5"]
    assert latency.tables[0].rows[0]["paper_reduction_vs_oc_percent"] == record["latency_vs_oc"]
    assert latency.tables[0].rows[0]["paper_reduction_vs_coedge_percent"] == record["latency_vs_coedge"]
    assert memory.tables[0].rows[0]["paper_reduction_vs_coedge_percent"] == record["peak_memory_vs_coedge"]
    swept = published["connection_setup_sweep"]["latency_reduction_percent"]["vgg11"]
    frame = sweep.frames["figure_setup_time"]
    assert set(frame["paper_least_percent"]) == {swept["least"]}
    assert set(frame["paper_most_percent"]) == {swept["most"]}


def test_only_paper_columns_are_headed_as_the_papers(latency: Report, memory: Report, sweep: Report) -> None:
    """A heading speaks of the paper exactly where the column holds published numbers."""
    columns = [column for report in (latency, memory, sweep) for table in report.tables for column in table.columns]
    assert {column.is_paper for column in columns} == {True, False}
    assert all(column.is_paper == ("paper" in column.heading) for column in columns)


def test_a_missing_record_says_where_it_comes_from(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Without data/papers.json a script says that it needs a checkout, and writes nothing."""
    monkeypatch.setattr(published_figures, "PAPERS", tmp_path / "data" / "papers.json")
    iop_paper.cache_clear()
    assert table_latency.main(["--output", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"table_latency: {tmp_path / 'data' / 'papers.json'}: the published figures are missing")
    assert "checkout" in said
    assert not (tmp_path / "out").exists()


def test_published_record_covers_every_instance(published: dict[str, Any]) -> None:
    """The record holds the models of the tables and of the sweep, and says what is not known."""
    assert set(published["reductions_percent"]) == {instance.model for instance in TABLE_INSTANCES}
    assert set(published["connection_setup_sweep"]["latency_reduction_percent"]) == {instance.model for instance in SWEEP_INSTANCES}
    assert published["connection_setup_sweep"]["baseline"] is None
    assert published["not_known"]


def test_published_numbers_lie_in_the_ranges_of_the_papers_abstract(published: dict[str, Any]) -> None:
    """The abstract gives 6.39 to 16.83 % in latency and 21.22 to 49.98 % in memory against CoEdge."""
    rows = published["reductions_percent"].values()
    latencies, memories = [row["latency_vs_coedge"] for row in rows], [row["peak_memory_vs_coedge"] for row in rows]
    assert (min(latencies), max(latencies)) == (6.39, 16.83)
    assert (min(memories), max(memories)) == (21.22, 49.98)


def test_milp_is_never_slower_and_shows_its_gap(latency: Report) -> None:
    """All compared plans lie in the MILP's space, and its proven gap stands in the table."""
    row = latency.tables[0].rows[0]
    assert row["milp_latency_s"] <= min(row[f"{method}_latency_s"] for method in METHODS_COMPARED) * (1 + 1e-4)
    assert 0 <= row["milp_gap_percent"] <= 0.011


def test_sweep_prices_each_set_up_time(sweep: Report) -> None:
    """Every row of the tidy frame is the evaluator's price at that set-up time."""
    frame = sweep.frames["figure_setup_time"]
    assert len(frame) == len(SWEPT_MS) * len(METHODS_COMPARED)
    graph, cluster = load(VGG11)
    for t_est_ms in SWEPT_MS:
        slower = dataclasses.replace(cluster, connection_setup_s=t_est_ms * 1e-3)
        row = frame[(frame["t_est_ms"] == t_est_ms) & (frame["method"] == "oc")].iloc[0]
        assert row["latency_s"] == pytest.approx(iopopt.solve_oc(graph, slower).latency_s, rel=1e-9)


def test_every_file_is_written(latency: Report, memory: Report, sweep: Report, tmp_path: Path) -> None:
    """Each report leaves its CSV, Markdown and PNG files in a directory that need not exist."""
    paths = [path for report in (latency, memory, sweep) for path in write(report, tmp_path / "new")]
    names = {f"{stem}.{kind}" for stem in ("table_latency", "table_memory", "figure_setup_time") for kind in ("csv", "md", "png")}
    assert {path.name for path in paths} == names | {"table_memory_devices.csv"}
    assert all(path.read_bytes().startswith(PNG_SIGNATURE) for path in paths if path.suffix == ".png")


def test_csv_holds_the_unrounded_values(latency: Report, tmp_path: Path) -> None:
    """What is read back from the CSV file is the table's value, to ten digits."""
    write(latency, tmp_path)
    frame = pd.read_csv(tmp_path / "table_latency.csv")
    row = latency.tables[0].rows[0]
    assert set(frame.columns) == set(row)
    assert frame["greedy_latency_s"][0] == pytest.approx(row["greedy_latency_s"], rel=1e-9)


def test_markdown_states_setting_source_and_command(latency: Report, tmp_path: Path) -> None:
    """A page can be read without this repository: it says on what, by whom and how."""
    write(latency, tmp_path)
    page = (tmp_path / "table_latency.md").read_text(encoding="utf-8")
    for text in ("fast-x3", "arXiv 2409.07693", "not reproduced", "python -m paper_figs.table_latency", "IOP segments"):
        assert text in page


def test_figures_need_no_global_state(latency: Report, sweep: Report) -> None:
    """The pictures are plain Figures, with one panel for each model of the sweep."""
    assert isinstance(latency.figure, Figure)
    assert isinstance(sweep.figure, Figure)
    assert [axes.get_title() for axes in sweep.figure.subfigs[0].axes] == ["VGG11"]


def test_a_plan_beyond_the_memory_is_marked() -> None:
    """CoEdge keeps LeNet's fully connected operators on one device, which half the model's memory does not hold."""
    report = table_latency.build(TIME_LIMIT_S, silent, [Instance("LeNet", "lenet5", "mcu-x3-tight-0.5")])
    table = report.tables[0]
    cells = dict(zip([column.key for column in table.columns], table.cells()[0], strict=True))
    assert cells["coedge_latency_s"].endswith(MARK)
    assert not cells["milp_latency_s"].endswith(MARK)
    assert MARK_NOTE in report.remarks


def test_no_mark_is_explained_where_none_is_set(latency: Report) -> None:
    """The loose reference instance breaks no limit."""
    assert MARK_NOTE not in latency.remarks


def test_missing_values_show_as_a_dash() -> None:
    """A method without a plan has neither latency nor reduction."""
    columns = (Column("a_latency_s", "latency, ms", "A", fixed(1, scale=1e3)), Column("gap", "", "gap, %", small_percent))
    table = Table("t", columns, ({"a_latency_s": float("inf"), "gap": float("nan")},), (frozenset(),))
    assert table.cells() == [[MISSING, MISSING]]
    assert pd.isna(reduction_percent(float("inf"), 1.0))


def test_every_method_has_one_look_and_label() -> None:
    """No two methods share a colour or a marker, and each is a method of the toolkit."""
    assert set(METHODS_COMPARED) <= set(LOOKS) <= set(iopopt.METHODS)
    assert len({look.colour for look in LOOKS.values()}) == len({look.marker for look in LOOKS.values()}) == len(LOOKS)


@pytest.mark.parametrize("missing", ["matplotlib", "tabulate"])
def test_a_missing_extra_is_named(missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without an optional package a script says what to install and ends with code 2."""
    monkeypatch.setitem(sys.modules, missing, None)
    assert table_latency.main([]) == 2
    message = capsys.readouterr().err
    assert missing in message
    assert "pip install 'iopopt[figures]'" in message


def test_command_writes_and_prints(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, latency: Report) -> None:
    """The command shows the whole table, however narrow the terminal, and says where the files went."""
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(table_latency, "build", lambda time_limit_s, progress: latency)
    assert table_latency.main(["--output", str(tmp_path), "--time-limit", "5"]) == 0
    output = capsys.readouterr()
    assert all(cell in output.out for cell in latency.tables[0].cells()[0])
    assert "table_latency.png" in output.err


def contents(directory: Path) -> dict[str, bytes]:
    """Every file, by name."""
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_the_tracked_results_change_by_update_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, latency: Report) -> None:
    """A run writes to the current folder, whatever it is; only --update renews the tracked files."""
    monkeypatch.setattr(table_latency, "build", lambda time_limit_s, progress: latency)
    monkeypatch.chdir(tmp_path)
    tracked = contents(RESULTS)
    assert table_latency.main([]) == 0
    assert contents(RESULTS) == tracked
    assert "table_latency.md" in contents(tmp_path / OUTPUT)
    monkeypatch.setattr(command_line, "RESULTS", tmp_path / "tracked")
    assert table_latency.main(["--update"]) == 0
    assert contents(tmp_path / "tracked").keys() == contents(tmp_path / OUTPUT).keys()


@pytest.mark.parametrize("words", [["--output", str(RESULTS)], ["--output", "elsewhere", "--update"]])
def test_the_tracked_results_are_no_output_folder(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The tracked folder as --output, or both options at once, is refused before anything is solved."""
    with pytest.raises(SystemExit) as refusal:
        table_latency.main(words)
    assert refusal.value.code == 2
    assert "--update" in capsys.readouterr().err


def test_the_table_says_what_the_milp_splits(latency: Report) -> None:
    """On LeNet one device alone is the optimum: no operator split, one device, and a sentence that names it; CoEdge's plan would read otherwise."""
    row = latency.tables[0].rows[0]
    assert (row["milp_operators"], row["milp_split_operators"], row["milp_devices"]) == (5, 0, 1)
    assert row["milp_latency_s"] == pytest.approx(iopopt.solve_single(*load(LENET)).latency_s)
    assert "LeNet: the MILP's plan is device 0 alone; its reductions compare one device with 3." in latency.notes
    graph, cluster = load(LENET)
    rows = Comparison(LENET, cluster, {"milp": iopopt.solve_coedge(graph, cluster)})
    assert list(plan_cells(rows).values()) == [5, 2, 3]
    assert one_device_notes([rows]) == ()


def test_a_plan_that_was_not_found_splits_nothing() -> None:
    """Without a plan there is no count, and no sentence on devices."""
    graph, cluster = load(LENET)
    nothing = dataclasses.replace(iopopt.solve_milp(graph, cluster), plan=None, evaluation=None, latency_s=math.inf, status="unknown")
    comparison = Comparison(LENET, cluster, {"milp": nothing})
    assert all(map(math.isnan, plan_cells(comparison).values()))
    assert one_device_notes([comparison]) == ()


@pytest.mark.parametrize(
    ("gains", "words"),
    [
        ([0.27, 0.26, 0.25, 0.24, 0.21, 0.57, 0.90, 1.22], "0.27 % at 1 ms, falls to 0.21 % at 5 ms, grows to 1.22 % at 8 ms"),
        ([18.4, 19.0, 20.1], "18.40 % at 1 ms, grows to 20.10 % at 3 ms"),
        ([0.1052, 0.1049, 0.1049, 0.0, -2.5], "0.105 % at 1 ms, falls to 0.105 % at 2 ms, is flat to 0.105 % at 3 ms, falls to -2.50 % at 5 ms"),
        ([1.0, 3.0, 2.0, 4.0], "1.00 % at 1 ms, grows to 3.00 % at 2 ms, falls to 2.00 % at 3 ms, grows to 4.00 % at 4 ms"),
        ([5.0], "5.00 % at 1 ms"),
    ],
)
def test_a_trend_is_told_from_turn_to_turn(gains: list[float], words: str) -> None:
    """The words follow every point, not the two ends alone."""
    assert figure_setup_time.trend(dict(enumerate(gains, start=1))) == words


def test_the_figure_tells_the_trend_of_its_own_rows(sweep: Report) -> None:
    """The note gives the gains of the frame at their set-up times."""
    frame = sweep.frames["figure_setup_time"]
    gains = frame[frame["method"] == "greedy"].set_index("t_est_ms")["reduction_vs_coedge_percent"]
    note = f"VGG11 {gains[1]:.3g} % at 1 ms, grows to {gains[8]:.2f} % at 8 ms."
    assert f"IOP greedy gains {gains[1]:.2f} to {gains[8]:.2f} % over CoEdge, by set-up time: {note}" in sweep.notes


def test_the_papers_order_does_not_hold_everywhere() -> None:
    """What the documentation of the setting says of edge-x3."""
    graph, cluster = load(Instance("AlexNet", "alexnet", "edge-x3"))
    latencies = {method: iopopt.solve(graph, cluster, method).latency_s for method in ("oc", "coedge", "greedy")}
    assert min(latencies, key=latencies.__getitem__) == "oc"


def test_steps_announced_are_the_steps_taken() -> None:
    """The progress counter ends at its total: one line for each instance and method."""
    lines: list[str] = []
    table_latency.build(TIME_LIMIT_S, lines.append, [LENET])
    assert len(lines) * len(TABLE_INSTANCES) == table_latency.STEPS == table_memory.STEPS


@pytest.mark.parametrize("limit", ["0", "-1", "nan", "inf", "soon"])
def test_time_limit_must_be_positive(limit: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A time limit that is no positive number is refused before anything is solved."""
    with pytest.raises(SystemExit) as refusal:
        table_latency.main(["--time-limit", limit])
    assert refusal.value.code == 2
    assert "--time-limit" in capsys.readouterr().err


def test_the_note_names_the_solvers_that_ran() -> None:
    """A proof by bounds on nodes alone has no version of a solver; only the runs that have one are named, once each."""
    graph, cluster = load(LENET)
    proved = dataclasses.replace(iopopt.solve_milp(graph, cluster), backend_version=None)
    solved = dataclasses.replace(proved, backend="highs", backend_version="ortools 1.2")
    by_bounds, by_solver = (Comparison(LENET, cluster, {"milp": solution}) for solution in (proved, solved))
    assert solver_note([by_bounds, by_solver, by_solver], 5).startswith("MILP: highs ortools 1.2, at most 5 s")
    assert solver_note([by_bounds], 5).startswith("MILP: no solver was needed, at most 5 s")
