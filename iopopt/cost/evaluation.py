"""The oracle: prices any plan by equations (1) to (8) of ``cost_model.md``. Nothing else in the toolkit computes a latency."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from iopopt.cluster.cluster import Cluster, Device, as_cluster
from iopopt.cost.communication import Phase, TensorEdge, edge_phases, operator_phases
from iopopt.cost.workload import share_flops, share_memory, share_output
from iopopt.errors import FileFormatError
from iopopt.network.graph import Graph, Link
from iopopt.network.operators import Operator
from iopopt.plan.plan import Placement, Plan, placement_from, placement_record, validate_plan
from iopopt.records import check_keys, check_schema, short_repr, typed_fields

if TYPE_CHECKING:
    import pandas as pd

SINK = "(sink)"
"""What reports call the edge to the sink."""


@dataclass(frozen=True)
class OperatorCost:
    """What one operator adds to the latency.

    Attributes:
        compute_s: t_cmp of the slowest participant.
        communication_s: t_com of the incoming edge.
        device_compute_s: t_cmp of each device of the cluster (0 where it does not take part).
        cases: the rows of the communication table that applied, one for each phase (``free`` where nothing is priced).
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
        return f"device {self.name!r} needs {demand} bytes and has {limit}: {excess} too many (equation 1)"


class DeviceDemand(NamedTuple):
    """Memory of one device while an operator runs: w_ij, a_ij and what it keeps of long-lived tensors, bytes (equation 1)."""

    weights: float = 0.0
    activations: float = 0.0
    kept: float = 0.0


@dataclass(frozen=True)
class Evaluation:
    """The price of a plan.

    Attributes:
        latency_s: T of equation (6), seconds.
        operators: the cost of each operator, in order.
        sink_s: t_com of the edge to the sink.
        memory_bytes: the peak demand of each device, equation (1).
        transferred_bytes: the sum of all R_j.
        connections: the sum of all N_j, as the cluster counts them.
        violations: the memory limits that are broken.
        device_names, memory_limit_bytes: the cluster's, for reports.
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

    @property
    def feasible(self) -> bool:
        """Whether every device holds its part: equation (1)."""
        return not self.violations

    @cached_property
    def compute_s(self) -> float:
        """The part of the latency that is computation."""
        return sum(operator.compute_s for operator in self.operators)

    @cached_property
    def communication_s(self) -> float:
        """The part of the latency that is communication, the sink included."""
        return sum(operator.communication_s for operator in self.operators) + self.sink_s

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
        rest_bytes = self.transferred_bytes - sum(cost.transferred_bytes for cost in self.operators)
        rest_connections = self.connections - sum(cost.connections for cost in self.operators)
        sink = (SINK, "", "+".join(self.sink_cases), self.sink_s, 0.0, rest_bytes, rest_connections)
        return pd.DataFrame([*rows, dict(zip(rows[0], sink, strict=True))])

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready record; :meth:`from_dict` reads it back."""
        operators = [asdict(cost) | {"placement": placement_record(cost.placement)} for cost in self.operators]
        return {"schema_version": 1, **asdict(self), "operators": operators}

    @classmethod
    def from_dict(cls, record: Any, where: str = "evaluation") -> Evaluation:
        """Read a record of :meth:`to_dict`.

        Raises:
            FileFormatError: if a key is missing, unknown or of the wrong type; the message begins with ``where``.
        """
        check_schema(record, where, 1)
        names = {item.name for item in fields(cls)}
        check_keys(record, where, names | {"schema_version"})
        nested = {"operators", "violations"}
        for key in nested:
            if not isinstance(record[key], list):
                raise FileFormatError(f"{where}: {key!r} is {short_repr(record[key])}; it must be a list")
        values = typed_fields({name: record[name] for name in names - nested}, cls, where)
        operators = tuple(_cost_from(item, f"{where}: operators[{number}]") for number, item in enumerate(record["operators"]))
        violations = tuple(_violation_from(item, f"{where}: violations[{number}]") for number, item in enumerate(record["violations"]))
        return cls(**values, operators=operators, violations=violations)


def _cost_from(record: Any, where: str) -> OperatorCost:
    check_keys(record, where, {item.name for item in fields(OperatorCost)})
    values = typed_fields({key: value for key, value in record.items() if key != "placement"}, OperatorCost, where)
    return OperatorCost(**values, placement=placement_from(record["placement"], f"{where}.placement"))


def _violation_from(record: Any, where: str) -> Violation:
    check_keys(record, where, {item.name for item in fields(Violation)})
    return Violation(**typed_fields(record, Violation, where))


def evaluate(graph: Graph, devices: Cluster | Sequence[Device], plan: Plan) -> Evaluation:
    """Price ``plan``: equations (1) and (6) to (8).

    A plan that breaks a memory limit is priced all the same and says by how much.

    Raises:
        PlanError: if the plan breaks equations (2) to (5) or belongs to another graph or cluster.
    """
    cluster = as_cluster(devices)
    validate_plan(graph, cluster, plan)
    edges = dict(priced_edges(graph, cluster, plan))
    costs = tuple(_operator_cost(operator, plan[operator.name], edges[operator.name], cluster) for operator in graph.operators)
    sink_phases = edges[SINK]
    sink_s = sum(phase.time_s(cluster) for phase in sink_phases)
    sink_bytes, sink_connections = _volume(sink_phases, cluster)
    memory = _memory_bytes(graph, cluster, plan)
    return Evaluation(
        latency_s=sum(cost.compute_s + cost.communication_s for cost in costs) + sink_s,
        operators=costs,
        sink_s=sink_s,
        sink_cases=tuple(phase.case for phase in sink_phases),
        memory_bytes=memory,
        transferred_bytes=sum(cost.transferred_bytes for cost in costs) + sink_bytes,
        connections=sum(cost.connections for cost in costs) + sink_connections,
        violations=tuple(
            Violation(j, device.name, memory[j], device.memory_bytes) for j, device in enumerate(cluster.devices) if memory[j] > device.memory_bytes
        ),
        device_names=tuple(device.name for device in cluster.devices),
        memory_limit_bytes=tuple(device.memory_bytes for device in cluster.devices),
    )


def priced_edges(graph: Graph, cluster: Cluster, plan: Plan) -> list[tuple[str, tuple[Phase, ...]]]:
    """The rounds in which every operator of a valid plan gets its input, by its name; the last is the sink's."""
    placements = [plan[operator.name] for operator in graph.operators]
    e = cluster.bytes_per_element
    sink_phases = edge_phases(TensorEdge(graph.output, None), placements[-1], Placement.whole(cluster.sink), e)
    incoming = []
    for i, operator in enumerate(graph.operators):
        phases = [phase for link in graph.links_into[i] for phase in _link_phases(graph, cluster, placements, link)]
        incoming.append((operator.name, operator_phases(phases)))
    return [*incoming, (SINK, sink_phases)]


def _link_phases(graph: Graph, cluster: Cluster, placements: Sequence[Placement], link: Link) -> tuple[Phase, ...]:
    """The rounds of one edge; the first phase of a two-phase reduce is that of the first edge out of its operator alone."""
    consumer, q, e = graph.operators[link.consumer], placements[link.consumer], cluster.bytes_per_element
    if link.producer is None:
        return () if cluster.source is None else edge_phases(TensorEdge(None, consumer, link.slot), Placement.whole(cluster.source), q, e)
    phases = edge_phases(TensorEdge(graph.operators[link.producer], consumer, link.slot), placements[link.producer], q, e)
    return phases if link == graph.links_from[link.producer][0] else phases[-1:]


def _operator_cost(operator: Operator, placement: Placement, phases: Sequence[Phase], cluster: Cluster) -> OperatorCost:
    compute = dict.fromkeys(range(len(cluster)), 0.0)
    for device, flops in share_flops(operator, placement):
        compute[device] = flops / cluster.devices[device].flops_per_s
    transferred, connections = _volume(phases, cluster)
    return OperatorCost(
        name=operator.name,
        placement=placement,
        compute_s=max(compute.values()),
        communication_s=sum(phase.time_s(cluster) for phase in phases),
        device_compute_s=tuple(compute.values()),
        transferred_bytes=transferred,
        connections=connections,
        cases=tuple(phase.case for phase in phases) or ("free",),
    )


def _volume(phases: Sequence[Phase], cluster: Cluster) -> tuple[float, int]:
    """Bytes received and connections opened over all devices."""
    received = sum(sum(phase.received.values()) for phase in phases)
    return received, sum(sum(phase.capped_connections(cluster).values()) for phase in phases)


def _memory_bytes(graph: Graph, cluster: Cluster, plan: Plan) -> tuple[float, ...]:
    """Equation (1): all weights of a device, and the most that an operator and the tensors kept meanwhile demand."""
    by_device = zip(*memory_demands(graph, cluster, plan), strict=True)
    return tuple(sum(demand.weights for demand in of) + max(demand.activations + demand.kept for demand in of) for of in by_device)


def memory_demands(graph: Graph, cluster: Cluster, plan: Plan) -> list[list[DeviceDemand]]:
    """w_ij, a_ij and kept_ij of equation (1), as ``[i][j]``; zeros where a device takes no part and keeps nothing."""
    demands = [[DeviceDemand()] * len(cluster) for _ in graph.operators]
    for i, operator in enumerate(graph.operators):
        for j, demand in share_memory(operator, plan[operator.name], cluster.bytes_per_element):
            demands[i][j] = DeviceDemand(*demand)
    for producer, during in graph.long_lived:
        for j, kept in _kept(graph, cluster, plan, producer):
            for i in during:
                demands[i][j] = demands[i][j]._replace(kept=demands[i][j].kept + kept)
    return demands


def _kept(graph: Graph, cluster: Cluster, plan: Plan, producer: int | None) -> Iterator[tuple[int, float]]:
    """What each device keeps of a tensor that lives long; of the input, the source, or every device where all have it."""
    if producer is not None:
        operator = graph.operators[producer]
        return share_output(operator, plan[operator.name], cluster.bytes_per_element)
    holders = range(len(cluster)) if cluster.source is None else (cluster.source,)
    return iter([(device, cluster.bytes_per_element * graph.input_shape.elements) for device in holders])
