"""The exact program for other solvers: written with readable names, and their solutions read back as plans."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import numpy as np

from iopopt.cluster.cluster import Cluster, Device
from iopopt.cost.evaluation import Evaluation, evaluate
from iopopt.cost.instance import Instance
from iopopt.errors import FileFormatError, PlanError
from iopopt.milp.formulation import Formulation
from iopopt.milp.labels import Labels
from iopopt.milp.model_files import NamedProgram
from iopopt.milp.program import FloatArray
from iopopt.milp.pruning import bound_nodes
from iopopt.milp.solution_files import read_solution_file
from iopopt.network.graph import Graph
from iopopt.plan.placement import Placement
from iopopt.plan.plan import Plan
from iopopt.plan.team import Team, resolve_team

_ACCURACY = 1e-6
"""How far the stated objective may be from that of the values, relative: CBC prints eight digits."""

_INTEGRAL = 1e-3

_FAMILIES = """\
Nodes d, e: H, OC or IC, a split over the team by rows, output or input channels; or a device, on which the whole operator runs.
x(i,d)              1 if operator i takes node d
n(i,d,j)            the share of device j, in granules of rows or channels
n(i,d,to|from,...)  its copies, 0 unless their arc is taken
y(p,q,d,e,way)      1 if the tensor from p at node d to q at node e is passed in that way
t_compute(i,d,...)  compute time of operator i, by group of the arcs out of it; t_surrogate is a bound for operators without work
t_com(...)          communication time of a group of arcs, or of all edges into an operator
A(j), N(i,d,j)      the largest activations of device j; whether it opens a connection
Rows eq1 to eq8 are the equations of iopopt's cost_model.md; flow, copies, reduce and once link the variables; makespan, floor, edge and
surrogate tighten the relaxation."""


@dataclass(frozen=True)
class ImportedSolution:
    """A solver's solution as a plan.

    Attributes:
        solver: whose file it was.
        objective_s: the objective in the file, seconds.
        evaluation: the evaluator's price of the plan.
    """

    plan: Plan
    solver: str
    objective_s: float
    evaluation: Evaluation


class ExportedModel:
    """The exact program of one instance and team, as files for solvers: every plan of the team, without a cutoff.

    Args:
        team: ``"all"`` devices, or one set of them.
        incumbent: a plan of the team that fits the memory: nodes that no faster plan takes are left out, which keeps the optimum.

    Raises:
        ClusterError: if the team names a device that does not exist, or is ``"best"``, which is several programs.
    """

    def __init__(self, graph: Graph, devices: Cluster | Sequence[Device], *, team: Team = "all", incumbent: Plan | None = None) -> None:
        self._instance = Instance.of(graph, devices)
        self._team = resolve_team(team, self._instance.cluster)
        self._pruned_s = None if incumbent is None else evaluate(graph, self._instance.cluster, incumbent).latency_s
        nodes = None if self._pruned_s is None else bound_nodes(self._instance, self._team, within_s=self._pruned_s).nodes_within(self._pruned_s)
        self._formulation = Formulation(self._instance, self._team, self.unit_s, nodes=nodes)
        self._labels = Labels(self._instance)

    @property
    def size(self) -> str:
        """Rows, columns and integers."""
        return self._formulation.program.size

    @cached_property
    def unit_s(self) -> float:
        """The unit of the objective, seconds: a power of ten near the latency of the best single device, so that solvers' tolerances suit it."""
        graph, cluster = self._instance.graph, self._instance.cluster
        plans = (Plan.of(graph, [Placement.whole(j)] * len(graph)) for j in range(len(cluster)))
        latency_s = min(evaluate(graph, cluster, plan).latency_s for plan in plans)
        return 10.0 ** math.floor(math.log10(latency_s)) if latency_s else 1.0

    def lp(self) -> str:
        """The text of an LP file."""
        return self._named.lp()

    def mps(self) -> str:
        """The text of an MPS file, in free format."""
        return self._named.mps()

    def read_solution(self, path: str | Path) -> ImportedSolution:
        """The plan in a solution file of HiGHS, SCIP or CBC for this program, exported with or without an incumbent.

        Raises:
            FileFormatError: if the file holds no solution, is truncated, or is of another program.
        """
        found = read_solution_file(path)
        x = self._point(str(path), found.values)
        objective = float(self._formulation.program.objective @ x)
        if abs(objective - found.objective) > _ACCURACY * max(1.0, abs(objective)):
            raise FileFormatError(
                f"{path}: its values come to an objective of {objective!r}, but it states {found.objective!r}; it is truncated, or of another program"
            )
        plan = self._formulation.plan(x)
        try:
            evaluation = evaluate(self._instance.graph, self._instance.cluster, plan)
        except PlanError as error:
            raise FileFormatError(f"{path}: is no plan: {error}") from None
        return ImportedSolution(plan, found.solver, found.objective * self.unit_s, evaluation)

    def _point(self, path: str, values: Mapping[str, float]) -> FloatArray:
        numbers = {name: number for number, name in enumerate(self._named.names)}
        x = np.zeros(len(numbers))
        for name, value in values.items():
            if name not in numbers:
                raise FileFormatError(
                    f"{path}: {name!r} is no variable of {self._instance.graph.name} on this cluster and team; was the file exported for another one?"
                )
            x[numbers[name]] = value
        integers = np.flatnonzero(self._formulation.program.integer)
        broken = integers[np.abs(x[integers] - np.round(x[integers])) > _INTEGRAL]
        if len(broken):
            raise FileFormatError(f"{path}: {self._named.names[broken[0]]} is {float(x[broken[0]])!r}; an integer is expected")
        return x

    @cached_property
    def _named(self) -> NamedProgram:
        program, name = self._formulation.program, self._labels.name
        return NamedProgram(program, [name(of) for of in program.names], [name(of) for of in program.row_names], [*self._comments()])

    def _comments(self) -> Iterator[str]:
        graph, cluster = self._instance.graph, self._instance.cluster
        yield f"iopopt {version('iopopt')}: the exact program of {_line(graph.name)}, input {graph.input_shape}, {self.size}"
        yield f"Objective: the latency in units of {self.unit_s:g} s; its constant is 0."
        if self._pruned_s is None:
            yield "Every plan of the team that fits the memory is a point; no other plan is left out."
        else:
            yield f"Pruned: nodes that no plan of at most {self._pruned_s!r} s takes are left out. The optimum is the same."
        labels = self._labels.devices
        yield f"Team: {', '.join(labels[j] for j in self._team)}; sink: {labels[cluster.sink]}; " + (
            "every device has the input" if cluster.source is None else f"source: {labels[cluster.source]}"
        )
        yield f"{cluster.bytes_per_element} bytes per element, {cluster.connection_setup_s!r} s per connection (counted by {cluster.connections})"
        for label, device in zip(labels, cluster.devices, strict=True):
            figures = f"{device.flops_per_s!r} FLOP/s, {device.memory_bytes!r} bytes, {device.bandwidth_bytes_per_s!r} bytes/s"
            if device.memory_bytes_per_s is not None:
                figures += f", {device.memory_bytes_per_s!r} bytes/s of memory"
            yield f"device {label}: {figures}" + ("" if label == device.name else f", {_line(device.name)}")
        yield from _FAMILIES.splitlines()
        yield from (f"operator {label}: {_line(name)}" for name, label in self._labels.operators.items() if label != name)


def _line(text: str) -> str:
    """Any text as one line of ASCII."""
    return text.encode("unicode_escape").decode("ascii")
