"""The proven optimum of every space on one instance, kept as a row of a CSV file and a plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

import iopopt
from benchmarks.ideas.spaces import SPACES, Space
from benchmarks.resume import Row, RowFile, finished
from iopopt.network.records import read_json, write_json
from iopopt.plan.splits import StrategyName

PLANS = "ideas_plans"
"""The folder of plans, in the folder of results."""


@dataclass(frozen=True)
class Settings:
    """How spaces are solved."""

    time_limit_s: float
    gap: float
    longest_block: int

    @property
    def key(self) -> Row:
        """What rows of the same settings, and of the same version, agree in."""
        return {"time_limit_s": self.time_limit_s, "asked_gap": self.gap, "iopopt": iopopt.__version__}

    def longest_block_of(self, space: Space) -> int:
        """The most operators of a fused block of the space."""
        return self.longest_block if space.fuses else 1


@dataclass(frozen=True)
class Measurement:
    """One instance, and where its rows and plans are kept."""

    model: str
    graph: iopopt.Graph
    cluster_name: str
    cluster: iopopt.Cluster
    settings: Settings
    rows: RowFile
    folder: Path

    def key(self, space: Space) -> Row:
        """What decides the row of a space."""
        return {
            "model": self.model,
            "cluster": self.cluster_name,
            "space": space.name,
            "longest_block": self.settings.longest_block_of(space),
            **self.settings.key,
        }

    def row(self, space: Space) -> dict[str, str]:
        """The row of a space, solved unless it is there; the spaces that it holds must be."""
        return self.rows.row(self.key(space), lambda: self._solved(space))

    def _solved(self, space: Space) -> Row:
        return self._best_device(space) if space.strategies is None else self._proven(space, space.strategies)

    def _best_device(self, space: Space) -> Row:
        """The best of all devices with enough memory is the optimum of its space."""
        found = iopopt.solve_single(self.graph, self.cluster)
        if found.plan is None or found.status != "feasible":
            return _result(None, None, None, found.solve_s, "infeasible", "")
        self._keep(space, found.plan)
        return _result(found.latency_s, found.latency_s, 0.0, found.solve_s, "optimal", "")

    def _proven(self, space: Space, strategies: Sequence[StrategyName]) -> Row:
        found = finished(
            iopopt.solve_milp(
                self.graph,
                self.cluster,
                time_limit_s=self.settings.time_limit_s,
                gap=self.settings.gap,
                warm_start=self._start(space),
                longest_block=self.settings.longest_block_of(space),
                strategies=strategies,
                shares=space.shares,
            )
        )
        if found.plan is not None:
            self._keep(space, found.plan)
        latency_s = None if found.plan is None else found.latency_s
        backend = f"{found.backend} {found.backend_version or ''}".strip()
        return _result(latency_s, found.bound_s, found.gap, found.build_s + found.solve_s, found.status, backend)

    def _start(self, space: Space) -> iopopt.Plan | None:
        """The fastest plan of the spaces that it holds; None if no plan of them fits the memory."""
        plans = [self._plan(SPACES[name]) for name in space.holds]
        known = [plan for plan in plans if plan is not None]
        return min(known, key=lambda plan: iopopt.evaluate(self.graph, self.cluster, plan).latency_s, default=None)

    def _plan(self, space: Space) -> iopopt.Plan | None:
        """The plan of a space whose row is there.

        Raises:
            FileFormatError: if its file is gone.
        """
        if not self.row(space)["latency_ms"]:
            return None
        path = self._plan_path(space)
        return iopopt.Plan.from_dict(read_json(path), str(path))

    def _keep(self, space: Space, plan: iopopt.Plan) -> None:
        path = self._plan_path(space)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, plan.to_dict())
        except OSError as error:
            raise iopopt.FileFormatError(f"{path}: cannot be written ({error.strerror})") from None

    def _plan_path(self, space: Space) -> Path:
        settings = f"{iopopt.__version__}-{self.settings.time_limit_s:g}s-gap-{self.settings.gap:g}"
        words = self.model, self.cluster_name, space.name, str(self.settings.longest_block_of(space))
        return self.folder / PLANS / settings / f"{'-'.join(words).replace('/', '_')}.json"


def _result(latency_s: float | None, bound_s: float | None, gap: float | None, seconds: float, status: str, backend: str) -> Row:
    in_ms = {"latency_ms": latency_s, "bound_ms": bound_s}
    return {
        **{column: None if value is None else 1e3 * value for column, value in in_ms.items()},
        "gap": gap,
        "seconds": round(seconds, 3),
        "status": status,
        "backend": backend,
    }


def rows_of(rows: RowFile, settings: Settings) -> pd.DataFrame:
    """The rows of these settings, for each instance and space."""
    frame = rows.frame(settings.key)
    if frame.empty:
        return frame
    return frame[frame["longest_block"] == frame["space"].map(lambda name: settings.longest_block_of(SPACES[name]))]
