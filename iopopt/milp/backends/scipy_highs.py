"""HiGHS through ``scipy.optimize.milp``: always available, no warm start."""

from __future__ import annotations

import numpy as np

from iopopt.milp.backends.backend import Backend, Options, Outcome, OutcomeStatus, Report
from iopopt.milp.program import Program


class ScipyHighs(Backend):
    """scipy's HiGHS."""

    summary = "HiGHS through scipy.optimize.milp"

    def solve(self, program: Program, options: Options, report: Report) -> Outcome:
        """Solve with scipy's HiGHS; it takes neither a start nor a seed, and prints no log."""
        import scipy
        from scipy.optimize import Bounds, LinearConstraint, milp
        from scipy.sparse import csr_matrix

        shape = (len(program.row_lower), len(program.objective))
        matrix = csr_matrix((program.values, (program.rows, program.columns)), shape=shape)
        result = milp(
            program.objective,
            integrality=program.integer.astype(int),
            bounds=Bounds(program.lower, program.upper),
            constraints=LinearConstraint(matrix, program.row_lower, program.row_upper),
            options={"time_limit": options.time_limit_s, "mip_rel_gap": options.gap},
        )
        statuses: dict[int, OutcomeStatus] = {0: "optimal", 1: "unknown" if result.x is None else "feasible", 2: "infeasible"}
        bound = result.get("mip_dual_bound")
        return Outcome(
            statuses.get(result.status, "error"),
            None if result.x is None else np.asarray(result.x),
            None if result.x is None else float(result.fun),
            float(bound) if bound is not None and np.isfinite(bound) else None,
            str(result.message),
            f"scipy {scipy.__version__}",
        )
