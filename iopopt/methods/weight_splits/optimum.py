"""Solves the programs, which are small, to optimality."""

from __future__ import annotations

from iopopt.cost.stopwatch import Stopwatch, TimeUpError
from iopopt.errors import SolverError
from iopopt.milp.backends import LEAST_SOLVE_S, Options
from iopopt.milp.process import run_backend
from iopopt.milp.program import FloatArray, ProgramBuilder

_MOST_S = 3600.0
"""What a back end gets where there is no limit, seconds; these programs take it much less than one."""


def optimum(builder: ProgramBuilder, backend: str, watch: Stopwatch) -> FloatArray:
    """The values of an optimum.

    Raises:
        SolverError: if the back end fails, or ends without an optimum before its time is up.
        TimeUpError: if the time is up first.
    """
    watch.check()
    limit_s = max(LEAST_SOLVE_S, min(watch.remaining_s, _MOST_S))
    run = run_backend(backend, builder.build(), Options(limit_s, gap=0.0, seed=0, threads=1, start={}, directory=""))
    if run.interrupted:
        raise KeyboardInterrupt
    if run.outcome.status == "optimal" and run.outcome.x is not None:
        return run.outcome.x
    if run.crash is None and run.outcome.status in ("feasible", "unknown"):
        watch.cut_short = True
        raise TimeUpError(f"the time limit of {watch.limit_s:g} s has passed")
    raise SolverError(f"back end {backend!r} ended with {run.crash or run.outcome.status}: {run.outcome.message or 'no message'}")
