"""How long a device waits for another one where nobody waits for everybody.

A message may come late because its sender still computes, or itself waits. So the time limit of a message begins when its sender has gone on
past the unit that makes it. Until then the sender must give signs of life, and may spend many time limits in one unit, but not for ever.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import NamedTuple

from iopopt.errors import ExecutionError

COMPUTING_LIMITS = 20
"""How many time limits of a message a device may spend in one unit."""

_LOOKS = 10
_LONGEST_LOOK_S = 0.05
NEVER = math.inf


class Progress(NamedTuple):
    """How far a device is.

    Attributes:
        turn: the number of the unit that it is at.
        waiting: whether it waits for messages.
        silent_s: how long it has given no sign of life.
    """

    turn: int
    waiting: bool
    silent_s: float = 0.0


class Patience:
    """Decides when one device gives up waiting for others.

    Args:
        progress_of: asks how far another device is.
    """

    def __init__(self, device: int, timeout_s: float, progress_of: Callable[[int], Progress]) -> None:
        self._device, self._timeout_s, self._progress_of = device, timeout_s, progress_of

    def wait(self, arrived: Callable[[float], bool], other: int, sent_after: float) -> None:
        """Wait until ``arrived(seconds)``, which itself waits at most so long, says so.

        Args:
            other: who is waited for.
            sent_after: the turn in which that device does what is waited for; :data:`NEVER` if that is unknown.

        Raises:
            ExecutionError: if the other device has been silent for the time limit, has passed that turn for as long, or has spent
                :data:`COMPUTING_LIMITS` time limits in one unit.
        """
        look_s = min(_LONGEST_LOOK_S, self._timeout_s / _LOOKS)
        sent_at: float | None = None
        moved_at, turn = time.monotonic(), -1
        while not arrived(look_s):
            now, progress = time.monotonic(), self._progress_of(other)
            if progress.silent_s > self._timeout_s:
                raise ExecutionError(f"device {other} has given no sign of life for {self._timeout_s:g} s, while device {self._device} waited for it")
            if progress.turn > sent_after:
                sent_at = now if sent_at is None else sent_at
                if now - sent_at > self._timeout_s:
                    raise ExecutionError(f"device {self._device} waited {self._timeout_s:g} s for a message from device {other}")
            elif progress.waiting or progress.turn != turn:
                moved_at, turn = now, progress.turn
            elif now - moved_at > COMPUTING_LIMITS * self._timeout_s:
                raise ExecutionError(
                    f"device {other} has computed a single unit for {COMPUTING_LIMITS * self._timeout_s:g} s, {COMPUTING_LIMITS} times the limit "
                    f"for a message, while device {self._device} waited for it"
                )
