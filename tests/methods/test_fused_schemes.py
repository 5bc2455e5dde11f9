"""The schemes of the literature that live on fused blocks: their plans, by hand, and against exhaustive search and the exact method."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from support.block_instances import block_instance

from iopopt import (
    Cluster,
    Device,
    Graph,
    GraphBuilder,
    Placement,
    Plan,
    Solution,
    SolverError,
    UnsupportedError,
    evaluate,
    load_cluster,
    load_model,
    solve_aofl,
    solve_coedge,
    solve_deepthings,
    solve_dpfp,
    solve_milp,
)
from iopopt.methods.coedge import coedge_placement
from iopopt.plan.shares import unit_proportional_shares
from iopopt.plan.team import check_in_space


def chain(count: int) -> Graph:
    net = GraphBuilder("chain", (1, 12, 6))
    for _ in range(count):
        net.conv(2, 3, padding=1)
    return net.fc(3).build()


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    """Connections that take as long as half a convolution."""
    return Cluster(tuple(Device(f"d{j}", 1e6 * (1 + j), 1e9, 1e6) for j in range(3)), connection_setup_s=2e-3)


def every_cut(graph: Graph, cluster: Cluster, team: tuple[int, ...], longest: int) -> list[Plan]:
    """Rows by capability at every cover of the operators."""
    speeds = [cluster.devices[j].flops_per_s for j in team]
    plans = []
    for spans in graph.covers(longest):
        placements = [
            coedge_placement(unit, cluster, team)
            if unit.span == 1
            else Placement.split("H", team, unit_proportional_shares(unit, "H", speeds))
            for unit in graph.covered(spans).placed
        ]  # fmt: skip
        plans.append(Plan.of(graph, placements, spans))
    return plans


@pytest.mark.parametrize("most_fused", [1, 2, 4])
def test_aofl_is_the_best_cut(cluster: Cluster, most_fused: int) -> None:
    """Of all covers of five convolutions at the same shares; with no blocks it is CoEdge."""
    graph = chain(5)
    found = solve_aofl(graph, cluster, most_fused=most_fused)
    latencies = [evaluate(graph, cluster, plan).latency_s for plan in every_cut(graph, cluster, (0, 1, 2), most_fused)]
    assert found.latency_s == pytest.approx(min(latencies), rel=1e-12)
    if most_fused == 1:
        assert found.plan == solve_coedge(graph, cluster).plan
    else:
        assert found.plan is not None
        assert found.plan.blocks


def test_dpfp_adds_devices_while_that_helps(cluster: Cluster) -> None:
    """The same as choosing by hand: the best device, then the best second one with it, and so on."""
    graph = chain(4)
    chosen: tuple[int, ...] = ()
    least = float("inf")
    while len(chosen) < 3:
        ways = {
            team: min(evaluate(graph, cluster, plan).latency_s for plan in every_cut(graph, cluster, team, 4 if len(team) > 1 else 1))
            for more in range(3)
            if more not in chosen
            for team in [tuple(sorted({*chosen, more}))]
        }
        team = min(ways, key=lambda team: ways[team])
        if ways[team] >= least:
            break
        least, chosen = ways[team], team
    found = solve_dpfp(graph, cluster, most_fused=4)
    assert found.space == "team=best, blocks of up to 4"
    assert solve_dpfp(graph, cluster, team=(1, 0), most_fused=4).space == "subsets of team=(1, 0), blocks of up to 4"
    assert found.latency_s == pytest.approx(least, rel=1e-12)
    assert found.plan is not None
    assert {placement.devices for placement in found.plan.values() if not placement.is_whole} <= {chosen}


def test_deepthings_by_hand(cluster: Cluster) -> None:
    """Even rows of the first three convolutions, the rest on the sink; without a number, the best of all."""
    graph = chain(4)
    rows, rest = Placement.split("H", (0, 1, 2), (4, 4, 4)), Placement.whole(0)
    assert solve_deepthings(graph, cluster, fused=3).plan == Plan.of(graph, [rows, rest, rest], [3, 1, 1])
    best = min(solve_deepthings(graph, cluster, fused=count).latency_s for count in (2, 3, 4))
    assert solve_deepthings(graph, cluster).latency_s == best


def test_deepthings_where_nothing_can_be_fused(cluster: Cluster) -> None:
    """All on the sink; asked for explicitly, it says why not."""
    graph = GraphBuilder("short", (1, 6, 6)).conv(2, 3, padding=1).fc(3).build()
    assert solve_deepthings(graph, cluster).plan == Plan.of(graph, [Placement.whole(0)] * 2)
    with pytest.raises(UnsupportedError, match="the first 2 operators of short cannot be fused: 'fc1'"):
        solve_deepthings(graph, cluster, fused=2)
    with pytest.raises(UnsupportedError, match="there is one device"):
        solve_deepthings(chain(3), cluster, team=(1,), fused=2)


SCHEMES: list[Callable[..., Solution]] = [solve_aofl, solve_dpfp, solve_deepthings]


@pytest.mark.parametrize("solve", SCHEMES)
@pytest.mark.parametrize("seed", range(6))
def test_no_scheme_beats_the_optimum_of_its_space(solve: Callable[..., Solution], seed: int) -> None:
    """On tiny instances, memory aside; the space is that of the scheme's own team and blocks."""
    graph, cluster, _, longest = block_instance(3000 + seed)
    options = {"fused": None} if solve is solve_deepthings else {"most_fused": longest}
    found = solve(graph, cluster, **options)
    assert found.plan is not None
    longest = max(map(len, found.plan.blocks), default=1)
    roomy = Cluster(
        tuple(Device(device.name, device.flops_per_s, 1e12, device.bandwidth_bytes_per_s) for device in cluster.devices),
        cluster.connection_setup_s, cluster.connections, cluster.source, cluster.sink, cluster.bytes_per_element,
    )  # fmt: skip
    team = next((placement.devices for placement in found.plan.values() if not placement.is_whole), tuple(range(len(cluster))))
    check_in_space(found.plan, team, cluster, longest)
    assert solve_milp(graph, roomy, team=team, longest_block=longest, gap=1e-6).latency_s <= found.latency_s * (1 + 1e-5)


@pytest.mark.parametrize(("model", "cluster_name"), [("vgg11", "wifi-x4"), ("resnet18", "board-x3"), ("googlenet", "wifi-x3")])
def test_real_networks(model: str, cluster_name: str) -> None:
    """AOFL is never slower than CoEdge, and DPFP never slower than one device or AOFL's cuts with fewer devices."""
    graph = load_model(model)
    cluster = load_cluster(cluster_name, graph)
    coedge, aofl, dpfp = (solve(graph, cluster).latency_s for solve in (solve_coedge, solve_aofl, solve_dpfp))
    assert aofl <= coedge * (1 + 1e-12)
    assert dpfp <= min(evaluate(graph, cluster, Plan.of(graph, [Placement.whole(j)] * len(graph))).latency_s for j in range(len(cluster)))
    assert len(list(itertools.islice(graph.blocks(4), 1))) == 1


@pytest.mark.parametrize("solve", [solve_aofl, solve_dpfp])
def test_lengths_that_are_none(solve: Callable[..., Solution], cluster: Cluster) -> None:
    with pytest.raises(SolverError, match="most_fused is 0"):
        solve(chain(2), cluster, most_fused=0)
