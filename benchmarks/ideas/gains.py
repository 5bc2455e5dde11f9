"""What each idea gains: on each instance, and by tier as a geometric mean."""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks.ideas.spaces import IDEAS, SPACES, Idea

INSTANCE = ["model", "cluster"]

GAP_ROUNDING = 1e-3
"""How much wider than asked for a gap may look, relative: back ends stop by their own arithmetic."""


def latencies_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Latencies in ms, an instance in each row and a space in each column; not a number where there is none."""
    return _by_space(rows, "latency_ms")


def gaps_of(rows: pd.DataFrame) -> pd.DataFrame:
    """The proven gaps, in the same form."""
    return _by_space(rows, "gap")


def _by_space(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """One column of the rows by instance, in the order in which instances first come, and by space."""
    order = pd.MultiIndex.from_frame(rows[INSTANCE].drop_duplicates())
    return rows.pivot(index=INSTANCE, columns="space", values=column).reindex(index=order, columns=list(SPACES)).astype(float)


def ratio_of(idea: Idea, latencies: pd.DataFrame) -> pd.Series[float]:
    """The latency with an idea as a fraction of that without it."""
    return latencies[idea.space] / latencies[list(idea.over)].min(axis=1, skipna=False)


def tier_of(cluster: str) -> str:
    """The tier of a reference cluster; another cluster is its own."""
    return cluster.rpartition("-x")[0] or cluster


def essence(rows: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The gain of each idea in per cent, as the geometric mean over the instances of each tier, and a sentence on what they are.

    Instances of which a space is still missing are left out.
    """
    latencies = latencies_of(rows).dropna()
    tiers = pd.Index([tier_of(cluster) for _, cluster in latencies.index], name="tier")
    logs = pd.DataFrame({idea.label: np.log(ratio_of(idea, latencies)) for idea in IDEAS})
    gains = 100 * (1 - logs.groupby(tiers, sort=False).mean().T.apply(np.exp))
    return gains, _proof(gaps_of(rows).loc[latencies.index], float(rows["asked_gap"].max()))


def _proof(gaps: pd.DataFrame, asked: float) -> str:
    """How much of it is proven."""
    if gaps.empty:
        return "No instance has all spaces yet."
    widest = gaps.max(axis=1)
    open_ = widest[widest > asked * (1 + GAP_ROUNDING)]
    rest = f" but for {len(open_)}, where the widest gap is {100 * open_.max():.2g} %" if len(open_) else ""
    count = f"{len(gaps)} instance{'' if len(gaps) == 1 else 's'}"
    return f"Geometric means over {count}; every space of each is solved to a proven optimum, within a gap of {100 * asked:g} %{rest}."
