"""The arithmetic of steps and of operators without a kernel, by hand, on whole tensors and on slices of them."""

from __future__ import annotations

import math

import pytest
from support.whole_run import torch

from iopopt import Operator
from iopopt.executor.arithmetic import EpilogueParameters, TensorSlice, finish, mix, without_kernel
from iopopt.network.epilogue import Activation, EpilogueStep, Mixing, Normalisation, Pool
from iopopt.network.operators.add import Add
from iopopt.network.operators.concat import Concat
from iopopt.network.operators.elementwise import Elementwise
from iopopt.network.operators.mul import Mul
from iopopt.network.operators.pool import Pooling
from iopopt.network.operators.slice import Slice
from iopopt.network.operators.space_to_depth import SpaceToDepth
from iopopt.network.operators.upsample import Upsample
from iopopt.network.shapes import Shape, Window
from iopopt.schedule.regions import Interval, Region, everything


def _tensor(*channels: list[list[float]]) -> torch.Tensor:
    return torch.tensor(channels, dtype=torch.float64)


def _column(*values: float) -> torch.Tensor:
    """One channel of one column."""
    return torch.tensor(values, dtype=torch.float64).reshape(1, -1, 1)


def _run(operator: Operator, *tensors: torch.Tensor, rows: tuple[int, int] | None = None) -> list[float]:
    """The operator on whole inputs, in the order of the elements; or some rows of it."""
    inputs = [TensorSlice(everything(Shape(*tensor.shape)), tensor) for tensor in tensors]
    full = everything(operator.pre_pool_shape)
    region = full if rows is None else Region(full.channels, Interval(*rows))
    return without_kernel(operator, inputs, region).flatten().tolist()


def _step(step: EpilogueStep, tensor: torch.Tensor, *arrays: list[float]) -> list[float]:
    """One step behind an operator of this tensor's shape."""
    shape = Shape(*tensor.shape)
    operator = Elementwise("a", shape, epilogue=(step,))
    parameters = EpilogueParameters(None, {0: tuple(torch.tensor(array, dtype=torch.float64) for array in arrays)})
    rows = Interval(0, operator.out_shape.height)
    tensor = finish(operator, parameters, tensor, Interval(0, shape.height), rows)
    return (mix(operator, tensor) if operator.mixes_channels else tensor).flatten().tolist()


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (Activation("relu"), [0, 0, 4]),
        (Activation("leaky_relu", (0.25,)), [-1, 0, 4]),
        (Activation("clip", (-1.0, 3.0)), [-1, 0, 3]),
        (Activation("hard_sigmoid", (0.125, 0.25)), [0, 0.25, 0.75]),
        (Activation("hard_swish"), [-4 * 0, 0, 4]),
        (Activation("multiply", (0.5,)), [-2, 0, 2]),
        (Activation("add", (0.5,)), [-3.5, 0.5, 4.5]),
        (Activation("silu"), [-4 / (1 + math.exp(4)), 0, 4 / (1 + math.exp(-4))]),
        (Activation("tanh"), [-math.tanh(4), 0, math.tanh(4)]),
        (Activation("sigmoid"), [1 / (1 + math.exp(4)), 0.5, 1 / (1 + math.exp(-4))]),
    ],
)
def test_activations(step: Activation, expected: list[float]) -> None:
    """Each function of -4, 0 and 4."""
    assert _step(step, _column(-4, 0, 4)) == pytest.approx(expected)


def test_parameters_of_channels() -> None:
    """Slopes, scales and shifts are those of the channel."""
    tensor = _tensor([[-2.0]], [[-4.0]])
    assert _step(Activation("prelu"), tensor, [0.5, 0.25]) == [-1, -1]
    assert _step(Normalisation("batch"), tensor, [2, 3], [1, 5]) == [-3, -7]
    assert _step(Normalisation("scale"), tensor, [2, 3]) == [-4, -12]
    assert _step(Normalisation("shift"), tensor, [2, 3]) == [0, -1]


def test_shuffle() -> None:
    """Two groups of three: channel i 3 + j becomes channel j 2 + i."""
    assert _step(Mixing("shuffle", (2.0,)), torch.arange(6.0).reshape(6, 1, 1)) == [0, 3, 1, 4, 2, 5]


def test_softmax() -> None:
    """Over the channels of each position."""
    assert _step(Mixing("softmax"), _tensor([[0.0, 1.0]], [[math.log(3), 1.0]])) == pytest.approx([0.25, 0.5, 0.75, 0.5])


@pytest.mark.parametrize(("size", "sums"), [(3.0, [5, 14, 13]), (2.0, [5, 13, 9]), (4.0, [14, 14, 13]), (1.0, [1, 4, 9])])
def test_response_normalisation(size: float, sums: list[float]) -> None:
    """Squares of floor((size - 1) / 2) channels before and ceil((size - 1) / 2) after are summed: of channels 1, 2 and 3."""
    step = Mixing("lrn", (size, 0.5, 0.75, 2.0))
    expected = [x / (2 + 0.5 / size * total) ** 0.75 for x, total in zip((1, 2, 3), sums, strict=True)]
    assert _step(step, torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64).reshape(3, 1, 1)) == pytest.approx(expected)


def test_averages_at_the_edge() -> None:
    """A window of three with padding on 3, 6, 9: zeros count, or what lies inside alone."""
    for function, expected in (("average", [3, 6, 5]), ("average_inside", [4.5, 6, 7.5])):
        assert _step(Pool(function, Window(3, 1, 1, 1), Window()), _column(3, 6, 9)) == pytest.approx(expected)


def test_averages_of_slices() -> None:
    """What lies inside the map is counted on the map, not on the slice of it that a device holds."""
    operator = Pooling("a", Shape(1, 6, 1), "average_inside", Window(3, 1, 1, 1))
    held = TensorSlice(Region(Interval(0, 1), Interval(1, 6)), _column(2, 3, 4, 5, 6))
    result = without_kernel(operator, [held], Region(Interval(0, 1), Interval(2, 6)))
    assert result.flatten().tolist() == pytest.approx([3, 4, 5, 5.5])


def test_dilated_pools() -> None:
    """Every other element counts; what lies in the padding does not, for the largest and among what lies inside."""
    window = Window(2, 1, 1, 1, 2)
    expected = {"max": [2, 3, 4, 3], "average": [1, 2, 3, 1.5], "average_inside": [2, 2, 3, 3]}
    for function, values in expected.items():
        operator = Pooling("a", Shape(1, 4, 1), function, window)
        assert _run(operator, _column(1, 2, 3, 4)) == pytest.approx(values)


def test_joins() -> None:
    """Sums and products of two and three maps, and of a map and one element a channel."""
    a, b, gate = _tensor([[1.0, 2.0]], [[3.0, 4.0]]), _tensor([[5.0, 6.0]], [[7.0, 8.0]]), _tensor([[2.0]], [[10.0]])
    shape, one = Shape(2, 1, 2), Shape(2, 1, 1)
    assert _run(Add("a", shape, (shape,)), a, b) == [6, 8, 10, 12]
    assert _run(Mul("a", shape, (shape, shape)), a, b, a) == [5, 24, 63, 128]
    assert _run(Mul("a", shape, (one,)), a, gate) == [2, 4, 30, 40]
    assert _run(Add("a", shape, (one,)), a, gate) == [3, 4, 13, 14]


def test_concatenation_of_a_share_of_channels() -> None:
    """A share of the channels takes what it has of each input."""
    operator = Concat("a", Shape(2, 1, 1), more_inputs=(Shape(1, 1, 1), Shape(2, 1, 1)))
    tensors = [torch.tensor(values).reshape(-1, 1, 1) for values in ([0, 1], [2], [3, 4])]
    inputs = [TensorSlice(everything(Shape(*tensor.shape)), tensor) for tensor in tensors]
    for start, stop in ((0, 5), (1, 4), (2, 3), (3, 5), (0, 2)):
        result = without_kernel(operator, inputs, Region(Interval(start, stop), Interval(0, 1)))
        assert result.flatten().tolist() == list(range(start, stop))


def test_slice_is_a_copy() -> None:
    """A slice holds its own channels only, not the memory of the tensor that it is cut from."""
    operator = Slice("a", Shape(4, 1, 1), 2, first_channel=1)
    tensor = torch.arange(4.0).reshape(4, 1, 1)
    result = without_kernel(operator, [TensorSlice(everything(Shape(4, 1, 1)), tensor)], everything(operator.pre_pool_shape))
    assert result.flatten().tolist() == [1, 2]
    assert result.untyped_storage().nbytes() == result.nbytes


def test_nearest_upsampling() -> None:
    """Rows three times, columns twice."""
    operator = Upsample("a", Shape(1, 2, 2), "nearest", Window(upsampling=3), Window(upsampling=2))
    assert _run(operator, _tensor([[1.0, 2.0], [3.0, 4.0]])) == [1, 1, 2, 2] * 3 + [3, 3, 4, 4] * 3
    assert _run(operator, _tensor([[1.0, 2.0], [3.0, 4.0]]), rows=(3, 6)) == [3, 3, 4, 4] * 3


def test_linear_upsampling() -> None:
    """Twice as many rows of 0, 4, 8 lie at -1/4, 1/4, 3/4 and so on; three times as many at -1/3, 0, 1/3 and so on."""
    twice = Upsample("a", Shape(1, 3, 1), "linear", Window(3, 1, 1, 1, 1, 2), Window(3, 1, 1, 1))
    assert _run(twice, _column(0, 4, 8)) == pytest.approx([0, 1, 3, 5, 7, 8])
    assert _run(twice, _column(0, 4, 8), rows=(2, 4)) == pytest.approx([3, 5])
    thrice = Upsample("a", Shape(1, 2, 1), "linear", Window(3, 1, 1, 1, 1, 3), Window(3, 1, 1, 1))
    assert _run(thrice, _column(0, 3)) == pytest.approx([0, 0, 1, 2, 3, 3])


def test_space_to_depth() -> None:
    """Pixel (y, x) of channel c becomes channel (2 y + x) 2 + c."""
    operator = SpaceToDepth("a", Shape(2, 2, 2), Window(2, 2), Window(2, 2))
    assert _run(operator, _tensor([[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]])) == [1, 5, 2, 6, 3, 7, 4, 8]
