"""What a worker notes while it runs, and makes its report of."""

from __future__ import annotations

from collections.abc import Sequence

from iopopt.executor.arithmetic import TensorSlice
from iopopt.executor.assignment import Assignment
from iopopt.executor.computing import Computed
from iopopt.executor.report import LedgerRow, MessageTime, Report, TaskTimes, Timing, Traffic
from iopopt.executor.transport import Sending


class Records:
    """One worker's ledger, traffic and times."""

    def __init__(self, assignment: Assignment) -> None:
        self._device, self._weights = assignment.device, assignment.weights_bytes
        self._names = [unit.name for unit in assignment.inputs]
        self._sent, self._received = [0] * len(self._names), [0] * len(self._names)
        self._ledger: list[LedgerRow] = []
        self._waited, self._computed = [0.0] * len(self._names), [0.0] * len(self._names)
        self._tasks: list[TaskTimes] = []
        self._departures: list[MessageTime] = []
        self._arrivals: list[MessageTime] = []

    def sent(self, turn: int, size_bytes: int) -> None:
        """Payload on an edge into the unit of a turn."""
        self._sent[turn] += size_bytes

    def received(self, turn: int, size_bytes: int) -> None:
        """Payload on an edge into the unit of a turn."""
        self._received[turn] += size_bytes

    def held(
        self,
        turn: int,
        inputs: Sequence[TensorSlice],
        computed: Computed | None,
        *,
        live: int,
        receive_buffers: int,
        partial_sums: int,
        send_buffers: int = 0,
    ) -> None:
        """A row of the ledger; ``computed`` is None if the device takes no part in the unit."""
        row = LedgerRow(
            self._names[turn],
            self._device,
            weights=self._weights[turn],
            inputs=sum(piece.tensor.nbytes for piece in inputs) if computed is None else computed.inputs,
            outputs=0 if computed is None else computed.outputs,
            live=live,
            pooled=0 if computed is None else computed.pooled,
            receive_buffers=receive_buffers,
            partial_sums=partial_sums,
            send_buffers=send_buffers,
        )
        self._ledger.append(row)

    def waited(self, turn: int, seconds: float) -> None:
        """For the inputs of a unit."""
        self._waited[turn] += seconds

    def task(self, turn: int, part: str, start_s: float, end_s: float) -> None:
        """When a task ran."""
        self._tasks.append(TaskTimes(self._names[turn], part, self._device, start_s, end_s))
        self._computed[turn] += end_s - start_s

    def departure(self, message: MessageTime) -> None:
        """When a message left."""
        self._departures.append(message)

    def arrival(self, message: MessageTime) -> None:
        """When a message arrived."""
        self._arrivals.append(message)

    def report(self, transport: Sending, elapsed_s: float, output: Sequence[TensorSlice], clock_error_s: float = 0.0) -> Report:
        """All of it, once the worker has fetched the ``output``, which only the sink has."""
        edges = zip(self._names, self._received, self._sent, strict=True)
        times = zip(self._names, self._waited, self._computed, strict=True)
        return Report(
            device=self._device,
            ledger=tuple(self._ledger),
            timings=tuple(Timing(name, self._device, waited, computed) for name, waited, computed in times),
            traffic=tuple(Traffic(name, self._device, received, sent) for name, received, sent in edges),
            messages=transport.messages,
            wire_bytes=transport.wire_bytes,
            elapsed_s=elapsed_s,
            output=output[0].tensor if output else None,
            tasks=tuple(self._tasks),
            departures=tuple(self._departures),
            arrivals=tuple(self._arrivals),
            clock_error_s=clock_error_s,
        )
