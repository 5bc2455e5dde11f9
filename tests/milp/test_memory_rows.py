"""Equation (1) in the program: a plan is a point just where it fits, and a limit is left out just where nothing breaks it."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from support.programs import formulation_of, least_objective, limits_memory, random_instance, tiny_instance, with_memory

from iopopt import Cluster, Device, GraphBuilder, Placement, Plan, Pricer, evaluate
from iopopt.cost.memory import share_memory, share_output
from iopopt.methods.exhaustive import all_placements

BRANCHED = pytest.mark.parametrize("branched", [False, True], ids=["chain", "branched"])


@BRANCHED
def test_a_plan_is_a_point_just_where_it_fits(branched):
    """With just the memory of a random plan it costs its latency; with a byte less on any one device it is no point."""
    broken = 0
    for seed in range(100, 118):
        graph, cluster, team, plan = random_instance(seed, branched=branched)
        evaluation = evaluate(graph, cluster, plan)
        exact = formulation_of(graph, with_memory(cluster, list(evaluation.memory_bytes)), team, evaluation.latency_s)
        assert least_objective(exact.program, exact.integer_point(plan)) == pytest.approx(1, rel=1e-6)
        for j, demand in enumerate(evaluation.memory_bytes):
            if demand > 2:
                limits = [limit - (i == j) for i, limit in enumerate(evaluation.memory_bytes)]
                tight = formulation_of(graph, with_memory(cluster, limits), team, evaluation.latency_s)
                assert least_objective(tight.program, tight.integer_point(plan)) == float("inf"), (seed, j)
                broken += 1
    assert broken > 25


@BRANCHED
def test_limits_that_some_plan_breaks_are_there(branched):
    """Of tiny instances with all their plans, a limit below the largest demand of a device is in the program; one that cannot be reached
    even if every operator's most and every tensor that waits came together is not."""
    seen = Counter()
    for seed in range(24):
        graph, cluster, team, plans = tiny_instance(seed, branched=branched)
        largest = Pricer(graph, cluster).price(plans).memory_bytes.max(axis=1)
        bound = [reachable_bytes(graph, cluster, team, j) for j in range(len(cluster))]
        assert (largest <= np.array(bound) * (1 + 1e-9)).all()
        for limits, there in ((largest * (1 - 1e-6) - 1e-3, True), (np.array(bound) * (1 + 1e-6) + 1e-3, False)):
            formulation = formulation_of(graph, with_memory(cluster, list(limits)), team)
            for j in range(len(cluster)):
                if limits[j] > 1:
                    assert limits_memory(formulation, j) == there, (seed, j)
                    seen[there] += 1
    assert min(seen[True], seen[False]) > 20


def reachable_bytes(graph, cluster, team, j):
    """A bound on the demand of device j over all plans: most weights of every operator, and most activations with all that waits."""
    e, weights, activations = cluster.bytes_per_element, [], []
    kept = [0.0] * len(graph)
    for producer, during in graph.live_tensors:
        if producer == graph.source:
            held = e * graph.input_shape.elements * (cluster.source in (None, j))
        else:
            unit = graph.units[producer]
            held = max(dict(share_output(unit, way, e)).get(j, 0) for way in all_placements(unit, cluster, team))
            held = max(held, e * unit.pre_pool_shape.elements, e * unit.out_shape.elements)
        for i in during:
            kept[i] += held
    for unit, waiting in zip(graph.placed_units, kept, strict=True):
        demands = [dict(share_memory(unit, way, e)).get(j, (0, 0, 0)) for way in all_placements(unit, cluster, team)]
        weights.append(max(weight for weight, _, _ in demands))
        activations.append(waiting + max(activation for _, activation, _ in demands))
    return sum(weights) + max(activations)


def test_an_empty_share_of_rows_keeps_its_field():
    """A device without rows still holds the kernel and K - S rows of input: a limit of just that is enough, a byte less is not."""
    graph = GraphBuilder("rows", (2, 6, 3)).conv(2, (3, 1), padding=(1, 0)).build()
    cluster = Cluster((Device("a", 1e3, 1e9, 1e3), Device("b", 1e3, 1e9, 1e3)), 0.0, bytes_per_element=1)
    plan = Plan.of(graph, [Placement.split("H", (0, 1), (6, 0))])
    demand = evaluate(graph, cluster, plan).memory_bytes[1]
    assert demand == 12 + 2 + 2 * 6
    for limit, fits in ((demand, True), (demand - 1, False)):
        devices = (cluster.devices[0], replace(cluster.devices[1], memory_bytes=limit))
        formulation = formulation_of(graph, replace(cluster, devices=devices), (0, 1))
        assert (least_objective(formulation.program, formulation.integer_point(plan)) < float("inf")) == fits


def test_a_reserve_is_held_back():
    """Bytes held back count as if every device had so much less."""
    graph, cluster, team, plan = random_instance(4)
    evaluation = evaluate(graph, cluster, plan)
    roomy = with_memory(cluster, [demand + 7 for demand in evaluation.memory_bytes])
    for reserve, fits in ((7.0, True), (8.0, False)):
        formulation = formulation_of(graph, roomy, team, reserve_bytes=reserve)
        assert (least_objective(formulation.program, formulation.integer_point(plan)) < float("inf")) == fits


KEPT = {
    "whole": Placement.whole(0),
    "rows": Placement.split("H", (0, 1), (1, 3)),
    "channels": Placement.split("OC", (0, 1), (1, 3)),
    "direct": Placement.split("IC", (0, 1), (1, 3)),
    "two-phase": Placement.split("IC", (0, 1), (1, 3), "two_phase"),
}


@pytest.mark.parametrize("name", KEPT)
@pytest.mark.parametrize("source", [None, 0, 1])
def test_what_waits_is_held(name, source):
    """While operators run between a tensor's producer and its last consumer its owners hold it, as they hold an input that is read again:
    the plan fits with just that, and with a byte less on either device it is no point."""
    net = GraphBuilder("waits", (4, 8, 2)).conv(4, 1, name="tensor").max_pool((2, 1))
    summed = net.conv(12, 1).conv(4, 1, name="narrow").add("narrow", "tensor").tip
    graph = net.at("input").conv(4, (2, 1), stride=(2, 1)).add(net.tip, summed).build()
    assert {producer for producer, _ in graph.live_tensors} == {graph.source, 0, 3}
    cluster = Cluster((Device("a", 1e3, 1e9, 1e3), Device("b", 1e3, 1e9, 1e3)), 0.0, source=source, bytes_per_element=1)
    even = Placement.split("H", (0, 1), (2, 2))
    plan = Plan.of(graph, [KEPT[name], *[even] * 5])
    demand = evaluate(graph, cluster, plan).memory_bytes
    for j, less in ((0, 0), (0, 1), (1, 1)):
        limits = [limit - less * (i == j) for i, limit in enumerate(demand)]
        formulation = formulation_of(graph, with_memory(cluster, limits), (0, 1))
        assert (least_objective(formulation.program, formulation.integer_point(plan)) < float("inf")) == (less == 0)
