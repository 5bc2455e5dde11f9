"""The options that vary models and clusters, and what the files say of a run's setting."""

from __future__ import annotations

import os
import platform
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

import iopopt
from iopopt.bench.command import main
from iopopt.bench.instance import Instance, Variations, load_instances
from iopopt.network.records import read_json, write_json

ROUTES = """\
schema_version: 1
devices:
  - {name: camera, flops_per_s: 2e9, memory_bytes: 500_000_000, bandwidth_bytes_per_s: 12.5e6}
  - {name: "1", flops_per_s: 2e9, memory_bytes: 500_000_000, bandwidth_bytes_per_s: 12.5e6}
  - {name: pi, flops_per_s: 3e8, memory_bytes: 500_000_000, bandwidth_bytes_per_s: 12.5e6}
"""


TEXTS = {
    "run", "model", "cluster", "method", "status", "termination", "space", "backend", "backend_version", "reason", "asked_team", "asked_backend",
    "started", "timing", "objective", "asked_objective", "iopopt_version", "python_version", "platform", "processor",
}  # fmt: skip
"""The columns of results.csv that are not numbers."""


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


def instances(model: str = "lenet5", cluster: str = "edge-x3", **variations: object) -> list[Instance]:
    return load_instances([model], [cluster], Variations(**variations))  # type: ignore[arg-type]


def test_input_sizes() -> None:
    (square,) = instances("alexnet", input_size=(160, 160))
    assert square.graph == iopopt.load_model("alexnet", input_size=160)
    (oblong,) = instances("alexnet", input_size=(160, 192))
    assert oblong.graph.input_shape == (3, 160, 192)


def test_bandwidths_and_set_up_times_are_instances() -> None:
    found = instances(bandwidths_mbit=[10, 100], setups_ms=[0, 4])
    assert [item.cluster_name for item in found] == [
        "edge-x3, 10 Mbit/s, t_est 0 ms",
        "edge-x3, 10 Mbit/s, t_est 4 ms",
        "edge-x3, 100 Mbit/s, t_est 0 ms",
        "edge-x3, 100 Mbit/s, t_est 4 ms",
    ]
    assert [item.cluster.connection_setup_s for item in found] == [0, 0.004, 0, 0.004]
    assert {device.bandwidth_bytes_per_s for device in found[0].cluster.devices} == {1.25e6}
    assert {device.bandwidth_bytes_per_s for device in found[3].cluster.devices} == {12.5e6}
    unchanged = iopopt.load_cluster("edge-x3", iopopt.load_model("lenet5"))
    assert [device.flops_per_s for device in found[0].cluster.devices] == [device.flops_per_s for device in unchanged.devices]


@pytest.mark.parametrize(
    ("text", "team"), [("all", "all"), ("best", "best"), ("2,0", (2, 0)), ("pi, camera", (2, 0)), ("camera,1", (0, 1)), ("2", (2,))]
)
def test_teams_by_name_or_index(text: str, team: object, tmp_path: Path) -> None:
    """A device that is called 1 is found by that name before the index."""
    path = tmp_path / "cluster.yaml"
    path.write_text(ROUTES)
    assert instances(cluster=str(path), team=text)[0].team == team


def test_networks_of_one_name_are_told_apart(tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two files of different networks that are both called net: two titles, two plans, and the CSV says which is which."""
    for folder, channels in (("m1", 4), ("m2", 8)):
        (tmp_path / folder).mkdir()
        graph = iopopt.GraphBuilder("net", (3, 16, 16)).conv(channels, 3, padding=1).fc(2).build()
        write_json(tmp_path / folder / "net.json", graph.to_dict())
    paths = [str(tmp_path / folder / "net.json") for folder in ("m1", "m2")]
    assert main(["--model", *paths, "--cluster", "edge-x2", "--methods", "oc", "--output", str(results), "--quiet"]) == 0
    table = pd.read_csv(results / "results.csv")
    assert list(table["model"]) == paths
    assert all(path in capsys.readouterr().out for path in paths[:1])
    plans = {name: iopopt.Plan.from_dict(read_json(results / "plans" / f"{name}.json")) for name in table["run"]}
    assert [plans[name]["conv1"].shares for name in table["run"]] == [(1, 3), (3, 5)]


def test_file_names_never_meet(tmp_path: Path, results: Path) -> None:
    """Paths that differ only in characters that file names cannot hold, or in capitals, have files of their own."""
    paths = []
    for name in ("a b.yaml", "a_b.yaml", "A_b.yaml"):
        path = tmp_path / name
        path.write_text(ROUTES)
        paths.append(str(path))
    assert main(["--model", "lenet5", "--cluster", *paths, "--methods", "single", "--output", str(results), "--quiet"]) == 0
    table = pd.read_csv(results / "results.csv")
    assert len({name.casefold() for name in table["run"]}) == 3
    for folder in ("plans", "solutions"):
        assert sorted(path.stem for path in (results / folder).iterdir()) == sorted(table["run"])


def test_every_cell_holds_one_value(results: Path) -> None:
    """Settings, versions, machine and date are columns; what differs by device has a table of its own."""
    before = datetime.now(UTC)
    arguments = ["--model", "lenet5", "--methods", "single", "greedy", "milp", "--time-limit", "7", "--gap", "1%", "--threads", "2", "--team", "2,0"]
    assert main([*arguments, "--bandwidth-mbit", "20", "--setup-ms", "3", "--output", str(results), "--quiet"]) == 0
    table = pd.read_csv(results / "results.csv")
    (row,) = table[table["method"] == "milp"].to_dict("records")
    expected = {
        "asked_team": "2-0",
        "asked_time_limit_s": 7,
        "asked_gap": 0.01,
        "asked_threads": 2,
        "asked_backend": "highs",
        "asked_bandwidth_mbit": 20,
        "connection_setup_s": 0.003,
        "input_channels": 1,
        "input_height": 32,
        "input_width": 32,
        "space": "team=(2, 0)",
        "iopopt_version": iopopt.__version__,
        "python_version": platform.python_version(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
    }
    assert {key: row[key] for key in expected} == expected
    assert before - timedelta(seconds=1) <= datetime.fromisoformat(row["started"]) <= datetime.now(UTC)
    for column in set(table.columns) - TEXTS:
        pd.to_numeric(table[column])  # raises where a cell holds anything but a number
    devices = pd.read_csv(results / "devices.csv")
    graph = iopopt.load_model("lenet5")
    solution = iopopt.Solution.from_dict(read_json(results / "solutions" / f"{row['run']}.json"))
    cluster = iopopt.Cluster(  # as it was asked for
        tuple(replace(device, bandwidth_bytes_per_s=2.5e6) for device in iopopt.load_cluster("mcu-x3", graph).devices), connection_setup_s=0.003
    )
    assert solution.plan is not None
    assert row["events_s"] == pytest.approx(iopopt.simulate(graph, cluster, solution.plan).makespan_s, rel=1e-12)
    assert (row["timing"], row["latency_s"]) == ("bulk-synchronous", pytest.approx(solution.latency_s, rel=1e-12))
    assert len(devices) == 3 * 3
    of_milp = devices[devices["run"] == row["run"]]
    assert tuple(of_milp["memory_bytes"]) == solution.evaluation.memory_bytes  # type: ignore[union-attr]
    assert list(of_milp["device_name"]) == [device.name for device in iopopt.load_cluster("mcu-x3", graph).devices]
    assert set(of_milp["bandwidth_bytes_per_s"]) == {2.5e6}


def test_best_team_for_those_that_choose_one(results: Path) -> None:
    """Exact methods search all teams; the others split over all devices, and the table says so."""
    arguments = ["--model", "lenet5", "--methods", "greedy", "milp", "--team", "best", "--output", str(results), "--quiet"]
    assert main(arguments) == 0
    assert list(pd.read_csv(results / "results.csv")["space"]) == ["team=(0, 1, 2)", "team=best"]
