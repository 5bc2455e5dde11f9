"""The least memory as the objective of the program: the largest demand of a device, relative to its limit or in bytes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from iopopt.cluster.cluster import Cluster
from iopopt.milp.affine import times
from iopopt.milp.memory_rows import Top
from iopopt.milp.program import ProgramBuilder


@dataclass(frozen=True)
class MemoryGoal:
    """Minimise the largest demand of equation (1) over the devices instead of the latency.

    Attributes:
        unit: the unit of the objective, in shares of a limit or in bytes; one near the optimum keeps the numbers near 1.
        relative: whether the demand of each device counts as a share of its limit, instead of in bytes.
        latest_s: the longest latency that is allowed, seconds; infinite without a deadline.
    """

    unit: float
    relative: bool = True
    latest_s: float = math.inf

    def minimise(self, builder: ProgramBuilder, cluster: Cluster) -> list[Top]:
        """Make the largest demand the objective; returns what each device's demand is then at most."""
        largest = builder.variable(("largest demand",))
        builder.minimise(times(1, largest))
        bytes_of_one = [self.unit * (device.memory_bytes if self.relative else 1.0) for device in cluster.devices]
        return [Top(times(bytes_, largest), bytes_) for bytes_ in bytes_of_one]
