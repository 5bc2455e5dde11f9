"""Operators as text, for tables and drawings of a network."""

from __future__ import annotations

from collections.abc import Sequence

from iopopt.network.operators.operator import Operator
from iopopt.network.shapes import Shape

_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def epilogue_text(operator: Operator) -> str:
    """The steps after an operator, in their order."""
    return ", ".join(step.text for step in operator.epilogue)


def inputs_text(operator: Operator) -> str:
    """The maps that an operator reads; equal ones as a count."""
    shapes: Sequence[Shape] = operator.in_shapes
    if len(set(shapes)) == 1 and len(shapes) > 1:
        return f"{len(shapes)} of {shapes[0]}"
    return " + ".join(map(str, shapes))


def splits_text(operator: Operator) -> str:
    """The dimensions by which an operator can be split, with their sizes: ``H:56 OC:64 IC:3``."""
    return " ".join(f"{dim}:{operator.size(dim)}" for dim in operator.splittable_dims)


def short_count(count: int) -> str:
    """A count in three figures: 118 M, 1.85 G, 640; nothing for zero."""
    for scale, unit in _UNITS:
        if count >= 0.9995 * scale:
            return f"{count / scale:.3g} {unit}"
    return str(count) if count else ""
