"""Local moves and the search that takes them."""

from __future__ import annotations

import random

import numpy as np
import pytest
from support.block_instances import block_instance
from support.random_blocks import random_fusible_graph
from support.random_instances import random_cluster, random_team

from iopopt import GraphBuilder, Placement, Plan, PlanBatch, Pricer, load_cluster, load_model, random_plan, solve_coedge, solve_single
from iopopt.methods.exhaustive import plan_count
from iopopt.methods.swarm.drafts import Drafts
from iopopt.methods.swarm.local_moves import LocalMoves
from iopopt.methods.swarm.local_search import NEIGHBOURS, LocalSearch
from iopopt.methods.swarm.plan_space import PlanSpace
from iopopt.plan.plan import validate_plan
from iopopt.plan.team import check_in_space


def drafts_of(space: PlanSpace, *plans: Plan) -> Drafts:
    return Drafts.of(space, PlanBatch.from_plans(space.graph, list(plans), space.device_count))


@pytest.mark.parametrize("seed", range(60))
def test_moves_give_valid_plans_of_the_space(seed: int) -> None:
    """A long walk over any graph, chain or branched, with any team in any order, stays in the space, and moves."""
    rng, longest = random.Random(seed), 1 + seed % 5
    graph, cluster = random_fusible_graph(rng), random_cluster(rng)
    team = random_team(rng, len(cluster))
    space = PlanSpace(graph, cluster, team, longest)
    drafts = drafts_of(space, random_plan(graph, cluster, np.random.default_rng(seed), team=team, longest_block=longest))
    moves, seen = LocalMoves(space, rng), set()
    for _ in range(150):
        moves(drafts[0])
        plan = drafts.batch().plan(graph, 0)
        validate_plan(graph, cluster, plan)
        check_in_space(plan, team, cluster, longest)
        seen.add(plan)
    assert len(seen) > 1


@pytest.mark.parametrize("seed", range(4))
def test_moves_reach_every_plan(seed: int) -> None:
    """A walk visits as many plans as exhaustive search counts."""
    graph, cluster, team, longest = block_instance(seed, most_plans=80)
    space = PlanSpace(graph, cluster, team, longest)
    drafts = drafts_of(space, solve_single(graph, cluster).plan)
    moves, seen, count = LocalMoves(space, random.Random(seed)), set(), plan_count(graph, cluster, team, longest)
    for _ in range(60_000):
        moves(drafts[0])
        seen.add(drafts.batch().plan(graph, 0))
        if len(seen) == count:
            return
    assert len(seen) == count


def test_plans_survive_the_way_through_drafts() -> None:
    """A batch of plans with blocks is the same after it."""
    graph = load_model("vgg11")
    cluster, rng = load_cluster("edge-x4", graph), np.random.default_rng(0)
    space = PlanSpace(graph, cluster, range(4), 8)
    plans = [random_plan(graph, cluster, rng, longest_block=8) for _ in range(20)]
    batch = drafts_of(space, *plans).batch()
    assert [batch.plan(graph, number) for number in range(20)] == plans


def test_changes_that_are_apart_are_merged() -> None:
    """Two neighbours that change different operators give a plan with the first change, and one with both."""
    graph = load_model("vgg11")
    cluster = load_cluster("edge-x3", graph)
    space = PlanSpace(graph, cluster, range(3), 4)
    base = drafts_of(space, solve_coedge(graph, cluster).plan)
    neighbours = base.take([0, 0])
    neighbours[0].fuse(range(1, 4), space.speeds)
    neighbours[1].place_whole(range(6, 8), 1)
    merged = neighbours.merged(base, [0, 1], neighbours.changes(base))
    one, both = (merged.batch().plan(graph, number) for number in range(2))
    names = [operator.name for operator in graph.operators]
    assert one == neighbours.batch().plan(graph, 0)
    assert both.blocks == (tuple(names[1:4]),)
    assert [both[name] for name in names[6:8]] == [Placement.whole(1)] * 2


def test_the_proportions_of_a_block_survive_it() -> None:
    """The members of a block that is taken apart are split by rows as it was."""
    net = GraphBuilder("chain", (1, 12, 12))
    graph = net.conv(1, 3, padding=1).conv(1, 3, padding=1).conv(1, 3, padding=1, stride=2).build()
    cluster = load_cluster("mcu-x2", graph)
    space = PlanSpace(graph, cluster, (0, 1), 3)
    fused = Plan.of(graph, [Placement.split("H", (0, 1), (2, 4))], [3])
    drafts = drafts_of(space, fused)
    drafts[0].unfuse(2)
    assert [placement.shares for placement in drafts.batch().plan(graph, 0).values()] == [(4, 8), (4, 8), (2, 4)]


def test_segments_end_where_one_tensor_is_read_on() -> None:
    """Residual blocks are segments; the operators of a chain are one each."""
    chain, residual = load_model("vgg11"), load_model("resnet18")
    assert [len(run) for run in PlanSpace(chain, load_cluster("edge-x3", chain), (0, 1)).segments] == [1] * len(chain)
    segments = PlanSpace(residual, load_cluster("edge-x3", residual), (0, 1)).segments
    assert [i for run in segments for i in run] == list(range(len(residual)))
    for run in segments:
        later = [edge.producer for i in range(run.stop, len(residual)) for edge in residual.edges_into[i]]
        assert all(producer >= run.stop - 1 for producer in later)
    assert max(map(len, segments)) == 4


def costs_of(graph, cluster):
    pricer = Pricer(graph, cluster)
    return lambda batch: pricer.price(batch).latency_s


@pytest.mark.parametrize("longest", [1, 6])
def test_the_search_returns_the_best_that_it_priced(longest: int) -> None:
    """The plan is of the least cost of all that were priced, the start included, and costs what it says."""
    graph = load_model("alexnet")
    cluster = load_cluster("edge-x4", graph)
    space, price, seen = PlanSpace(graph, cluster, range(4), longest), costs_of(graph, cluster), []

    def costs(batch):
        seen.extend(price(batch).tolist())
        return price(batch)

    start = drafts_of(space, solve_coedge(graph, cluster).plan).batch()
    found, cost = LocalSearch(space, costs, random.Random(0)).improved(start, 10)
    assert cost == price(found)[0] == min(seen) < 0.9 * seen[0]
    assert len(seen) > 10 * NEIGHBOURS


def test_a_search_without_passes_changes_nothing() -> None:
    """No pass, no change."""
    graph = load_model("lenet5")
    cluster = load_cluster("mcu-x3", graph)
    space = PlanSpace(graph, cluster, range(3))
    plan = solve_coedge(graph, cluster).plan
    found, cost = LocalSearch(space, costs_of(graph, cluster), random.Random(0)).improved(drafts_of(space, plan).batch(), 0)
    assert found.plan(graph, 0) == plan
    assert cost == solve_coedge(graph, cluster).latency_s
