"""Partition maps: how a plan splits each operator, and who computes which part of it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from iopopt.network.records import short_text
from iopopt.network.shapes import Dim
from iopopt.pictures.appearance import CRITICAL, SMALL, TEXT, TINY, clear_frame, fits, legend_above, plain_text, points_of
from iopopt.pictures.figures import new_column
from iopopt.plan.appearance import DIMENSION_COLOURS, DIMENSIONS, TWO_PHASE
from iopopt.plan.placement import Placement
from iopopt.plan.plan import Plan

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLOCK_LABEL = "fused block"

_WIDTH_INCHES, _ROW_INCHES, _LOW_ROW_INCHES, _MARGIN_INCHES, _MANY = 7.0, 0.2, 0.15, 0.8, 40
_BAR, _HATCH = 0.8, "////"


class _Piece(NamedTuple):
    """The share of one device: a part of its operator's row from ``start`` to ``stop``, of 1."""

    row: int
    start: float
    stop: float
    device: int
    share: int
    dim: Dim | None
    two_phase: bool


def draw_plan(plan: Plan, axes: Axes | None = None, *, device_names: Sequence[str] | None = None) -> Axes:
    """Draw a plan: a row for each operator, cut into the shares of its devices in their order, coloured by the dimension that is split.

    Each share has its device's number and, if there is room, its size in rows or channels. Two-phase reduces are hatched, fused blocks framed, and an
    arrow beside a row names the device that gathers it. The operators of a block all have its shares, which are rows of the last of them.

    Args:
        axes: where to draw; a new figure by default.
        device_names: the names of the cluster's devices, which are then listed below.

    Raises:
        MissingExtraError: if matplotlib is missing.
    """
    if axes is None:
        row = _ROW_INCHES if len(plan) <= _MANY else _LOW_ROW_INCHES
        (axes,) = new_column([len(plan) * row + _MARGIN_INCHES], _WIDTH_INCHES)
    pieces = [piece for row, (_, placement) in enumerate(plan.placements) for piece in _pieces(row, placement)]
    axes.set_xlim(0, 1)
    axes.set_ylim(max(len(plan), 1) - 0.4, -0.6)
    for dim, two_phase in itertools.product(DIMENSIONS, (False, True)):
        if of_kind := [piece for piece in pieces if (piece.dim, piece.two_phase) == (dim, two_phase)]:
            _draw_pieces(axes, of_kind, dim, two_phase=two_phase)
    _frame_blocks(axes, plan)
    _label_rows(axes, plan, device_names)
    if pieces:
        legend_above(axes)
    _label_pieces(axes, pieces)
    return axes


def _pieces(row: int, placement: Placement) -> list[_Piece]:
    """The shares that are not empty."""
    total, two_phase = sum(placement.shares), placement.reduce == "two_phase"
    shards = [shard for shard in placement.shards if shard.size]
    return [_Piece(row, shard.start / total, shard.stop / total, shard.device, shard.size, placement.dim, two_phase) for shard in shards]


def _draw_pieces(axes: Axes, pieces: Sequence[_Piece], dim: Dim | None, *, two_phase: bool) -> None:
    """All pieces of one kind, which has one entry in the legend."""
    axes.barh(
        [piece.row for piece in pieces],
        [piece.stop - piece.start for piece in pieces],
        _BAR,
        [piece.start for piece in pieces],
        color=DIMENSION_COLOURS[dim],
        edgecolor="white",
        linewidth=1.0,
        hatch=_HATCH if two_phase else None,
        label=DIMENSIONS[dim] + (f", {TWO_PHASE}" if two_phase else ""),
    )


def _frame_blocks(axes: Axes, plan: Plan) -> None:
    """A frame around the rows of each fused block."""
    from matplotlib.patches import Rectangle

    rows = {name: row for row, name in enumerate(plan)}
    for block in plan.blocks:
        first, last = rows[block[0]], rows[block[-1]]
        frame = Rectangle((0, first - 0.45), 1, last - first + 0.9, fill=False, edgecolor=CRITICAL, linewidth=1.3, clip_on=False)
        frame.set_label(BLOCK_LABEL)
        axes.add_patch(frame)


def _label_pieces(axes: Axes, pieces: Sequence[_Piece]) -> None:
    """The device of each piece and the size of its share, or the device alone, as far as there is room."""
    width, height = points_of(axes)
    per_row = height / abs(axes.get_ylim()[1] - axes.get_ylim()[0]) * _BAR
    size = min(SMALL, per_row * 0.8)
    for piece in pieces:
        share = "" if piece.dim is None else f": {piece.share}"
        for text in (f"{piece.device}{share}", str(piece.device)):
            if fits(text, size, (piece.stop - piece.start) * width, per_row):
                centre = (piece.start + piece.stop) / 2, piece.row
                ground = {"facecolor": DIMENSION_COLOURS[piece.dim], "edgecolor": "none", "pad": 0.6} if piece.two_phase else None
                axes.text(*centre, **plain_text(text), ha="center", va="center_baseline", fontsize=size, bbox=ground)
                break


def _label_rows(axes: Axes, plan: Plan, device_names: Sequence[str] | None) -> None:
    """The operators, the devices that gather, the channels at a time, and the names of the devices."""
    clear_frame(axes)
    axes.spines["bottom"].set_visible(False)
    axes.set_xticks([])
    axes.set_yticks(range(len(plan)))
    size = SMALL if len(plan) <= _MANY else TINY
    axes.set_yticklabels([short_text(name, 40) for name in plan], fontsize=size, parse_math=False)
    axes.tick_params(axis="y", length=0)
    for row, placement in enumerate(plan.values()):
        if placement.gather is not None:
            axes.text(1.01, row, f"\N{RIGHTWARDS ARROW} {placement.gather}", va="center_baseline", fontsize=size)
        if placement.stream is not None:
            axes.text(1.01, row, f"streamed {placement.stream}", va="center_baseline", fontsize=size)
    if device_names is not None:
        listed = ", ".join(f"{number} {short_text(name, 24)}" for number, name in enumerate(device_names))
        axes.set_xlabel(f"devices: {listed}", fontsize=TEXT, parse_math=False, wrap=True)
