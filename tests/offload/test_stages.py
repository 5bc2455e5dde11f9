"""Networks as chains of stages."""

from __future__ import annotations

import itertools

import pytest

from iopopt.models import ZOO, load_model
from iopopt.network.builder import GraphBuilder
from iopopt.offload.stages import Stages


@pytest.mark.parametrize("name", ["lenet5", "alexnet", "vgg16"])
def test_every_operator_of_a_chain_is_a_stage(name: str) -> None:
    graph = load_model(name)
    assert [list(run) for run in Stages.of(graph).runs] == [[member] for member in range(len(graph))]


@pytest.mark.parametrize("name", sorted(ZOO))
def test_only_one_tensor_passes_between_stages_and_nowhere_else(name: str) -> None:
    """By the definition: for each place in the order, the tensors made before it (or the input) that are read after it."""
    graph = load_model(name)
    reads = graph.unfused.reads[: len(graph)]
    stops = []
    for stop in range(1, len(graph)):
        passing = {producer for member in range(stop, len(graph)) for producer in reads[member] if producer == graph.source or producer < stop}
        if passing == {stop - 1}:
            stops.append(stop)
    assert [run.stop for run in Stages.of(graph).runs] == [*stops, len(graph)]


def test_residual_block_is_one_stage() -> None:
    builder = GraphBuilder("residual", (2, 8, 8))
    first = builder.conv(2, 3, padding=1, name="first").tip
    inner = builder.conv(2, 3, padding=1, name="inner").tip
    builder.add(first, inner, name="sum")
    stages = Stages.of(builder.conv(4, 3, padding=1, name="after").build())
    assert [stages.name(stage) for stage in range(len(stages))] == ["first", "inner to sum", "after"]
    assert [stages.tensor(cut) for cut in range(4)] == [stages.graph.source, 0, 2, 3]
    assert stages.fusible == [1, 2, 3]


def test_what_cannot_be_fused_is_said() -> None:
    stages = Stages.of(load_model("alexnet"))
    assert stages.fusible == [1, 2, 3, 4, 5]
    assert "'fc1'" in str(stages.fault(6))
    one_row = GraphBuilder("flat", (2, 1, 8)).conv(2, 1, name="conv").build()
    assert "one row" in str(Stages.of(one_row).fault(1))
    dense = GraphBuilder("dense", (2, 4, 4)).fc(8, name="fc").build()
    assert "not computed by rows" in str(Stages.of(dense).fault(1))


def test_yolov2_is_fused_to_its_end() -> None:
    """Its passthrough, slices and concatenation are one stage in the middle."""
    stages = Stages.of(load_model("yolov2"))
    assert stages.fusible == list(range(1, len(stages) + 1))
    lengths = [len(run) for run in stages.runs]
    assert sum(lengths) == len(stages.graph)
    assert max(lengths) > 1
    assert all(length == 1 for length, _ in itertools.groupby(lengths[:10]))
