"""Programs solved on the spot, by scipy's HiGHS."""

from __future__ import annotations

import math
from collections.abc import Mapping

from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_matrix

from iopopt.milp.program import Program


def least_objective(program: Program, fixed: Mapping[int, float] | None = None, *, gap: float | None = None) -> float:
    """The least objective with some variables fixed; infinite where no point is left.

    Integrality is dropped unless there is a ``gap`` to which the optimum is wanted.
    """
    lower, upper = program.lower.copy(), program.upper.copy()
    for variable, value in (fixed or {}).items():
        lower[variable] = upper[variable] = value
    matrix = csr_matrix((program.values, (program.rows, program.columns)), shape=(len(program.row_lower), len(lower)))
    rows = LinearConstraint(matrix, program.row_lower, program.row_upper)
    integrality, options = (None, {}) if gap is None else (program.integer, {"mip_rel_gap": gap})
    result = milp(program.objective, integrality=integrality, bounds=Bounds(lower, upper), constraints=rows, options=options)
    assert result.status in (0, 2)
    return float(result.fun) if result.status == 0 else math.inf
