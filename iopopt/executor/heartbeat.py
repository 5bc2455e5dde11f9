"""Signs of life between processes: each tells the others how far it is, through the store at which the group met."""

from __future__ import annotations

import datetime
import threading
import time
from typing import NamedTuple, Protocol

from iopopt.errors import ExecutionError
from iopopt.executor.patience import Progress

_BEATS = 10
_SLOWEST_S = 1.0


class Store(Protocol):
    """What all processes can read and write."""

    def set(self, key: str, value: str, /) -> None:
        """Write."""

    def get(self, key: str, /) -> bytes:
        """Read; waits until there is something."""

    def wait(self, keys: list[str], timeout: datetime.timedelta, /) -> None:
        """Wait until there is something; raises a RuntimeError if there is not in time."""

    def delete_key(self, key: str, /) -> bool:
        """Forget."""


class Heartbeat:
    """Writes this device's progress to the store a few times within the time limit of a message, and reads that of the others.

    A thread of its own does both: a device that computes gives signs of life, one that is stopped does not, and a store that is lost with the
    process that keeps it, device 0's, holds up nobody else.
    """

    def __init__(self, device: int, devices: int, timeout_s: float, store: Store) -> None:
        self._device, self._others, self._store = device, [other for other in range(devices) if other != device], store
        self._timeout_s, self._every_s = timeout_s, min(_SLOWEST_S, timeout_s / _BEATS)
        self._state = (-1, False)
        self._beats = 0
        self._ended = threading.Event()
        self._failure: Exception | None = None
        self._seen: dict[int, _Sight] = {}
        self._read_at = 0.0
        self._thread = threading.Thread(target=self._beat_on, name="iopopt: heartbeat", daemon=True)

    def announce(self) -> None:
        """The first beat, which all devices must have given before any of them starts to watch the others."""
        self._beat()

    def start(self) -> None:
        """Beat, and watch the others."""
        now = time.monotonic()
        self._seen, self._read_at = {other: _Sight("", now, Progress(-1, waiting=False)) for other in self._others}, now
        self._thread.start()

    def end(self) -> None:
        """Stop."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(self._every_s)  # it may hang where the store is lost

    def tell(self, turn: int, waiting: bool) -> None:
        """What the next beats say."""
        self._state = turn, waiting

    def progress_of(self, other: int) -> Progress:
        """What another device's last beat said, and for how long there has been none.

        Raises:
            ExecutionError: if the store cannot be reached any more.
        """
        if self._failure is not None:
            raise self._failure
        if time.monotonic() - self._read_at > self._timeout_s + self._every_s:
            raise ExecutionError(f"device 0, where the devices met, has not answered device {self._device} for {self._timeout_s:g} s")
        sight = self._seen[other]
        return sight.progress._replace(silent_s=max(0.0, self._read_at - sight.since))

    def _beat_on(self) -> None:
        while not self._ended.wait(self._every_s):
            try:
                self._beat()
                self._look()
            except RuntimeError as error:
                self._failure = ExecutionError(f"device {self._device} cannot reach device 0, where the devices met: {str(error).splitlines()[0]}")
                return

    def _beat(self) -> None:
        turn, waiting = self._state
        self._beats += 1
        self._store.set(_key(self._device), f"{self._beats} {turn} {int(waiting)}")

    def _look(self) -> None:
        for other in self._others:
            beat = self._store.get(_key(other)).decode()
            if beat != self._seen[other].beat:
                _, turn, waiting = map(int, beat.split())
                self._seen[other] = _Sight(beat, time.monotonic(), Progress(turn, bool(waiting)))
        self._read_at = time.monotonic()


class _Sight(NamedTuple):
    """What was last seen of another device, and since when."""

    beat: str
    since: float
    progress: Progress


def _key(device: int) -> str:
    return f"progress of device {device}"
