"""DeeperThings' published optima, found again by its programs, and the table that shows them."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction
from pathlib import Path

import pandas as pd
import pytest
from support.deeperthings import every_choice, messages

from iopopt import Graph, GraphBuilder, load_cluster, solve_deeperthings
from iopopt.methods.weight_splits.communication import exchanged_elements, least_communication
from paper_figs import table_deeperthings
from paper_figs.published import deeperthings_paper
from paper_figs.report import Report, write
from paper_figs.table_deeperthings import Case, cases

CASES = {case.name: case for case in cases()}
DEVICES = 6


@pytest.fixture(scope="module")
def report() -> Report:
    """The table of AlexNet alone."""
    return table_deeperthings.build(20.0, lambda line: None, [CASES["alexnet"]])


def test_the_record() -> None:
    """Three networks and six devices, with a split for every convolution from the breakpoint on."""
    paper = deeperthings_paper()
    assert (paper.devices, set(paper.networks)) == (DEVICES, {"yolov2", "vgg16", "alexnet"})
    assert paper.source.endswith("DOI 10.1007/s10766-021-00712-3")
    for network in paper.networks.values():
        assert set(network.configuration) == {number for number in network.convolutions if number >= network.first_split}
    assert all(case.graph.input_shape.height == case.published.input_size for case in CASES.values())


@pytest.mark.parametrize("name", CASES)
def test_published_optima_to_the_unit(name: str) -> None:
    """The program finds the published configuration, and it is the only optimum: of all choices, run by run, counted message by message."""
    case = CASES[name]
    found = least_communication(case.split_layers, DEVICES)
    assert found == case.published_splits
    assert math.floor(exchanged_elements(case.split_layers, found, DEVICES)) == case.published.exchanged_elements
    elements = 0.0
    for run in case.runs:
        first, *others = sorted((messages(run, splits, DEVICES), list(splits.values())) for splits in every_choice(run))
        assert first[1] == [case.published_splits[layer.name] for layer in run]
        assert all(count > first[0] + 1 for count, _ in others)
        elements += first[0]
    assert math.floor(elements + 1e-6) == case.published.exchanged_elements


def test_the_published_count_of_yolov2_is_cut() -> None:
    """A third of an element is left out, because 6 does not divide the sum."""
    case = CASES["yolov2"]
    assert exchanged_elements(case.split_layers, case.published_splits, DEVICES) == case.published.exchanged_elements + Fraction(1, 3)


def test_published_breakpoints() -> None:
    """Those of VGG-16 and AlexNet are optima for six devices; that of YOLOv2 for ten, but not for six, where it lies a pool earlier."""
    best = {name: [first for first in range(len(case.layers)) if case.is_least_held(first, DEVICES)] for name, case in CASES.items()}
    assert {name: [CASES[name].published.convolutions[first] for first in firsts] for name, firsts in best.items()} == {
        "yolov2": [8],
        "vgg16": [7],
        "alexnet": [2],
    }
    assert not CASES["yolov2"].is_least_held(CASES["yolov2"].published_first, DEVICES)
    assert CASES["yolov2"].is_least_held(CASES["yolov2"].published_first, 10)


def test_the_evaluator_counts_the_published_elements_of_vgg16() -> None:
    """VGG-16 from the breakpoint to the last convolution: the plan moves 16,558,080 elements by the cost model, with the
    gateway as source and sink."""
    tail = _vgg16_tail()
    cluster = dataclasses.replace(load_cluster("pi3-x6@ethernet-100"), source=0)
    solution = solve_deeperthings(tail, cluster, first_split=tail.operators[0].name)
    assert solution.evaluation is not None
    assert solution.evaluation.transferred_bytes / cluster.bytes_per_element == CASES["vgg16"].published.exchanged_elements


def _vgg16_tail() -> Graph:
    net = GraphBuilder("vgg16 from 7", (128, 56, 56))
    for channels, pooled in ((256, True), (512, True), (512, False)):
        for _ in range(3):
            net.conv(channels, 3, padding=1).relu()
        if pooled:
            net.max_pool(2)
    return net.build()


def test_rows_hold_what_was_published_and_found(report: Report, tmp_path: Path) -> None:
    """AlexNet's counts, its runs of convolutions, and the plan by the evaluator; all files are written."""
    case: Case = CASES["alexnet"]
    counts, configurations, plans = report.tables
    (row,) = counts.rows
    assert row["paper_exchanged_elements"] == row["exchanged_elements"] == row["configuration_elements"] == 1_262_560
    assert row["paper_first_split"] == row["first_split"] == 2
    assert [(run["paper_configuration"], run["configuration"]) for run in configurations.rows] == [("2LOP", "2LOP"), ("4LOP 5F1 6F2",) * 2]
    cluster = load_cluster(table_deeperthings.CLUSTER)
    scheme = solve_deeperthings(case.graph, cluster)
    assert scheme.evaluation is not None
    (plan,) = plans.rows
    assert plan["deeperthings_latency_s"] == scheme.latency_s
    assert [plan[f"device_{j}_memory_bytes"] for j in range(DEVICES)] == list(scheme.evaluation.memory_bytes)
    assert plan["milp_bound_s"] <= plan["milp_latency_s"] <= plan["deeperthings_latency_s"]
    assert {path.name for path in write(report, tmp_path)} == {
        *(f"table_deeperthings{part}.csv" for part in ("", "_configurations", "_plans")),
        "table_deeperthings.md",
        "table_deeperthings.png",
    }
    assert len(pd.read_csv(tmp_path / "table_deeperthings_plans.csv")) == 1


def test_only_published_columns_are_tinted(report: Report) -> None:
    """Those that repeat the paper, and no computed one."""
    tinted = {column.key for table in report.tables for column in table.columns if column.is_paper}
    assert tinted == {"paper_first_split", "paper_exchanged_elements", "paper_configuration"}
    assert any("DeeperThings" in note and "not reproduced" in note for note in report.notes)
