"""The methods that find a plan: one file and one registry line each, all with the signature ``(graph, devices, *, ...) -> Solution``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from iopopt.cluster.cluster import Cluster, Device, as_cluster
from iopopt.errors import PluginError, UnsupportedError
from iopopt.methods.aofl import solve_aofl
from iopopt.methods.checking import checked_solution
from iopopt.methods.coedge import solve_coedge
from iopopt.methods.coedge_lp import COEDGE_OBJECTIVES, solve_coedge_lp
from iopopt.methods.data import solve_data
from iopopt.methods.deeperthings import solve_deeperthings
from iopopt.methods.deepthings import solve_deepthings
from iopopt.methods.dp import solve_dp
from iopopt.methods.dpfp import solve_dpfp
from iopopt.methods.exhaustive import solve_exhaustive
from iopopt.methods.greedy import solve_greedy
from iopopt.methods.halp import solve_halp
from iopopt.methods.horizontal import solve_horizontal
from iopopt.methods.iop_segments import solve_iop_segments
from iopopt.methods.milp import solve_milp
from iopopt.methods.modnn import solve_modnn
from iopopt.methods.objective import MEASURES, Objective
from iopopt.methods.oc import solve_oc
from iopopt.methods.overlap import solve_overlap
from iopopt.methods.pso import solve_pso
from iopopt.methods.single import solve_single
from iopopt.methods.solution import Solution
from iopopt.methods.stages import solve_stages
from iopopt.methods.vps import solve_vps
from iopopt.network.graph import Graph
from iopopt.network.records import short_repr
from iopopt.registry import Registry

COMMON_OPTIONS = (
    *("team", "longest_block", "strategies", "shares", "objective", "deadline_s", "seed", "warm_start", "time_limit_s", "gap", "backend", "threads"),
)
"""The options that mean the same for every method that has a parameter of that name."""


@dataclass(frozen=True)
class Method:
    """The registry entry of a method.

    Attributes:
        solve: ``(graph, devices, *, ...) -> Solution``.
        label: its name in tables and figures.
        proves_bounds: whether its Solutions may carry ``bound_s``, ``optimal`` and ``infeasible``.
        chooses_team: whether it takes ``team="best"``.
        tiny_only: whether it works for tiny instances only.
        objectives: what it can minimise, if it takes ``objective``.
    """

    solve: Callable[..., Solution]
    label: str
    summary: str = ""
    proves_bounds: bool = False
    chooses_team: bool = False
    tiny_only: bool = False
    objectives: tuple[Objective, ...] = tuple(MEASURES)

    @cached_property
    def takes(self) -> frozenset[str]:
        """The common options among the parameters of :attr:`solve`."""
        parameters = inspect.signature(self.solve).parameters.values()
        if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
            return frozenset(COMMON_OPTIONS)
        return frozenset(parameter.name for parameter in parameters) & frozenset(COMMON_OPTIONS)


def _adapted(name: str, found: object) -> Method:
    """The entry of an imported object: a Method, or a function."""
    if isinstance(found, Method):
        return found
    if not callable(found) or isinstance(found, type):
        raise PluginError(f"method {name!r} is {short_repr(found)}; a function (graph, devices, *, ...) -> Solution is expected")
    return Method(found, label=name, summary=(inspect.getdoc(found) or "").partition("\n")[0])


METHODS = Registry[Method](
    "method",
    "iopopt.methods",
    {
        "single": Method(solve_single, "best single device", "every operator whole on one device"),
        "oc": Method(solve_oc, "OC", "output channels everywhere, by capability"),
        "coedge": Method(solve_coedge, "CoEdge", "rows by capability; operators without rows on the fastest device"),
        "coedge_lp": Method(
            solve_coedge_lp,
            "CoEdge LP",
            "rows by CoEdge's linear program; devices whose share is smaller than a halo are dropped",
            objectives=COEDGE_OBJECTIVES,
        ),
        "modnn": Method(solve_modnn, "MoDNN", "rows by capability, gathered on the fastest device after every operator"),
        "aofl": Method(solve_aofl, "AOFL", "rows by capability, cut into fused blocks by dynamic programming"),
        "dpfp": Method(solve_dpfp, "DPFP", "the same over devices that are chosen greedily, once for the plan"),
        "deepthings": Method(solve_deepthings, "DeepThings", "the first operators as one fused block of even rows, the others on the sink"),
        "deeperthings": Method(
            solve_deeperthings, "DeeperThings", "fused even rows up to a memory breakpoint, then weights split for the least communication"
        ),
        "data": Method(solve_data, "data", "even rows everywhere; operators without rows on the sink"),
        "horizontal": Method(solve_horizontal, "horizontal", "even output channels everywhere"),
        "stages": Method(solve_stages, "stages", "contiguous operators on one device after another, cut for the least memory, or for throughput"),
        "vps": Method(solve_vps, "VPS", "even parts of weights and feature maps on every device, channels streamed"),
        "halp": Method(solve_halp, "HALP", "rows over a host and two secondaries that exchange nothing; latency without barriers"),
        "greedy": Method(solve_greedy, "IOP greedy", "Algorithm 1 of the IOP paper: OC-IC pairs wherever that is faster"),
        "iop_segments": Method(solve_iop_segments, "IOP segments", "the best choice of the same pairs, by dynamic programming"),
        "dp": Method(solve_dp, "DP", "every strategy at fixed shares, by dynamic programming"),
        "pso": Method(solve_pso, "PSO", "particle swarm over dimensions and shares"),
        "overlap": Method(solve_overlap, "overlap", "simulated annealing by the clock without barriers, with a proven bound", proves_bounds=True),
        "milp": Method(solve_milp, "MILP", "equations (1) to (8) exactly, with a proven bound", proves_bounds=True, chooses_team=True),
        "exhaustive": Method(solve_exhaustive, "exhaustive", "every plan of a tiny instance", proves_bounds=True, chooses_team=True, tiny_only=True),
    },
    _adapted,
)
"""Every method, in the order in which tables show them; other packages announce theirs under the entry-point group ``iopopt.methods``."""


def register_method(
    name: str,
    function: Callable[..., Solution],
    *,
    label: str | None = None,
    summary: str | None = None,
    proves_bounds: bool = False,
    chooses_team: bool = False,
) -> None:
    """Let :func:`solve` and the benchmark find a method of your own under ``name``; see :class:`Method`.

    Args:
        function: ``(graph, devices, *, ...) -> Solution``. Of the common options (:data:`COMMON_OPTIONS`) it gets those that are its parameters.
        label: its name in tables; ``name`` by default.
        summary: one line; the first of its docstring by default.

    Raises:
        PluginError: if the name is a built-in's, or ``function`` cannot be called.
    """
    first_line = _adapted(name, function).summary
    METHODS.register(name, Method(function, label or name, first_line if summary is None else summary, proves_bounds, chooses_team))


def solve(graph: Graph, devices: Cluster | Sequence[Device], method: str = "milp", **options: Any) -> Solution:
    """Find a plan with a method; ``options`` are passed to it.

    Args:
        method: a name of :data:`METHODS`, or ``package.module:function`` for a method of your own.

    Raises:
        UnknownNameError: if no method has that name.
        PluginError: if a method of your own cannot be imported.
        UnsupportedError: if the method does not take one of the common options.
        SolverError: if what it returns is not a Solution of this instance at the evaluator's price.
    """
    info = METHODS.find(method)
    refused = set(options) & set(COMMON_OPTIONS) - info.takes
    if refused:
        raise UnsupportedError(
            f"method {method!r} does not take {', '.join(sorted(refused))}; it takes {', '.join(sorted(info.takes)) or 'none of them'}"
        )
    cluster = as_cluster(devices)
    return checked_solution(graph, cluster, info.solve(graph, cluster, **options), method, proves_bounds=info.proves_bounds)
