"""The table of latencies and gains, as Markdown."""

from __future__ import annotations

import math

import pandas as pd

from benchmarks.ideas.gains import GAP_ROUNDING, essence, gaps_of, latencies_of, ratio_of
from benchmarks.ideas.measure import Settings
from benchmarks.ideas.spaces import SPACES, idea_of
from iopopt import __version__

_MISSING = "-"
_ORDER = ("single", "oc", "rows", "rows_oc", "pairs", "two_phase", "blocks", "by_speed")


def page(rows: pd.DataFrame, settings: Settings) -> str:
    """Everything as one page."""
    made_by = (
        f"Made by `python -m benchmarks.ideas` with iopopt {__version__}: at most {settings.time_limit_s:g} s for each space, to a gap of "
        f"{100 * settings.gap:g} %, blocks of up to {settings.longest_block} operators."
    )
    how = (
        "Latency in ms of the best plan of each space, and in brackets what the space gains, in per cent: OC only and rows only on one device, "
        "both on the better of the two, each further idea on the space before it, and free shares on shares by speed. `*`: the gap is wider "
        "than asked for; the last column is the widest of the row, in per cent. What an idea gains depends on those that are there before it."
    )
    title = "What each idea is worth"
    return "\n\n".join([f"# {title}", made_by, summary(rows), how, _table(rows, settings), f"![{title}](ideas.png)"]) + "\n"


def summary(rows: pd.DataFrame) -> str:
    """The lines that say it all: the gain of each idea by tier."""
    gains, sentence = essence(rows)
    if gains.empty:
        return sentence
    shown = gains.map(lambda gain: f"{gain:.1f} %")
    shown.index.name, shown.columns.name = "gain", None
    return f"{_markdown(shown.reset_index(), texts=1)}\n\n{sentence}"


def _table(rows: pd.DataFrame, settings: Settings) -> str:
    latencies, gaps = latencies_of(rows), gaps_of(rows)
    cells = latencies.index.to_frame(index=False)
    for name in _ORDER:
        idea = idea_of(name)
        gain = 100 * (1 - ratio_of(idea, latencies)) if idea else pd.Series(math.nan, latencies.index)
        wide = gaps[name] > settings.gap * (1 + GAP_ROUNDING)
        cells[SPACES[name].label] = [_cell(*of) for of in zip(latencies[name], gain, wide, strict=True)]
    cells["widest gap"] = [_MISSING if math.isnan(gap) else f"{100 * gap:.2g}" for gap in gaps.max(axis=1)]
    return _markdown(cells, texts=2)


def _cell(latency_ms: float, gain: float, wide: bool) -> str:
    if math.isnan(latency_ms):
        return _MISSING
    mark = "*" if wide else ""
    return f"{latency_ms:.4g}{mark}" + ("" if math.isnan(gain) else f" ({gain:.1f})")


def _markdown(cells: pd.DataFrame, texts: int) -> str:
    alignment = ["left"] * texts + ["right"] * (len(cells.columns) - texts)
    return str(cells.to_markdown(index=False, disable_numparse=True, colalign=alignment))
