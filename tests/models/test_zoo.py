"""The zoo: published parameter counts, other input sizes, and names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from iopopt import ZOO, FileFormatError, Graph, GraphError, UnknownNameError, load_model
from iopopt.network.shapes import Shape

# Parameters: LeCun et al. 1998 with full connections between maps (LeNet-5), and the counts torchvision publishes for its weights.
# MACs: the sum over layers of kernel elements times output places.
PUBLISHED = {
    "lenet5": (61_706, 416_520),
    "alexnet": (61_100_840, 714_188_480),
    "vgg11": (132_863_336, 7_609_090_048),
    "vgg13": (133_047_848, 11_308_466_176),
    "vgg16": (138_357_544, 15_470_264_320),
    "vgg19": (143_667_240, 19_632_062_464),
    # Networks with branches, and those of depthwise convolutions; where each count comes from stands in test_zoo_branches.
    "googlenet": (6_998_552, 1_582_671_872),
    "squeezenet1_1": (1_235_496, 349_151_936),
    "resnet18": (11_689_512, 1_814_073_344),
    "resnet34": (21_797_672, 3_663_761_408),
    "resnet50": (25_557_032, 4_089_184_256),
    "mobilenet_v1": (4_231_976, 568_740_352),
    "mobilenet_v1-0.75": (2_585_560, 325_400_448),
    "mobilenet_v1-0.5": (1_331_592, 149_497_088),
    "mobilenet_v1-0.25": (470_072, 41_030_272),
    "mobilenet_v2": (3_504_872, 300_774_272),
    "yolov2": (50_962_889, 31_469_126_656),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_counts(name: str) -> None:
    """Parameters and MACs are those published."""
    graph = load_model(name)
    assert (graph.parameters, graph.macs) == PUBLISHED[name]


def test_every_network_has_a_published_count() -> None:
    """No network of the zoo escapes the comparison."""
    assert set(ZOO) == set(PUBLISHED)


def test_lenet_by_hand() -> None:
    """LeNet-5 layer by layer: 5x5 convolutions of 6 and 16 maps with halving pools, then 120, 84 and 10."""
    graph = load_model("lenet5")
    assert [operator.out_shape for operator in graph.operators] == [(6, 14, 14), (16, 5, 5), (120, 1, 1), (84, 1, 1), (10, 1, 1)]
    assert [operator.macs for operator in graph.operators] == [6 * 25 * 28 * 28, 16 * 6 * 25 * 10 * 10, 400 * 120, 120 * 84, 84 * 10]
    assert graph.input_shape == (1, 32, 32)


def test_alexnet_shapes() -> None:
    """AlexNet's maps at 224: 55 -> 27, 27 -> 13, 13, 13, 13 -> 6."""
    shapes = [(operator.pre_pool_shape.height, operator.out_shape.height, operator.out_channels) for operator in load_model("alexnet").operators]
    assert shapes == [(55, 27, 64), (27, 13, 192), (13, 13, 384), (13, 13, 256), (13, 6, 256), (1, 1, 4096), (1, 1, 4096), (1, 1, 1000)]


@pytest.mark.parametrize(("name", "convolutions"), [("vgg11", 8), ("vgg13", 10), ("vgg16", 13), ("vgg19", 16)])
def test_vgg_depth(name: str, convolutions: int) -> None:
    """A VGG of n layers has n - 3 convolutions; the last map is 512x7x7."""
    graph = load_model(name)
    kinds = [operator.kind for operator in graph.operators]
    assert kinds == ["conv"] * convolutions + ["fc"] * 3
    assert graph.operators[convolutions - 1].out_shape == Shape(512, 7, 7)


@pytest.mark.parametrize(
    ("name", "size", "parameters"),
    [
        ("lenet5", 28, 61_706 - 120 * 16 * (25 - 16)),  # the last map is 4x4 instead of 5x5
        ("alexnet", 256, 61_100_840 + 4096 * 256 * (49 - 36)),  # 7x7 instead of 6x6
        ("vgg16", 32, 138_357_544 - 4096 * 512 * (49 - 1)),  # 1x1 instead of 7x7
        ("vgg16", (64, 96), 138_357_544 - 4096 * 512 * (49 - 6)),  # 2x3
    ],
)
def test_other_input_sizes(name: str, size: int | tuple[int, int], parameters: int) -> None:
    """At another size the first fully connected operator grows or shrinks with the map; all else stays."""
    graph = load_model(name, input_size=size)
    assert graph.parameters == parameters
    published = load_model(name)
    changed = [a.name for a, b in zip(graph.operators, published.operators, strict=True) if a.parameters != b.parameters]
    assert changed == ["fc1"]


# LeNet: the last pool needs 2 rows, so the second convolution 6, the first pool 12, the input 16. AlexNet: the pools of 3 rows need 3, 7
# and 15 rows, so the first convolution (11, stride 4, padding 2) 14 x 4 + 11 - 4 = 63. VGG: five halvings, 32.
@pytest.mark.parametrize(("name", "least"), [("lenet5", 16), ("alexnet", 63), ("vgg11", 32), ("vgg19", 32)])
def test_smallest_input(name: str, least: int) -> None:
    """The smallest input works; one row less, in either direction, is refused with the smallest that works."""
    assert load_model(name, input_size=least).input_shape[1:] == (least, least)
    for size in (least - 1, (least - 1, least), (least, least - 1), 1, 0, -5):
        with pytest.raises(GraphError, match=f"{name}.*too small; the smallest admissible is {least}x{least}"):
            load_model(name, input_size=size)


@pytest.mark.parametrize("name", ["VGG16", "Lenet5", "lenet", "LeNet-5"])
def test_spellings(name: str) -> None:
    """Names are read in any case, and LeNet in its usual spellings."""
    assert load_model(name).parameters in (138_357_544, 61_706)


@pytest.mark.parametrize(
    ("name", "near"),
    [("alxnet", "alexnet"), ("vgg-16", "vgg16"), ("lenet6", "lenet5"), ("resnet-50", "resnet50"), ("mobilenetv2", "mobilenet_v2")],
)
def test_unknown_names_suggest_the_nearest(name: str, near: str) -> None:
    """An unknown name is refused with the nearest and the whole zoo."""
    with pytest.raises(UnknownNameError, match=f"unknown model '{name}'. Did you mean '{near}'.*Known: alexnet, googlenet, lenet5, .*vgg19, yolov2"):
        load_model(name)


def test_networks_from_files(trio_graph: Graph, tmp_path: Path) -> None:
    """A network is read from the JSON of its record, in any case of the suffix; it has its size already."""
    path = tmp_path / "net.JSON"
    path.write_text(json.dumps(trio_graph.to_dict()), encoding="utf-8")
    assert load_model(path) == load_model(str(path)) == trio_graph
    with pytest.raises(FileFormatError, match="input size already"):
        load_model(path, input_size=32)


@pytest.mark.parametrize("size", [2.5, "32", (32,), (32, "x"), True])
def test_an_input_size_that_is_no_size_is_refused(size: object) -> None:
    """Anything but an integer or a pair of integers is refused with what is allowed."""
    with pytest.raises(GraphError, match="pair of integers"):
        load_model("lenet5", input_size=size)  # type: ignore[arg-type]
