"""What one device holds over time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class HeldMemory:
    """What one device holds: ``held_bytes[k]`` from ``times_s[k]`` until the next time; the first time is 0.

    Attributes:
        weights_bytes: resident weights, which are part of every figure.
        limit_bytes: the memory of the device.
    """

    times_s: tuple[float, ...]
    held_bytes: tuple[float, ...]
    weights_bytes: float
    limit_bytes: float

    @cached_property
    def peak_bytes(self) -> float:
        """The most that it ever holds."""
        return max(self.held_bytes)
