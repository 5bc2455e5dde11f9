"""The options of commands that use a plan: a network, a cluster, and a plan file or the method that finds the plan."""

from __future__ import annotations

import argparse
from pathlib import Path

from iopopt.cluster.cluster import Cluster
from iopopt.cluster.files import load_cluster
from iopopt.cluster.reference import default_reference
from iopopt.commands.command_line import add_input_shape
from iopopt.cost.evaluation import evaluate
from iopopt.errors import FileFormatError
from iopopt.methods import METHODS, solve
from iopopt.methods.plan_files import read_plan
from iopopt.models import load_model
from iopopt.network.graph import Graph
from iopopt.plan.plan import Plan, validate_plan


def add_planned(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Add ``--model``, ``--input-shape``, ``--cluster``, ``--plan`` and ``--method`` to a command; :func:`planned` reads them.

    Args:
        required: whether the command cannot do without ``--model``.
    """
    parser.add_argument("--model", required=required, metavar="NAME", help="a network, by name or file")
    add_input_shape(parser)
    parser.add_argument("--cluster", metavar="NAME", help="a cluster, by name or file (default: the reference instance for the model)")
    parser.add_argument("--plan", type=Path, metavar="FILE", help="a plan, or a solution that has one; without it, --method finds the plan")
    parser.add_argument("--method", default="greedy", metavar="NAME", help=f"how to find a plan: {', '.join(METHODS)} (default: greedy)")


def planned(options: argparse.Namespace) -> tuple[Graph, Cluster, Plan]:
    """The network, the cluster and a plan that belongs to both.

    Raises:
        IopoptError: if one of them cannot be read or found, or the plan belongs to others.
    """
    graph = load_model(options.model, input_shape=options.input_shape)
    cluster = load_cluster(options.cluster or default_reference(graph), graph)
    if options.plan is not None:
        plan = read_plan(options.plan)
    else:
        found = solve(graph, cluster, options.method)
        if found.plan is None:
            raise FileFormatError(f"method {options.method!r} found no plan: {found.reason}")
        plan = found.plan
    validate_plan(graph, cluster, plan)
    evaluate(graph, cluster, plan)
    return graph, cluster, plan
