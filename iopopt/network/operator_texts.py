"""Operators in words, as tables and pictures of a network show them."""

from __future__ import annotations

from collections.abc import Sequence

from iopopt.network.operators import Activation, EpilogueStep, Normalisation, Operator, Pool
from iopopt.network.shapes import Shape, Window

_NORMALISATIONS = {"batch": "batch norm"}
_AVERAGES = {"average": "average", "average_inside": "average"}
_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def window_text(rows: Window, columns: Window) -> str:
    """The kernel, and stride and dilation where they are not 1: ``3x3/2``, ``1x7``, ``3x3 dilated 2``."""
    stride = f"/{_both(rows.stride, columns.stride)}" if (rows.stride, columns.stride) != (1, 1) else ""
    dilation = f" dilated {_both(rows.dilation, columns.dilation)}" if (rows.dilation, columns.dilation) != (1, 1) else ""
    return f"{rows.kernel}x{columns.kernel}{stride}{dilation}"


def kind_text(operator: Operator) -> str:
    """The kind with what sets it apart from others of its kind: ``conv 3x3/2``, ``pool average 7x7/7``, ``slice from 58``."""
    windows = window_text(operator.rows, operator.columns)
    groups = f" in {operator.groups} groups" if operator.groups > 1 else ""
    details = {
        "conv": f" {windows}{groups}",
        "pool": f" {_AVERAGES.get(operator.function, operator.function)} {windows}",
        "slice": f" from {operator.first_channel}",
        "upsample": f" {operator.function} {operator.rows.upsampling}x{operator.columns.upsampling}",
        "space_to_depth": f" {windows.partition('/')[0]}",
    }
    return operator.kind + details.get(operator.kind, "")


def step_text(step: EpilogueStep) -> str:
    """A step of an epilogue: ``relu``, ``clip(0, 6)``, ``batch norm``, ``max 3x3/2``."""
    if isinstance(step, Pool):
        return f"{_AVERAGES.get(step.function, step.function)} {window_text(step.rows, step.columns)}"
    if isinstance(step, Normalisation):
        return _NORMALISATIONS.get(step.function, step.function)
    shown = step.parameters if isinstance(step, Activation) or step.function == "shuffle" else ()
    return step.function + (f"({', '.join(f'{value:.4g}' for value in shown)})" if shown else "")


def epilogue_text(operator: Operator) -> str:
    """The steps behind an operator, in their order."""
    return ", ".join(map(step_text, operator.epilogue))


def inputs_text(operator: Operator) -> str:
    """The maps that an operator reads; those alike are counted."""
    shapes: Sequence[Shape] = operator.in_shapes
    if len(set(shapes)) == 1 and len(shapes) > 1:
        return f"{len(shapes)} of {shapes[0]}"
    return " + ".join(map(str, shapes))


def splits_text(operator: Operator) -> str:
    """The dimensions in which an operator can be split, with their sizes: ``H:56 OC:64 IC:3``."""
    return " ".join(f"{dim}:{operator.size(dim)}" for dim in operator.splittable_dims)


def short_count(count: int) -> str:
    """A count in three figures: 118 M, 1.85 G, 640; nothing for zero."""
    for scale, unit in _UNITS:
        if count >= 0.9995 * scale:
            return f"{count / scale:.3g} {unit}"
    return str(count) if count else ""


def _both(rows: int, columns: int) -> str:
    return str(rows) if rows == columns else f"{rows}x{columns}"
