"""Settings that several methods take, checked."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from operator import index

from iopopt.cluster.cluster import Cluster
from iopopt.cost.stopwatch import Stopwatch
from iopopt.errors import ClusterError, SolverError
from iopopt.network.records import is_integer, is_number, short_repr

_LONGEST_BLOCK = 1000
"""A length that no block reaches."""

MOST_OPTIMAL_GAP = 1e-4
"""The largest gap at which a plan is reported as optimal."""

MOST_SEED = 2**31 - 1
"""The largest seed that every back end takes."""


def limited(time_limit_s: float, *, may_be_infinite: bool = True) -> Stopwatch:
    """The stopwatch of a method with this time limit, running.

    Raises:
        SolverError: if the limit is not a positive number of seconds.
    """
    is_number = isinstance(time_limit_s, numbers.Real) and not isinstance(time_limit_s, bool)
    if not is_number or not time_limit_s > 0 or (math.isinf(time_limit_s) and not may_be_infinite):
        kind = "positive" if may_be_infinite else "positive finite"
        raise SolverError(f"time_limit_s is {short_repr(time_limit_s)}; it must be a {kind} number of seconds")
    return Stopwatch(float(time_limit_s))


def checked_integer(name: str, value: int, least: int, most: int) -> int:
    """An integer setting, as a Python integer.

    Raises:
        SolverError: if it is no integer from ``least`` to ``most``.
    """
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or not least <= value <= most:
        raise SolverError(f"{name} is {short_repr(value)}; it must be an integer from {least} to {most}")
    return index(value)


def checked_gap(gap: float) -> float:
    """A relative gap at which to stop.

    Raises:
        SolverError: if it is not at least 0 and below 1.
    """
    if not is_number(gap) or not 0 <= gap < 1:
        raise SolverError(f"gap is {short_repr(gap)}; it must be at least 0 and below 1 (1e-4 stands for 0.01 %)")
    return float(gap)


def checked_longest_block(value: int, name: str = "longest_block") -> int:
    """The largest number of operators of a fused block, as a Python integer; ``name`` is that of the setting.

    Raises:
        SolverError: if it is no integer of at least 1.
    """
    return checked_integer(name, value, 1, _LONGEST_BLOCK)


def checked_device(name: str, value: int | str, cluster: Cluster, team: Sequence[int]) -> int:
    """A setting that names a device of the team, by index or name, as its index.

    Raises:
        ClusterError: if it names none of them.
    """
    named = [j for j in team if value == cluster.devices[j].name or (is_integer(value) and value == j)]
    if not named:
        allowed = ", ".join(f"{j} ({cluster.devices[j].name})" for j in team)
        raise ClusterError(f"{name} is {short_repr(value)}; it must be a device of the team, by index or name: {allowed}")
    return named[0]
