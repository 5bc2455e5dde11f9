"""iopopt: exact and heuristic partitioning of one CNN over several small devices.

>>> import iopopt
>>> graph = iopopt.load_model("lenet5")
>>> cluster = iopopt.load_cluster("mcu-x3", graph)
>>> solution = iopopt.solve_greedy(graph, cluster)
>>> solution.status
'feasible'
"""

from iopopt.cluster.cluster import Cluster, Device
from iopopt.cluster.files import load_cluster
from iopopt.cluster.units import UnitWarning
from iopopt.cost.evaluation import Evaluation, evaluate
from iopopt.cost.pricer import BatchEvaluation, Pricer
from iopopt.errors import (
    ClusterError,
    ExecutionError,
    FileFormatError,
    GraphError,
    InstanceTooLargeError,
    IopoptError,
    MissingExtraError,
    PlanError,
    PluginError,
    SolverError,
    UnknownNameError,
    UnsupportedError,
)
from iopopt.executor.running import execute
from iopopt.methods import METHODS, Method, register_method, solve
from iopopt.methods.aofl import solve_aofl
from iopopt.methods.coedge import solve_coedge
from iopopt.methods.coedge_lp import solve_coedge_lp
from iopopt.methods.deepthings import solve_deepthings
from iopopt.methods.dp import solve_dp
from iopopt.methods.dpfp import solve_dpfp
from iopopt.methods.exhaustive import solve_exhaustive
from iopopt.methods.greedy import solve_greedy
from iopopt.methods.iop_segments import solve_iop_segments
from iopopt.methods.milp import solve_milp
from iopopt.methods.modnn import solve_modnn
from iopopt.methods.oc import solve_oc
from iopopt.methods.overlap import solve_overlap
from iopopt.methods.pso import solve_pso
from iopopt.methods.single import solve_single
from iopopt.methods.solution import Solution, heuristic_solution
from iopopt.milp.backends import BACKENDS, Backend, register_backend
from iopopt.models import ZOO, load_model, load_weights
from iopopt.network.builder import GraphBuilder
from iopopt.network.graph import Graph
from iopopt.network.operators.operator import Operator
from iopopt.network.weights import random_input, random_weights
from iopopt.plan.batch import PlanBatch
from iopopt.plan.moves import random_neighbour, random_plan
from iopopt.plan.placement import Placement, Shard
from iopopt.plan.plan import Plan
from iopopt.plan.team import space_name
from iopopt.simulation.simulate import Simulator, simulate
from iopopt.simulation.timeline import Span, Timeline
from iopopt.version import __version__

__all__ = [
    "BACKENDS",
    "METHODS",
    "ZOO",
    "Backend",
    "BatchEvaluation",
    "Cluster",
    "ClusterError",
    "Device",
    "Evaluation",
    "ExecutionError",
    "FileFormatError",
    "Graph",
    "GraphBuilder",
    "GraphError",
    "InstanceTooLargeError",
    "IopoptError",
    "Method",
    "MissingExtraError",
    "Operator",
    "Placement",
    "Plan",
    "PlanBatch",
    "PlanError",
    "PluginError",
    "Pricer",
    "Shard",
    "Simulator",
    "Solution",
    "SolverError",
    "Span",
    "Timeline",
    "UnitWarning",
    "UnknownNameError",
    "UnsupportedError",
    "__version__",
    "evaluate",
    "execute",
    "heuristic_solution",
    "load_cluster",
    "load_model",
    "load_weights",
    "random_input",
    "random_neighbour",
    "random_plan",
    "random_weights",
    "register_backend",
    "register_method",
    "simulate",
    "solve",
    "solve_aofl",
    "solve_coedge",
    "solve_coedge_lp",
    "solve_deepthings",
    "solve_dp",
    "solve_dpfp",
    "solve_exhaustive",
    "solve_greedy",
    "solve_iop_segments",
    "solve_milp",
    "solve_modnn",
    "solve_oc",
    "solve_overlap",
    "solve_pso",
    "solve_single",
    "space_name",
]
