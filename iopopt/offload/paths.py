"""What a path computes at each stage, and what it would send after each: rows under its own, those that neighbours compute too included."""

from __future__ import annotations

from typing import NamedTuple

from iopopt.network.operators.operator import Operator
from iopopt.offload.stages import Stages
from iopopt.schedule.region_transfers import block_rows, pre_pool_rows
from iopopt.schedule.regions import Interval


class PathLoad(NamedTuple):
    """The loads of one path.

    Attributes:
        flops: of each fused stage.
        elements: what the path needs of the tensor at each cut, from the input to the output of the last fused stage.
    """

    flops: tuple[float, ...]
    elements: tuple[int, ...]


def path_load(stages: Stages, fused: int, rows: Interval) -> PathLoad:
    """The loads of the path of rows ``rows`` of the output of the first ``fused`` stages.

    Fields are cut at the tensors' edges; a path of all rows is the whole network up to there, rows that no field reaches included.
    """
    if len(rows) == stages.shape(fused).height:
        return whole_load(stages, fused)
    found = path_rows(stages, fused, rows)
    flops = (sum(_flops(stages.graph.operators[member], found[member]) for member in run) for run in stages.runs[:fused])
    return PathLoad(tuple(flops), tuple(_row_elements(stages, cut) * len(found[stages.tensor(cut)]) for cut in range(fused + 1)))


def whole_load(stages: Stages, fused: int) -> PathLoad:
    """The loads of the first ``fused`` stages in one piece."""
    flops = (float(sum(stages.graph.operators[member].flops for member in run)) for run in stages.runs[:fused])
    return PathLoad(tuple(flops), tuple(stages.shape(cut).elements for cut in range(fused + 1)))


def path_rows(stages: Stages, fused: int, rows: Interval) -> dict[int, Interval]:
    """The rows of each tensor, by number, under ``rows`` of the output of the first ``fused`` stages."""
    return block_rows(stages.graph, range(stages.runs[fused - 1].stop), rows)


def _flops(operator: Operator, rows: Interval) -> float:
    """F / H_c for each row before the pool."""
    return operator.flops / operator.pre_pool_shape.height * len(pre_pool_rows(operator, rows))


def _row_elements(stages: Stages, cut: int) -> int:
    shape = stages.shape(cut)
    return shape.channels * shape.width
