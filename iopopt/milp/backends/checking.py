"""What every back end's answer is held to, the toolkit's own and those of others."""

from __future__ import annotations

import math
from typing import Any, get_args

import numpy as np

from iopopt.errors import SolverError
from iopopt.milp.backends.backend import Outcome, OutcomeStatus, Progress
from iopopt.network.records import short_repr


def checked_outcome(outcome: object, size: int) -> Outcome:
    """What a back end returned for a program of ``size`` variables, if it is an Outcome with a point of that size, or none, and no NaN.

    Raises:
        SolverError: the message says what is wrong and what is expected.
    """
    if not isinstance(outcome, Outcome):
        raise SolverError(f"solve returned {short_repr(outcome)}; an Outcome is expected")
    if fault := _fault(outcome, size):
        raise SolverError(f"solve returned an invalid Outcome: {fault}")
    return outcome


def checked_point(progress: Any) -> Progress:
    """A point of a trajectory; infinite values stand for none.

    Raises:
        SolverError: if it is no pair of numbers or None.
    """
    try:
        values = [None if value is None or math.isinf(value) else float(value) for value in progress]
    except TypeError:
        values = []
    if len(values) != 2 or any(value is not None and math.isnan(value) for value in values):
        raise SolverError(f"it reported {short_repr(progress)}; a Progress is expected: an incumbent and a bound, numbers or None")
    return Progress(*values)


def _fault(outcome: Outcome, size: int) -> str | None:
    statuses = get_args(OutcomeStatus)
    if outcome.status not in statuses:
        return f"its status is {short_repr(outcome.status)}; known are {', '.join(statuses)}"
    for name in ("objective", "bound"):
        value = getattr(outcome, name)
        if value is not None and not _is_finite(value):
            return f"its {name} is {short_repr(value)}; a finite number or None is expected"
    if (outcome.x is None) != (outcome.objective is None):
        return "it has an x without an objective, or an objective without an x"
    if outcome.x is None:
        return f"its status is {outcome.status!r}, but it has no x" if outcome.status in ("optimal", "feasible") else None
    if not isinstance(outcome.x, np.ndarray) or outcome.x.shape != (size,) or outcome.x.dtype.kind not in "fiu":
        return f"its x is {short_repr(outcome.x)}; an array of {size} numbers is expected, one for each variable"
    if not np.isfinite(outcome.x).all():
        return f"its x is not finite at variable {int(np.flatnonzero(~np.isfinite(outcome.x))[0])}"
    return f"its status is {outcome.status!r}, but it has an x" if outcome.status in ("infeasible", "unknown") else None


def _is_finite(value: object) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and math.isfinite(value)
