"""HiGHS through OR-Tools MathOpt."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import ortools
from ortools.math_opt import model_pb2
from ortools.math_opt.python import mathopt

from iopopt.milp.backends import Emit, Options, Outcome, OutcomeStatus
from iopopt.milp.program import Program

_TOLERANCE = 1e-9
_STATUS: dict[mathopt.TerminationReason, OutcomeStatus] = {
    mathopt.TerminationReason.OPTIMAL: "optimal",
    mathopt.TerminationReason.FEASIBLE: "feasible",
    mathopt.TerminationReason.INFEASIBLE: "infeasible",
    mathopt.TerminationReason.NO_SOLUTION_FOUND: "unknown",
}


def solve(program: Program, options: Options, emit: Emit) -> Outcome:
    """Solve with HiGHS; every better incumbent is written to ``incumbents.sol`` immediately."""
    model = mathopt.Model.from_model_proto(_proto(program))
    result = mathopt.solve(
        model,
        mathopt.SolverType.HIGHS,
        params=_parameters(options),
        model_params=mathopt.ModelSolveParameters(solution_hints=_hints(model, options)),
        msg_cb=lambda lines: _emit_all(lines, emit),
    )
    status = _STATUS.get(result.termination.reason, "error")
    x, objective, bound = None, None, None
    if result.has_primal_feasible_solution():
        x = np.array(result.variable_values(list(model.variables())))
        objective = float(result.objective_value())
    if status in ("optimal", "feasible", "unknown"):
        bound = float(result.termination.objective_bounds.dual_bound)
    detail = f"{result.termination.reason.name}: {result.termination.detail}"
    return Outcome(status, x, objective, bound if bound is not None and np.isfinite(bound) else None, detail, f"ortools {ortools.__version__}")


def _emit_all(lines: Sequence[str], emit: Emit) -> None:
    for line in lines:
        emit(line)


def _parameters(options: Options) -> mathopt.SolveParameters:
    """HiGHS's own options set what SolveParameters rejects (threads) or lacks (saving incumbents)."""
    parameters = mathopt.SolveParameters(
        time_limit=datetime.timedelta(seconds=options.time_limit_s),
        relative_gap_tolerance=options.gap,
        absolute_gap_tolerance=0.0,
        random_seed=options.seed,
    )
    own = parameters.highs
    own.int_options["threads"] = options.threads
    own.double_options["primal_feasibility_tolerance"] = _TOLERANCE
    own.double_options["mip_feasibility_tolerance"] = _TOLERANCE
    own.bool_options["mip_improving_solution_save"] = True
    own.string_options["mip_improving_solution_file"] = str(Path(options.directory) / "incumbents.sol")
    return parameters


def _hints(model: mathopt.Model, options: Options) -> list[mathopt.SolutionHint]:
    if not options.start:
        return []
    variables = list(model.variables())
    return [mathopt.SolutionHint(variable_values={variables[index]: value for index, value in options.start.items()})]


def _proto(program: Program) -> model_pb2.ModelProto:
    """The program as MathOpt's model message, filled array by array."""
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
