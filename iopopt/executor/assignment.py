"""What one device has to know to run its part of a plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from iopopt.executor.weight_shards import WeightShard
from iopopt.network.graph import Graph
from iopopt.plan.placement import Placement
from iopopt.schedule.region_transfers import UnitInputs


@dataclass(frozen=True)
class Assignment:
    """The plan as every device knows it, and the weights of this one.

    Attributes:
        placements: of each operator.
        inputs: what each unit receives, in order, and the sink.
        shards: this device's weights of each operator.
        dtype: of the elements of tensors.
    """

    graph: Graph
    placements: Sequence[Placement]
    inputs: Sequence[UnitInputs]
    shards: Sequence[WeightShard]
    device: int
    dtype: torch.dtype

    @cached_property
    def weights_bytes(self) -> Sequence[int]:
        """What this device holds of the weights of each unit, and of the sink."""
        return [sum(self.shards[member].nbytes for member in unit.members) for unit in self.inputs]

    def computes(self, unit: UnitInputs) -> bool:
        """Whether this device takes part in a unit."""
        return bool(unit.members) and self.device in self.placements[unit.members[-1]].devices

    def streams_input(self, unit: UnitInputs) -> bool:
        """Whether the input of a unit arrives while it is computed."""
        return bool(unit.members) and self.placements[unit.members[-1]].streams_input
