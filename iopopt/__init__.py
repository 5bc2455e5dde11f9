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
    OffloadError,
    PlanError,
    PluginError,
    ServiceError,
    SolverError,
    UnknownNameError,
    UnsupportedError,
)
from iopopt.executor.running import execute, execute_offload
from iopopt.methods import METHODS, Method, register_method, solve
from iopopt.methods.aofl import solve_aofl
from iopopt.methods.coedge import solve_coedge
from iopopt.methods.coedge_lp import solve_coedge_lp
from iopopt.methods.data import solve_data
from iopopt.methods.deeperthings import solve_deeperthings
from iopopt.methods.deepthings import solve_deepthings
from iopopt.methods.dp import solve_dp
from iopopt.methods.dpfp import solve_dpfp
from iopopt.methods.exhaustive import solve_exhaustive
from iopopt.methods.fitting import Fit, fit
from iopopt.methods.greedy import solve_greedy
from iopopt.methods.halp import halp_plan, solve_halp
from iopopt.methods.horizontal import solve_horizontal
from iopopt.methods.iop_segments import solve_iop_segments
from iopopt.methods.milp import solve_milp
from iopopt.methods.modnn import solve_modnn
from iopopt.methods.oc import solve_oc
from iopopt.methods.overlap import solve_overlap
from iopopt.methods.pareto import ParetoFront, ParetoPoint, pareto
from iopopt.methods.pso import solve_pso
from iopopt.methods.single import solve_single
from iopopt.methods.solution import Solution, heuristic_solution
from iopopt.methods.stages import solve_stages
from iopopt.methods.vps import solve_vps
from iopopt.milp.backends import BACKENDS, Backend, register_backend
from iopopt.models import ZOO, load_model, load_weights
from iopopt.network.builder import GraphBuilder
from iopopt.network.graph import Graph
from iopopt.network.operators.operator import Operator
from iopopt.network.weights import random_input, random_weights
from iopopt.offload.files import load_offload_instance
from iopopt.offload.instance import Client, Link, OffloadInstance, Server
from iopopt.offload.methods import OFFLOAD_METHODS, solve_offload
from iopopt.offload.plan import OffloadPlan
from iopopt.offload.recursion import offload_latency_s
from iopopt.offload.solution import OffloadSolution
from iopopt.offload.space import OffloadSpace
from iopopt.offload.timeline import offload_timeline
from iopopt.plan.batch import PlanBatch
from iopopt.plan.moves import random_neighbour, random_plan
from iopopt.plan.placement import Placement, Shard
from iopopt.plan.plan import Plan
from iopopt.plan.team import space_name
from iopopt.reliability.candidate import Candidate, select_model
from iopopt.reliability.channel import Channel
from iopopt.reliability.gilbert_elliott import GilbertElliottChannel
from iopopt.reliability.random_channels import RandomRateChannel, RandomTimeChannel, TruncatedNormal
from iopopt.reliability.service import Service, ServicePoint, estimate_service, exact_service
from iopopt.reliability.traces import RateTraceChannel, TimeTraceChannel, load_trace
from iopopt.simulation.simulate import Simulator, simulate
from iopopt.simulation.timeline import Span, Timeline
from iopopt.version import __version__

__all__ = [
    "BACKENDS",
    "METHODS",
    "OFFLOAD_METHODS",
    "ZOO",
    "Backend",
    "BatchEvaluation",
    "Candidate",
    "Channel",
    "Client",
    "Cluster",
    "ClusterError",
    "Device",
    "Evaluation",
    "ExecutionError",
    "FileFormatError",
    "Fit",
    "GilbertElliottChannel",
    "Graph",
    "GraphBuilder",
    "GraphError",
    "InstanceTooLargeError",
    "IopoptError",
    "Link",
    "Method",
    "MissingExtraError",
    "OffloadError",
    "OffloadInstance",
    "OffloadPlan",
    "OffloadSolution",
    "OffloadSpace",
    "Operator",
    "ParetoFront",
    "ParetoPoint",
    "Placement",
    "Plan",
    "PlanBatch",
    "PlanError",
    "PluginError",
    "Pricer",
    "RandomRateChannel",
    "RandomTimeChannel",
    "RateTraceChannel",
    "Server",
    "Service",
    "ServiceError",
    "ServicePoint",
    "Shard",
    "Simulator",
    "Solution",
    "SolverError",
    "Span",
    "TimeTraceChannel",
    "Timeline",
    "TruncatedNormal",
    "UnitWarning",
    "UnknownNameError",
    "UnsupportedError",
    "__version__",
    "estimate_service",
    "evaluate",
    "exact_service",
    "execute",
    "execute_offload",
    "fit",
    "halp_plan",
    "heuristic_solution",
    "load_cluster",
    "load_model",
    "load_offload_instance",
    "load_trace",
    "load_weights",
    "offload_latency_s",
    "offload_timeline",
    "pareto",
    "random_input",
    "random_neighbour",
    "random_plan",
    "random_weights",
    "register_backend",
    "register_method",
    "select_model",
    "simulate",
    "solve",
    "solve_aofl",
    "solve_coedge",
    "solve_coedge_lp",
    "solve_data",
    "solve_deeperthings",
    "solve_deepthings",
    "solve_dp",
    "solve_dpfp",
    "solve_exhaustive",
    "solve_greedy",
    "solve_halp",
    "solve_horizontal",
    "solve_iop_segments",
    "solve_milp",
    "solve_modnn",
    "solve_oc",
    "solve_offload",
    "solve_overlap",
    "solve_pso",
    "solve_single",
    "solve_stages",
    "solve_vps",
    "space_name",
]
