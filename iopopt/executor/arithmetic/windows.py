"""Windows over rows of a map, and pools."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from iopopt.network.epilogue import PoolFunction
from iopopt.network.shapes import Window
from iopopt.schedule.regions import Interval


def pool(function: PoolFunction, window: Window, columns: Window, size: tuple[int, int], tensor: Tensor, held: Interval, rows: Interval) -> Tensor:
    """The output rows ``rows`` of a pool over a map of ``size`` (height, width), of which ``tensor`` holds the rows ``held``.

    The maximum is over elements inside the map; the average is over the whole window, with padding as 0, or over elements inside the map.
    """
    height, width = size
    out_width = columns.output_size(width)
    if not rows or not tensor.shape[0]:
        return tensor.new_zeros(tensor.shape[0], len(rows), out_width)
    span, inside = under(window, rows, height)
    padded = pad(tensor[:, inside.within(held)], span, inside, columns, -torch.inf if function == "max" else 0.0)
    kernel, strides, dilations = (of_both(name, window, columns) for name in ("kernel", "stride", "dilation"))
    if function == "max":
        return functional.max_pool2d(padded[None], kernel, strides, 0, dilations)[0][:, : len(rows), :out_width]
    ones = tensor.new_ones(1, 1, *kernel)
    sums = functional.conv2d(padded[:, None], ones, None, strides, 0, dilations)[:, 0, : len(rows), :out_width]
    if function == "average":
        return sums / (window.kernel * columns.kernel)
    counts = _counts(window, rows, height)[:, None] * _counts(columns, Interval(0, out_width), width)
    return sums / counts.clamp(min=1).to(tensor.dtype)


def _counts(window: Window, positions: Interval, size: int) -> Tensor:
    """How many elements under each position of the window are inside the map."""
    starts = torch.arange(positions.start, positions.stop) * window.stride - window.before
    covered = starts[:, None] + torch.arange(window.kernel) * window.dilation
    return ((covered >= 0) & (covered < size)).sum(1)


def under(window: Window, rows: Interval, size: int) -> tuple[Interval, Interval]:
    """The rows under output rows, and those of them inside a map of ``size`` rows."""
    span = Interval(rows.start * window.stride - window.before, (rows.stop - 1) * window.stride - window.before + window.extent)
    return span, span.meet(Interval(0, size))


def of_both(name: str, rows: Window, columns: Window) -> tuple[int, int]:
    return getattr(rows, name), getattr(columns, name)


def pad(tensor: Tensor, rows: Interval, inside: Interval, columns: Window, filler: float) -> Tensor:
    """``tensor`` holds the rows ``inside`` the map; padded to ``rows``, which may extend past it or lie entirely outside it."""
    above, below = (inside.start - rows.start, rows.stop - inside.stop) if inside else (len(rows), 0)
    return functional.pad(tensor, (columns.before, columns.after, above, below), value=filler)
