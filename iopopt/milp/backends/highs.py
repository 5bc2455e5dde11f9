"""HiGHS through OR-Tools MathOpt."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from iopopt.milp.backends import Incumbent, Options, Outcome, OutcomeStatus, Progress, Report
from iopopt.milp.program import Program

if TYPE_CHECKING:
    from ortools.math_opt import model_pb2
    from ortools.math_opt.python import mathopt

_TOLERANCE = 1e-9
_STATUS: dict[str, OutcomeStatus] = {"OPTIMAL": "optimal", "FEASIBLE": "feasible", "INFEASIBLE": "infeasible", "NO_SOLUTION_FOUND": "unknown"}
_INCUMBENTS = "incumbents.sol"

# HiGHS's progress rows: counts, explored share, then BestBound and BestSol, and the seconds at the end.
_PROGRESS = re.compile(r"%\s+(?P<bound>-?[\d.e+-]+|-?inf)\s+(?P<incumbent>-?[\d.e+-]+|-?inf)\s.*\s[\d.]+s\s*$")
_PRINTED_DIGITS = 1e-9
"""HiGHS prints ten digits of a bound; the last is not trusted."""


def solve(program: Program, options: Options, report: Report) -> Outcome:
    """Solve with HiGHS; it saves every better incumbent immediately."""
    import ortools
    from ortools.math_opt.python import mathopt

    model = mathopt.Model.from_model_proto(_proto(program))
    result = mathopt.solve(
        model,
        mathopt.SolverType.HIGHS,
        params=_parameters(options),
        model_params=mathopt.ModelSolveParameters(solution_hints=_hints(model, options)),
        msg_cb=lambda lines: _report_rows(lines, report),
    )
    status = _STATUS.get(result.termination.reason.name, "error")
    x, objective, bound = None, None, None
    if result.has_primal_feasible_solution():
        x = np.array(result.variable_values(list(model.variables())))
        objective = float(result.objective_value())
    if status in ("optimal", "feasible", "unknown"):
        bound = float(result.termination.objective_bounds.dual_bound)
    detail = f"{result.termination.reason.name}: {result.termination.detail}"
    return Outcome(status, x, objective, bound if bound is not None and np.isfinite(bound) else None, detail, f"ortools {ortools.__version__}")


def saved_incumbents(directory: Path, size: int) -> list[Incumbent]:
    """The complete (objective, x) pairs that HiGHS has saved so far, best last; an incomplete one is skipped."""
    path = directory / _INCUMBENTS
    incumbents = []
    for block in path.read_text(encoding="utf-8").split("Objective ")[1:] if path.exists() else []:
        objective, _, *values = block.split("\n", size + 2)
        if len(values) == size + 1:  # the last item is the text after the last newline
            incumbents.append((float(objective), np.array([float(value) for value in values[:size]])))
    return incumbents


def _report_rows(lines: Sequence[str], report: Report) -> None:
    """The progress rows of the log as points; other lines are ignored."""
    for line in lines:
        if match := _PROGRESS.search(line):
            bound, incumbent = (_finite(match[key]) for key in ("bound", "incumbent"))
            report(Progress(incumbent, None if bound is None else bound - _PRINTED_DIGITS * max(1.0, abs(bound))))


def _finite(text: str) -> float | None:
    return None if text.endswith("inf") else float(text)


def _parameters(options: Options) -> mathopt.SolveParameters:
    """HiGHS's own options set what SolveParameters rejects (threads) or lacks (saving incumbents)."""
    from ortools.math_opt.python import mathopt

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
    own.string_options["mip_improving_solution_file"] = str(Path(options.directory) / _INCUMBENTS)
    return parameters


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
