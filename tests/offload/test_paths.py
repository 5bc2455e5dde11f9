"""What paths compute and send."""

from __future__ import annotations

from itertools import pairwise

import pytest
from support.offloading import worked_graph

from iopopt.models import load_model
from iopopt.offload.paths import path_load, whole_load
from iopopt.offload.space import even_starts
from iopopt.offload.stages import Stages
from iopopt.schedule.regions import Interval


def test_worked_case() -> None:
    stages = Stages.of(worked_graph())
    for rows in (Interval(0, 2), Interval(2, 4)):
        assert path_load(stages, 2, rows) == ((432.0, 288.0), (16, 24, 8))
    assert whole_load(stages, 3) == ((576.0, 576.0, 288.0), (16, 32, 16, 9))


@pytest.mark.parametrize("name", ["vgg16", "mobilenet_v2", "yolov2", "resnet18"])
def test_paths_do_all_the_work_and_their_halos_twice(name: str) -> None:
    """Together the paths compute everything, more with every path, and need at least their share of each tensor."""
    stages = Stages.of(load_model(name))
    for fused in stages.fusible[:: max(1, len(stages.fusible) // 4)]:
        whole, rows = whole_load(stages, fused), stages.shape(fused).height
        before = sum(whole.flops)
        for count in (2, 4, rows):
            loads = [path_load(stages, fused, Interval(start, stop)) for start, stop in pairwise(even_starts(rows, count))]
            total = sum(sum(load.flops) for load in loads)
            assert total >= before * (1 - 1e-12)
            before = total
            assert sum(load.elements[fused] for load in loads) == whole.elements[fused]
            for load, (start, stop) in zip(loads, pairwise(even_starts(rows, count)), strict=True):
                assert all(part >= of * (stop - start) / rows * (1 - 1e-12) for part, of in zip(load.flops, whole.flops, strict=True))
                assert all(part >= of * (stop - start) / rows * (1 - 1e-12) for part, of in zip(load.elements, whole.elements, strict=True))


def test_one_path_is_the_whole_network() -> None:
    stages = Stages.of(load_model("alexnet"))
    for fused in range(1, 9):
        load = path_load(stages, fused, Interval(0, stages.shape(fused).height))
        assert sum(load.flops) == sum(operator.flops for operator in stages.graph.operators[:fused])
        assert load.elements == tuple(stages.shape(cut).elements for cut in range(fused + 1))
