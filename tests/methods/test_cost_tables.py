"""Tables of what candidates cost, against the prices of whole plans."""

import random

import numpy as np
import pytest
from support.random_branches import random_branched_graph
from support.random_instances import random_cluster, random_graph

from iopopt import evaluate
from iopopt.cost.elimination import Table, total_cost
from iopopt.cost.instance import Instance
from iopopt.methods import cost_tables
from iopopt.methods.cost_tables import Candidates, CostTables, MemoryPrices
from iopopt.methods.dynamic.fixed_shares import candidate_placements


def instance(seed):
    """A graph, mostly with branches, a cluster, the usual candidates, their tables, and a choice among them."""
    rng = random.Random(seed)
    graph = random_graph(rng) if rng.random() < 0.2 else random_branched_graph(rng)
    cluster = random_cluster(rng)
    candidates = Candidates(graph, cluster, [candidate_placements(operator.unit, cluster, range(len(cluster))) for operator in graph.operators])
    tables = CostTables(candidates)
    return graph, cluster, candidates, tables, tuple(rng.randrange(domain) for domain in tables.domains)


def latency_s(tables, choice):
    return total_cost([*(Table((i,), alone) for i, alone in enumerate(tables.alone_s)), *tables.edges], choice)


@pytest.mark.parametrize("seed", range(60))
def test_tables_add_up_to_the_latency(seed):
    """With one table for all edges of each operator, the sum is the evaluator's price."""
    graph, cluster, candidates, tables, choice = instance(seed)
    assert not tables.by_edge
    assert latency_s(tables, choice) == pytest.approx(evaluate(graph, cluster, candidates.plan(choice)).latency_s, rel=1e-12)


@pytest.mark.parametrize("seed", range(60))
def test_tables_for_each_edge_are_never_below_it(seed, monkeypatch):
    """With a table for each edge the sum is the latency or more: more just where operators are reported as overestimated."""
    monkeypatch.setattr(cost_tables, "MOST_TOGETHER", 0)
    graph, cluster, candidates, tables, choice = instance(seed)
    price = evaluate(graph, cluster, candidates.plan(choice)).latency_s
    edges = Instance(graph, cluster).edges_into
    assert tables.by_edge == {i for i in range(len(graph)) if len(edges[i]) > 1}
    if tables.overestimated(choice):
        assert latency_s(tables, choice) > price
    else:
        assert latency_s(tables, choice) == pytest.approx(price, rel=1e-8)


@pytest.mark.parametrize("seed", range(20))
def test_what_one_operator_adds(seed):
    """Two candidates of an operator differ by what the whole plans differ by."""
    _, _, candidates, tables, choice = instance(seed)
    for i, domain in enumerate(tables.domains):
        plans = [(*choice[:i], number, *choice[i + 1 :]) for number in range(domain)]
        latency = candidates.price(plans).latency_s
        assert tables.latency_s(choice, i) - tables.latency_s(choice, i)[0] == pytest.approx(latency - latency[0], abs=1e-9 * latency.max())


@pytest.mark.parametrize("seed", range(60))
def test_priced_memory_is_that_of_equation_1(seed):
    """With all weight on the peaks, priced memory is what the evaluator says, the input's part included in what is granted."""
    graph, cluster, candidates, tables, choice = instance(seed)
    memory = np.array(evaluate(graph, cluster, candidates.plan(choice)).memory_bytes)
    peaks = np.zeros((len(cluster), len(graph)))
    peaks[np.arange(len(cluster)), tables.peaks(choice)] = 1
    prices = MemoryPrices(np.random.default_rng(seed).random(len(cluster)), peaks)
    taken = sum(priced[number] for priced, number in zip(tables.memory_s(prices), choice, strict=True))
    assert taken - tables.lagrangian_constant_s(prices) == pytest.approx(float(prices.whole_s @ (memory / tables.limits - 1)), rel=1e-9)
