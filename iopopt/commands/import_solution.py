"""The command ``iopopt import-solution``: a solver's solution of an exported program as a plan."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from iopopt.commands.command_line import command_parser, print_error, write_text
from iopopt.commands.export_model import add_instance, instance_of
from iopopt.errors import IopoptError
from iopopt.network.records import json_text

OK, BAD_INPUT, BREAKS_MEMORY = 0, 2, 3

_EPILOG = f"""\
files    solution files of HiGHS (--solution_file), SCIP (write solution) and CBC (solu), which are told apart by their first line

The model, cluster and team must be those of 'iopopt export-model'; with or without --pruned does not matter.

exit codes
  {OK} done; {BAD_INPUT} bad input; {BREAKS_MEMORY} the plan breaks a memory limit
"""


def main(arguments: Sequence[str] | None = None, program: str = "iopopt import-solution") -> int:
    """Read a solution; returns the exit code."""
    options = _parser(program).parse_args(arguments)
    try:
        return _import(options)
    except IopoptError as error:
        print_error(error)
        return BAD_INPUT


def _import(options: argparse.Namespace) -> int:
    from iopopt.milp.export import ExportedModel

    graph, cluster, team = instance_of(options)
    found = ExportedModel(graph, cluster, team=team).read_solution(options.solution)
    latency_s = found.evaluation.latency_s
    difference = f"{latency_s / found.objective_s - 1:+.1e}" if found.objective_s else "0"
    print(f"evaluator: {latency_s!r} s")
    print(f"{found.solver}: {found.objective_s!r} s; the evaluator's price differs by {difference}")
    for violation in found.evaluation.violations:
        print(f"breaks a memory limit: {violation}")
    if options.output:
        write_text(options.output, json_text(found.plan.to_dict()))
    return BREAKS_MEMORY if found.evaluation.violations else OK


def _parser(program: str) -> argparse.ArgumentParser:
    parser = command_parser(program, "Read a solver's solution of an exported program: its plan, priced by the evaluator.", _EPILOG)
    add_instance(parser)
    parser.add_argument("solution", type=Path, metavar="FILE", help="solution file")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="plan file to write, for 'iopopt run'")
    return parser
