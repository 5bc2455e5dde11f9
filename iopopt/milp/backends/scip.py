"""SCIP through OR-Tools MathOpt."""

from __future__ import annotations

import re

from iopopt.milp.backends.backend import Backend, Options, Outcome, Progress, Report
from iopopt.milp.backends.mathopt import common_parameters, printed_bound, solve_with
from iopopt.milp.program import Program

_ACCURACY = {"numerics/feastol": 1e-9, "numerics/sumepsilon": 1e-9, "numerics/epsilon": 1e-12}
"""With its defaults SCIP calls plans optimal that are up to 5e-4 above the optimum: it cuts points off that are better by its tolerances."""

_WALL_CLOCK = 2

# SCIP's progress rows end with the columns dualbound, primalbound, gap and compl.; "--" is infinite.
_PROGRESS = re.compile(r"\|\s*(?P<bound>-?\d[\d.e+-]*|--)\s*\|\s*(?P<incumbent>-?\d[\d.e+-]*|--)\s*\|[^|]*\|[^|]*$")
_PRINTED_DIGITS = 1e-6
"""SCIP prints seven digits of a bound; the last is not trusted."""


class Scip(Backend):
    """SCIP; it saves no incumbents, so an interrupted search keeps the plan that it started from."""

    summary = "SCIP through OR-Tools MathOpt"
    tolerance = 1e-5  # its bounds exceed the optimum of reference instances by up to 4e-7

    def solve(self, program: Program, options: Options, report: Report) -> Outcome:
        """SCIP's own options set what MathOpt's parameters lack: tolerances, and a time limit by the wall clock."""
        parameters = common_parameters(options)
        parameters.threads = options.threads
        own = parameters.gscip
        own.real_params.update(_ACCURACY)
        own.int_params["timing/clocktype"] = _WALL_CLOCK
        return solve_with("GSCIP", program, options, parameters, _point, report)


def _point(line: str) -> Progress | None:
    """The point of a progress row."""
    match = _PROGRESS.search(line)
    if match is None:
        return None
    bound, incumbent = (None if match[key] == "--" else float(match[key]) for key in ("bound", "incumbent"))
    return Progress(incumbent, None if bound is None else printed_bound(bound, _PRINTED_DIGITS))
