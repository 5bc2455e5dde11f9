"""Single device, output channels everywhere, CoEdge."""

import random

import pytest
from support.random_branches import random_branched_graph
from support.random_instances import random_cluster, random_team

from iopopt import Cluster, Device, Placement, UnsupportedError, evaluate, load_cluster, load_model, solve_coedge, solve_oc, solve_single
from iopopt.models.mobilenet import mobilenet_v2
from iopopt.plan.plan import Plan


@pytest.fixture(scope="module")
def alexnet():
    return load_model("alexnet")


@pytest.fixture(scope="module")
def edge(alexnet):
    """Speeds 1 : 2 : 4."""
    return load_cluster("edge-x3", alexnet)


def test_single_takes_the_fastest_including_transfer(alexnet, edge):
    """The best single device is the least of the three whole plans, priced one by one."""
    prices = [evaluate(alexnet, edge, Plan.of(alexnet, [Placement.whole(j)] * 8)).latency_s for j in range(3)]
    assert solve_single(alexnet, edge).latency_s == min(prices) == prices[2]


def test_single_prefers_a_slow_device_that_holds_the_model(alexnet):
    """A device whose memory is too small is passed over, however fast it is."""
    devices = [Device("small", 1e12, 1e6, 1e9), Device("large", 1e9, 1e9, 1e7)]
    solution = solve_single(alexnet, devices)
    assert solution.plan["conv1"] == Placement.whole(1)
    assert solution.status == "feasible"


def test_oc_shares_follow_capability(alexnet, edge):
    """64 channels over speeds 1 : 2 : 4 are 9.14, 18.29 and 36.57, by largest remainder 9, 18 and 37."""
    assert solve_oc(alexnet, edge).plan["conv1"] == Placement.split("OC", (0, 1, 2), (9, 18, 37))


def test_coedge_splits_rows_and_leaves_fully_connected_whole(alexnet, edge):
    """27 rows over 1 : 2 : 4 are 3.86, 7.71 and 15.43: 4, 8 and 15; the FC operators run on the fastest device."""
    plan = solve_coedge(alexnet, edge).plan
    assert plan["conv1"] == Placement.split("H", (0, 1, 2), (4, 8, 15))
    assert all(plan[name] == Placement.whole(2) for name in ("fc1", "fc2", "fc3"))


def test_coedge_can_split_fully_connected_by_output_channels(alexnet, edge):
    """With fully_connected="oc" the FC operators are split like OC splits them."""
    plan = solve_coedge(alexnet, edge, fully_connected="oc").plan
    assert plan["fc1"] == solve_oc(alexnet, edge).plan["fc1"]
    assert plan["conv1"].dim == "H"


def test_coedge_refuses_another_word(alexnet, edge):
    """An option that does not exist is refused with those that do."""
    with pytest.raises(UnsupportedError, match="'fastest' and 'oc'"):
        solve_coedge(alexnet, edge, fully_connected="slowest")


def test_schemes_keep_to_their_team(alexnet, edge):
    """With a team, only its devices are participants."""
    for solution in (solve_oc(alexnet, edge, team=(0, 1)), solve_coedge(alexnet, edge, team=(0, 1))):
        assert {j for placement in solution.plan.values() for j in placement.devices} == {0, 1}


def test_a_broken_memory_limit_is_reported(alexnet, edge):
    """A scheme that does not fit is shown with its price, demand, limit and excess, and without a gap."""
    small = Cluster(tuple(Device(device.name, device.flops_per_s, 1e8, device.bandwidth_bytes_per_s) for device in edge.devices))
    solution = solve_coedge(alexnet, small)
    (violation,) = solution.evaluation.violations
    assert solution.status == "violates_memory"
    assert solution.gap is None
    assert violation.name == "edge2"
    assert violation.excess_bytes == violation.demand_bytes - 1e8 > 0
    assert solution.latency_s == pytest.approx(solve_coedge(alexnet, Cluster(edge.devices)).latency_s)


@pytest.mark.parametrize("seed", range(30))
def test_every_kind_of_operator_has_its_place(seed):
    """On graphs with branches OC splits everything by channels, CoEdge all that has two rows by rows; the plans are valid over any team."""
    rng = random.Random(seed)
    graph, cluster = random_branched_graph(rng), random_cluster(rng)
    team = random_team(rng, len(cluster))
    assert {placement.dim for placement in solve_oc(graph, cluster, team=team).plan.values()} == {"OC"}
    coedge = solve_coedge(graph, cluster, team=team).plan
    for operator in graph.operators:
        assert coedge[operator.name].dim == ("H" if operator.out_shape.height >= 2 else None)


def test_oc_gathers_nothing_for_channel_local_operators():
    """Depthwise convolutions and sums have as many channels as what they read, so their shares follow and nothing is sent."""
    graph = mobilenet_v2()
    costs = solve_oc(graph, load_cluster("edge-x3", graph)).evaluation.operators
    local = [cost for cost in costs if graph[cost.name].is_channel_local]
    assert len(local) > 20
    assert all(cost.communication_s == 0 for cost in local)
