"""The ways to find a plan: one file and one registry line each, one signature ``(graph, devices, *, ...) -> Solution``."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from iopopt.cluster.cluster import Cluster, Device
from iopopt.errors import UnknownNameError, UnsupportedError
from iopopt.methods.solution import Solution
from iopopt.network.graph import Graph


@dataclass(frozen=True)
class Method:
    """What the toolkit knows of a method without importing it.

    Attributes:
        function: ``module:name`` of its solve function.
        label: how tables and figures call it.
        proves_bounds: whether its Solutions may carry ``bound_s``, ``optimal`` and ``infeasible``.
        takes: which of the common options it accepts: ``team, seed, warm_start, time_limit_s, gap, backend``.
        tiny_only: whether it refuses instances of real size.
    """

    function: str
    label: str
    summary: str
    proves_bounds: bool = False
    takes: frozenset[str] = frozenset({"team"})
    tiny_only: bool = False

    def load(self) -> Callable[..., Solution]:
        module, name = self.function.split(":")
        return cast(Callable[..., Solution], getattr(importlib.import_module(module), name))


_EXACT = frozenset({"team", "warm_start", "time_limit_s", "gap", "backend", "seed"})

METHODS: Mapping[str, Method] = {
    "single": Method("iopopt.methods.single:solve_single", "best single device", "every operator whole on one device", takes=frozenset()),
    "oc": Method("iopopt.methods.oc:solve_oc", "OC", "output channels everywhere, by capability"),
    "coedge": Method("iopopt.methods.coedge:solve_coedge", "CoEdge", "rows by capability; what has none to split on the fastest device"),
    "greedy": Method("iopopt.methods.greedy:solve_greedy", "IOP greedy", "Algorithm 1 of the IOP paper: OC-IC pairs wherever they pay"),
    "iop_segments": Method(
        "iopopt.methods.iop_segments:solve_iop_segments", "IOP segments", "the best choice of the same pairs, by dynamic programming"
    ),
    "dp": Method("iopopt.methods.dp:solve_dp", "DP", "every strategy at fixed shares, by dynamic programming"),
    "pso": Method(
        "iopopt.methods.pso:solve_pso",
        "PSO",
        "particle swarm over dimensions and shares",
        takes=frozenset({"team", "seed", "time_limit_s"}),
    ),
    "milp": Method("iopopt.methods.milp:solve_milp", "MILP", "equations (1) to (8) exactly, with a proven bound", proves_bounds=True, takes=_EXACT),
    "exhaustive": Method(
        "iopopt.methods.exhaustive:solve_exhaustive", "exhaustive", "every plan of a tiny instance", proves_bounds=True, tiny_only=True
    ),
}
"""Every method, in the order in which tables show them."""


def method_info(name: str) -> Method:
    """The registry's entry.

    Raises:
        UnknownNameError: if there is no such method; the message names the nearest.
    """
    if name not in METHODS:
        raise UnknownNameError("method", name, METHODS)
    return METHODS[name]


def solve(graph: Graph, devices: Cluster | Sequence[Device], method: str = "milp", **options: Any) -> Solution:
    """Find a plan with the method of that name; ``options`` are the method's own.

    Raises:
        UnknownNameError: if there is no such method.
        UnsupportedError: if the method does not take one of the common options.
    """
    info = method_info(method)
    refused = (set(options) & _EXACT) - info.takes
    if refused:
        raise UnsupportedError(
            f"method {method!r} does not take {', '.join(sorted(refused))}; it takes {', '.join(sorted(info.takes)) or 'none of them'}"
        )
    return info.load()(graph, devices, **options)
