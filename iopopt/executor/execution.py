"""The result of running a plan: the output, and measured traffic, memory and times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from iopopt.cluster.cluster import Cluster
from iopopt.cost.evaluation import Evaluation, bulk_synchronous, counted_connections
from iopopt.cost.instance import Instance
from iopopt.cost.memory import memory_demands
from iopopt.cost.schedule import schedule_of
from iopopt.executor.measured_timeline import measured_timeline
from iopopt.executor.report import LedgerRow, Report, Timing
from iopopt.network.graph import Graph
from iopopt.network.unit import SINK
from iopopt.plan.plan import Plan
from iopopt.schedule.rounds import Schedule
from iopopt.simulation.timeline import Timeline

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class EdgeTraffic:
    """Payload of all edges into one operator (or the sink) on one device, bytes, and the logical connections that the model counts there."""

    edge: str
    device: int
    received_bytes: int
    sent_bytes: int
    connections: int


@dataclass(frozen=True)
class ModelDemand:
    """w_ij and a_ij of equation (1), and the device's live tensors while the operator runs, bytes."""

    operator: str
    device: int
    weights_bytes: float = 0.0
    activations_bytes: float = 0.0
    live_bytes: float = 0.0


@dataclass(frozen=True)
class Execution:
    """One run of a plan.

    Attributes:
        outputs: the network's output, shape (OC, H_o, W_o), on the sink.
        traffic: payload of each edge and device, bytes counted from the tensors that were sent, and its logical connections.
        transferred_bytes: all payload.
        connections: the logical connections of section "Latency" of the cost model, which no transport really opens.
        messages, wire_bytes: what the transport really sent.
        ledger: the real buffers of each operator and device, by category.
        timings: seconds of each operator and device.
        elapsed_s: from the start of the first operator to the output at the sink.
        evaluation: the evaluator's price of the same plan.
        demands: the memory that equation (1) counts for each operator and device, whether or not it takes part.
        timeline: of a run without barriers, when every task and transfer started and ended by the sink's clock; None with barriers.
        clock_error_s: by how much the times of other devices in it may be wrong.
    """

    outputs: npt.NDArray[np.floating]
    traffic: tuple[EdgeTraffic, ...]
    transferred_bytes: int
    connections: int
    messages: int
    wire_bytes: int
    ledger: tuple[LedgerRow, ...]
    timings: tuple[Timing, ...]
    elapsed_s: float
    evaluation: Evaluation
    demands: tuple[ModelDemand, ...]
    timeline: Timeline | None = None
    clock_error_s: float = 0.0

    def memory_frame(self) -> pd.DataFrame:
        """A row for each operator and device: what equation (1) counts, and what was measured, bytes.

        ``weights`` corresponds to ``model_weights``, ``inputs + outputs`` to ``model_activations`` and ``live`` to ``model_live``; the model
        does not count the other columns.
        """
        import pandas as pd

        model = {(demand.operator, demand.device): demand for demand in self.demands}
        none = ModelDemand(SINK, 0)
        rows = []
        for row in self.ledger:
            demand = model.get((row.operator, row.device), none)
            modelled = {"model_weights": demand.weights_bytes, "model_activations": demand.activations_bytes, "model_live": demand.live_bytes}
            rows.append(vars(row) | modelled)
        return pd.DataFrame(rows)

    def timing_frame(self) -> pd.DataFrame:
        """A row for each operator: predicted and measured seconds of the slowest device, computation and communication in separate columns."""
        import pandas as pd

        rows = []
        for cost in self.evaluation.operators:
            mine = [timing for timing in self.timings if timing.operator == cost.name]
            rows.append((cost.name, cost.compute_s, max(t.compute_s for t in mine), cost.communication_s, max(t.communication_s for t in mine)))
        sink = max(timing.communication_s for timing in self.timings if timing.operator == SINK)
        rows.append((SINK, 0.0, 0.0, self.evaluation.sink_s, sink))
        names = ["operator", "predicted_compute_s", "compute_s", "predicted_communication_s", "communication_s"]
        return pd.DataFrame(rows, columns=names)


def gather(graph: Graph, cluster: Cluster, plan: Plan, reports: Sequence[Report], *, overlap: bool = False) -> Execution:
    """The workers' reports and the model's predictions, as one Execution.

    Args:
        overlap: whether the devices did not wait for each other; then there is a measured timeline.
    """
    reports = sorted(reports, key=lambda report: report.device)
    output = reports[cluster.sink].output
    assert output is not None  # the sink ends with the whole output
    instance = Instance(graph, cluster, plan.spans(graph))
    placements = instance.placements(plan)
    schedule, demands = schedule_of(instance, placements), memory_demands(instance, placements)
    logical = _logical_connections(cluster, schedule)
    timeline = measured_timeline(graph, cluster, plan, reports) if overlap else None
    traffic = tuple(
        EdgeTraffic(row.edge, row.device, row.received_bytes, row.sent_bytes, logical.get((row.edge, row.device), 0))
        for report in reports
        for row in report.traffic
    )
    return Execution(
        outputs=output.numpy(),
        traffic=traffic,
        transferred_bytes=sum(row.received_bytes for row in traffic),
        connections=sum(row.connections for row in traffic),
        messages=sum(report.messages for report in reports),
        wire_bytes=sum(report.wire_bytes for report in reports),
        ledger=tuple(row for report in reports for row in report.ledger),
        timings=tuple(row for report in reports for row in report.timings),
        elapsed_s=max(report.elapsed_s for report in reports) if timeline is None else timeline.makespan_s,
        evaluation=bulk_synchronous(instance, placements, schedule),
        demands=tuple(
            ModelDemand(unit.name, device, *demand) for unit, of in zip(instance.placed, demands, strict=True) for device, demand in enumerate(of)
        ),
        timeline=timeline,
        clock_error_s=max(report.clock_error_s for report in reports),
    )


def _logical_connections(cluster: Cluster, schedule: Schedule) -> dict[tuple[str, int], int]:
    """N_j of equation (8), by edge and device."""
    counts: dict[tuple[str, int], int] = {}
    for step in schedule.steps:
        for round_ in step.rounds:
            for device, count in counted_connections(round_, cluster).items():
                counts[step.name, device] = counts.get((step.name, device), 0) + count
    return counts
