"""The methods that find a plan: one file and one registry line each, all with the signature ``(graph, devices, *, ...) -> Solution``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from iopopt.cluster.cluster import Cluster, Device
from iopopt.errors import UnknownNameError, UnsupportedError
from iopopt.methods.coedge import solve_coedge
from iopopt.methods.dp import solve_dp
from iopopt.methods.exhaustive import solve_exhaustive
from iopopt.methods.greedy import solve_greedy
from iopopt.methods.iop_segments import solve_iop_segments
from iopopt.methods.milp import solve_milp
from iopopt.methods.oc import solve_oc
from iopopt.methods.pso import solve_pso
from iopopt.methods.single import solve_single
from iopopt.methods.solution import Solution
from iopopt.network.graph import Graph


@dataclass(frozen=True)
class Method:
    """The registry entry of a method.

    Attributes:
        solve: ``(graph, devices, *, ...) -> Solution``.
        label: its name in tables and figures.
        proves_bounds: whether its Solutions may carry ``bound_s``, ``optimal`` and ``infeasible``.
        takes: which of the common options it accepts: ``team, seed, warm_start, time_limit_s, gap, backend``.
        tiny_only: whether it works for tiny instances only.
    """

    solve: Callable[..., Solution]
    label: str
    summary: str
    proves_bounds: bool = False
    takes: frozenset[str] = frozenset({"team"})
    tiny_only: bool = False


_EXACT = frozenset({"team", "warm_start", "time_limit_s", "gap", "backend", "seed"})

METHODS: Mapping[str, Method] = {
    "single": Method(solve_single, "best single device", "every operator whole on one device", takes=frozenset()),
    "oc": Method(solve_oc, "OC", "output channels everywhere, by capability"),
    "coedge": Method(solve_coedge, "CoEdge", "rows by capability; operators without rows on the fastest device"),
    "greedy": Method(solve_greedy, "IOP greedy", "Algorithm 1 of the IOP paper: OC-IC pairs wherever that is faster"),
    "iop_segments": Method(solve_iop_segments, "IOP segments", "the best choice of the same pairs, by dynamic programming"),
    "dp": Method(solve_dp, "DP", "every strategy at fixed shares, by dynamic programming"),
    "pso": Method(
        solve_pso,
        "PSO",
        "particle swarm over dimensions and shares",
        takes=frozenset({"team", "seed", "time_limit_s"}),
    ),
    "milp": Method(solve_milp, "MILP", "equations (1) to (8) exactly, with a proven bound", proves_bounds=True, takes=_EXACT),
    "exhaustive": Method(solve_exhaustive, "exhaustive", "every plan of a tiny instance", proves_bounds=True, tiny_only=True),
}
"""Every method, in the order in which tables show them."""


def method_info(name: str) -> Method:
    """The registry entry of a method.

    Raises:
        UnknownNameError: if no method has that name; the message names the nearest.
    """
    if name not in METHODS:
        raise UnknownNameError("method", name, METHODS)
    return METHODS[name]


def solve(graph: Graph, devices: Cluster | Sequence[Device], method: str = "milp", **options: Any) -> Solution:
    """Find a plan with the method of that name; ``options`` are passed to it.

    Raises:
        UnknownNameError: if no method has that name.
        UnsupportedError: if the method does not take one of the common options.
    """
    info = method_info(method)
    refused = (set(options) & _EXACT) - info.takes
    if refused:
        raise UnsupportedError(
            f"method {method!r} does not take {', '.join(sorted(refused))}; it takes {', '.join(sorted(info.takes)) or 'none of them'}"
        )
    return info.solve(graph, devices, **options)
