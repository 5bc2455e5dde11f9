"""The table of what each idea is worth: monotone, resumed, and summed up as by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest

import iopopt
from benchmarks.ideas import __main__ as command
from benchmarks.ideas.gains import essence, ratio_of
from benchmarks.ideas.measure import PLANS, Settings, rows_of
from benchmarks.ideas.picture import draw
from benchmarks.ideas.spaces import IDEAS, SPACES, idea_of
from benchmarks.ideas.table import page, summary
from benchmarks.resume import RowFile
from iopopt import FileFormatError
from iopopt.network.records import read_json
from iopopt.plan.splits import Splits, check_splits

WORDS = ["ideas", "--model", "lenet5", "--cluster", "mcu-x2", "--time-limit", "20", "--longest-block", "2"]
SETTINGS = Settings(20.0, 1e-4, 2)
LATENCIES = {"single": 100, "oc": 90, "rows": 80, "rows_oc": 72, "pairs": 72, "two_phase": 36, "blocks": 27, "by_speed": 54}


def ran(folder: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> None:
    monkeypatch.setattr(sys, "argv", [*WORDS, "--output", str(folder), *more])
    command.main()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one run of one instance."""
    folder = tmp_path_factory.mktemp("ideas")
    with pytest.MonkeyPatch.context() as patch:
        ran(folder, patch)
    return folder


def test_no_space_is_slower_than_one_that_it_holds(results: Path) -> None:
    """Every space is proven, starts from those that it holds, and its plan is of it, at the price in the row."""
    rows = rows_of(RowFile(results / "ideas.csv"), SETTINGS).set_index("space")
    assert list(rows.index) == list(SPACES)
    assert set(rows["status"]) == {"optimal"}
    graph = iopopt.load_model("lenet5")
    cluster = iopopt.load_cluster("mcu-x2", graph)
    for name, space in SPACES.items():
        row = rows.loc[name]
        assert row["bound_ms"] <= row["latency_ms"]
        assert row["gap"] <= 1e-4 * (1 + 1e-3)
        assert all(row["latency_ms"] <= rows.loc[held, "latency_ms"] for held in space.holds)
        (path,) = results.glob(f"{PLANS}/*/lenet5-mcu-x2-{name}-*.json")
        plan = iopopt.Plan.from_dict(read_json(path))
        assert 1e3 * iopopt.evaluate(graph, cluster, plan).latency_s == row["latency_ms"]
        check_splits(Splits.named(space.strategies or (), space.shares), graph, cluster, plan)
    assert rows.loc["blocks", "latency_ms"] < rows.loc["single", "latency_ms"]


def test_a_second_run_solves_nothing(results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither does --essence, which prints what the run printed and writes nothing."""
    before = (results / "ideas.csv").read_text()
    monkeypatch.setattr(iopopt, "solve_milp", lambda *_, **__: pytest.fail("solved again"))
    ran(results, monkeypatch)
    printed = capsys.readouterr().out
    assert (results / "ideas.csv").read_text() == before
    (results / "ideas.md").unlink()
    ran(results, monkeypatch, "--essence")
    assert capsys.readouterr().out == printed
    assert not (results / "ideas.md").exists()
    ran(results, monkeypatch)
    assert printed.strip() in (results / "ideas.md").read_text()


def test_a_stopped_run_continues_from_its_plans(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped before the last space, it solves that one alone, from the plans of the others; without them it says so."""
    started: list[object] = []
    honest = iopopt.solve_milp

    def stopping(*arguments, **options):  # type: ignore[no-untyped-def]
        if options["longest_block"] > 1 and options["shares"] == "free":
            raise KeyboardInterrupt
        return honest(*arguments, **options)

    def recording(*arguments, **options):  # type: ignore[no-untyped-def]
        started.append(options["warm_start"])
        return honest(*arguments, **options)

    monkeypatch.setattr(iopopt, "solve_milp", stopping)
    with pytest.raises(KeyboardInterrupt):
        ran(tmp_path, monkeypatch)
    assert len(rows_of(RowFile(tmp_path / "ideas.csv"), SETTINGS)) == len(SPACES) - 1
    monkeypatch.setattr(iopopt, "solve_milp", recording)
    ran(tmp_path, monkeypatch)
    assert len(started) == 1
    assert started[0] is not None
    one, other = (rows_of(RowFile(folder / "ideas.csv"), SETTINGS)["latency_ms"].tolist() for folder in (results, tmp_path))
    assert one == pytest.approx(other, rel=1e-4)
    cut = (tmp_path / "ideas.csv").read_text().splitlines(keepends=True)[:-1]
    (tmp_path / "ideas.csv").write_text("".join(cut))
    for path in tmp_path.glob(f"{PLANS}/*/*two_phase*.json"):
        path.unlink()
    with pytest.raises(FileFormatError, match="two_phase"):
        ran(tmp_path, monkeypatch)


def test_essence_without_results_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileFormatError, match=r"ideas\.csv: has no rows of these settings; run the command without --essence"):
        ran(tmp_path, monkeypatch, "--essence")


def table(factor: float = 1.0, gap: float = 1e-9, cluster: str = "board-x3") -> pd.DataFrame:
    """The rows of one instance; the last space is ``factor`` times as slow."""
    latencies = {**LATENCIES, "blocks": LATENCIES["blocks"] * factor}
    names = list(latencies)
    return pd.DataFrame(
        {"model": "net", "cluster": cluster, "space": names, "latency_ms": [latencies[name] for name in names], "gap": gap, "asked_gap": 1e-4}
    )


def test_gains_by_hand() -> None:
    """10, 20, 10 (72 of the better 80), 0, 50 and 25 per cent; free shares halve the latency of shares by speed."""
    gains, sentence = essence(table())
    assert gains["board"].tolist() == pytest.approx([10, 20, 10, 0, 50, 25, 50])
    assert sentence == ("Geometric means over 1 instance; every space of each is solved to a proven optimum, within a gap of 0.01 %.")


def test_means_are_geometric_and_by_tier() -> None:
    """Blocks leave 3/4 and 1/3 of the latency: a half in the geometric mean, so they gain 50 per cent; other tiers count by themselves."""
    rows = pd.concat([table(), table(4 / 9, cluster="board-x4"), table(gap=0.02, cluster="wifi-x3")])
    gains, sentence = essence(rows)
    assert gains.loc["+ fused blocks"].to_dict() == pytest.approx({"board": 50, "wifi": 25})
    assert sentence.endswith("within a gap of 0.01 % but for 1, where the widest gap is 2 %.")


def test_an_instance_with_missing_spaces_is_shown_but_not_counted() -> None:
    rows = pd.concat([table(), table(cluster="wifi-x3").iloc[:3]])
    gains, sentence = essence(rows)
    assert list(gains.columns) == ["board"]
    assert "over 1 instance" in sentence
    line = next(line for line in page(rows, SETTINGS).splitlines() if "wifi-x3" in line)
    assert [cell.strip() for cell in line.strip("|").split("|")] == ["net", "wifi-x3", "100", "90 (10.0)", "80 (20.0)", *"-----", "1e-07"]
    assert essence(rows.iloc[8:])[1] == "No instance has all spaces yet."


def test_wide_gaps_are_marked() -> None:
    line = next(line for line in page(table(gap=0.02), SETTINGS).splitlines() if "board-x3" in line)
    assert "27* (25.0)" in line
    assert "54* (50.0)" in line


def test_ideas_lead_from_space_to_space() -> None:
    """Every space but the first has an idea; what an idea is measured against is among the spaces before it, or is shares by speed."""
    assert [name for name in SPACES if idea_of(name) is None] == ["single"]
    for idea in IDEAS:
        assert set(idea.over) <= set(SPACES[idea.space].holds)
    latencies = table().pivot(index=["model", "cluster"], columns="space", values="latency_ms")
    assert ratio_of(IDEAS[2], latencies).item() == pytest.approx(0.9)


def test_the_bars_of_the_picture_add_up() -> None:
    """In each panel the parts of a bar lie end to end and sum to 100; the marks are at their spaces."""
    figure = draw(pd.concat([table(), table(cluster="wifi-x4"), table(cluster="board-x4")]))
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in panels] == ["board", "wifi"]
    bars = [bar for bar in panels[1].patches if bar.get_y() < 0.5]
    assert [bar.get_x() for bar in bars] == pytest.approx([0, 27, 36, 72, 72, 80])
    assert sum(bar.get_width() for bar in bars) == pytest.approx(100)
    assert [line.get_xdata()[0] for line in panels[1].lines] == [90, 80, 54]


def test_the_readme_shows_what_the_results_say():
    """The table in the README is what ``--essence`` prints of the results that are kept."""
    root = Path(__file__).resolve().parents[2]
    rows = rows_of(RowFile(root / "benchmarks/results/ideas.csv"), Settings(60.0, 1e-4, 8))
    assert len(rows) == 4 * 8 * len(SPACES)
    assert summary(rows) in (root / "README.md").read_text(encoding="utf-8")
