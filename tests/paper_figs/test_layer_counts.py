"""Counts in the terms of the comparison of vertical partitioning."""

from __future__ import annotations

from itertools import pairwise

import pytest

from iopopt import load_model
from paper_figs.layer_counts import counted_bytes, layers_of

RECKONED_MB = {
    "stages": (138.4, 78.5, 59.2, 59.1),
    "data": (233.3, 218.6, 213.6, 211.2),
    "horizontal": (155.1, 101.2, 83.2, 74.3),
    "vps": (131.5, 65.7, 43.8, 32.9),
}
"""YOLOv2 at 608 x 608 on 2, 4, 6 and 8 devices, reckoned by hand from Darknet's layers."""


@pytest.mark.parametrize(("number", "devices"), [(0, 2), (1, 4), (2, 6), (3, 8)])
def test_yolov2(number: int, devices: int) -> None:
    counts = counted_bytes(load_model("yolov2", input_shape=(3, 608, 608)), devices)
    for scheme, reckoned in RECKONED_MB.items():
        assert counts[scheme] / 1e6 == pytest.approx(reckoned[number], abs=0.05 + 1e-9)


def test_pools_are_layers_of_their_own() -> None:
    layers = layers_of(load_model("lenet5"))
    assert len(layers) == 7
    assert [layer.weights for layer in layers].count(0) == 2
    assert all(before.outputs == after.inputs for before, after in pairwise(layers))
