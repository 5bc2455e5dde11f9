"""Two derivations of one schedule: regions of real tensors, and the volumes of the cost model.

The regions follow from what a receiver needs and a sender owns, and never ask what a transfer costs; the cost model never asks where a row
lies. Where :mod:`support.edge_payload` says that both must agree they do, device by device, and elsewhere the regions are the smaller.
"""

from __future__ import annotations

import random
from collections import Counter

import pytest
from support.branched_cases import branched_cases
from support.edge_payload import EdgeTraffic, modelled_traffic
from support.random_branches import random_branched_graph, random_branched_plan
from support.random_gathers import with_gathers
from support.random_instances import random_cluster, random_graph, random_plan
from support.random_orders import reordered

from iopopt import Cluster, Graph, GraphBuilder, Placement, Plan
from iopopt.cost.evaluation import schedule_of_plan
from iopopt.schedule.region_transfers import unit_inputs
from iopopt.schedule.rounds import TransferKind


def region_traffic(graph: Graph, cluster: Cluster, plan: Plan) -> dict[tuple[str, int], tuple[int, int]]:
    """The bytes that each device receives and sends on the edges into each operator, or the sink: e x channels x rows x columns."""
    placements = [plan[operator.name] for operator in graph.operators]
    received, sent = Counter[tuple[str, int]](), Counter[tuple[str, int]]()
    for inputs in unit_inputs(graph, placements, cluster.source, cluster.sink):
        for edge in inputs.edges:
            unit = graph.units[edge.producer]
            for transfer in (transfer for round_ in edge.rounds for transfer in round_.transfers):
                shape = unit.pre_pool_shape if transfer.partial else unit.out_shape
                region = transfer.region
                assert 0 <= region.channels.start <= region.channels.stop <= shape.channels
                assert 0 <= region.rows.start <= region.rows.stop <= shape.height
                size = cluster.bytes_per_element * len(region.channels) * len(region.rows) * shape.width
                received[inputs.name, transfer.receiver] += size
                sent[inputs.name, transfer.sender] += size
    names = [inputs.name for inputs in unit_inputs(graph, placements, cluster.source, cluster.sink)]
    return {(name, j): (received[name, j], sent[name, j]) for name in names for j in range(len(cluster))}


def _compare(graph: Graph, cluster: Cluster, plan: Plan) -> Counter[str]:
    """Assert what must hold of every operator and device; counts the comparisons, and those in which both must be equal."""
    modelled, regions, counted = modelled_traffic(graph, cluster, plan), region_traffic(graph, cluster, plan), Counter[str]()
    assert modelled.keys() == regions.keys()
    for key, model in modelled.items():
        received, sent = regions[key]
        # Fractions of channels are floats in the model: nothing near an element may hide behind them.
        assert received <= model.received + 1e-6, key
        if model.received_exactly:
            assert received == pytest.approx(model.received, abs=1e-6), key
        if model.sent_exactly:
            assert sent == pytest.approx(model.sent, abs=1e-6), key
        counted.update({"compared"} | ({"exact"} if model.received_exactly else set()) | ({"moved"} if model.received else set()))
        counted.update({"exact and moved"} if model.received_exactly and model.received else set())
        counted.update({"less"} if received < model.received - 1e-6 else set())
    return counted


@pytest.mark.parametrize("branched", [False, True], ids=["chain", "branched"])
def test_random_plans(branched: bool) -> None:
    """On random plans, in the order of the cluster and in others, no device receives more than the model counts, and mostly just as much."""
    rng, counted, kinds = random.Random(81 + branched), Counter[str](), Counter[TransferKind]()
    for number in range(170):
        graph, cluster = random_branched_graph(rng) if branched else random_graph(rng), random_cluster(rng)
        plan = (random_branched_plan if branched else random_plan)(rng, graph, len(cluster))
        plan = with_gathers(rng, reordered(rng, plan, len(cluster)) if number % 2 else plan, len(cluster))
        found = _compare(graph, cluster, plan)
        counted.update(found)
        steps = schedule_of_plan(graph, cluster, plan).steps
        if number % 2 and found["compared"] == found["exact"]:
            kinds.update(kind for step in steps for round_ in step.rounds for kind in round_.kinds)
    assert counted["exact"] > 0.75 * counted["compared"], counted
    assert counted["exact and moved"] > 0.6 * counted["moved"], counted
    assert counted["less"] > 10, counted  # what must not be equal is not
    assert all(kinds[kind] for kind in TransferKind if not kind.is_streamed), kinds


@pytest.mark.parametrize("name", branched_cases())
def test_worked_cases(name: str) -> None:
    """In every worked case both agree on every device."""
    case = branched_cases()[name]
    found = _compare(case.graph, case.cluster, case.plan)
    assert found["exact"] == found["compared"]
    total = sum(received for received, _ in region_traffic(case.graph, case.cluster, case.plan).values())
    assert total == sum(model.received for model in modelled_traffic(case.graph, case.cluster, case.plan).values())


def _rows(graph: Graph, *shares: tuple[int, ...]) -> tuple[list[EdgeTraffic], list[tuple[int, int]]]:
    """What the model and the regions say of the second operator, both split by rows."""
    cluster = branched_cases()["host in the middle"].cluster
    cluster = Cluster((*cluster.devices, *(type(cluster.devices[0])(f"e{j}", 1, 1, 1) for j in range(len(shares[0]) - 3))), bytes_per_element=1)
    devices = range(len(shares[0]))
    plan = Plan.of(graph, [Placement.split("H", devices, of) for of in shares])
    name = graph.operators[1].name
    model, regions = modelled_traffic(graph, cluster, plan), region_traffic(graph, cluster, plan)
    return [model[name, j] for j in devices], [regions[name, j] for j in devices]


def test_a_field_that_reaches_past_the_edge_in_the_middle() -> None:
    """One row each of three, a 5 x 1 kernel with padding 2: the second needs [-1, 4), of which [0, 3) exist; the model counts 2 rows more."""
    graph = GraphBuilder("x", (1, 3, 1)).conv(1, 1).conv(1, (5, 1), padding=(2, 0)).build()
    model, regions = _rows(graph, (1, 1, 1), (1, 1, 1))
    assert [row.received for row in model] == [2, 2 + 2, 2]
    assert [received for received, _ in regions] == [2, 2, 2]
    assert not any(row.received_exactly for row in model)


def test_a_field_that_reaches_past_a_neighbour() -> None:
    """1/1/9/1 rows before 5/1/2/4: the second needs row 5 and owns row 1; the model counts rows 2 to 5, a run fetches one."""
    graph = GraphBuilder("x", (1, 12, 1)).conv(1, 1).conv(1, 1).build()
    model, regions = _rows(graph, (1, 1, 9, 1), (5, 1, 2, 4))
    assert [row.received for row in model] == [4, 4, 0, 3]
    assert [received for received, _ in regions] == [4, 1, 0, 3]
    assert not any(row.received_exactly for row in model)


def test_an_empty_share() -> None:
    """Over 1/0/1 rows a 3 x 1 kernel with padding 1 is charged for its empty place in the middle, which computes nothing."""
    graph = GraphBuilder("x", (1, 2, 1)).conv(1, 1).conv(1, (3, 1), padding=(1, 0)).build()
    model, regions = _rows(graph, (1, 0, 1), (1, 0, 1))
    assert [row.received for row in model] == [1, 2, 1]
    assert [received for received, _ in regions] == [1, 0, 1]
    assert not any(row.received_exactly for row in model)
