"""The command ``iopopt export-model``: the exact program as an LP or MPS file for other solvers."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from iopopt.cluster.cluster import Cluster
from iopopt.cluster.files import load_cluster
from iopopt.cluster.reference import default_reference
from iopopt.commands.command_line import add_input_shape, command_parser, named_team, print_error, write_text
from iopopt.errors import IopoptError, PlanError
from iopopt.methods.dp import dp_plan
from iopopt.methods.greedy import greedy_plan
from iopopt.methods.single import single_plan
from iopopt.methods.solution import heuristic_solution
from iopopt.models import ZOO, load_model
from iopopt.network.graph import Graph
from iopopt.plan.plan import Plan
from iopopt.plan.team import Team, resolve_team

OK, BAD_INPUT = 0, 2

_EPILOG = f"""\
models   {", ".join(ZOO)}, a .json file written by Graph.to_dict, or an .onnx file

The file holds the program of equations (1) to (8) for one team, with names such as x(conv3,OC), n(conv3,H,pi) and t_compute(conv3,OC);
comments at its top explain them and state the unit of the objective. 'iopopt import-solution' reads what a solver makes of it.

examples
  iopopt export-model alexnet --cluster edge-x3 --lp alexnet.lp
  highs alexnet.lp --solution_file alexnet.sol
  iopopt import-solution alexnet --cluster edge-x3 alexnet.sol -o plan.json
"""


def main(arguments: Sequence[str] | None = None, program: str = "iopopt export-model") -> int:
    """Write the program; returns the exit code."""
    parser = _parser(program)
    options = parser.parse_args(arguments)
    if not options.lp and not options.mps:
        parser.error("give --lp FILE, --mps FILE or both")
    try:
        _export(options)
    except IopoptError as error:
        print_error(error)
        return BAD_INPUT
    return OK


def add_instance(parser: argparse.ArgumentParser) -> None:
    """Add the model, the cluster and the team to a command."""
    parser.add_argument("model", metavar="MODEL", help="network, by name or file")
    parser.add_argument("--cluster", metavar="NAME", help="cluster, by name or file (default: the reference instance of three devices for the model)")
    parser.add_argument(
        "--team", default="all", metavar="TEAM", help="split operators over all devices, or over these (names or indices, separated by commas)"
    )
    add_input_shape(parser)


def instance_of(options: argparse.Namespace) -> tuple[Graph, Cluster, Team]:
    """The model, the cluster and the team that the options name."""
    graph = load_model(options.model, input_shape=options.input_shape)
    name = options.cluster or default_reference(graph)
    cluster = load_cluster(name, graph)
    return graph, cluster, resolve_team(named_team(options.team, cluster, name), cluster)


def _export(options: argparse.Namespace) -> None:
    from iopopt.milp.export import ExportedModel

    graph, cluster, team = instance_of(options)
    incumbent = _incumbent(graph, cluster, team) if options.pruned else None
    exported = ExportedModel(graph, cluster, team=team, incumbent=incumbent)
    for path, text in ((options.lp, exported.lp), (options.mps, exported.mps)):
        if path:
            write_text(path, text())
            print(f"{path}: {exported.size}; objective in units of {exported.unit_s:g} s")


def _incumbent(graph: Graph, cluster: Cluster, team: Team) -> Plan:
    """The fastest of the heuristics' plans that fit the memory."""
    devices = resolve_team(team, cluster)
    plans = (single_plan(graph, cluster), dp_plan(graph, cluster, devices), greedy_plan(graph, cluster, devices))
    fitting = [found for plan in plans if (found := heuristic_solution(graph, cluster, plan, method="incumbent")).status == "feasible"]
    if not fitting:
        raise PlanError("--pruned needs a plan that fits the memory, but no heuristic found one; export the whole program")
    best = min(fitting, key=lambda found: found.latency_s).plan
    assert best is not None
    return best


def _parser(program: str) -> argparse.ArgumentParser:
    parser = command_parser(program, "Write the exact program of a network on a cluster for another solver.", _EPILOG)
    add_instance(parser)
    parser.add_argument("--lp", type=Path, metavar="FILE", help="LP file to write")
    parser.add_argument("--mps", type=Path, metavar="FILE", help="MPS file to write, in free format")
    parser.add_argument(
        "--pruned", action="store_true", help="leave out what no plan faster than the best heuristic's can take: much smaller, with the same optimum"
    )
    return parser
