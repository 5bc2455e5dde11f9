"""Output channels everywhere."""

from iopopt import Placement, load_cluster, solve_oc
from iopopt.models.mobilenet import mobilenet_v2


def test_oc_shares_follow_capability(alexnet, edge):
    """64 channels over speeds 1 : 2 : 4 are 9.14, 18.29 and 36.57, by largest remainder 9, 18 and 37."""
    assert solve_oc(alexnet, edge).plan["conv1"] == Placement.split("OC", (0, 1, 2), (9, 18, 37))


def test_oc_gathers_nothing_for_channel_local_operators():
    """Depthwise convolutions and sums have as many channels as what they read, so their shares follow and nothing is sent."""
    graph = mobilenet_v2()
    costs = solve_oc(graph, load_cluster("edge-x3", graph)).evaluation.operators
    local = [cost for cost in costs if graph[cost.name].is_channel_local]
    assert len(local) > 20
    assert all(cost.communication_s == 0 for cost in local)
