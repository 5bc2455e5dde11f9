"""What running a plan gives: the output, and what crossed, was held and took time, measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from iopopt.evaluation import Evaluation
from iopopt.executor.worker import LedgerRow, Report, Timing, Traffic

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Execution:
    """One run of a plan.

    Attributes:
        outputs: the network's output, shape (OC, H_o, W_o), as the sink has it.
        traffic: payload of each edge and device, bytes counted from the tensors that were sent.
        transferred_bytes: all payload.
        connections: the logical ones of section "Latency" of the cost model, which no transport opens as such.
        messages, wire_bytes: what the transport really sent.
        ledger: the real buffers of each operator and device, by class.
        timings: seconds of each operator and device.
        elapsed_s: from the start of the first operator to the output at the sink.
        evaluation: the evaluator's price of the same plan.
    """

    outputs: npt.NDArray[np.floating]
    traffic: tuple[Traffic, ...]
    transferred_bytes: int
    connections: int
    messages: int
    wire_bytes: int
    ledger: tuple[LedgerRow, ...]
    timings: tuple[Timing, ...]
    elapsed_s: float
    evaluation: Evaluation

    def memory_frame(self) -> pd.DataFrame:
        """A row for each operator and device: what equation (1) counts beside what was held, bytes."""
        import pandas as pd

        return pd.DataFrame([vars(row) for row in self.ledger])

    def timing_frame(self) -> pd.DataFrame:
        """A row for each operator: predicted and measured seconds, computation and communication apart (the slowest device's)."""
        import pandas as pd

        rows = []
        for cost in self.evaluation.operators:
            mine = [timing for timing in self.timings if timing.operator == cost.name]
            rows.append((cost.name, cost.compute_s, max(t.compute_s for t in mine), cost.communication_s, max(t.communication_s for t in mine)))
        sink = max(timing.communication_s for timing in self.timings if timing.operator == "(sink)")
        rows.append(("(sink)", 0.0, 0.0, self.evaluation.sink_s, sink))
        names = ["operator", "predicted_compute_s", "compute_s", "predicted_communication_s", "communication_s"]
        return pd.DataFrame(rows, columns=names)


def gather(reports: Sequence[Report], sink: int, evaluation: Evaluation) -> Execution:
    """The workers' reports as one."""
    reports = sorted(reports, key=lambda report: report.device)
    output = reports[sink].output
    assert output is not None  # the sink ends with the whole output
    traffic = tuple(row for report in reports for row in report.traffic)
    return Execution(
        outputs=output.numpy(),
        traffic=traffic,
        transferred_bytes=sum(row.received_bytes for row in traffic),
        connections=evaluation.connections,
        messages=sum(report.messages for report in reports),
        wire_bytes=sum(report.wire_bytes for report in reports),
        ledger=tuple(row for report in reports for row in report.ledger),
        timings=tuple(row for report in reports for row in report.timings),
        elapsed_s=max(report.elapsed_s for report in reports),
        evaluation=evaluation,
    )
