"""Positions of a swarm: all of them are plans, and plans have positions."""

import random

import numpy as np
import pytest
from support.random_blocks import random_fusible_graph
from support.random_branches import random_branched_graph
from support.random_instances import random_cluster, random_team

from iopopt import GraphBuilder, PlanBatch, evaluate, load_cluster, load_model, solve
from iopopt.methods.swarm.decoder import Decoder
from iopopt.plan.plan import validate_plan
from iopopt.plan.team import check_in_space


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


# Blocks.


@pytest.mark.parametrize("seed", range(40))
def test_every_position_is_a_valid_plan_with_blocks(seed):
    """Random positions and corners of any graph and team decode to valid plans with blocks of at most the length asked for."""
    rng, longest = random.Random(seed), 2 + seed % 4
    graph, cluster = random_fusible_graph(rng), random_cluster(rng)
    team = random_team(rng, len(cluster))
    decoder = Decoder(graph, cluster, team, longest)
    numbers = np.random.default_rng(seed)
    corners = numbers.integers(0, 2, (20, decoder.dimensions)).astype(float)
    batch = decoder.decode(np.concatenate([numbers.random((40, decoder.dimensions)), corners]))
    for number in range(len(batch)):
        plan = batch.plan(graph, number)
        validate_plan(graph, cluster, plan)
        check_in_space(plan, team, cluster, longest)


def test_every_cover_is_reached():
    """Random positions of a chain reach every way to cut it into single operators and blocks."""
    net = GraphBuilder("chain", (2, 8, 8))
    for _ in range(4):
        net.conv(2, 3, padding=1)
    graph = net.build()
    decoder = Decoder(graph, load_cluster("mcu-x3", graph), (0, 1, 2), 3)
    batch = decoder.decode(np.random.default_rng(0).random((400, decoder.dimensions)))
    found = {batch.plan(graph, number).spans(graph) or (1, 1, 1, 1) for number in range(len(batch))}
    assert found == set(graph.covers(3))


def test_a_run_that_is_no_block_is_cut_into_some():
    """Where all operators are to be fused, each takes the longest block that ends with it: none goes over the end of a branch."""
    graph = load_model("resnet18")
    decoder = Decoder(graph, load_cluster("edge-x3", graph), (0, 1, 2), 8)
    plan = decoder.decode(np.zeros((1, decoder.dimensions))).plan(graph, 0)
    assert plan.blocks
    assert set(plan.blocks) <= {tuple(graph.operators[i].name for i in members) for members in graph.blocks(8)}


# Plans to positions.


@pytest.mark.parametrize("name", ["single", "oc", "coedge", "greedy"])
@pytest.mark.parametrize(("model", "longest"), [("alexnet", 1), ("vgg16", 8), ("resnet18", 8), ("mobilenet_v2", 1)])
def test_cheap_schemes_have_positions(model, longest, name):
    """The positions of the schemes decode to them."""
    graph = load_model(model)
    cluster = load_cluster("edge-x4", graph)
    decoder, plan = Decoder(graph, cluster, range(4), longest), solve(graph, cluster, name).plan
    assert decoder.decode(decoder.encode(PlanBatch.from_plans(graph, [plan], 4))).plan(graph, 0) == plan


@pytest.mark.parametrize("seed", range(30))
def test_decoded_plans_have_positions(seed):
    """What a position decodes to is encoded by another that decodes to it, blocks and followed shares included."""
    rng = random.Random(seed)
    graph, cluster = random_fusible_graph(rng), random_cluster(rng)
    decoder = Decoder(graph, cluster, random_team(rng, len(cluster)), 4)
    batch = decoder.decode(0.25 + 0.5 * np.random.default_rng(seed).random((20, decoder.dimensions)))
    again = decoder.decode(decoder.encode(batch))
    for number in range(len(batch)):
        plan, other = batch.plan(graph, number), again.plan(graph, number)
        assert plan.blocks == other.blocks
        for name, placement in plan.items():
            assert (placement.dim, placement.devices, placement.reduce) == (other[name].dim, other[name].devices, other[name].reduce)
            if not (placement.dim and 0 in placement.shares):  # an empty share stands for any small weight
                assert placement.shares == other[name].shares
