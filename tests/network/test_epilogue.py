"""Steps of epilogues: what they refuse, and their texts."""

from __future__ import annotations

from typing import Any

import pytest

from iopopt import GraphError
from iopopt.network.epilogue import Activation, EpilogueStep, Mixing, Normalisation, Pool, epilogue_fault
from iopopt.network.shapes import Window


def test_pool_function_is_checked() -> None:
    """Only maximum and average pools exist."""
    with pytest.raises(GraphError, match="'sum'"):
        Pool("sum")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Activation("leaky_relu"), r"leaky_relu: found 0 parameters \(\); it has 1"),
        (lambda: Mixing("lrn", (5.0,)), "lrn: found 1 parameters"),
        (lambda: Pool("max", Window(upsampling=2)), "does not upsample"),
    ],
)
def test_wrong_steps_are_refused(make: Any, message: str) -> None:
    """Functions with another count of parameters than theirs, and a pool that upsamples."""
    with pytest.raises(GraphError, match=message):
        make()


@pytest.mark.parametrize(
    ("steps", "fault"),
    [
        ((), None),
        ((Normalisation(), Activation(), Pool(), Mixing("lrn", (5.0, 1.0, 1.0, 1.0))), None),
        ((Pool(), Activation(), Pool()), "an epilogue has at most one pool"),
        ((Mixing(), Activation()), "softmax mixes channels and must end its epilogue"),
        ((Mixing("shuffle", (2.0,)), Mixing()), "shuffle mixes channels and must end its epilogue"),
        ((Mixing("shuffle", (3.0,)),), None),
        ((Mixing("shuffle", (4.0,)),), "6 channels cannot be shuffled in 4 groups"),
        ((Mixing("shuffle", (0.0,)),), "6 channels cannot be shuffled in 0 groups"),
        ((Mixing("shuffle", (1.5,)),), "6 channels cannot be shuffled in 1.5 groups"),
    ],
)
def test_faults_of_epilogues(steps: tuple[EpilogueStep, ...], fault: str | None) -> None:
    """One pool, nothing behind what mixes channels, and groups that divide the six channels."""
    assert epilogue_fault(steps, 6) == fault


@pytest.mark.parametrize(
    ("step", "arrays", "text"),
    [
        (Activation("relu"), 0, "relu"),
        (Activation("prelu"), 1, "prelu"),
        (Activation("clip", (0.0, 6.0)), 0, "clip(0, 6)"),
        (Normalisation(), 2, "batch norm"),
        (Normalisation("scale"), 1, "scale"),
        (Pool("max", Window(3, 2), Window(3, 2)), 0, "max 3x3/2"),
        (Pool("average_inside", Window(3, 2, dilation=2), Window(1, 1)), 0, "average 3x1/2x1 dilated 2x1"),
        (Mixing("lrn", (5.0, 1e-4, 0.75, 1.0)), 0, "lrn"),
        (Mixing("shuffle", (2.0,)), 0, "shuffle(2)"),
    ],
)
def test_steps(step: EpilogueStep, arrays: int, text: str) -> None:
    """The parameters of each channel, and the step in words."""
    assert (step.arrays, step.text) == (arrays, text)
