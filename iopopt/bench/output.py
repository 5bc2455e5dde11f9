"""The files of a benchmark: tidy CSVs, and every plan and solution as JSON, written after every run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from iopopt.bench.rows import device_rows, run_row
from iopopt.bench.run import Run, best_latency_s
from iopopt.commands.results import ResultsDirectory

RESULTS, DEVICES = "results.csv", "devices.csv"


class OutputDirectory(ResultsDirectory):
    """A directory of results.

    Raises:
        FileFormatError: if it cannot be created or written, or holds the results of another run.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, ("plans", "solutions"), RESULTS)

    def save_runs(self, runs: Sequence[Run]) -> None:
        """Write the newest run's plan and solution, and the tables of all runs so far.

        Whole tables, because the gap to the best depends on all methods.

        Raises:
            FileFormatError: if a file cannot be written; the message names it.
        """
        run, newest = runs[-1], runs[-1].solution
        name = self.add_name([run.instance.model, run.instance.cluster_name, run.method, *([] if run.seed is None else [f"seed{run.seed}"])])
        by_instance: dict[int, list[Run]] = {}
        for each in runs:
            by_instance.setdefault(id(each.instance), []).append(each)
        best = {instance: best_latency_s(of_instance) for instance, of_instance in by_instance.items()}
        named = list(zip(runs, self.names, strict=True))
        plans = {} if newest.plan is None else {f"plans/{name}": newest.plan.to_dict()}
        self.save(
            plans | {f"solutions/{name}": newest.to_dict()},
            {
                DEVICES: (row for each, stem in named for row in device_rows(each, stem)),
                RESULTS: (run_row(each, stem, best[id(each.instance)]) for each, stem in named),
            },
        )
