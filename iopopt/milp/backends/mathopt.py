"""What the back ends of OR-Tools MathOpt share: the model, the common parameters, and the meaning of a result."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal

import numpy as np

from iopopt.milp.backends.backend import Options, Outcome, OutcomeStatus, Progress, Report
from iopopt.milp.program import Program

if TYPE_CHECKING:
    from ortools.math_opt import model_pb2
    from ortools.math_opt.python import mathopt

_STATUS: dict[str, OutcomeStatus] = {"OPTIMAL": "optimal", "FEASIBLE": "feasible", "INFEASIBLE": "infeasible", "NO_SOLUTION_FOUND": "unknown"}

PointOf = Callable[[str], Progress | None]
"""The point of the trajectory in a line of a solver's log, if there is one."""


def common_parameters(options: Options) -> mathopt.SolveParameters:
    """The settings that every solver of MathOpt takes."""
    from ortools.math_opt.python import mathopt

    return mathopt.SolveParameters(
        time_limit=datetime.timedelta(seconds=options.time_limit_s),
        relative_gap_tolerance=options.gap,
        absolute_gap_tolerance=0.0,
        random_seed=options.seed,
    )


def solve_with(
    solver: Literal["HIGHS", "GSCIP"], program: Program, options: Options, parameters: mathopt.SolveParameters, point_of: PointOf, report: Report
) -> Outcome:
    """Solve ``program`` with a solver of MathOpt, and report the points in its log."""
    from ortools.math_opt.python import mathopt

    model = mathopt.Model.from_model_proto(_proto(program))
    result = mathopt.solve(
        model,
        mathopt.SolverType[solver],
        params=parameters,
        model_params=mathopt.ModelSolveParameters(solution_hints=_hints(model, options)),
        msg_cb=lambda lines: _report_points(lines, point_of, report),
    )
    status = _STATUS.get(result.termination.reason.name, "error")
    x, objective, bound = None, None, None
    if status in ("optimal", "feasible") and result.has_primal_feasible_solution():
        x = np.array(result.variable_values(list(model.variables())))
        objective = float(result.objective_value())
    if status in ("optimal", "feasible", "unknown"):
        bound = float(result.termination.objective_bounds.dual_bound)
    detail = f"{result.termination.reason.name}: {result.termination.detail}"
    return Outcome(status, x, objective, bound if bound is not None and np.isfinite(bound) else None, detail, f"ortools {version('ortools')}")


def printed_bound(bound: float, accuracy: float) -> float:
    """A bound that a solver printed, lowered by the relative accuracy of its digits."""
    return bound - accuracy * max(1.0, abs(bound))


def _report_points(lines: Sequence[str], point_of: PointOf, report: Report) -> None:
    for line in lines:
        if point := point_of(line):
            report(point)


def _hints(model: mathopt.Model, options: Options) -> list[mathopt.SolutionHint]:
    from ortools.math_opt.python import mathopt

    if not options.start:
        return []
    variables = list(model.variables())
    return [mathopt.SolutionHint(variable_values={variables[index]: value for index, value in options.start.items()})]


def _proto(program: Program) -> model_pb2.ModelProto:
    """The program as MathOpt's model message, filled array by array."""
    from ortools.math_opt import model_pb2

    proto = model_pb2.ModelProto()
    variables, constraints, matrix = proto.variables, proto.linear_constraints, proto.linear_constraint_matrix
    variables.ids.extend(range(len(program.objective)))
    variables.lower_bounds.extend(program.lower.tolist())
    variables.upper_bounds.extend(program.upper.tolist())
    variables.integers.extend(program.integer.tolist())
    costly = np.flatnonzero(program.objective)
    proto.objective.linear_coefficients.ids.extend(costly.tolist())
    proto.objective.linear_coefficients.values.extend(program.objective[costly].tolist())
    constraints.ids.extend(range(len(program.row_lower)))
    constraints.lower_bounds.extend(program.row_lower.tolist())
    constraints.upper_bounds.extend(program.row_upper.tolist())
    matrix.row_ids.extend(program.rows.tolist())
    matrix.column_ids.extend(program.columns.tolist())
    matrix.coefficients.extend(program.values.tolist())
    return proto
