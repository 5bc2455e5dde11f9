"""The strategies near the best, against every combination of candidates."""

import itertools
import random

import numpy as np
import pytest
from support.random_instances import random_cluster, random_graph

from iopopt import evaluate
from iopopt.cost.stopwatch import NO_LIMIT
from iopopt.methods.dynamic.near_strategies import NearStrategies, strategies_of
from iopopt.methods.dynamic.table_search import TableSearch


def near_instance(seed, longest_block=1):
    """A small chain, a cluster, and what is near the best plan at fixed shares."""
    rng = random.Random(seed)
    graph, cluster = random_graph(rng, operators=3, tiny=True), random_cluster(rng, devices=2)
    tables = TableSearch(graph, cluster, (0, 1), NO_LIMIT, longest_block)
    tables.best_plan()
    return graph, cluster, tables, NearStrategies(tables.search, tables.prices)


@pytest.mark.parametrize("seed", range(10))
def test_how_much_slower_a_node_makes_the_best_plan(seed):
    """That is the difference between the best of all combinations and the best that takes the node."""
    graph, _, tables, near = near_instance(seed)
    candidates = tables.search.candidates
    choices = list(itertools.product(*map(range, candidates.domains)))
    latency = candidates.price(choices).latency_s
    taken = [strategies_of(graph, candidates.plan(choice)) for choice in choices]
    for slower_s, i, node in near.nodes:
        best_s = min(seconds for seconds, strategies in zip(latency, taken, strict=True) if node in strategies[i])
        assert slower_s == pytest.approx(best_s - latency.min(), abs=1e-9 * latency.max())
    assert {(i, node) for _, i, node in near.nodes} == {(i, node) for strategies in taken for i, ways in enumerate(strategies) for node in ways}


@pytest.mark.parametrize("longest_block", [1, 3])
@pytest.mark.parametrize("seed", range(10))
def test_plans_take_every_node(seed, longest_block):
    """The plan of the search comes first, the strategies of the plans differ, and every node is taken by one of them at its least cost."""
    graph, cluster, tables, near = near_instance(seed, longest_block)
    plans = list(near.plans())
    strategies = [strategies_of(graph, plan) for plan in plans]
    assert plans[0] == tables.best_plan()
    latency = np.array([evaluate(graph, cluster, plan).latency_s for plan in plans])
    for slower_s, i, node in near.nodes:
        taking = [seconds for seconds, ways in zip(latency, strategies, strict=True) if node in ways[i]]
        assert min(taking) >= latency.min() + slower_s * (1 - 1e-6) - 1e-9 * latency.max()
