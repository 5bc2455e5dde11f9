"""A device's shards of the weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from iopopt.executor.arithmetic import EpilogueParameters
from iopopt.network.graph import Graph
from iopopt.network.weights import NO_WEIGHTS, OperatorWeights, Weights
from iopopt.plan.placement import Placement
from iopopt.schedule.region_transfers import UnitInputs, even_slices, owned_regions
from iopopt.schedule.regions import Interval


@dataclass(frozen=True)
class WeightShard:
    """A device's part of one operator: its kernel, and the parameters of bias and epilogue for the channels that it finishes.

    ``finishes`` are these channels: its own, or those whose partial sums it adds up for any consumer.
    """

    kernel: Tensor | None
    parameters: EpilogueParameters
    finishes: Interval

    @property
    def nbytes(self) -> int:
        return self.parameters.nbytes + (0 if self.kernel is None else self.kernel.nbytes)


def cut_shards(
    graph: Graph, placements: Sequence[Placement], inputs: Sequence[UnitInputs], weights: Weights, device: int, dtype: torch.dtype
) -> list[WeightShard]:
    """The shards of one device, as copies: the rest of the weights is not held."""
    shards = []
    for i, (operator, placement) in enumerate(zip(graph.operators, placements, strict=True)):
        part = _kernel_slices(placement, device) if device in placement.devices else None
        shards.append(_shard(weights.get(operator.name, NO_WEIGHTS), part, _finished_channels(graph, placements, inputs, i, device), dtype))
    return shards


def whole_shards(graph: Graph, members: Iterable[int], weights: Weights, dtype: torch.dtype) -> dict[int, WeightShard]:
    """All weights of some operators, by number, as copies."""
    operators = {member: graph.operators[member] for member in members}
    everything = slice(None), slice(None)
    return {
        member: _shard(weights.get(operator.name, NO_WEIGHTS), everything, Interval(0, operator.out_channels), dtype)
        for member, operator in operators.items()
    }


def _shard(weights: OperatorWeights, kernel_part: tuple[slice, slice] | None, channels: Interval, dtype: torch.dtype) -> WeightShard:
    """A part of an operator's kernel, or none of it, and the parameters of the channels that are finished."""
    kernel = None if weights.kernel is None or kernel_part is None else _copy(np.asarray(weights.kernel)[kernel_part], dtype)
    own = slice(channels.start, channels.stop)
    bias = None if weights.bias is None else _copy(np.asarray(weights.bias)[own], dtype)
    steps = {number: tuple(_copy(np.asarray(part)[own], dtype) for part in parts) for number, parts in weights.steps.items()}
    return WeightShard(kernel, EpilogueParameters(bias, steps), channels)


def _copy(array: npt.ArrayLike, dtype: torch.dtype) -> Tensor:
    """A tensor that shares no memory with the array."""
    return torch.tensor(np.asarray(array), dtype=dtype)


def _kernel_slices(placement: Placement, device: int) -> tuple[slice, slice]:
    (shard,) = (shard for shard in placement.shards if shard.device == device)
    part = slice(shard.start, shard.stop)
    return (part if placement.dim == "OC" else slice(None)), (part if placement.dim == "IC" else slice(None))


def _finished_channels(graph: Graph, placements: Sequence[Placement], inputs: Sequence[UnitInputs], i: int, device: int) -> Interval:
    """The channels of operator ``i`` that the device finishes: its own, or all between the first and the last that it adds up."""
    if placements[i].streams_sums:
        regions = [even_slices(graph.operators[i], placements[i].devices).get(device)]
    elif placements[i].dim != "IC":
        regions = [owned_regions(graph.operators[i], placements[i]).get(device)]
    else:
        edges = [edge for inputs_of in inputs for edge in inputs_of.edges if edge.producer == i]
        regions = [round_.finished.get(device) for edge in edges for round_ in edge.rounds if round_.partial]
    channels = [region.channels for region in regions if region is not None and region.channels]
    return Interval(min((part.start for part in channels), default=0), max((part.stop for part in channels), default=0))
