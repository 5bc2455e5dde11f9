"""DeeperThings' plans: fused rows before the breakpoint, split weights after it, and where everything else runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from iopopt import (
    Cluster,
    ClusterError,
    Device,
    Graph,
    GraphBuilder,
    GraphError,
    Placement,
    Plan,
    UnknownNameError,
    load_cluster,
    load_model,
    solve_deeperthings,
    solve_milp,
    solve_oc,
)
from iopopt.models.googlenet import googlenet
from iopopt.models.mobilenet import mobilenet_v2
from iopopt.models.resnet import resnet18
from iopopt.plan.team import check_in_space


@pytest.fixture(scope="module")
def trio() -> Cluster:
    """Three equal devices; the last needs the output."""
    return Cluster(tuple(Device(f"d{j}", 1e6, 1e9, 1e6) for j in range(3)), connection_setup_s=1e-3, sink=2)


@pytest.fixture(scope="module")
def chain() -> Graph:
    """Large maps and small kernels, then a pool, then the reverse."""
    net = GraphBuilder("chain", (2, 24, 24)).conv(4, 3, padding=1).relu().conv(4, 3, padding=1).relu().max_pool(4)
    return net.conv(30, 3, padding=1).relu().conv(40, 3, padding=1).relu().conv(31, 3, padding=1).relu().max_pool(2).fc(7).build()


def test_the_plan_by_hand(chain: Graph, trio: Cluster) -> None:
    """The first two convolutions are a block of rows. On 6 x 6 maps a LOP and a pair follow: N = 3 and thirds of the maps are exchanged.

    For the three convolutions with maps of 4, 30, 40 and 31 channels (times 36): LOP, F1 F2 exchanges 8 + 60 + 62 = 130 channels, F1 F2 LOP
    8 + 80 + 80 + 62/3, LOP LOP LOP 8 + 60 + 80 + 62/3. The fully connected operator reads 279 and gives 7: LIP takes 186 + 14, LOP 558 + 14/3.
    """
    plan = solve_deeperthings(chain, trio).plan
    thirds = (0, 1, 2)
    assert plan == Plan.of(
        chain,
        [
            Placement.split("H", thirds, (2, 2, 2)),
            Placement.split("OC", thirds, (10, 10, 10)),
            Placement.split("OC", thirds, (14, 13, 13)),
            Placement.split("IC", thirds, (14, 13, 13), "two_phase"),
            Placement.split("IC", thirds, (11, 10, 10)),
        ],
        [2, 1, 1, 1, 1],
    )


def test_the_breakpoint_can_be_given(chain: Graph, trio: Cluster) -> None:
    """From the first convolution on nothing is split by rows; a name that is no layer is refused with those that are."""
    plan = solve_deeperthings(chain, trio, first_split="conv1").plan
    assert plan is not None
    assert {placement.dim for placement in plan.values()} == {"OC", "IC"}
    assert not plan.blocks
    late = solve_deeperthings(chain, trio, first_split="fc1").plan
    assert late is not None
    assert [len(block) for block in late.blocks] == [5]
    with pytest.raises(GraphError, match="first_split is 'conv9'; of chain it may be one of these operators: conv1, conv2, conv3, conv4, conv5, fc1"):
        solve_deeperthings(chain, trio, first_split="conv9")


def test_everything_else(trio: Cluster) -> None:
    """After the breakpoint a depthwise convolution, a pool and a sum keep to their channels; what mixes them without a kernel is on the gateway, and
    partial sums that it alone reads are added up there."""
    net = GraphBuilder("mixed", (3, 8, 8)).conv(6, 3, padding=1)
    start = net.tip
    net.conv(6, 3, padding=1, groups=6).conv(6, 1)
    net.add(start, net.tip).max_pool(2).conv(12, 1).conv(2, 1).space_to_depth(2)
    graph = net.conv(4, 1).build()
    plan = solve_deeperthings(graph, trio, first_split="conv1").plan
    assert plan is not None
    team = (0, 1, 2)
    assert plan["conv2"] == plan["add1"] == Placement.split("OC", team, (2, 2, 2))
    assert plan["conv4"] == Placement.split("OC", team, (4, 4, 4))
    assert plan["conv5"] == Placement.split("IC", team, (4, 4, 4), "direct")
    assert plan["space_to_depth1"] == Placement.whole(2)


def test_the_gateway(chain: Graph, trio: Cluster) -> None:
    """The sink if it is of the team, else the first of it; one can be given. Before the breakpoint it runs what has no rows."""
    graph = GraphBuilder("shrink", (2, 8, 8)).conv(3, 1).space_to_depth(8).build()
    options: list[tuple[dict[str, Any], int]] = [({}, 2), ({"team": (1, 0)}, 1), ({"gateway": "d1"}, 1), ({"team": (1, 0), "gateway": 0}, 0)]
    for given, gateway in options:
        plan = solve_deeperthings(graph, trio, first_split="conv1", **given).plan
        assert plan is not None
        assert plan["space_to_depth1"] == Placement.whole(gateway)
    alone = solve_deeperthings(graph, trio, team=(1,)).plan
    assert alone == Plan.of(graph, [Placement.whole(1)] * 2)
    flat = GraphBuilder("flat", (200, 1, 200)).max_pool(1).conv(3, 1).build()
    before = solve_deeperthings(flat, trio, first_split="conv1").plan
    assert before is not None
    assert before["pool1"] == Placement.whole(2)
    with pytest.raises(ClusterError, match="gateway is 2; it must be a device of the team"):
        solve_deeperthings(chain, trio, team=(0, 1), gateway=2)
    with pytest.raises(UnknownNameError, match="nobody"):
        solve_deeperthings(chain, trio, backend="nobody")


def test_a_network_without_weights(trio: Cluster) -> None:
    """There is nothing to split but rows."""
    graph = GraphBuilder("pools", (4, 12, 12)).max_pool(2).max_pool(2).build()
    plan = solve_deeperthings(graph, trio).plan
    assert plan == Plan.of(graph, [Placement.split("H", (0, 1, 2), (1, 1, 1))], [2])


def test_without_time_all_layers_are_split_by_output_channels(chain: Graph, trio: Cluster) -> None:
    """Equal devices: the scheme without its programs is OC."""
    found = solve_deeperthings(chain, trio, time_limit_s=1e-9)
    assert found.termination == "time_limit"
    assert found.plan == solve_oc(chain, trio).plan


@pytest.mark.parametrize("network", [resnet18, googlenet, mobilenet_v2])
def test_networks_with_branches(network: Callable[..., Graph]) -> None:
    """Every network has a plan of the space that the Solution names; from the first layer on it holds less than a device alone."""
    graph = network(input_size=64)
    cluster = load_cluster("pi4-x4")
    found = solve_deeperthings(graph, cluster)
    assert found.plan is not None
    longest = max(map(len, found.plan.blocks), default=1)
    assert found.space == "team=(0, 1, 2, 3)" + (f", blocks of up to {longest}" if longest > 1 else "")
    check_in_space(found.plan, "all", cluster, longest)
    assert found.evaluation is not None
    assert max(found.evaluation.memory_bytes) < 0.6 * sum(graph.whole_memory_bytes())


def test_no_plan_beats_the_optimum_of_its_space(chain: Graph, trio: Cluster) -> None:
    """The exact program with blocks as long, warm-started by the plan, proves a latency no larger."""
    found = solve_deeperthings(chain, trio)
    exact = solve_milp(chain, trio, longest_block=2, warm_start=found.plan, gap=1e-3)
    assert exact.bound_s is not None
    assert exact.bound_s <= exact.latency_s <= found.latency_s


def test_memory_of_vgg16() -> None:
    """Six devices hold little more than a sixth of the weights, where rows alone hold all of them."""
    graph = load_model("vgg16")
    found = solve_deeperthings(graph, load_cluster("pi3-x6@ethernet-100"))
    assert found.evaluation is not None
    weights, _ = graph.whole_memory_bytes()
    assert weights / 6 < max(found.evaluation.memory_bytes) < 1.1 * weights / 6
