"""The deadline in the program, for objectives other than the latency."""

from __future__ import annotations

import math

from iopopt.milp.affine import constant
from iopopt.milp.program import ProgramBuilder

_SCALE = 1e4
"""The deadline in units of its row, so that a latency beyond it by 1e-9 exceeds the back end's tolerance."""


def keep_deadline(builder: ProgramBuilder, scale_s: float, latest_s: float) -> None:
    """The objective so far, which is the latency in units of ``scale_s``, is at most ``latest_s`` seconds; infinite adds no row."""
    if math.isfinite(latest_s):
        builder.at_most(("deadline",), builder.objective * (_SCALE * scale_s / latest_s), constant(_SCALE))
