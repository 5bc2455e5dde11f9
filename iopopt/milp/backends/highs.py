"""HiGHS through OR-Tools MathOpt."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from iopopt.milp.backends.backend import Backend, Incumbent, Options, Outcome, Progress, Report
from iopopt.milp.backends.mathopt import common_parameters, printed_bound, solve_with
from iopopt.milp.program import Program

_TOLERANCE = 1e-9
_INCUMBENTS = "incumbents.sol"

# HiGHS's progress rows: counts, explored share, then BestBound and BestSol, and the seconds at the end.
_PROGRESS = re.compile(r"%\s+(?P<bound>-?[\d.e+-]+|-?inf)\s+(?P<incumbent>-?[\d.e+-]+|-?inf)\s.*\s[\d.]+s\s*$")
_PRINTED_DIGITS = 1e-9
"""HiGHS prints ten digits of a bound; the last is not trusted."""


class Highs(Backend):
    """HiGHS, which saves every better incumbent immediately."""

    summary = "HiGHS through OR-Tools MathOpt"
    tolerance = 1e-8

    def solve(self, program: Program, options: Options, report: Report) -> Outcome:
        """HiGHS's own options set what MathOpt's parameters reject for it (threads) or lack (saving incumbents)."""
        parameters = common_parameters(options)
        own = parameters.highs
        own.int_options["threads"] = options.threads
        own.double_options["primal_feasibility_tolerance"] = _TOLERANCE
        own.double_options["mip_feasibility_tolerance"] = _TOLERANCE
        own.bool_options["mip_improving_solution_save"] = True
        own.string_options["mip_improving_solution_file"] = str(Path(options.directory) / _INCUMBENTS)
        return solve_with("HIGHS", program, options, parameters, _point, report)

    def saved_incumbents(self, directory: Path, size: int) -> list[Incumbent]:
        """The complete (objective, x) pairs that HiGHS has saved so far, best last; an incomplete one is skipped."""
        path = directory / _INCUMBENTS
        incumbents = []
        for block in path.read_text(encoding="utf-8").split("Objective ")[1:] if path.exists() else []:
            objective, _, *values = block.split("\n", size + 2)
            if len(values) == size + 1:  # the last item is the text after the last newline
                incumbents.append((float(objective), np.array([float(value) for value in values[:size]])))
        return incumbents


def _point(line: str) -> Progress | None:
    """The point of a progress row."""
    match = _PROGRESS.search(line)
    if match is None:
        return None
    bound, incumbent = (_finite(match[key]) for key in ("bound", "incumbent"))
    return Progress(incumbent, None if bound is None else printed_bound(bound, _PRINTED_DIGITS))


def _finite(text: str) -> float | None:
    return None if text.endswith("inf") else float(text)
