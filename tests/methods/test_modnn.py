"""MoDNN's rows, which one device gathers after every operator."""

import json

import pytest

from iopopt import Cluster, ClusterError, Device, GraphBuilder, Placement, PlanError, Solution, evaluate, solve_coedge, solve_milp, solve_modnn


@pytest.fixture(scope="module")
def graph():
    """1x12x6, three 3 x 3 convolutions of two channels with padding 1, the last with a pool of 2 x 2, and a fully connected operator."""
    return GraphBuilder("chain", (1, 12, 6)).conv(2, 3, padding=1).conv(2, 3, padding=1).conv(2, 3, padding=1).max_pool(2).fc(3).build()


@pytest.fixture(scope="module")
def trio():
    """Speeds 1 : 2 : 1; device 1 is the fastest, device 0 the sink."""
    return Cluster(tuple(Device(f"d{j}", 1e6 * (1 + (j == 1)), 1e9, 1e5) for j in range(3)), connection_setup_s=1e-3)


def test_alexnet_splits_rows_and_gathers_them_all(alexnet, edge):
    """CoEdge's shares of 1 : 2 : 4, every one gathered on the fastest device, where the operators without rows run."""
    plan = solve_modnn(alexnet, edge).plan
    assert plan["conv1"] == Placement.split("H", (0, 1, 2), (4, 8, 15), gather=2)
    assert all(plan[name] == Placement.whole(2) for name in ("fc1", "fc2", "fc3"))
    coedge = solve_coedge(alexnet, edge).plan
    assert {name: (placement.devices, placement.shares) for name, placement in plan.items()} == {
        name: (placement.devices, placement.shares) for name, placement in coedge.items()
    }
    assert [name for name, placement in plan.items() if placement.gather is None] == ["fc1", "fc2", "fc3"]


def test_the_price_by_hand(graph, trio):
    """Rows 3/6/3 of 48 bytes are gathered on 1 and fetched with their halo; the pooled 2/3/1 rows of 24 bytes stay there for the last operator.

    A gather: R_1 = 6 x 48 = 288, N_1 = 2: 4.88 ms. What is sent: device 0 needs [0, 4), device 2 [8, 12): S_1 = 8 x 48 = 384 in 3.84 ms, against
    192 bytes and a connection. The third convolution has the rows 4/6/2 before its pool: [0, 5) and [9, 12), S_1 = 384 as well. Its gather:
    R_1 = 3 x 24 = 72, N_1 = 2: 2.72 ms; nothing is sent. The sink fetches three elements, 12 bytes, in 1.12 ms.
    """
    solution = solve_modnn(graph, trio)
    assert [placement.shares for placement in solution.plan.values()] == [(3, 6, 3), (3, 6, 3), (2, 3, 1), (1,)]
    costs = solution.evaluation.operators
    assert [cost.cases for cost in costs] == [("free",), ("gather", "send"), ("gather", "send"), ("gather", "send")]
    assert [cost.communication_s for cost in costs] == pytest.approx([0, 8.72e-3, 8.72e-3, 2.72e-3])
    assert [cost.transferred_bytes for cost in costs] == [0, 672, 672, 72]
    assert solution.evaluation.sink_s == pytest.approx(1.12e-3)


def test_the_owner_by_index_or_name(graph, trio):
    """Any device of the team, of which the fastest is the default; it gathers everything and computes what has no rows."""
    for owner, found in ((0, 0), ("d0", 0), ("d2", 2), (None, 1), ("d1", 1)):
        plan = solve_modnn(graph, trio, owner=owner).plan
        assert [placement.gather for placement in plan.values()] == [found, found, found, None]
        assert plan["fc1"] == Placement.whole(found)
    assert solve_modnn(graph, trio, team=(2, 0)).plan["conv1"] == Placement.split("H", (2, 0), (6, 6), gather=2)


@pytest.mark.parametrize("owner", [1, "d1", 3, "nobody", False, -1, 0.0])
def test_an_owner_outside_the_team_is_refused(graph, trio, owner):
    """With the devices that are allowed."""
    with pytest.raises(ClusterError, match=r"it must be a device of the team, by index or name: 2 \(d2\), 0 \(d0\)$"):
        solve_modnn(graph, trio, team=(2, 0), owner=owner)


def test_one_device_gathers_nothing(graph, trio):
    """Everything is whole on the only device."""
    assert set(solve_modnn(graph, trio, team=(2,)).plan.values()) == {Placement.whole(2)}


def test_solutions_are_of_a_space_of_their_own(graph, trio):
    """No method searches gathers: the Solution names its space, survives JSON, and its plan is refused as a warm start."""
    solution = solve_modnn(graph, trio)
    assert solution.space == "team=(0, 1, 2), gathered"
    assert Solution.from_dict(json.loads(json.dumps(solution.to_dict()))) == solution
    assert "gathered on 1" in solution.explain()
    assert evaluate(graph, trio, solution.plan) == solution.evaluation
    with pytest.raises(PlanError, match="gathers the rows of 'conv1' on device 1"):
        solve_milp(graph, trio, warm_start=solution.plan)
