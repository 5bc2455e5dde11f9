"""The command ``iopopt fit``: does a network fit a cluster, and at least how much memory or how many devices does it take?"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from iopopt.cluster.boards import board_names
from iopopt.cluster.files import load_cluster
from iopopt.cluster.reference import default_reference
from iopopt.commands.command_line import add_exact, command_parser, exact_settings, named_team, print_error, write_text
from iopopt.errors import IopoptError
from iopopt.methods.fitting import fit
from iopopt.models import load_model
from iopopt.network.records import json_text

OK, BAD_INPUT, NOTHING_FITS = 0, 2, 3

_EPILOG = f"""\
What is proven is marked so; the rest is what the plans that were found need. A proof holds for the plans of its space: every operator whole on one
device or split over the team, and with --longest-block for those that fuse operators.

examples
  iopopt fit --model vgg16 --cluster pi3-x2
  iopopt fit --model yolov2 --cluster wifi-x4-tight-0.2 --longest-block 4
  iopopt fit --model lenet5 --cluster esp32-x2 --boards esp32 pi3

boards     {", ".join(board_names())}

exit codes
  {OK} it fits; {BAD_INPUT} bad input; {NOTHING_FITS} no plan fits, or none was found that does
"""


def main(arguments: Sequence[str] | None = None, program: str = "iopopt fit") -> int:
    """Answer; returns the exit code."""
    options = _parser(program).parse_args(arguments)
    try:
        graph = load_model(options.model, input_shape=options.input_shape)
        name = options.cluster or default_reference(graph)
        cluster = load_cluster(name, graph)
        team = named_team(options.team, cluster, name)
        found = fit(graph, cluster, team=team, boards=options.boards, most_devices=options.most_devices, gap=options.gap, **exact_settings(options))
        if options.json is not None:
            write_text(options.json, json_text(found.to_dict()))
    except IopoptError as error:
        print_error(error)
        return BAD_INPUT
    print(found.explain())
    return OK if found.verdict == "yes" else NOTHING_FITS


def _parser(program: str) -> argparse.ArgumentParser:
    parser = command_parser(program, "Does a network fit, and at least how much memory, or how many such devices, does it take?", _EPILOG)
    add_exact(parser, time_limit_s=120.0, gap=1e-4)
    parser.add_argument("--boards", nargs="+", default=(), metavar="BOARD", help="count these boards instead of the devices of the cluster")
    parser.add_argument("--most-devices", type=int, default=32, metavar="N", help="try no more than N equal devices (default: 32)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the answer with its plans to FILE")
    return parser
