"""The appearance of methods in every table and figure: one label, colour and marker each."""

from __future__ import annotations

from typing import Literal, NamedTuple

from iopopt import METHODS


class Look(NamedTuple):
    """Colour and marker; ``size`` falls from method to method so that coinciding curves show as nested markers."""

    colour: str
    marker: str
    size: float


LOOKS = {
    "oc": Look("#CC79A7", "v", 7.0),
    "coedge": Look("#D55E00", "^", 7.0),
    "greedy": Look("#E69F00", "o", 10.0),
    "iop_segments": Look("#009E73", "s", 6.5),
    "milp": Look("#0072B2", "D", 3.0),
    "halp": Look("#56B4E9", "h", 6.5),
    "overlap": Look("#000000", "X", 6.5),
    "coedge_lp": Look("#F0C000", "P", 7.0),
    "single": Look("#888888", "x", 6.5),
}
"""By name of ``iopopt.METHODS``; the palette of Okabe and Ito, which colour-blind readers can distinguish."""

BASELINE_LINES: dict[str, Literal["-", "--"]] = {"oc": "-", "coedge": "--"}
"""Line style of a reduction against each baseline."""

PAPER_COLOUR = "#BBBBBB"
"""Bands and columns of published numbers."""


def label(method: str) -> str:
    """The toolkit's own name for the method."""
    return METHODS[method].label
