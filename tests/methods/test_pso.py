"""The particle swarm."""

import logging
import random
import statistics
import subprocess
import sys

import numpy as np
import pytest
from support.random_branches import random_branched_graph
from support.random_instances import random_cluster, random_team

from iopopt import GraphBuilder, evaluate, load_cluster, load_model, solve_milp, solve_pso
from iopopt.methods.pso import SwarmSettings
from iopopt.methods.swarm_decoder import Decoder
from iopopt.models.resnet import resnet18
from iopopt.plan.plan import validate_plan

QUICK = SwarmSettings(particles=20, iterations=30, swarms=1)


@pytest.fixture(scope="module")
def instance():
    graph = load_model("alexnet")
    return graph, load_cluster("edge-x3", graph)


@pytest.mark.parametrize("team", [(0, 1, 2), (0, 2), (1,)])
def test_every_position_is_a_valid_plan(instance, team):
    """Random positions, and the corners of the space, decode to plans that hold equations (2) to (5) over the team."""
    graph, cluster = instance
    decoder = Decoder(graph, cluster, team)
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 2, (50, decoder.dimensions)).astype(float)
    batch = decoder.decode(np.concatenate([rng.random((200, decoder.dimensions)), corners]))
    for number in range(len(batch)):
        plan = batch.plan(graph, number)
        validate_plan(graph, cluster, plan)
        assert all(placement.is_whole or placement.devices == team for placement in plan.values())


def test_every_dimension_and_reduce_is_reached(instance):
    """Random positions reach whole operators, rows, output and input channels, both reduces, and interleaved pairs."""
    graph, cluster = instance
    decoder = Decoder(graph, cluster, (0, 1, 2))
    batch = decoder.decode(np.random.default_rng(1).random((300, decoder.dimensions)))
    plans = [batch.plan(graph, number) for number in range(len(batch))]
    seen = {(placement.dim, placement.reduce) for plan in plans for placement in plan.values()}
    assert seen == {(None, None), ("H", None), ("OC", None), ("IC", "direct"), ("IC", "two_phase")}
    cases = {case for plan in plans for cost in evaluate(graph, cluster, plan).operators for case in cost.cases}
    assert {"interleaved", "halo exchange", "reduce", "all-gather", "reduce-scatter", "send"} <= cases


def test_channel_local_operators_follow(mobile_graph):
    """Positions decode to valid plans of depthwise chains and of pairs of channels; in some a grouped operator takes what lies there."""
    grouped = GraphBuilder("grouped", (4, 8, 8)).conv(12, 1).conv(18, 3, padding=1, groups=6).build()
    for graph in (mobile_graph, grouped):
        cluster = load_cluster("mcu-x3", graph)
        decoder = Decoder(graph, cluster, (0, 1, 2))
        batch = decoder.decode(np.random.default_rng(2).random((300, decoder.dimensions)))
        plans = [batch.plan(graph, number) for number in range(len(batch))]
        costs = [cost for plan in plans for cost in evaluate(graph, cluster, plan).operators if graph[cost.name].groups > 1]
        assert {cost.placement.dim for cost in costs} == {None, "H", "OC"}
        assert {("interleaved",), ("reduce-scatter", "interleaved")} <= {cost.cases for cost in costs}


@pytest.mark.parametrize("seed", range(30))
def test_every_position_is_a_valid_plan_of_branched_graphs(seed):
    """Positions decode to valid plans of any team for every kind of operator, units of rows and channels included."""
    rng = random.Random(seed)
    graph, cluster = random_branched_graph(rng), random_cluster(rng)
    decoder = Decoder(graph, cluster, random_team(rng, len(cluster)))
    batch = decoder.decode(np.random.default_rng(seed).random((60, decoder.dimensions)))
    for number in range(len(batch)):
        validate_plan(graph, cluster, batch.plan(graph, number))


def test_operators_without_a_kernel_follow():
    """Sums, pools and upsamplings take the shares of the first operator that they read, so that in some plans nothing is sent to them."""
    net = GraphBuilder("kinds", (3, 8, 8)).conv(6, 3, padding=1)
    begin = net.tip
    net.conv(6, 3, padding=1).add(net.tip, begin).upsample(2).operator("pool", 6, function="max")
    graph = net.build()
    cluster = load_cluster("mcu-x3", graph)
    decoder = Decoder(graph, cluster, (0, 1, 2))
    batch = decoder.decode(np.random.default_rng(3).random((300, decoder.dimensions)))
    costs = [cost for number in range(len(batch)) for cost in evaluate(graph, cluster, batch.plan(graph, number)).operators]
    for operator in graph.operators[2:]:
        assert any("interleaved" in case for cost in costs if cost.name == operator.name for case in cost.cases)


def test_a_seed_on_branches():
    """Two runs of one seed agree on a residual network, and the latency is the evaluator's."""
    graph = resnet18(64)
    cluster = load_cluster("edge-x3", graph)
    first, again = (solve_pso(graph, cluster, seed=3, settings=SwarmSettings(10, 5, 1)) for _ in range(2))
    assert first.plan == again.plan
    assert first.latency_s == evaluate(graph, cluster, first.plan).latency_s


def test_the_same_seed_gives_the_same_plan(instance):
    """Two runs of one seed agree to the bit, two seeds do not."""
    first, again, other = (solve_pso(*instance, seed=seed, settings=QUICK) for seed in (1, 1, 2))
    assert first.plan == again.plan
    assert first.latency_s == again.latency_s
    assert other.plan != first.plan


def test_numpys_global_generator_is_left_alone(instance):
    """The state of numpy's global generator, which pyswarms draws from, is the same before and after."""
    np.random.seed(7)
    expected = np.random.random()
    np.random.seed(7)
    solve_pso(*instance, settings=QUICK)
    assert np.random.random() == expected


def test_memory_is_penalised():
    """Where only few plans fit, the swarm finds one that does."""
    graph = load_model("alexnet")
    solution = solve_pso(graph, load_cluster("edge-x3-tight-0.5", graph), settings=SwarmSettings(particles=40, iterations=100, swarms=1))
    assert solution.status == "feasible"


def test_a_time_limit_ends_it(instance):
    """A limit that has passed ends the search with the best plan so far."""
    solution = solve_pso(*instance, time_limit_s=1e-9)
    assert solution.termination == "time_limit"
    assert solution.plan is not None


def test_pyswarms_touches_no_logger_and_writes_nothing(tmp_path):
    """A run leaves the root logger as it was, and no report.log in the working directory."""
    program = (
        "import logging, iopopt\n"
        "from iopopt.methods.pso import SwarmSettings\n"
        "handler = logging.StreamHandler(); logging.getLogger().addHandler(handler); logging.getLogger().setLevel(logging.ERROR)\n"
        "graph = iopopt.load_model('lenet5')\n"
        "iopopt.solve_pso(graph, iopopt.load_cluster('mcu-x3', graph), settings=SwarmSettings(5, 2, 1))\n"
        "root = logging.getLogger()\n"
        "assert root.handlers == [handler] and root.level == logging.ERROR, (root.handlers, root.level)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []
    assert logging.getLogger("pyswarms").handlers == []


@pytest.mark.slow
@pytest.mark.parametrize(("model", "cluster_name"), [("alexnet", "edge-x3"), ("lenet5", "mcu-x3")])
def test_within_two_percent_of_the_optimum(model, cluster_name):
    """Over ten seeds the median is within 2 % of the proven optimum."""
    graph = load_model(model)
    cluster = load_cluster(cluster_name, graph)
    optimum = solve_milp(graph, cluster).latency_s
    assert statistics.median(solve_pso(graph, cluster, seed=seed).latency_s for seed in range(10)) <= 1.02 * optimum
