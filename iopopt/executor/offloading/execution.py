"""The result of running an offloading plan: the outputs, what was sent, and when everything happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from iopopt.errors import ExecutionError
from iopopt.executor.measured_timeline import with_measured_times
from iopopt.executor.offloading.schedule import TransferWhat
from iopopt.executor.offloading.worker import OffloadReport
from iopopt.simulation.timeline import Timeline


@dataclass(frozen=True)
class OffloadTransfer:
    """A tensor that was sent.

    Attributes:
        client: the number of the device whose network it is.
        path: its place in the order of that device; None for the output of the stages after the fused ones.
        what: ``input`` and ``result`` go down to a device, ``upload`` comes from it, and ``gather`` passes between workers.
        sender, receiver: by number, as in the timeline.
        size_bytes: of the tensor.
        start_s, end_s: when it was handed over, and when it had arrived, seconds since the run began.
    """

    client: int
    path: int | None
    what: TransferWhat
    sender: int
    receiver: int
    size_bytes: int
    start_s: float
    end_s: float


@dataclass(frozen=True, repr=False)
class OffloadExecution:
    """One run of an offloading plan.

    Attributes:
        outputs: each device's output, shape (OC, H_o, W_o), from where its result is.
        transfers: in the order in which they were handed over.
        weights_bytes: what each device, then each worker of each server, held of the weights.
        timeline: the spans of :func:`iopopt.offload.timeline.offload_timeline` with measured times. What passes between workers is no span of it.
    """

    outputs: tuple[npt.NDArray[np.floating], ...]
    transfers: tuple[OffloadTransfer, ...]
    weights_bytes: tuple[int, ...]
    timeline: Timeline

    def __repr__(self) -> str:
        shapes = ", ".join(str(tuple(output.shape)) for output in self.outputs)
        return f"OffloadExecution(outputs {shapes}, {len(self.transfers)} transfers, {self.timeline.makespan_s:g} s)"


def gather(simulated: Timeline, reports: Sequence[OffloadReport], weights_bytes: Sequence[int]) -> OffloadExecution:
    """The workers' reports as one OffloadExecution.

    Raises:
        ExecutionError: if something was sent and not taken, or the run had other tasks or transfers than the simulated one.
    """
    results = {client: result for report in reports for client, result in report.results.items()}
    in_order = [results[client] for client in sorted(results)]
    timeline = with_measured_times(simulated, reports, [ready_s for _, ready_s in in_order])
    return OffloadExecution(tuple(output.numpy() for output, _ in in_order), _transfers(reports), tuple(weights_bytes), timeline)


def _transfers(reports: Sequence[OffloadReport]) -> tuple[OffloadTransfer, ...]:
    sent = sorted((passed for report in reports for passed in report.sent), key=lambda passed: passed.at_s)
    received = [passed for report in reports for passed in report.received]
    if surplus := Counter(passed.message for passed in sent) - Counter(passed.message for passed in received):
        message = next(iter(surplus))
        raise ExecutionError(f"device {message.sender} sent {message.unit!r} to device {message.receiver}, which has not taken it")
    arrivals = {passed.message: passed for passed in received}
    return tuple(
        OffloadTransfer(
            *(passed.message.part.client, passed.message.part.path, passed.message.what, passed.message.sender, passed.message.receiver),
            size_bytes=arrivals[passed.message].size_bytes,
            start_s=passed.at_s,
            end_s=arrivals[passed.message].at_s,
        )
        for passed in sent
    )
