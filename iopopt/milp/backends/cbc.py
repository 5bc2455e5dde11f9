"""CBC through PuLP: an independent second solver and modeller."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from iopopt.milp.backends.backend import Backend, Options, Outcome, OutcomeStatus, Report
from iopopt.milp.program import FloatArray, Program

if TYPE_CHECKING:
    import pulp

# "Infeasible or unbounded" is infeasible here: costs and variables are at least 0.
_INFEASIBLE = re.compile(r"^(Result - .*infeasible.*|Problem (is|proven) infeasible.*|Pre-processing says infeasible or unbounded.*)$", re.M | re.I)
_PRINTED_DIGITS = 1e-7
"""CBC prints bounds with eight digits; the last is not trusted."""


class Cbc(Backend):
    """The CBC bundled with PuLP."""

    summary = "CBC through PuLP"

    def solve(self, program: Program, options: Options, report: Report) -> Outcome:
        """PuLP reports a time-limited solve as optimal and gives no bound, so status and bound are read from CBC's log."""
        import pulp

        problem, variables = to_pulp(program)
        for index, value in options.start.items():
            variables[index].setInitialValue(value)
        log = str(Path(options.directory) / "cbc.log")
        solver = pulp.PULP_CBC_CMD(
            msg=False,
            timeLimit=options.time_limit_s,
            gapRel=options.gap,
            threads=options.threads,
            warmStart=bool(options.start),
            logPath=log,
            options=[f"randomCbcSeed {options.seed}"],
        )
        solver.tmpDir = options.directory  # so that its files are removed with the directory
        problem.solve(solver)
        text = Path(log).read_text(encoding="utf-8", errors="replace")
        return _outcome(text, problem, variables, program, options.gap)


def _outcome(log: str, problem: pulp.LpProblem, variables: list[pulp.LpVariable], program: Program, gap: float) -> Outcome:
    import pulp

    version = f"PuLP {pulp.__version__}"
    result = re.search(r"^Result - (.*)$", log, re.MULTILINE)
    message = result.group(1).strip() if result else "CBC gave no result line"
    if found := _INFEASIBLE.search(log):
        return Outcome("infeasible", None, None, None, found.group(0), version)
    solved = problem.sol_status in (pulp.LpSolutionOptimal, pulp.LpSolutionIntegerFeasible)
    x = _point(variables, program) if solved else None
    objective = None if x is None else float(program.objective @ x)
    status: OutcomeStatus = "unknown" if x is None else "feasible"
    bound = _printed_bound(log)
    if objective is not None and message.startswith("Optimal solution found"):
        status = "optimal"
        # CBC prints no bound in this case; use the one implied by its tolerance.
        bound = objective * (1 - gap) if bound is None else bound
    return Outcome(status, x, objective, bound, message, version)


def _point(variables: list[pulp.LpVariable], program: Program) -> FloatArray:
    """The values; PuLP leaves out variables of no row and no cost."""
    return np.array([lower if (value := variable.value()) is None else value for variable, lower in zip(variables, program.lower, strict=True)])


def _printed_bound(log: str) -> float | None:
    """The proven bound that CBC prints when it stops early, lowered by its rounding error."""
    found = re.findall(r"^Lower bound:\s+(-?[\d.eE+-]+)", log, re.MULTILINE)
    if not found:
        return None
    bound = float(found[-1])
    return bound - _PRINTED_DIGITS * max(1.0, abs(bound))


def to_pulp(program: Program) -> tuple[pulp.LpProblem, list[pulp.LpVariable]]:
    """The program as a PuLP problem."""
    import pulp

    problem = pulp.LpProblem("iopopt", pulp.LpMinimize)
    variables = [
        pulp.LpVariable(f"v{index}", lower, None if math.isinf(upper) else upper, "Integer" if integer else "Continuous")
        for index, (lower, upper, integer) in enumerate(zip(program.lower, program.upper, program.integer, strict=True))
    ]
    problem += pulp.LpAffineExpression([(variables[i], program.objective[i]) for i in np.flatnonzero(program.objective)])
    rows: list[list[tuple[pulp.LpVariable, float]]] = [[] for _ in program.row_lower]
    for row, column, value in zip(program.rows, program.columns, program.values, strict=True):
        rows[row].append((variables[column], float(value)))
    for terms, lower, upper in zip(rows, program.row_lower, program.row_upper, strict=True):
        expression = pulp.LpAffineExpression(terms)
        if lower == upper:
            problem += expression == lower
            continue
        if not math.isinf(lower):
            problem += expression >= lower
        if not math.isinf(upper):
            problem += expression <= upper
    return problem, variables
