"""MobileNets and the networks with branches: published counts, structure, and other input sizes."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from support.random_branches import is_chain

from iopopt import Graph, GraphError
from iopopt.models.googlenet import LRN, googlenet
from iopopt.models.mobilenet import RELU6, mobilenet_v1, mobilenet_v2
from iopopt.models.resnet import resnet18, resnet34, resnet50
from iopopt.models.squeezenet import squeezenet1_1
from iopopt.models.yolo import LEAKY, yolov2
from iopopt.network.epilogue import Activation, Normalisation, Pool
from iopopt.network.shapes import Shape

Builder = Callable[..., Graph]

# Parameters: Keras's trainable parameters (MobileNet-V1, YOLOv2 as converted from darknet), torchvision's metadata (MobileNet-V2, ResNets,
# SqueezeNet), the sum over Caffe's bvlc_googlenet without auxiliary classifiers (GoogLeNet).
# MACs in thousands of millions: table 6 of the MobileNet paper, torchvision's metadata, half of the 62.94 thousand million FLOPs that
# darknet states for YOLOv2; GoogLeNet by hand below.
PUBLISHED: dict[Builder, tuple[int, float, int]] = {
    mobilenet_v1: (4_231_976, 0.569, 3),
    mobilenet_v2: (3_504_872, 0.301, 3),
    resnet18: (11_689_512, 1.814, 3),
    resnet34: (21_797_672, 3.664, 3),
    resnet50: (25_557_032, 4.089, 3),
    squeezenet1_1: (1_235_496, 0.349, 3),
    googlenet: (6_998_552, 1.58, 2),
    yolov2: (50_962_889, 31.47, 2),
}

every_network = pytest.mark.parametrize("builder", PUBLISHED)


def _before(graph: Graph, name: str, steps: int) -> str:
    """The operator ``steps`` before one, along operators of one input."""
    for _ in range(steps):
        (name,) = (edge.producer for edge in graph.edges if edge.consumer == name)
    return name


@every_network
def test_published_counts(builder: Builder) -> None:
    """Parameters are those published to the unit, MACs to the digits published."""
    parameters, giga_macs, digits = PUBLISHED[builder]
    graph = builder()
    assert graph.parameters == parameters
    assert round(graph.macs / 1e9, digits) == giga_macs


@every_network
def test_output_shape(builder: Builder) -> None:
    """One score for each class of ImageNet; YOLOv2 gives five boxes of 85 figures for each of 19x19 cells."""
    graph = builder()
    assert graph.name == builder.__name__
    assert graph.output.out_shape == (Shape(425, 19, 19) if builder is yolov2 else Shape(1000, 1, 1))


@every_network
def test_json_round_trip(builder: Builder) -> None:
    """The record of a network, written as JSON and read back, is the network."""
    graph = builder()
    assert Graph.from_dict(json.loads(json.dumps(graph.to_dict()))) == graph


@pytest.mark.parametrize(
    ("builder", "adds", "concats"),
    [
        (mobilenet_v1, 0, 0),
        (mobilenet_v2, 1 + 2 + 3 + 2 + 2, 0),  # every block of a stage but its first
        (resnet18, 8, 0),
        (resnet34, 16, 0),
        (resnet50, 16, 0),
        (squeezenet1_1, 0, 8),
        (googlenet, 0, 9),
        (yolov2, 0, 1),
    ],
)
def test_joins(builder: Builder, adds: int, concats: int) -> None:
    """Residual networks have an add for each shortcut, the others a concatenation for each module."""
    graph = builder()
    kinds = [operator.kind for operator in graph.operators]
    assert (kinds.count("add"), kinds.count("concat")) == (adds, concats)
    assert is_chain(graph) == (adds + concats == 0)


@every_network
def test_other_input_sizes(builder: Builder) -> None:
    """No parameter depends on the input size, which may be oblong; MACs grow with the maps."""
    published, smaller, oblong = builder(), builder(input_size=96), builder(input_size=(96, 128))
    assert smaller.parameters == oblong.parameters == published.parameters
    assert smaller.macs < oblong.macs < published.macs
    assert oblong.input_shape == (3, 96, 128)
    assert oblong.output.out_shape == ((425, 3, 4) if builder is yolov2 else (1000, 1, 1))


# With padding a single row suffices. SqueezeNet: the last pool needs 2 rows, those before it 4 and 8, the first convolution (3, stride 2)
# 17, as torchvision states. GoogLeNet: the pools need 2, 4, 8 and 16 rows, the first convolution (7, stride 2, padding 3) 31.
@pytest.mark.parametrize(
    ("builder", "least"),
    [
        (mobilenet_v1, 1),
        (mobilenet_v2, 1),
        (resnet18, 1),
        (resnet34, 1),
        (resnet50, 1),
        (squeezenet1_1, 17),
        (googlenet, 31),
        (yolov2, 32),
    ],
)
def test_smallest_input(builder: Builder, least: int) -> None:
    """The smallest input works; one row less, in either direction, is refused with the smallest that works."""
    assert builder(input_size=least).input_shape[1:] == (least, least)
    for size in (least - 1, (least - 1, least), (least, least - 1), 0, -5):
        with pytest.raises(GraphError, match=f"{builder.__name__}.*too small; the smallest admissible is {least}x{least}"):
            builder(input_size=size)


@pytest.mark.parametrize(("width", "giga_macs"), [(1.0, 0.569), (0.75, 0.325), (0.5, 0.149), (0.25, 0.041)])
def test_mobilenet_v1_in_the_paper(width: float, giga_macs: float) -> None:
    """MACs at 224 are those of table 6 of the paper."""
    assert round(mobilenet_v1(width=width).macs / 1e9, 3) == giga_macs


def test_mobilenet_v1_by_hand() -> None:
    """A depthwise and a pointwise convolution in turn behind the first one, each with batch normalisation and ReLU6."""
    graph = mobilenet_v1()
    *convolutions, pool, classifier = graph.operators
    assert [operator.rows.kernel for operator in convolutions] == [3] + [3, 1] * 13
    assert [operator.groups for operator in convolutions[1::2]] == [operator.in_shape.channels for operator in convolutions[1::2]]
    assert all(operator.epilogue == (Normalisation(), RELU6) and not operator.bias for operator in convolutions)
    assert [operator.out_shape.height for operator in convolutions[::2]] == [112, 112, 56, 56, 28, 28, 14, 14, 14, 14, 14, 14, 7, 7]
    assert [pool.kind, classifier.kind, classifier.parameters] == ["pool", "fc", 1024 * 1000 + 1000]


def test_mobilenet_v1_at_any_width() -> None:
    """Channels are rounded down, but to no less than 8; the width stands in the name in full."""
    graph = mobilenet_v1(width=0.123456789)
    assert graph.name == "mobilenet_v1-0.123456789"
    assert [operator.out_channels for operator in graph.operators[2:27:2]] == [8, 15, 15, 31, 31, *[63] * 6, 126, 126]
    assert graph.operators[0].out_channels == 8
    assert mobilenet_v1(width=2).operators[-2].out_channels == 2048


@pytest.mark.parametrize("width", [0, -0.5, float("nan"), float("inf"), "0.5", True, None])
def test_a_width_that_is_no_width_is_refused(width: object) -> None:
    """Anything but a positive number is refused."""
    with pytest.raises(GraphError, match=r"width is .*must be a positive number"):
        mobilenet_v1(width=width)  # type: ignore[arg-type]


def test_mobilenet_v2_bottlenecks_are_linear() -> None:
    """The 17 convolutions that project end without activation and 10 of them are added to, without activation too."""
    graph = mobilenet_v2()
    linear = [operator for operator in graph.operators if operator.kind == "conv" and RELU6 not in operator.epilogue]
    assert [operator.out_channels for operator in linear] == [16, *[24] * 2, *[32] * 3, *[64] * 4, *[96] * 3, *[160] * 3, 320]
    assert all(operator.epilogue == () for operator in graph.operators if operator.kind == "add")


@pytest.mark.parametrize(("builder", "projected"), [(resnet18, 3), (resnet34, 3), (resnet50, 4)])
def test_resnet_shortcuts(builder: Builder, projected: int) -> None:
    """ReLU follows each sum; a stage whose shape differs from the one before begins with a projected shortcut."""
    graph = builder()
    adds = [operator for operator in graph.operators if operator.kind == "add"]
    assert all(operator.epilogue == (Activation("relu"),) for operator in adds)
    shortcuts = [graph[edge.producer] for edge in graph.edges if graph[edge.consumer].kind == "add"][1::2]
    projections = [operator for operator in shortcuts if operator.kind == "conv" and operator.rows.kernel == 1]
    assert len(projections) == projected
    assert all(operator.epilogue == (Normalisation(),) for operator in projections)


@pytest.mark.parametrize(("builder", "layers"), [(resnet18, 2), (resnet34, 2), (resnet50, 3), (mobilenet_v2, 3)])
def test_shortcuts_pass_one_block(builder: Builder, layers: int) -> None:
    """What is added to a block's output is what its first convolution read, as it is or projected."""
    graph = builder()
    for add in (operator.name for operator in graph.operators if operator.kind == "add"):
        path, shortcut = (edge.producer for edge in graph.edges if edge.consumer == add)
        projected = builder is not mobilenet_v2 and graph[shortcut].epilogue == (Normalisation(),)
        assert _before(graph, path, layers) == _before(graph, shortcut, int(projected))


def test_resnet50_strides() -> None:
    """Besides the first convolution, those of 3x3 in the bottlenecks and the projections have stride 2 (v1.5)."""
    strided = [operator for operator in resnet50().operators if operator.rows.stride == 2]
    assert [operator.rows.kernel for operator in strided] == [7, 3, 1, 3, 1, 3, 1]
    assert isinstance(strided[0].epilogue[-1], Pool)
    assert strided[0].out_shape == Shape(64, 56, 56)


# The convolutions of yolov2.cfg: input and output channels, kernel, rows of the map at 608.
YOLOV2 = [
    (3, 32, 3, 608),
    (32, 64, 3, 304),
    *[(64, 128, 3, 152), (128, 64, 1, 152), (64, 128, 3, 152)],
    *[(128, 256, 3, 76), (256, 128, 1, 76), (128, 256, 3, 76)],
    *[(256, 512, 3, 38), (512, 256, 1, 38), (256, 512, 3, 38), (512, 256, 1, 38), (256, 512, 3, 38)],
    *[(512, 1024, 3, 19), (1024, 512, 1, 19), (512, 1024, 3, 19), (1024, 512, 1, 19), (512, 1024, 3, 19)],
    *[(1024, 1024, 3, 19), (1024, 1024, 3, 19)],
    (512, 64, 1, 38),
    (4 * 64 + 1024, 1024, 3, 19),
    (1024, 425, 1, 19),
]


def test_yolov2_by_hand() -> None:
    """The 23 convolutions of the configuration; darknet's weights hold two further figures a channel, mean and variance."""
    graph = yolov2()
    convolutions = [operator for operator in graph.operators if operator.kind == "conv"]
    found = [(operator.in_shape.channels, operator.out_channels, operator.rows.kernel, operator.pre_pool_shape.height) for operator in convolutions]
    assert found == YOLOV2
    weights = sum(C * OC * k**2 for C, OC, k, _ in YOLOV2)
    normalised = sum(OC for _, OC, _, _ in YOLOV2[:-1])
    assert graph.parameters == weights + 2 * normalised + 425
    assert weights + 4 * normalised + 425 == 50_983_561  # yolov2.weights has 203,934,260 bytes, 16 of them a header
    assert graph.macs == sum(C * OC * k**2 * rows**2 for C, OC, k, rows in YOLOV2)
    assert round(2 * graph.macs / 1e9, 2) == 62.94
    assert all(operator.epilogue[:2] == (Normalisation(), LEAKY) and not operator.bias for operator in convolutions[:-1])
    assert graph.output.epilogue == ()
    assert graph.output.bias


def test_yolov2_passthrough() -> None:
    """The last 38x38 map is halved by a pool of its own and passed on as 256 channels, which come before the 1024 others."""
    graph = yolov2()
    (concat,) = (operator for operator in graph.operators if operator.kind == "concat")
    reorganised, coarse = (graph[edge.producer] for edge in graph.edges if edge.consumer == concat.name)
    assert [reorganised.kind, coarse.kind] == ["space_to_depth", "conv"]
    assert concat.in_shapes == (Shape(256, 19, 19), Shape(1024, 19, 19))
    (pool,) = (operator for operator in graph.operators if operator.kind == "pool")
    assert (pool.in_shape, pool.out_shape) == (Shape(512, 38, 38), Shape(512, 19, 19))
    assert _before(graph, reorganised.name, 2) == _before(graph, pool.name, 1)
    assert _before(graph, pool.name, 1) == "conv13"  # the 16th layer of the configuration, counted from 0 with the pools


@pytest.mark.parametrize("size", [33, 600, (608, 600), (600, 608)])
def test_yolov2_needs_whole_cells(size: int | tuple[int, int]) -> None:
    """Sides that are no multiple of 32 are refused and told so."""
    with pytest.raises(GraphError, match=r"yolov2: an input of .*multiples of 32"):
        yolov2(size)


def test_yolov2_at_416() -> None:
    """At 416 there are 13x13 cells; every map is (416/608)^2 of that at 608."""
    graph = yolov2(416)
    assert graph.output.out_shape == Shape(425, 13, 13)
    assert graph.macs * 19**2 == yolov2().macs * 13**2


def test_squeezenet_by_hand() -> None:
    """Eight fire modules on maps of 55, 27 and 13 rows: the counts follow from squeeze and expansion channels."""
    fires = [(64, 16, 64, 55), (128, 16, 64, 55), (128, 32, 128, 27), (256, 32, 128, 27)]
    fires += [(256, 48, 192, 13), (384, 48, 192, 13), (384, 64, 256, 13), (512, 64, 256, 13)]
    graph = squeezenet1_1()
    concats = [operator.out_shape for operator in graph.operators if operator.kind == "concat"]
    assert concats == [(2 * expand, rows, rows) for _, _, expand, rows in fires]
    ends = 3 * 64 * 9 * 111**2 + 512 * 1000 * 13**2
    assert graph.macs == ends + sum((C * squeeze + squeeze * expand * (1 + 9)) * rows**2 for C, squeeze, expand, rows in fires)


@pytest.mark.parametrize("builder", [squeezenet1_1, googlenet])
def test_every_convolution_has_bias_and_relu(builder: Builder) -> None:
    """Without batch normalisation each convolution, the one that classifies included, has a bias and ReLU behind it."""
    convolutions = [operator for operator in builder().operators if operator.kind == "conv"]
    assert all(operator.bias and operator.epilogue[0] == Activation("relu") for operator in convolutions)


# Table 1 of the paper: input channels, 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection, and the rows of the map.
INCEPTIONS = [
    (192, 64, 96, 128, 16, 32, 32, 28),
    (256, 128, 128, 192, 32, 96, 64, 28),
    (480, 192, 96, 208, 16, 48, 64, 14),
    (512, 160, 112, 224, 24, 64, 64, 14),
    (512, 128, 128, 256, 24, 64, 64, 14),
    (512, 112, 144, 288, 32, 64, 64, 14),
    (528, 256, 160, 320, 32, 128, 128, 14),
    (832, 256, 160, 320, 32, 128, 128, 7),
    (832, 384, 192, 384, 48, 128, 128, 7),
]


def test_googlenet_by_hand() -> None:
    """Weights, biases and MACs are the sums over table 1 of the paper, nine modules between the first convolutions and the classifier."""
    weights = [3 * 64 * 49, 64 * 64, 64 * 192 * 9, 1024 * 1000]
    biases = 64 + 64 + 192 + 1000
    macs = weights[0] * 112**2 + (weights[1] + weights[2]) * 56**2 + weights[3]
    for C, n1, r3, n3, r5, n5, projection, rows in INCEPTIONS:
        weights.append(C * (n1 + r3 + r5 + projection) + 9 * r3 * n3 + 25 * r5 * n5)
        biases += n1 + r3 + n3 + r5 + n5 + projection
        macs += weights[-1] * rows**2
    graph = googlenet()
    assert sum(weights) + biases == graph.parameters == 6_998_552
    assert graph.macs == macs


def test_googlenet_modules() -> None:
    """Each module joins its 1x1, 3x3 and 5x5 convolutions and its projected pool, in this order; two maps are normalised."""
    graph = googlenet()
    concats = [operator for operator in graph.operators if operator.kind == "concat"]
    for concat, (_, n1, _, n3, _, n5, projection, rows) in zip(concats, INCEPTIONS, strict=True):
        assert concat.in_shapes == tuple(Shape(channels, rows, rows) for channels in (n1, n3, n5, projection))
        producers = [graph[edge.producer] for edge in graph.edges if edge.consumer == concat.name]
        assert [operator.rows.kernel for operator in producers] == [1, 3, 5, 1]
        assert len({_before(graph, operator.name, steps) for operator, steps in zip(producers, (1, 2, 2, 2), strict=True)}) == 1
    assert [operator.name for operator in graph.operators if LRN in operator.epilogue] == ["conv1", "conv3"]
