"""How near the swarm comes to the proven optimum, over several seeds. ``python -m benchmarks.pso``

The reference is the exact method's plan and bound after a time limit of its own. Every run is a row of the file given by ``--csv``; runs that
are in it already are not repeated.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from rich.console import Console

import iopopt
from benchmarks.command_line import run
from iopopt.errors import FileFormatError
from iopopt.methods.pso import SwarmSettings

_MODELS = ("lenet5", "alexnet", "vgg11", "vgg13", "vgg16", "vgg19", "resnet18", "resnet50", "mobilenet_v2", "yolov2")
_CLUSTERS = tuple(f"{tier}-x{devices}" for tier, devices in itertools.product(("edge", "board", "wifi"), (3, 4)))
_COLUMNS = ("model", "cluster", "longest_block", "method", "seed", "time_limit_s", "latency_s", "bound_s", "start_latency_s", "seconds")


class Cell(NamedTuple):
    """What is solved with every seed."""

    model: str
    cluster: str
    longest_block: int


class Task(NamedTuple):
    """One run: ``method`` is milp, pso or plain; milp has seed 0."""

    cell: Cell
    method: str
    seed: int
    time_limit_s: float


class Runs:
    """The runs by their tasks, kept in a file if there is one."""

    def __init__(self, path: str | None) -> None:
        self._path = None if path is None else Path(path)
        self._rows: dict[Task, Mapping[str, float | None]] = dict(self._read()) if self._path and self._path.exists() else {}

    def _read(self) -> Iterator[tuple[Task, dict[str, float | None]]]:
        assert self._path is not None
        with self._path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != _COLUMNS:
                raise FileFormatError(f"{self._path}: its columns are {reader.fieldnames}; those of this benchmark are {list(_COLUMNS)}")
            for row in reader:
                cell = Cell(row["model"], row["cluster"], int(row["longest_block"]))
                task = Task(cell, row["method"], int(row["seed"]), float(row["time_limit_s"]))
                yield task, {name: float(row[name]) if row[name] else None for name in _COLUMNS[6:]}

    def result(self, task: Task) -> Mapping[str, float | None]:
        """The figures of a run, from the file or from a run now."""
        if task not in self._rows:
            self._rows[task] = _figures(task)
            self._append(task)
        return self._rows[task]

    def _append(self, task: Task) -> None:
        if self._path is None:
            return
        begins = not self._path.exists()
        with self._path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if begins:
                writer.writerow(_COLUMNS)
            writer.writerow([*task.cell, *task[1:], *("" if value is None else value for value in self._rows[task].values())])


def _figures(task: Task) -> dict[str, float | None]:
    graph = iopopt.load_model(task.cell.model)
    cluster = iopopt.load_cluster(task.cell.cluster, graph)
    options: dict[str, Any] = {"longest_block": task.cell.longest_block, "time_limit_s": task.time_limit_s}
    start = time.perf_counter()
    if task.method == "milp":
        found = iopopt.solve_milp(graph, cluster, gap=1e-4, **options)
    else:
        found = iopopt.solve_pso(graph, cluster, seed=task.seed, settings=SwarmSettings(plain=task.method == "plain"), **options)
    seconds = time.perf_counter() - start
    return {"latency_s": found.latency_s, "bound_s": found.bound_s, "start_latency_s": found.start_latency_s, "seconds": round(seconds, 3)}


class Summary(NamedTuple):
    """A cell's runs: the exact one, those of the swarm, and those of the plain variant, if any."""

    cell: Cell
    reference: Mapping[str, float | None]
    swarms: Sequence[Mapping[str, float | None]]
    plain: Sequence[Mapping[str, float | None]]

    def row(self) -> dict[str, object]:
        """A line of the table: milliseconds, and excesses in percent."""
        frame = pd.DataFrame(self.swarms)
        median, worst = float(frame["latency_s"].median()), float(frame["latency_s"].max())
        optimum, bound, start = self.reference["latency_s"], self.reference["bound_s"], self.swarms[0]["start_latency_s"]
        assert optimum is not None
        row = {
            **self.cell._asdict(),
            "start_ms": None if start is None else start * 1e3,
            "median_ms": median * 1e3,
            "worst_ms": worst * 1e3,
            "gain_%": None if start is None else _excess(median, start),
            "reference_ms": optimum * 1e3,
            "its gap_%": None if bound is None else 100 * (optimum - bound) / optimum,
            "median over it_%": _excess(median, optimum),
            "worst over it_%": _excess(worst, optimum),
            "median over bound_%": None if bound is None else _excess(median, bound),
            "seconds": float(frame["seconds"].median()),
        }
        if self.plain:
            row["plain over it_%"] = _excess(float(pd.DataFrame(self.plain)["latency_s"].median()), optimum)
        return row


def _excess(latency_s: float, least_s: float) -> float:
    return 100 * (latency_s / least_s - 1)


def main() -> None:
    """Run every seed of every cell and print a line for each cell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", default=list(_MODELS))
    parser.add_argument("--cluster", nargs="+", default=list(_CLUSTERS))
    parser.add_argument("--longest-block", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--seeds", type=int, default=10, help="how many seeds, from 0")
    parser.add_argument("--time-limit", type=float, default=10.0, help="of each seed, seconds")
    parser.add_argument("--reference-limit", type=float, default=60.0, help="of the exact method, seconds")
    parser.add_argument("--plain", action="store_true", help="also run the swarm alone, from random particles")
    parser.add_argument("--csv", help="keep every run in this file, and do not repeat those that are in it")
    options = parser.parse_args()
    console, runs, rows = Console(stderr=True), Runs(options.csv), []
    for cell in itertools.starmap(Cell, itertools.product(options.model, options.cluster, options.longest_block)):
        with console.status(" ".join(map(str, cell))):
            reference = runs.result(Task(cell, "milp", 0, options.reference_limit))
            swarms, plain = (
                [runs.result(Task(cell, method, seed, options.time_limit)) for seed in range(options.seeds)] if wanted else []
                for method, wanted in (("pso", True), ("plain", options.plain))
            )
        rows.append(Summary(cell, reference, swarms, plain).row())
    print(pd.DataFrame(rows).round(3).to_string(index=False))


if __name__ == "__main__":
    run(main)
