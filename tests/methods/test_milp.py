"""The exact method against exhaustive search, and what it may claim."""

import random
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from support.random_branches import random_branched_graph
from support.random_instances import random_cluster, random_graph

from iopopt import (
    BACKENDS,
    METHODS,
    Cluster,
    Device,
    GraphBuilder,
    Placement,
    Plan,
    PlanError,
    SolverError,
    evaluate,
    load_cluster,
    load_model,
    solve,
    solve_dp,
    solve_exhaustive,
    solve_milp,
)
from iopopt.methods.exhaustive import plan_count

ROUNDING = 2e-6
"""CBC and scipy stop within 1e-6 of the optimum, HiGHS and SCIP through MathOpt within 1e-9."""


def tiny_instance(seed, *, branched=False):
    """A graph of 2 to 4 operators on 2 or 3 unequal devices, any source, sink, way of counting and team; memory loose or tight."""
    rng = random.Random(seed)
    while True:
        graph = random_branched_graph(rng, tiny=True) if branched else random_graph(rng, operators=rng.randint(2, 4), tiny=True)
        cluster = random_cluster(rng, devices=rng.choice([2, 3]))
        teams = ["all", "best", tuple(sorted(rng.sample(range(len(cluster)), rng.randint(1, len(cluster)))))]
        team = rng.choice(teams)
        if plan_count(graph, cluster, team) <= 60_000:
            return graph, tightened(graph, cluster, rng), team


def tightened(graph, cluster, rng):
    """Half of the clusters keep loose memory; the rest get between a fifth and more than what the whole model needs."""
    if rng.random() < 0.5:
        return cluster
    need, factor = sum(graph.whole_memory_bytes(cluster.bytes_per_element)), rng.uniform(0.2, 1.2)
    limits = [max(1, int(need * factor * rng.uniform(0.6, 1.3))) for _ in cluster.devices]
    devices = tuple(replace(device, memory_bytes=limit) for device, limit in zip(cluster.devices, limits, strict=True))
    return replace(cluster, devices=devices)


def agrees(seed, backend, *, branched=False):
    """One instance: status, latency, and no plan of any method in the space better than the bound. Returns the status."""
    graph, cluster, team = tiny_instance(seed, branched=branched)
    truth = solve_exhaustive(graph, cluster, team=team)
    found = solve_milp(graph, cluster, team=team, gap=0.0 if BACKENDS.find(backend).tolerance < 1e-6 else 1e-6, backend=backend)
    assert found.status == truth.status
    assert found.space == truth.space
    if truth.plan is not None:
        assert found.latency_s == pytest.approx(truth.latency_s, rel=ROUNDING)
        assert found.bound_s <= truth.latency_s * (1 + 1e-12)
    else:
        assert "bytes" in found.reason
    for name in ("oc", "coedge", "greedy", "iop_segments", "dp"):
        other = solve(graph, cluster, name, **({} if team == "best" else {"team": team}))
        if other.status == "feasible":
            assert other.latency_s >= found.bound_s * (1 - 1e-12)
    return found.status


@pytest.mark.parametrize("seed", range(40))
def test_exhaustive_search_agrees(seed):
    """The optimum of all plans, enumerated one by one, is the MILP's; what is infeasible for one is for the other."""
    agrees(seed, "highs")


@pytest.mark.parametrize("seed", range(30))
def test_exhaustive_search_agrees_on_branches(seed):
    """The same with sums, products, concatenations, slices, upsampling and tensors that several operators read."""
    agrees(seed, "highs", branched=True)


@pytest.mark.slow
@pytest.mark.parametrize("branched", [False, True])
def test_exhaustive_search_agrees_on_many(branched):
    """The same on 240 further instances, of which both kinds are plenty."""
    statuses = [agrees(seed, "highs", branched=branched) for seed in range(1000, 1240)]
    assert statuses.count("optimal") > 100
    assert statuses.count("infeasible") > 20


def channel_instance(seed):
    """Maps of a single row, so that only channels are split, with groups of two input channels in the middle; computation weighs most."""
    rng = random.Random(seed)
    net = GraphBuilder("channels", (2, 1, 16)).conv(4, (1, 3), groups=rng.choice([1, 1, 2]))
    net.conv(rng.choice([2, 4, 6]), (1, 3), groups=2).conv(2, (1, 3))
    cluster = random_cluster(rng, devices=2)
    slow = tuple(replace(device, flops_per_s=device.flops_per_s / 50) for device in cluster.devices)
    return net.build(), replace(cluster, devices=slow)


def test_exhaustive_search_agrees_on_groups():
    """With whole groups to hand out the optimum is the same; in some instances it sends nothing into the grouped operator."""
    cases = set()
    for seed in range(12):
        graph, cluster = channel_instance(seed)
        truth, found = solve_exhaustive(graph, cluster), solve_milp(graph, cluster, gap=0.0)
        assert (truth.status, found.status) == ("optimal", "optimal")
        assert found.latency_s == pytest.approx(truth.latency_s, rel=ROUNDING)
        cost = truth.evaluation.operators[1]
        cases.add((cost.placement.dim, cost.cases))
    assert cases == {("OC", ("interleaved",)), ("OC", ("all-gather",)), (None, ("send",)), (None, ("all-gather",))}


@pytest.mark.parametrize("seed", range(500, 508))
def test_every_back_end_agrees(seed, backend):
    """Each proves the same as exhaustive search."""
    agrees(seed, backend)


@pytest.fixture(scope="module")
def lenet():
    graph = load_model("lenet5")
    return graph, load_cluster("mcu-x3", graph)


def test_it_is_at_least_as_good_as_its_warm_start(lenet):
    """With no time to search, the result is the warm start or better."""
    graph, cluster = lenet
    start = solve_dp(graph, cluster).plan
    solution = solve_milp(graph, cluster, warm_start=start, time_limit_s=1e-3)
    assert solution.latency_s <= evaluate(graph, cluster, start).latency_s


def test_a_warm_start_outside_the_space_is_refused(lenet):
    """A plan over another team is no plan of the space; the message says which team it has."""
    graph, cluster = lenet
    plan = solve(graph, cluster, "oc", team=(0, 1)).plan
    with pytest.raises(PlanError, match=r"splits over \[0, 1\].*team \[0, 1, 2\]"):
        solve_milp(graph, cluster, warm_start=plan)
    assert solve_milp(graph, cluster, warm_start=plan, team="best").status == "optimal"


def test_a_warm_start_over_two_teams_is_refused(lenet):
    """A plan that splits one operator over one team and one over another belongs to no space."""
    graph, cluster = lenet
    plan = Plan.of(graph, [Placement.split("OC", (0, 1), (3, 3)), Placement.split("OC", (1, 2), (8, 8)), *[Placement.whole(0)] * 3])
    with pytest.raises(PlanError, match="a plan of one team splits all operators over the same devices"):
        solve_milp(graph, cluster, warm_start=plan, team="best")


def test_a_warm_start_of_another_graph_is_refused(lenet):
    """A plan for AlexNet is refused for LeNet, by the names that do not fit."""
    alexnet = load_model("alexnet")
    plan = Plan.of(alexnet, [Placement.whole(0)] * 8)
    with pytest.raises(PlanError, match=r"conv3.*lenet5"):
        solve_milp(*lenet, warm_start=plan)


def test_a_warm_start_that_breaks_memory_is_refused(lenet):
    """A start that does not fit is refused with the bytes that are too many."""
    graph, cluster = lenet
    small = replace(cluster, devices=tuple(replace(device, memory_bytes=2e5) for device in cluster.devices))
    with pytest.raises(PlanError, match=r"memory limit.*bytes but has .* short"):
        solve_milp(graph, small, warm_start=Plan.of(graph, [Placement.whole(2)] * 5))


@pytest.mark.parametrize(("setting", "value"), [("time_limit_s", 0), ("time_limit_s", float("inf")), ("gap", -1e-3), ("gap", 1.0)])
def test_settings_out_of_range_are_refused(lenet, setting, value):
    """A time limit or gap that makes no sense is refused by name."""
    with pytest.raises(SolverError, match=setting):
        solve_milp(*lenet, **{setting: value})


def test_the_best_team_leaves_a_hindrance_out():
    """A device whose link takes seconds for a byte is left out of the best team, with proof."""
    graph = load_model("lenet5")
    devices = [Device("a", 2e6, 1e6, 1.25e6), Device("b", 2e6, 1e6, 1.25e6), Device("dead", 2e6, 1e6, 1.0)]
    everyone, best = solve_milp(graph, devices), solve_milp(graph, devices, team="best")
    assert best.latency_s < 0.9 * everyone.latency_s
    assert best.status == "optimal"
    assert {j for placement in best.plan.values() for j in placement.devices} == {0, 1}
    assert best.latency_s == pytest.approx(solve_milp(graph, devices, team=(0, 1)).latency_s, rel=2e-4)


def test_an_operator_too_big_for_all_devices_together():
    """The proof of infeasibility names the operator, what is demanded and what there is, and what would mend it."""
    graph = load_model("alexnet")
    solution = solve_milp(graph, [Device(name, 1e9, 4e7, 1e7) for name in "abc"])
    assert (solution.status, solution.termination, solution.plan) == ("infeasible", "exhausted", None)
    assert solution.latency_s == float("inf")
    assert solution.bound_s is None
    assert "'fc1'" in solution.reason
    assert "40,000,000" in solution.reason
    assert "times the memory" in solution.reason


def test_the_factor_that_mends_it_is_enough():
    """With the memory that the reason of an infeasible instance asks for, it is feasible; with a little less it is not."""
    graph = load_model("lenet5")
    reason = solve_milp(graph, [Device(name, 1e6, 4e4, 1e6) for name in "ab"]).reason
    factor = float(reason.split("fit with ")[1].split(" times")[0])
    for change, status in ((1.002, "optimal"), (0.998, "infeasible")):
        assert solve_milp(graph, [Device(name, 1e6, 4e4 * factor * change, 1e6) for name in "ab"]).status == status


def test_running_out_of_time_proves_nothing():
    """With next to no time on an instance where no heuristic fits, the status is unknown, not infeasible; the reason says so."""
    graph = load_model("vgg16")
    cluster = load_cluster("edge-x4-tight-0.2", graph)
    assert solve_dp(graph, cluster).status == "violates_memory"
    solution = solve_milp(graph, cluster, time_limit_s=0.05)
    assert solution.status == "unknown"
    assert solution.termination == "time_limit"
    assert "longer time limit" in solution.reason


def test_ctrl_c_returns_the_incumbent():
    """An interrupt ends a running solve within two seconds; the incumbent and a bound come back, and no process stays behind."""
    program = (
        "import iopopt, time, sys\n"
        "graph = iopopt.load_model('vgg19'); cluster = iopopt.load_cluster('slow-link-x8-tight-0.3', graph)\n"
        "print('ready', flush=True)\n"
        "solution = iopopt.solve_milp(graph, cluster, gap=0, time_limit_s=300)\n"
        "print(solution.termination, solution.status, solution.plan is not None, solution.bound_s is not None, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "ready\n"
        time.sleep(5)
        sent = time.monotonic()
        child.send_signal(signal.SIGINT)
        line = child.stdout.readline().split()
        seconds = time.monotonic() - sent
    assert line[0] == "interrupted"
    assert line[1:] == ["feasible", "True", "True"]
    assert seconds < 2


@pytest.mark.slow
@pytest.mark.parametrize("model", ["lenet5", "alexnet", "vgg11", "vgg13", "vgg16", "vgg19"])
@pytest.mark.parametrize("cluster_name", ["mcu-x3", "edge-x3", "edge-x4", "slow-link-x3", "slow-link-x4", "fast-x3", "edge-x3-tight-0.5"])
def test_no_method_beats_the_proof_on_real_models(model, cluster_name):
    """On every model and reference instance: MILP <= (1 + gap) x every plan that fits, and greedy <= CoEdge."""
    graph = load_model(model)
    cluster = load_cluster(cluster_name, graph)
    found = {name: solve(graph, cluster, name) for name, method in METHODS.items() if not method.tiny_only}
    assert found["milp"].status == "optimal"
    for solution in found.values():
        if solution.status in ("feasible", "optimal") and solution.space in (found["milp"].space, "fixed scheme"):
            assert found["milp"].latency_s <= (1 + 1e-4) * solution.latency_s
            assert solution.latency_s >= found["milp"].bound_s
    assert found["greedy"].latency_s <= found["coedge"].latency_s


def test_clusters_of_one_are_solved_without_splitting():
    """A single device that holds the model gives the one plan, proven."""
    graph = load_model("lenet5")
    solution = solve_milp(graph, Cluster((Device("only", 1e6, 1e6, 1e6),)))
    assert solution.status == "optimal"
    assert solution.plan.split_operators == ()


def test_a_wide_gap_is_no_proof_of_optimality():
    """Where a gap of 30 % was asked for and a wide one remains, the plan is feasible, not optimal, and the gap is why it stopped."""
    graph = load_model("alexnet")
    solution = solve_milp(graph, load_cluster("edge-x3", graph), gap=0.3)
    assert solution.gap <= 0.3
    assert solution.termination == "gap"
    assert solution.status == ("optimal" if solution.gap <= 1e-4 else "feasible")


@pytest.mark.parametrize(("setting", "value"), [("seed", -1), ("seed", 1.5), ("threads", 0), ("threads", 10**6), ("seed", "a")])
def test_counts_out_of_range_are_refused(lenet, setting, value):
    """Seeds and threads that no back end takes are refused by name."""
    with pytest.raises(SolverError, match=setting):
        solve_milp(*lenet, **{setting: value})


def test_explanations_count_the_edge_to_the_sink(lenet):
    """Where everything runs on a device other than the sink, the costliest edge is the one to the sink."""
    assert "Costliest edge: to the sink" in solve(*lenet, "single").explain()
