"""Programs of tiny instances, and what their linear relaxation comes to: with integers fixed, with rows left out, in every row.

The program of an instance and the names of its families of rows are reached through the functions of this module alone.
"""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_matrix
from support.random_branches import random_branched_graph, random_branched_plan
from support.random_instances import random_cluster, random_graph, random_plan
from support.tiny_edges import random_order_of_team

from iopopt import Cluster, Graph, Plan, PlanBatch, evaluate
from iopopt.cost.instance import Instance
from iopopt.cost.stopwatch import Stopwatch
from iopopt.methods.exhaustive import all_placements, plan_count
from iopopt.milp import memory_program
from iopopt.milp.arcs import Arc
from iopopt.milp.backends import BACKENDS, Options
from iopopt.milp.formulation import Formulation
from iopopt.milp.program import Program
from iopopt.plan.splits import ALL_SPLITS, Splits

FAMILIES = {
    "compute times": "eq7",
    "best makespans": "makespan",
    "surrogate times": "surrogate",
    "communication times": "eq8",
    "halo floors": "floor",
    "edges alone": "edge",
    "links of copies": "copies",
}
"""The families of rows without which the relaxation of some instance is weaker, by the first word of their names."""

SCALE_S = 0.375
"""Some unit of the objective that is not a second."""

FloatArray = npt.NDArray[np.float64]


class RandomCase(NamedTuple):
    """A graph, a cluster, a team of at least two, and a plan of it."""

    graph: Graph
    cluster: Cluster
    team: tuple[int, ...]
    plan: Plan


def random_instance(seed: int, *, branched: bool = False) -> RandomCase:
    rng = random.Random(seed)
    graph = random_branched_graph(rng) if branched else random_graph(rng)
    cluster = random_cluster(rng, devices=rng.choice([2, 3, 4]))
    team = random_order_of_team(rng, len(cluster), seed)
    plan = (random_branched_plan if branched else random_plan)(rng, graph, len(cluster), team=team)
    return RandomCase(graph, cluster, team, plan)


def formulation_of(graph: Graph, cluster: Cluster, team: tuple[int, ...], scale_s: float = 1.0, **options: Any) -> Formulation:
    """The program of an instance, in units of ``scale_s`` seconds."""
    return Formulation(Instance(graph, cluster), team, scale_s, **options)


def with_memory(cluster: Cluster, limits: list[float]) -> Cluster:
    """The cluster with these memory limits, each at least a byte."""
    devices = tuple(replace(device, memory_bytes=max(1.0, limit)) for device, limit in zip(cluster.devices, limits, strict=True))
    return replace(cluster, devices=devices)


def without(program: Program, family: str) -> Program:
    """The program without a family of rows, which it must have."""
    dropped = rows_of(program, family)
    assert dropped.any(), f"no row of {family!r}"
    lower, upper = np.where(dropped, -np.inf, program.row_lower), np.where(dropped, np.inf, program.row_upper)
    return replace(program, row_lower=lower, row_upper=upper)


def rows_of(program: Program, family: str) -> npt.NDArray[np.bool_]:
    """Which rows are of a family."""
    return np.array([name[0] == FAMILIES.get(family, family) for name in program.row_names])


def least_objective(program: Program, fixed: Mapping[int, float] | None = None, *, gap: float | None = None, presolve: bool = True) -> float:
    """The least objective with some variables fixed; infinite where no point is left.

    Integrality is dropped unless there is a ``gap`` to which the optimum is wanted.
    """
    found = least_point(program, fixed, gap=gap, presolve=presolve)
    return float("inf") if found is None else float(program.objective @ found)


def least_point(
    program: Program, fixed: Mapping[int, float] | None = None, costs: FloatArray | None = None, *, gap: float | None = None, presolve: bool = True
) -> FloatArray | None:
    """A point of the least objective (or ``costs``) with some variables fixed; None where none is left."""
    lower, upper = program.lower.copy(), program.upper.copy()
    for variable, value in (fixed or {}).items():
        lower[variable] = upper[variable] = value
    rows = LinearConstraint(_matrix(program), program.row_lower, program.row_upper)
    integrality, options = (None, {"presolve": presolve}) if gap is None else (program.integer, {"mip_rel_gap": gap, "presolve": presolve})
    objective = program.objective if costs is None else costs
    result = milp(objective, integrality=integrality, bounds=Bounds(lower, upper), constraints=rows, options=options)
    assert result.status in (0, 2)
    return np.asarray(result.x) if result.status == 0 else None


def slacks(program: Program, point: FloatArray) -> FloatArray:
    """How far each row is from its nearer bound at a point; negative where it is broken."""
    values = _matrix(program) @ point
    return np.asarray(np.minimum(values - program.row_lower, program.row_upper - values))


def _matrix(program: Program) -> Any:
    return csr_matrix((program.values, (program.rows, program.columns)), shape=(len(program.row_lower), len(program.lower)))


def surrogate_slacks(formulation: Formulation, plan: Plan) -> list[float]:
    """How much of its surrogate times a plan could still add within their limits, relative to these times: one for each limit in force.

    All other times are at their least, and so are the surrogate times.
    """
    program = formulation.program
    surrogate = np.array([name[0] == "t_surrogate" for name in program.names])
    point = least_point(program, formulation.integer_point(plan), program.objective + 1e-6 * surrogate)
    assert point is not None
    taken = _matrix(program)[:, surrogate] @ point[surrogate]
    left = slacks(program, point)
    return [float(left[row] / taken[row]) for row in np.flatnonzero(rows_of(program, "surrogate times")) if taken[row] > 1e-9]


def surrogates_of(formulation: Formulation, operator: str, dim: str) -> int:
    """How many limits surrogate times of an operator's split by ``dim`` have."""
    program = formulation.program
    begin = (FAMILIES["surrogate times"], operator, dim)
    return sum(tuple(map(str, name[:3])) == begin for name in program.row_names)


def plans_of_each_case(graph: Graph, cluster: Cluster, team: tuple[int, ...], *, each: int, seed: int = 0, tries: int = 400) -> list[Plan]:
    """Random plans in which every combination of cases of an operator's edges, with its dimension, occurs up to ``each`` times."""
    rng, seen, found = random.Random(seed), Counter[object](), []
    for _ in range(tries):
        plan = random_branched_plan(rng, graph, len(cluster), team=team)
        costs = evaluate(graph, cluster, plan).operators
        keys = {(number, cost.cases, cost.placement.dim) for number, cost in enumerate(costs)}
        if any(seen[key] < each for key in keys):
            seen.update(keys)
            found.append(plan)
    return found


def assert_priced(graph: Graph, cluster: Cluster, team: tuple[int, ...], plans: Sequence[Plan], **options: Any) -> set[str]:
    """Each plan, fixed in the program, costs at least what the evaluator says and no more; the cases that occurred."""
    formulation, cases = formulation_of(graph, cluster, team, SCALE_S, **options), set[str]()
    for plan in plans:
        evaluation = evaluate(graph, cluster, plan)
        least_s = SCALE_S * least_objective(formulation.program, formulation.integer_point(plan))
        assert least_s == pytest.approx(evaluation.latency_s, rel=1e-6), plan
        cases |= {case for cost in evaluation.operators for phase in cost.cases for case in phase.split("+")}
    return cases


def optimum_at(graph: Graph, cluster: Cluster, team: tuple[int, ...], plan: Plan) -> float:
    """The least latency in the program, seconds, with the nodes and shares of a plan fixed, but not the arcs between them."""
    formulation = formulation_of(graph, cluster, team, SCALE_S)
    flows = {flow for of in flows_of(formulation) for flow in of.values()}
    fixed = {variable: value for variable, value in formulation.integer_point(plan).items() if variable not in flows}
    return SCALE_S * least_objective(formulation.program, fixed, gap=1e-9)


def with_any_reduces(plan: Plan) -> list[Plan]:
    """The plan with its partial sums added up in either way, operator by operator."""
    ways = [[replace(way, reduce=reduce) for reduce in ("direct", "two_phase")] if way.dim == "IC" else [way] for way in plan.values()]
    return [Plan(tuple(zip(plan, chosen, strict=True))) for chosen in itertools.product(*ways)]


def limits_memory(formulation: Formulation, device: int) -> bool:
    """Whether the program holds the memory limit of a device."""
    return ("eq1", device) in formulation.program.row_names


def all_plans(graph: Graph, cluster: Cluster, team: tuple[int, ...]) -> PlanBatch:
    """Every plan of a team."""
    states = [PlanBatch.of([[way] for way in all_placements(operator, cluster, team)], len(cluster)) for operator in graph.placed_units]
    shape = [len(state) for state in states]
    numbers = np.unravel_index(np.arange(math.prod(shape)), shape)
    return PlanBatch.join([state.take(number) for state, number in zip(states, numbers, strict=True)])


def tiny_instance(seed: int, *, branched: bool, most_plans: int = 20_000) -> tuple[Graph, Cluster, tuple[int, ...], PlanBatch]:
    """A graph, a cluster of two or three devices and a team of two or more, and all their plans, of which there are not too many."""
    rng = random.Random(seed)
    while True:
        graph = random_branched_graph(rng, tiny=True) if branched else random_graph(rng, operators=2, tiny=True)
        cluster = random_cluster(rng, devices=rng.choice([2, 3]))
        team = random_order_of_team(rng, len(cluster), seed)
        if plan_count(graph, cluster, team) <= most_plans:
            return graph, cluster, team, all_plans(graph, cluster, team)


def least_memory(graph: Graph, cluster: Cluster, team: tuple[int, ...], status: str | None = None, splits: Splits = ALL_SPLITS) -> Plan | None:
    """The plan of the least largest relative demand, by a back end in this process; or what comes of a back end that ends with ``status``
    and no plan."""

    def run(backend: str, program: Program, options: Options, *, grace_s: float | None) -> SimpleNamespace:
        assert (backend, options.time_limit_s, options.gap, options.threads, options.start) == ("scipy", 30.0, 0.0, 1, {})
        outcome = BACKENDS.find(backend)().solve(program, options, lambda line: None)
        return SimpleNamespace(outcome=outcome if status is None else replace(outcome, status=status, x=None, objective=None))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory_program, "run_backend", run)
        return memory_program.least_memory_plan(Instance(graph, cluster), team, "scipy", Stopwatch(30.0, clock=lambda: 0.0), splits=splits)


def integer_points(program: Program) -> FloatArray:
    """Every integer point within the bounds that fulfils all rows, one a line."""
    ranges = [np.arange(int(upper) + 1.0) for upper in program.upper]
    points = np.stack([axis.ravel() for axis in np.meshgrid(*ranges, indexing="ij")], axis=1)
    values = _matrix(program) @ points.T
    holds = ((values >= program.row_lower[:, None] - 1e-9) & (values <= program.row_upper[:, None] + 1e-9)).all(axis=0)
    return np.asarray(points[holds])


def flows_of(formulation: Formulation) -> list[dict[Arc, int]]:
    """The flow variables of the arcs of every edge, consumer by consumer; the sink's edge is the last."""
    return [edge.flow for ports in formulation._ports for port in ports for edge in port.edges]
