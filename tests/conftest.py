"""Tiny named instances, small enough to price by hand."""

from __future__ import annotations

import pytest
from support.backends import usable

from iopopt import BACKENDS, Cluster, Device, Evaluation, Graph, GraphBuilder, Placement, Plan, Solution, evaluate
from iopopt.methods.solution import heuristic_solution


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """Every back end, those that other packages announce included."""
    return usable(request.param)


@pytest.fixture(scope="session")
def trio_graph() -> Graph:
    """Three operators: a 2x8x4 -> conv 4x8x4 -> pooled 4x4x2; b 4x4x2 -> 6x4x2; c fully connected -> 5.

    ======== ===== ====== ======= ====== ==== ====
    operator input before pool   output kernel MACs
    -------- ----- ------------- ------ ------ ----
    a           64           128     32     72 2304
    b           32            48     48    216 1728
    c           48             5      5    240  240
    ======== ===== ============= ====== ====== ====
    """
    net = GraphBuilder("trio", (2, 8, 4))
    net.conv(4, 3, padding=1, name="a").relu().max_pool(2)
    net.conv(6, 3, padding=1, name="b").relu()
    return net.fc(5, name="c").build()


@pytest.fixture(scope="session")
def trio_cluster() -> Cluster:
    """Three devices of 100, 200 and 400 FLOP/s with 10, 20 and 40 bytes/s; one second a connection; one byte an element."""
    devices = tuple(Device(f"d{j}", 100.0 * 2**j, 1e6, 10.0 * 2**j) for j in range(3))
    return Cluster(devices, connection_setup_s=1.0, bytes_per_element=1)


@pytest.fixture(scope="session")
def trio_plan(trio_graph: Graph) -> Plan:
    """a by rows, b by output channels, c whole on device 1."""
    return Plan.of(trio_graph, [Placement.split("H", (0, 1, 2), (1, 1, 2)), Placement.split("OC", (0, 1, 2), (2, 2, 2)), Placement.whole(1)])


@pytest.fixture(scope="session")
def trio_evaluation(trio_graph: Graph, trio_cluster: Cluster, trio_plan: Plan) -> Evaluation:
    return evaluate(trio_graph, trio_cluster, trio_plan)


@pytest.fixture(scope="session")
def trio_solution(trio_graph: Graph, trio_cluster: Cluster, trio_plan: Plan) -> Solution:
    """The plan as a heuristic returns it."""
    return heuristic_solution(trio_graph, trio_cluster, trio_plan, method="hand", space="team=(0, 1, 2)", build_s=0.25, solve_s=0.5)


@pytest.fixture(scope="session")
def mobile_graph() -> Graph:
    """A small network like MobileNet: depthwise and pointwise convolutions in turn, and an average over the last map."""
    net = GraphBuilder("mobile", (3, 32, 32)).conv(8, 3, stride=2, padding=1, bias=False).batch_norm().relu()
    for channels, stride in ((16, 1), (32, 2), (32, 1), (64, 2)):
        net.conv(net.shape.channels, 3, stride=stride, padding=1, groups=net.shape.channels, bias=False).batch_norm().relu()
        net.conv(channels, 1, bias=False).batch_norm().relu()
    return net.average_pool(net.shape.height).fc(10).build()


@pytest.fixture(scope="session")
def four() -> Graph:
    """Four convolutions of eight rows, a to d, any run of which can be fused."""
    net = GraphBuilder("four", (2, 8, 4))
    for name in "abcd":
        net.conv(2, 3, padding=1, name=name)
    return net.build()
