"""Explanations: what they say, that it fits a screen, and that it adds up."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from support.random_branches import random_branched_graph, random_branched_plan
from support.random_instances import random_cluster

from iopopt import Evaluation, GraphBuilder, Placement, Plan, Solution, evaluate, load_cluster, load_model, solve_coedge, solve_dp, solve_greedy
from iopopt.cost.evaluation import OperatorCost
from iopopt.methods.explanation import MOST_LINES, WIDTH, Group, explain, grouped

LONG_TO_SOLVE = (("slow-link-x8", "resnet50"), ("slow-link-x8", "googlenet"))
DEEP = ("resnet50", "googlenet", "vgg16", "mobilenet_v2", "yolov2", "squeezenet1_1")


def _table(text: str) -> list[list[str]]:
    """The last columns of the table: seconds of communication and computation, bytes, connections."""
    lines = text.split("\n\n")[1].splitlines()[1:]
    return [line.split()[-4:] for line in lines]


def _costs(placements: Sequence[Placement], names: Sequence[str], seconds: Sequence[float]) -> list[OperatorCost]:
    return [
        OperatorCost(name, placement, second, 0.0, (second, 0.0), 0.0, 0, ("free",))
        for name, placement, second in zip(names, placements, seconds, strict=True)
    ]


def _dense(layers: int) -> Solution:
    """A deep network in which every layer reads all before it, with plans that change all the time."""
    net = GraphBuilder("dense", (8, 16, 16)).conv(8, 3, padding=1)
    maps = [net.tip]
    for layer in range(layers):
        if layer:
            net.concat(*maps[-6:], name=f"features/denseblock{layer // 12}/denselayer{layer % 12}/concat")
        net.conv(8, 1, name=f"features/denseblock{layer // 12}/denselayer{layer % 12}/conv1")
        net.conv(8, 3, padding=1, name=f"features/denseblock{layer // 12}/denselayer{layer % 12}/conv2")
        maps.append(net.tip)
    graph = net.fc(10).build()
    rng = random.Random(3)
    cluster = load_cluster("edge-x6", graph)
    plan = random_branched_plan(rng, graph, 6)
    price = evaluate(graph, cluster, plan)
    return replace(solve_coedge(graph, cluster), plan=plan, evaluation=price, latency_s=price.latency_s, status="feasible", reason=None)


@pytest.mark.parametrize(
    ("instance", "model"),
    [
        pytest.param(instance, model, marks=[pytest.mark.slow] if (instance, model) in LONG_TO_SOLVE else [])
        for instance in ("edge-x3", "slow-link-x8")
        for model in DEEP
    ],
)
def test_deep_networks_fit_a_screen(model: str, instance: str) -> None:
    """At most 40 lines of at most 120 characters, whatever the method."""
    graph = load_model(model)
    cluster = load_cluster(instance, graph)
    for solution in (solve_coedge(graph, cluster), solve_dp(graph, cluster)):
        lines = solution.explain().splitlines()
        assert len(lines) <= 40
        assert max(map(len, lines)) <= WIDTH


def test_a_dense_network_fits_a_screen() -> None:
    """Even 240 operators whose placements all differ, with the long names of an exporter."""
    solution = _dense(80)
    lines = solution.explain().splitlines()
    assert solution.plan is not None
    assert len(solution.plan) > 230
    assert len(lines) <= 40
    assert max(map(len, lines)) <= WIDTH


def test_a_hundred_devices_fit_a_screen() -> None:
    """Of many devices the fullest are listed."""
    graph = load_model("alexnet")
    lines = solve_coedge(graph, load_cluster("edge-x100", graph)).explain().splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= WIDTH
    assert "and 92 devices that are less full" in " ".join(line.strip() for line in lines)


@pytest.mark.parametrize("model", ["lenet5", "alexnet", "vgg16", "yolov2"])
def test_small_networks_have_a_line_for_each_operator(model: str) -> None:
    """Where all operators fit, none are grouped, and nothing is counted."""
    graph = load_model(model)
    text = solve_greedy(graph, load_cluster("edge-x3", graph)).explain()
    assert [line.split()[0] for line in text.split("\n\n")[1].splitlines()] == ["operator", *(item.name for item in graph.operators), "(sink)"]
    assert "count" not in text.split("\n\n")[1]


@pytest.fixture(scope="module")
def prices() -> list[Evaluation | None]:
    """Of a dense network, of random plans and of two deep networks."""
    rng = random.Random(11)
    prices = [_dense(40).evaluation]
    for _ in range(20):
        graph = random_branched_graph(rng)
        cluster = random_cluster(rng)
        prices.append(evaluate(graph, cluster, random_branched_plan(rng, graph, len(cluster))))
    for name in ("resnet50", "googlenet"):
        graph = load_model(name)
        prices.append(solve_dp(graph, load_cluster("edge-x4", graph)).evaluation)
    return prices


@pytest.mark.parametrize("full", [False, True])
def test_the_table_adds_up(full: bool, prices: Sequence[Evaluation | None]) -> None:
    """The columns of the printed table sum to the totals of the evaluation, grouped or not."""
    for price in prices:
        assert price is not None
        rows = _table("headline\n" + "\n".join(explain(price, full)))
        sums = [sum(float(row[column]) for row in rows) for column in range(4)]
        assert sums[0] == pytest.approx(price.communication_s, rel=1e-4)
        assert sums[1] == pytest.approx(price.compute_s, rel=1e-4)
        assert sums[2] == pytest.approx(price.transferred_bytes, rel=1e-4)
        assert sums[3] == price.connections


def test_groups_hold_every_operator_once() -> None:
    """The groups are the operators, in order, at most as many as allowed, and their figures are sums."""
    price = _dense(40).evaluation
    assert price is not None
    for most in (1, 2, 10, 1000):
        groups = grouped(price.operators, most)
        assert len(groups) <= most
        assert tuple(cost for group in groups for cost in group.operators) == price.operators
        for name in ("communication_s", "compute_s", "transferred_bytes", "connections"):
            assert sum(getattr(group, name) for group in groups) == pytest.approx(sum(getattr(cost, name) for cost in price.operators))


def test_groups_follow_the_structure_of_the_network() -> None:
    """Operators of one block and one placement form a line; with fewer lines, those of a stage; with fewer, all of one placement."""
    rows, channels = Placement.split("H", (0, 1), (2, 2)), Placement.split("OC", (0, 1), (3, 1))
    names = [f"layer{stage}.{block}.{part}" for stage in (1, 2) for block in (0, 1) for part in ("conv1", "conv2")]
    costs = _costs([rows] * 6 + [channels] * 2, names, [1.0] * 8)
    for most, sizes in ((8, [1] * 8), (7, [2, 2, 2, 2]), (4, [2, 2, 2, 2]), (3, [4, 2, 2]), (2, [6, 2])):
        assert [len(group.operators) for group in grouped(costs, most)] == sizes
    assert grouped(costs, 3)[0].name == "layer1.0.conv1 to layer1.1.conv2"


def test_shares_of_a_group_are_a_range() -> None:
    """Placements that differ in shares only show the least and the largest share of each participant."""
    shares = [Placement.split("H", (0, 1), share) for share in ((8, 4), (4, 4), (2, 2))]
    (group,) = grouped(_costs(shares, "abc", [1.0] * 3), 1)
    assert group.placement == "H 2-8/2-4 on 0/1"
    mixed = Group(tuple(_costs([*shares, Placement.whole(1)], "abcd", [1.0] * 4)))
    assert mixed.placement == "H 2-8/2-4 on 0/1; whole on 1"
    many = Group(tuple(_costs([*shares, Placement.whole(1), Placement.whole(0)], "abcde", [1.0] * 5)))
    assert many.placement == "3 H, 2 whole"


def test_gathers_of_a_group_are_named() -> None:
    """Rows that are gathered on one device are one pattern, those gathered elsewhere or not at all are others."""
    rows = [Placement.split("H", (0, 1), shares, gather=host) for shares, host in (((3, 1), 1), ((2, 2), 1), ((2, 2), None), ((3, 1), None))]
    assert Group(tuple(_costs(rows, "abcd", [1] * 4))).placement == "H 2-3/1-2 on 0/1, gathered on 1; H 2-3/1-2 on 0/1"


def test_what_is_costly_stays_alone() -> None:
    """If placements alternate, the cheapest neighbours are joined first."""
    placements = [Placement.whole(i % 2) for i in range(8)]
    costs = _costs(placements, "abcdefgh", [1, 1, 1, 50, 1, 1, 40, 1])
    assert [group.name for group in grouped(costs, 4)] == ["a to c", "d", "e to f", "g to h"]


def test_full_explanations_cut_nothing() -> None:
    """Every operator by its whole name, with its whole placement."""
    solution = _dense(40)
    assert solution.plan is not None
    text = solution.explain(full=True)
    for name, placement in solution.plan.items():
        assert f"{name} " in text
        assert str(placement) in text
    assert len(text.split("\n\n")[1].splitlines()) == len(solution.plan) + 2
    assert "count" not in text.split("\n\n")[1]


def test_the_costliest_operator_and_edge_are_named(trio_evaluation: Evaluation) -> None:
    """Whatever is grouped, the operator and the edge that cost most have a line of their own."""
    price = _dense(40).evaluation
    assert price is not None
    text = " ".join(" ".join(explain(price)).split())
    slowest = max(price.operators, key=lambda cost: cost.compute_s + cost.communication_s)
    edge = max(price.operators, key=lambda cost: cost.communication_s)
    assert f"Costliest operator: {slowest.name} " in text
    assert f"Costliest edge: into {edge.name} " in text
    assert len(price.operators) > MOST_LINES


def test_long_reasons_are_broken(trio_solution: Solution) -> None:
    """A reason of many words takes several lines."""
    lines = replace(trio_solution, reason="too little memory " * 20).explain().splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert sum("too little memory" in line for line in lines) > 2


def test_plans_without_transfer() -> None:
    """A network on one device has no communication, and says so."""
    net = GraphBuilder("two", (1, 4, 4)).conv(2, 3).fc(2).build()
    price = evaluate(net, load_cluster("edge-x1", net), Plan.of(net, [Placement.whole(0)] * 2))
    assert "0 bytes over 0 connections" in "\n".join(explain(price))


def test_long_names_keep_their_ends() -> None:
    """A cut range shows the ends of both names."""
    lines = _dense(80).explain().split("\n\n")[1].splitlines()
    assert all(" to " in line[:40] for line in lines[1:-1] if "..." in line[:5])
    assert any("conv2 " in line[:40] for line in lines)
