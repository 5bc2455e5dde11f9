"""The improvement of plans near the best at fixed shares."""

import pytest

from iopopt import evaluate, load_cluster, load_model
from iopopt.cost.instance import Instance
from iopopt.cost.stopwatch import NO_LIMIT, Stopwatch, TimeUpError
from iopopt.methods.dynamic.near_strategies import NearStrategies
from iopopt.methods.dynamic.refinement import Refinement
from iopopt.methods.dynamic.table_search import TableSearch


def tight_search():
    """AlexNet on three devices that hold less than half of it, where fixed shares cost much."""
    graph = load_model("alexnet")
    cluster = load_cluster("wifi-x3-tight-0.4", graph)
    tables = TableSearch(graph, cluster, range(3), NO_LIMIT, 1)
    start = tables.best_plan()
    return Instance(graph, cluster), start, NearStrategies(tables.search, tables.prices)


def test_shares_and_strategies_improve():
    """From 83 ms at fixed shares to the 71.56 ms that ``solve_milp`` proves to be optimal."""
    instance, start, near = tight_search()
    refinement = Refinement(instance, range(3), NO_LIMIT)
    refinement.offer(start)
    refinement.improve(near, start, least_gain=2e-3)
    found = evaluate(instance.graph, instance.cluster, refinement.plan)
    assert found.feasible
    assert found.latency_s == pytest.approx(0.071561, rel=3e-3)
    assert found.latency_s < 0.9 * evaluate(instance.graph, instance.cluster, start).latency_s


def test_the_best_plan_stays_when_the_time_is_up():
    """Without time for a program the start is the result."""
    instance, start, near = tight_search()
    refinement = Refinement(instance, range(3), Stopwatch(1e-9))
    refinement.offer(start)
    with pytest.raises(TimeUpError):
        refinement.improve(near, start, least_gain=2e-3)
    assert refinement.plan == start


def test_only_better_plans_are_taken():
    """A plan that fits is not given up for a faster one that does not."""
    instance, start, _ = tight_search()
    faster = TableSearch(instance.graph, load_cluster("wifi-x3", instance.graph), range(3), NO_LIMIT, 1).best_plan()
    refinement = Refinement(instance, range(3), NO_LIMIT)
    for plan in (None, faster, start, faster, None):
        refinement.offer(plan)
    assert refinement.plan == start
