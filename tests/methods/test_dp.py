"""The dynamic program with shares solved exactly: against every plan, and against itself at fixed shares."""

import random
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from support.block_instances import block_instance
from support.random_branches import random_branched_graph
from support.random_instances import random_cluster, random_graph

from iopopt import evaluate, load_cluster, load_model, solve, solve_dp, solve_exhaustive
from iopopt.methods.dp import dp_plan
from iopopt.methods.exhaustive import plan_count
from iopopt.models.googlenet import googlenet
from iopopt.models.mobilenet import mobilenet_v2
from iopopt.models.resnet import resnet18


def small_instance(seed, most_plans=20_000):
    """A chain or a graph with branches whose plans can all be priced, on two or three devices."""
    rng = random.Random(seed)
    while True:
        graph = random_branched_graph(rng, tiny=True) if rng.random() < 0.5 else random_graph(rng, operators=rng.randint(2, 4), tiny=True)
        cluster = random_cluster(rng, devices=rng.choice([2, 3]))
        if plan_count(graph, cluster, "all") <= most_plans:
            return rng, graph, cluster


def tight(rng, graph, cluster):
    """The same cluster with less memory on every device than the network needs."""
    need = sum(graph.whole_memory_bytes(cluster.bytes_per_element))
    return replace(cluster, devices=tuple(replace(device, memory_bytes=need * rng.uniform(0.4, 0.95)) for device in cluster.devices))


def excesses(instances):
    """Of every instance that some plan fits: by what part the plan found is slower than the best of all plans; infinite if none was found."""
    found = []
    for graph, cluster in instances:
        truth = solve_exhaustive(graph, cluster)
        if truth.plan is None:
            assert solve_dp(graph, cluster).status == "violates_memory"
            continue
        solution = solve_dp(graph, cluster)
        assert solution.latency_s >= truth.latency_s * (1 - 1e-12) or solution.status != "feasible"
        slower_s = solution.latency_s - truth.latency_s
        found.append(float("inf") if solution.status != "feasible" else slower_s and slower_s / truth.latency_s)
    return sorted(found)


def test_near_the_best_of_all_plans():
    """With memory to spare, nearly every plan is within 1 % of the optimum by exhaustive search."""
    found = excesses(small_instance(seed)[1:] for seed in range(40))
    assert sum(excess <= 0.01 for excess in found) >= 0.95 * len(found)


def test_near_the_best_of_all_plans_that_fit():
    """Of the instances with short memory that some plan fits, nearly all get one, and nearly all of these are within 5 % of the optimum."""
    instances = []
    for seed in range(60):
        rng, graph, cluster = small_instance(seed)
        instances.append((graph, tight(rng, graph, cluster)))
    found = excesses(instances)
    assert len(found) >= 30
    assert sum(excess <= 0.05 for excess in found) >= 0.95 * len(found)


@pytest.mark.parametrize("seed", range(15))
def test_never_worse_than_at_fixed_shares(seed):
    """Memory short or not, the plan has no more excess than the one at fixed shares, and is no slower at the same excess."""
    rng, graph, cluster = small_instance(seed)
    for devices in (cluster, tight(rng, graph, cluster)):
        before, after = evaluate(graph, devices, dp_plan(graph, devices, range(len(devices)))), solve_dp(graph, devices).evaluation
        assert cost(after) <= cost(before)


def cost(evaluation):
    """What is compared first, and what in a tie."""
    return sum(violation.demand_bytes - violation.limit_bytes for violation in evaluation.violations), evaluation.latency_s


@pytest.mark.parametrize("seed", range(15))
def test_never_worse_with_blocks(seed):
    """Fused blocks only add plans."""
    graph, cluster, *_ = block_instance(seed)
    assert cost(solve_dp(graph, cluster, longest_block=4).evaluation) <= cost(solve_dp(graph, cluster).evaluation)


@pytest.mark.parametrize("model", ["alexnet", "vgg11"])
@pytest.mark.parametrize("name", ["wifi-x4", "wifi-x4-tight-0.4", "slow-link-x3"])
def test_never_worse_with_blocks_in_the_zoo(model, name):
    """The same on published networks, and no worse than the uniform schemes either."""
    graph = load_model(model)
    cluster = load_cluster(name, graph)
    fused, alone = (solve_dp(graph, cluster, longest_block=longest).latency_s for longest in (8, 1))
    schemes = [
        solution.latency_s for solution in (solve(graph, cluster, method) for method in ("single", "oc", "coedge")) if solution.status == "feasible"
    ]
    assert fused <= alone <= min(schemes, default=float("inf"))


@pytest.mark.parametrize(
    ("model", "name", "longest_block", "optimum_s"),
    [
        ("alexnet", "wifi-x4-tight-0.3", 8, 0.087119),
        ("alexnet", "edge-x3-tight-0.4", 1, 0.486711),
        ("vgg11", "board-x4", 8, 0.301703),
        ("vgg16", "slow-link-x4-tight-0.4", 1, 8.992198),
    ],
)
def test_near_the_proven_optimum(model, name, longest_block, optimum_s):
    """Where shares at fixed rules cost 2 to 50 %, the plan is within 0.5 % of what ``solve_milp`` proves to be optimal."""
    graph = load_model(model)
    found = solve_dp(graph, load_cluster(name, graph), longest_block=longest_block)
    assert found.status == "feasible"
    assert optimum_s * (1 - 2e-4) <= found.latency_s <= optimum_s * 1.005


@pytest.mark.parametrize("factor", [0.3, 0.4, 0.5, 0.75])
@pytest.mark.parametrize("model", ["alexnet", "vgg16"])
def test_tight_memory_is_respected(model, factor):
    """Where the weights must be spread over the devices, the plan still fits."""
    graph = load_model(model)
    solution = solve_dp(graph, load_cluster(f"edge-x4-tight-{factor}", graph))
    assert solution.status == "feasible"


@pytest.mark.parametrize("build", [pytest.param(resnet18, marks=pytest.mark.slow), mobilenet_v2, googlenet])
@pytest.mark.parametrize("factor", [0.3, 0.5])
def test_tight_memory_of_networks_with_branches(build, factor):
    """The same where tensors wait in memory for a later operator."""
    graph = build()
    assert solve_dp(graph, load_cluster(f"edge-x4-tight-{factor}", graph)).status == "feasible"


def test_no_bound_is_claimed():
    """A heuristic proves nothing, not even where it is right."""
    graph = load_model("lenet5")
    solution = solve_dp(graph, load_cluster("mcu-x3", graph))
    assert (solution.bound_s, solution.gap, solution.status) == (None, None, "feasible")


def test_it_moves_the_input_only_where_it_must():
    """With the input at one device and a link that takes minutes, everything runs there."""
    graph = load_model("lenet5")
    cluster = load_cluster("mcu-x3", graph)
    slow = tuple(replace(device, bandwidth_bytes_per_s=10.0) for device in cluster.devices)
    plan = solve_dp(graph, replace(cluster, devices=slow, source=1, sink=1)).plan
    assert {placement.devices for placement in plan.values()} == {(1,)}


def test_ctrl_c_does_not_wait_for_a_program():
    """An interrupt while HiGHS solves a program of seconds ends the search at once."""
    program = (
        "import iopopt\n"
        "graph = iopopt.load_model('vgg19'); cluster = iopopt.load_cluster('slow-link-x8-tight-0.3', graph)\n"
        "from iopopt.methods.dynamic import exact_shares\n"
        "honest = exact_shares.milp\n"
        "def announced(*arguments, **options):\n"
        "    if options['integrality'].any(): print('solving', flush=True)\n"
        "    return honest(*arguments, **options)\n"
        "exact_shares.milp = announced\n"
        "exact_shares.discarded_output = __import__('contextlib').nullcontext\n"
        "try: iopopt.solve_dp(graph, cluster)\n"
        "except KeyboardInterrupt: print('interrupted', flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "solving\n"
        child.send_signal(signal.SIGINT)
        assert child.stdout.readline() == "interrupted\n"
