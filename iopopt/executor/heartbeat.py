"""Signs of life between processes: each tells the others how far it is, through the store at which the group met."""

from __future__ import annotations

import datetime
import threading
import time
from typing import Protocol

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

    A thread of its own writes, so that a device which computes gives signs of life and one that is stopped does not.
    """

    def __init__(self, device: int, timeout_s: float, store: Store) -> None:
        self._device, self._store = device, store
        self._every_s = min(_SLOWEST_S, timeout_s / _BEATS)
        self._state = (-1, False)
        self._beats = 0
        self._ended = threading.Event()
        self._failure: Exception | None = None
        self._seen: dict[int, tuple[bytes, float]] = {}
        self._thread = threading.Thread(target=self._beat_on, name="iopopt: heartbeat", daemon=True)

    def start(self) -> None:
        """Begin; all devices must have begun before one asks for another's progress."""
        self._beat()
        self._thread.start()

    def end(self) -> None:
        """Stop."""
        self._ended.set()
        self._thread.join()

    def tell(self, turn: int, waiting: bool) -> None:
        """What the next beats say."""
        self._state = turn, waiting

    def progress_of(self, other: int) -> Progress:
        """What another device's last beat said, and how long it has not beaten, counted from when that was asked first.

        Raises:
            ExecutionError: if the store cannot be reached any more.
        """
        if self._failure is not None:
            raise self._failure
        try:
            value = self._store.get(_key(other))
        except RuntimeError as error:
            raise self._lost(error) from error
        now = time.monotonic()
        if other not in self._seen or self._seen[other][0] != value:
            self._seen[other] = value, now
        _, turn, waiting = map(int, value.split())
        return Progress(turn, bool(waiting), now - self._seen[other][1])

    def _beat_on(self) -> None:
        while not self._ended.wait(self._every_s):
            try:
                self._beat()
            except RuntimeError as error:
                self._failure = self._lost(error)
                return

    def _beat(self) -> None:
        turn, waiting = self._state
        self._beats += 1
        self._store.set(_key(self._device), f"{self._beats} {turn} {int(waiting)}")

    def _lost(self, error: RuntimeError) -> ExecutionError:
        return ExecutionError(f"device {self._device} cannot reach device 0, where the devices met: {str(error).splitlines()[0]}")


def _key(device: int) -> str:
    return f"progress of device {device}"
