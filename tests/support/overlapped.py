"""The run of a plan without barriers, beside the one with barriers and the simulation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from support.edge_payload import assert_payload
from support.whole_run import Array, relative_error

from iopopt import Cluster, Graph, Plan, Timeline, simulate
from iopopt.executor.threads import execute
from iopopt.network.unit import SINK
from iopopt.network.weights import Weights

if TYPE_CHECKING:
    from iopopt.executor.execution import Execution


def assert_overlaps(graph: Graph, cluster: Cluster, plan: Plan, weights: Weights, inputs: Array, reference: Array, within: float) -> Execution:
    """Without barriers: the output is the whole network's, the payload that of the run with barriers and of the simulation, edge by edge.

    Returns:
        the run with barriers.
    """
    with_barriers, overlapped = (execute(graph, cluster, plan, weights, inputs, overlap=overlap) for overlap in (False, True))
    assert np.isfinite(overlapped.outputs).all()
    assert relative_error(overlapped.outputs, reference) < within
    assert overlapped.outputs.dtype == with_barriers.outputs.dtype
    assert (overlapped.traffic, overlapped.messages) == (with_barriers.traffic, with_barriers.messages)
    if not plan.blocks:
        assert_payload(graph, cluster, plan, overlapped)
    sent = [sum(row.sent_bytes for row in overlapped.traffic if row.device == device) for device in range(len(cluster))]
    received = [sum(row.received_bytes for row in overlapped.traffic if row.device == device) for device in range(len(cluster))]
    for boundary_first in (True, False):
        simulated = simulate(graph, cluster, plan, boundary_first=boundary_first)
        assert simulated.link_bytes == tuple(zip(sent, received, strict=True))
        assert simulated.transferred_bytes == overlapped.transferred_bytes
        assert sum(span.is_transfer for span in simulated.spans) == overlapped.messages
    assert_measured(overlapped, simulate(graph, cluster, plan))
    assert all(row.live == row.send_buffers == 0 for row in overlapped.ledger if row.operator == SINK)
    return with_barriers


def assert_measured(execution: Execution, simulated: Timeline) -> None:
    """The measured timeline has the simulated one's spans, and nothing starts before what it waits for has ended."""
    timeline = execution.timeline
    assert timeline is not None
    assert timeline.origin == "measured"
    names = ("unit", "what", "device", "receiver", "amount", "producer", "after", "item")
    for measured, expected in zip(timeline.spans, simulated.spans, strict=True):
        assert [getattr(measured, name) for name in names] == [getattr(expected, name) for name in names]
        assert 0 <= measured.start_s <= measured.end_s
        for number in measured.after:
            assert timeline.spans[number].end_s <= measured.start_s + execution.clock_error_s
    assert timeline.makespan_s == execution.elapsed_s == timeline.outputs_s[0]
