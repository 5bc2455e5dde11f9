"""The evaluator: prices any plan by equations (1) to (8) of ``cost_model.md``. All latencies that the toolkit reports come from it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

from iopopt.cluster.cluster import Cluster, Device
from iopopt.cost.energy import Energy, energy_of, has_power
from iopopt.cost.html import evaluation_html
from iopopt.cost.instance import Instance
from iopopt.cost.memory import memory_demands, peak_bytes
from iopopt.cost.schedule import schedule_of
from iopopt.errors import FileFormatError
from iopopt.network.graph import Graph
from iopopt.network.records import as_list, check_keys, check_schema, plain, typed_fields
from iopopt.network.unit import SINK
from iopopt.plan.placement import Placement, placement_from, placement_record
from iopopt.plan.plan import Plan, validate_plan
from iopopt.schedule.rounds import Round, Schedule, Step

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class OperatorCost:
    """What one operator adds to the latency.

    Attributes:
        compute_s: t_cmp of the slowest participant.
        communication_s: t_com of the incoming edge, and of the operator's own reduce-scatter if that is streamed.
        device_compute_s: t_cmp of each device of the cluster (0 where it does not take part).
        cases: the rows of the communication table that applied, one for each round, of a stream one for all of them (``free`` if nothing is priced).
    """

    name: str
    placement: Placement
    compute_s: float
    communication_s: float
    device_compute_s: tuple[float, ...]
    transferred_bytes: float
    connections: int
    cases: tuple[str, ...]


@dataclass(frozen=True)
class Violation:
    """A memory limit of equation (1) that the plan breaks, bytes."""

    device: int
    name: str
    demand_bytes: float
    limit_bytes: float

    @property
    def excess_bytes(self) -> float:
        return self.demand_bytes - self.limit_bytes

    def __str__(self) -> str:
        demand, limit, excess = (f"{value:,.0f}" for value in (self.demand_bytes, self.limit_bytes, self.excess_bytes))
        return f"device {self.name!r} needs {demand} bytes but has {limit}, {excess} short (equation 1)"


@dataclass(frozen=True, repr=False)
class Evaluation:
    """The price of a plan.

    Attributes:
        latency_s: T of equation (6), seconds.
        operators: the cost of each operator, in order.
        sink_s: t_com of the edge to the sink.
        memory_bytes: the peak demand of each device, equation (1).
        transferred_bytes: the sum of all R_j.
        connections: the sum of all N_j, as the cluster counts them.
        violations: the memory limits that the plan breaks.
        device_names, memory_limit_bytes: the cluster's, for reports.
        energy: what each device draws, joules; None if no device of the cluster has a power.
    """

    latency_s: float
    operators: tuple[OperatorCost, ...]
    sink_s: float
    sink_cases: tuple[str, ...]
    memory_bytes: tuple[float, ...]
    transferred_bytes: float
    connections: int
    violations: tuple[Violation, ...]
    device_names: tuple[str, ...]
    memory_limit_bytes: tuple[float, ...]
    energy: Energy | None = None

    @property
    def energy_j(self) -> float | None:
        """What all devices draw during the latency, joules; None if no device of the cluster has a power."""
        return None if self.energy is None else self.energy.total_j

    @property
    def feasible(self) -> bool:
        """Whether the plan fits the memory of every device: equation (1)."""
        return not self.violations

    @cached_property
    def compute_s(self) -> float:
        """The part of the latency that is computation."""
        return sum(operator.compute_s for operator in self.operators)

    @cached_property
    def communication_s(self) -> float:
        """The part of the latency that is communication, the sink included."""
        return sum(operator.communication_s for operator in self.operators) + self.sink_s

    @property
    def sink_transfer(self) -> tuple[float, int]:
        """The bytes and the connections of the edge to the sink."""
        own_bytes, own_connections = (sum(getattr(cost, name) for cost in self.operators) for name in ("transferred_bytes", "connections"))
        return self.transferred_bytes - own_bytes, self.connections - own_connections

    def __repr__(self) -> str:
        fits = "fits the memory" if self.feasible else f"breaks {len(self.violations)} memory limit{'s' if len(self.violations) > 1 else ''}"
        parts = f"{self.compute_s * 1e3:.4g} computation, {self.communication_s * 1e3:.4g} communication"
        energy = "" if self.energy_j is None else f"{self.energy_j:.4g} J; "
        return f"Evaluation({self.latency_s * 1e3:.4g} ms: {parts}; {energy}{len(self.operators)} operators; {fits})"

    def _repr_html_(self) -> str:
        return evaluation_html(self)

    def to_frame(self) -> pd.DataFrame:
        """One row for each operator, and one for the sink."""
        import pandas as pd

        rows = [
            {
                "operator": cost.name,
                "placement": str(cost.placement),
                "edge": "+".join(cost.cases),
                "communication_s": cost.communication_s,
                "compute_s": cost.compute_s,
                "transferred_bytes": cost.transferred_bytes,
                "connections": cost.connections,
            }
            for cost in self.operators
        ]
        sink = (SINK, "", "+".join(self.sink_cases), self.sink_s, 0.0, *self.sink_transfer)
        return pd.DataFrame([*rows, dict(zip(rows[0], sink, strict=True))])

    def to_dict(self) -> dict[str, Any]:
        """A record of JSON's types; :meth:`from_dict` reads it back."""
        operators = [plain(cost) | {"placement": placement_record(cost.placement)} for cost in self.operators]
        record = {"schema_version": 1, **plain(self), "operators": operators}
        if self.energy is None:
            del record["energy"]  # older readers know no such key
        return record

    @classmethod
    def from_dict(cls, record: Any, where: str = "evaluation") -> Evaluation:
        """Read a record of :meth:`to_dict`.

        Raises:
            FileFormatError: if a key is missing, unknown or of the wrong type, or the parts contradict each other; the message begins with
                ``where``.
        """
        check_schema(record, where, 1)
        names = {item.name for item in fields(cls)} - {"energy"}
        check_keys(record, where, names | {"schema_version"}, {"energy"})
        nested = {"operators", "violations"}
        listed = {key: as_list(record[key], f"{where}: {key!r}") for key in nested}
        values = typed_fields({name: record[name] for name in names - nested}, cls, where)
        operators = tuple(_cost_from(item, f"{where}: operators[{number}]") for number, item in enumerate(listed["operators"]))
        violations = tuple(_violation_from(item, f"{where}: violations[{number}]") for number, item in enumerate(listed["violations"]))
        energy = _energy_from(record["energy"], f"{where}: energy") if "energy" in record else None
        evaluation = cls(**values, operators=operators, violations=violations, energy=energy)
        fault = _contradiction(evaluation)
        if fault is not None:
            raise FileFormatError(f"{where}: {fault}")
        return evaluation


def _contradiction(evaluation: Evaluation) -> str | None:
    """How the parts of an evaluation contradict each other, if they do."""
    if not evaluation.operators:
        return "it has no operators"
    count = len(evaluation.device_names)
    for name, figures in (
        ("memory_bytes", evaluation.memory_bytes),
        ("memory_limit_bytes", evaluation.memory_limit_bytes),
        *((f"device_compute_s of {cost.name!r}", cost.device_compute_s) for cost in evaluation.operators),
        *(() if evaluation.energy is None else ((f"energy: {key}", joules) for key, joules in vars(evaluation.energy).items())),
    ):
        if len(figures) != count:
            return f"{name} has {len(figures)} figures for {count} devices"
    if min(evaluation.memory_limit_bytes) <= 0:
        return f"memory_limit_bytes is {list(evaluation.memory_limit_bytes)}; every limit is positive"
    used = max([violation.device for violation in evaluation.violations] + [max(cost.placement.holders) for cost in evaluation.operators])
    if used >= count:
        return f"it uses device {used} of {count}, counted from 0"
    if evaluation.energy is not None and min(map(min, vars(evaluation.energy).values())) < 0:
        return "a figure of the energy is negative"
    parts = evaluation.compute_s + evaluation.communication_s
    if not math.isclose(parts, evaluation.latency_s, rel_tol=1e-9, abs_tol=1e-12):
        return f"latency_s is {evaluation.latency_s!r}, but the parts sum to {parts!r}"
    return None


def _cost_from(record: Any, where: str) -> OperatorCost:
    check_keys(record, where, {item.name for item in fields(OperatorCost)})
    values = typed_fields({key: value for key, value in record.items() if key != "placement"}, OperatorCost, where)
    return OperatorCost(**values, placement=placement_from(record["placement"], f"{where}.placement"))


def _energy_from(record: Any, where: str) -> Energy:
    check_keys(record, where, {item.name for item in fields(Energy)})
    return Energy(**typed_fields(record, Energy, where))


def _violation_from(record: Any, where: str) -> Violation:
    check_keys(record, where, {item.name for item in fields(Violation)})
    return Violation(**typed_fields(record, Violation, where))


def evaluate(graph: Graph, devices: Cluster | Sequence[Device], plan: Plan) -> Evaluation:
    """Price ``plan``: equations (1) and (6) to (8).

    A plan that breaks a memory limit is priced anyway, and its violations say by how much.

    Raises:
        PlanError: if the plan breaks equations (2) to (5) or belongs to another graph or cluster.
    """
    instance = Instance.of(graph, devices)
    validate_plan(graph, instance.cluster, plan)
    spans = plan.spans(graph)
    if spans is not None:
        instance = instance.covered(spans)
    placements = instance.placements(plan)
    return bulk_synchronous(instance, placements, schedule_of(instance, placements))


def schedule_of_plan(graph: Graph, cluster: Cluster, plan: Plan) -> Schedule:
    """The tasks and transfers of a valid plan, as the cost model counts them."""
    instance = Instance(graph, cluster, plan.spans(graph))
    return schedule_of(instance, instance.placements(plan))


def bulk_synchronous(instance: Instance, placements: Sequence[Placement], schedule: Schedule) -> Evaluation:
    """Equation (6): all devices wait for each other before every round and every operator."""
    cluster = instance.cluster
    *costs, sink = (operator_cost(step, placement, cluster) for step, placement in zip(schedule.steps, placements, strict=False))
    memory = peak_bytes(memory_demands(instance, placements))
    latency_s = sum(cost.compute_s + cost.communication_s for cost in costs) + sink.communication_s
    return Evaluation(
        latency_s=latency_s,
        operators=tuple(costs),
        sink_s=sink.communication_s,
        sink_cases=sink.cases,
        memory_bytes=memory,
        transferred_bytes=sum(cost.transferred_bytes for cost in costs) + sink.transferred_bytes,
        connections=sum(cost.connections for cost in costs) + sink.connections,
        violations=tuple(
            Violation(j, device.name, memory[j], device.memory_bytes) for j, device in enumerate(cluster.devices) if memory[j] > device.memory_bytes
        ),
        device_names=tuple(device.name for device in cluster.devices),
        memory_limit_bytes=tuple(device.memory_bytes for device in cluster.devices),
        energy=_energy(cluster, latency_s, costs, schedule) if has_power(cluster) else None,
    )


def _energy(cluster: Cluster, latency_s: float, costs: Sequence[OperatorCost], schedule: Schedule) -> Energy:
    """The energy of a plan: its latency, and what each device computes, sends and receives in all."""
    busy_s = [sum(seconds) for seconds in zip(*(cost.device_compute_s for cost in costs), strict=True)]
    loads = [round_.loads for step in schedule.steps for round_ in step.rounds]
    sent = [sum(load.sent.get(j, 0.0) for load in loads) for j in range(len(cluster))]
    received = [sum(load.received.get(j, 0.0) for load in loads) for j in range(len(cluster))]
    return energy_of(cluster, latency_s, busy_s, sent, received)


def operator_cost(step: Step, placement: Placement, cluster: Cluster) -> OperatorCost:
    """What one step costs; the sink's has communication alone."""
    compute = [0.0] * len(cluster)
    for device, work in step.tasks.items():
        compute[device] = cluster.devices[device].compute_s(*work)
    return OperatorCost(
        name=step.name,
        placement=placement,
        compute_s=max(compute),
        communication_s=sum([round_time_s(round_, cluster) for round_ in step.rounds]),
        device_compute_s=tuple(compute),
        transferred_bytes=sum([sum(round_.loads.received.values()) for round_ in step.rounds]),
        connections=sum([sum(counted_connections(round_, cluster).values()) for round_ in step.rounds]),
        cases=_cases(step.rounds),
    )


def _cases(rounds: Sequence[Round]) -> tuple[str, ...]:
    """What is said of each round; the messages of a stream are said once."""
    cases: list[str] = []
    for round_ in rounds:
        if not (cases and round_.kinds[0].is_streamed and cases[-1] == str(round_)):
            cases.append(str(round_))
    return tuple(cases) or ("free",)


def counted_connections(round_: Round, cluster: Cluster) -> Mapping[int, int]:
    """N_j as the cluster counts them: one for each peer, or one for the round."""
    opened = round_.loads.connections
    return opened if cluster.connections == "peer" else dict.fromkeys(opened, 1)


def round_time_s(round_: Round, cluster: Cluster) -> float:
    """The largest t_com = max(R_j, S_j) / b_j + N_j t_est of a device."""
    (received, sent, _), opened = round_.loads, counted_connections(round_, cluster)
    devices, setup_s, slowest = cluster.devices, cluster.connection_setup_s, 0.0
    for j in {**received, **sent}:
        seconds = max(received.get(j, 0.0), sent.get(j, 0.0)) / devices[j].bandwidth_bytes_per_s + opened.get(j, 0) * setup_s
        if seconds > slowest:
            slowest = seconds
    return slowest
