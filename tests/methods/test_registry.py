"""What holds for every method of the registry."""

import json

import pytest

from iopopt import METHODS, Cluster, Device, Solution, UnknownNameError, UnsupportedError, evaluate, load_cluster, load_model, simulate, solve
from iopopt.network.builder import GraphBuilder

SEVERAL = [pytest.param(name, marks=[pytest.mark.slow] if name in ("pso", "overlap") else []) for name in METHODS]
"""For tests that solve several times; swarm and annealing take seconds each time."""

PROVING = [name for name, method in METHODS.items() if method.proves_bounds]
EXACT = ["milp", "exhaustive"]


@pytest.fixture(scope="module")
def tiny():
    """Three operators that every method, also the exhaustive one, can take."""
    return GraphBuilder("tiny", (2, 6, 5)).conv(3, 3, padding=1).relu().max_pool(2).conv(2, 2).relu().fc(3).build()


@pytest.fixture(scope="module")
def pair():
    """Two unequal devices on slow links."""
    return Cluster((Device("slow", 1e5, 1e6, 1e5), Device("fast", 3e5, 1e6, 2e5)), connection_setup_s=1e-4)


@pytest.fixture(scope="module")
def solutions(tiny, pair):
    """Every method's answer to the tiny instance."""
    return {name: solve(tiny, pair, name) for name in METHODS}


@pytest.mark.parametrize("name", METHODS)
def test_latency_is_the_evaluators(name, solutions, tiny, pair):
    """The latency of a Solution is what the evaluator says of its plan, or the simulation where that is the method's clock."""
    solution = solutions[name]
    assert solution.status in ("optimal", "feasible")
    assert solution.evaluation == evaluate(tiny, pair, solution.plan)
    simulated = solution.timing == "events"
    assert solution.latency_s == (simulate(tiny, pair, solution.plan).makespan_s if simulated else solution.evaluation.latency_s)
    assert solution.method == name


@pytest.mark.parametrize("name", METHODS)
def test_solutions_go_to_json_and_back(name, solutions):
    """A Solution read from its JSON is the same Solution."""
    solution = solutions[name]
    assert Solution.from_dict(json.loads(json.dumps(solution.to_dict()))) == solution


@pytest.mark.parametrize("name", METHODS)
def test_only_exact_methods_prove(name, solutions):
    """A bound is there for the methods that declare it, and for no other."""
    assert (solutions[name].bound_s is not None) == METHODS[name].proves_bounds


@pytest.mark.parametrize("name", METHODS)
def test_nothing_is_better_than_a_proven_bound(name, solutions, tiny, pair):
    """No method's plan is faster than what an exact method calls the least latency, by its clock."""
    for exact in PROVING:
        simulated = solutions[exact].timing == "events"
        latency_s = simulate(tiny, pair, solutions[name].plan).makespan_s if simulated else solutions[name].evaluation.latency_s
        assert latency_s >= solutions[exact].bound_s * (1 - 1e-12)


@pytest.mark.parametrize("name", METHODS)
def test_explanations_name_every_operator(name, solutions, tiny):
    """The explanation has a line for each operator, and the status."""
    text = solutions[name].explain()
    assert all(operator.name in text for operator in tiny.operators)
    assert solutions[name].status in text


@pytest.mark.parametrize("name", SEVERAL)
def test_common_options_are_taken_or_refused(name, tiny, pair):
    """An option that the registry declares is accepted; one that it does not declare is refused by name."""
    values = {"team": (0, 1), "seed": 1, "time_limit_s": 20.0, "gap": 1e-3, "backend": "highs"}
    for option, value in values.items():
        if option in METHODS[name].takes:
            assert solve(tiny, pair, name, **{option: value}).plan is not None
        else:
            with pytest.raises(UnsupportedError, match=option):
                solve(tiny, pair, name, **{option: value})


@pytest.mark.parametrize("name", SEVERAL)
def test_plain_devices_take_the_defaults(name, tiny, pair):
    """A list of devices stands for a cluster with the default settings."""
    plain = solve(tiny, list(pair.devices), name)
    assert plain.latency_s == solve(tiny, Cluster(pair.devices), name).latency_s


@pytest.mark.parametrize("name", SEVERAL)
def test_one_device_runs_everything(name, tiny):
    """On a single device every method gives the one plan there is."""
    solution = solve(tiny, [Device("only", 1e5, 1e6, 1e5)], name)
    assert solution.plan.split_operators == ()
    assert solution.latency_s == pytest.approx(2 * tiny.macs / 1e5, rel=1e-12)


@pytest.mark.parametrize("name", SEVERAL)
def test_memory_is_never_broken_silently(name, tiny, pair):
    """With too little memory for anything, no method calls its plan feasible or optimal."""
    starved = Cluster(tuple(Device(device.name, device.flops_per_s, 40, device.bandwidth_bytes_per_s) for device in pair.devices))
    solution = solve(tiny, starved, name)
    assert solution.status == ("infeasible" if name in EXACT else "violates_memory")
    assert solution.gap is None
    assert "bytes" in solution.reason


def test_unknown_methods_suggest_the_nearest(tiny, pair):
    """A misspelt method is answered with the nearest name."""
    with pytest.raises(UnknownNameError, match="Did you mean 'greedy'"):
        solve(tiny, pair, "gredy")


def check_against_proof(found):
    """No plan of the proven space that fits is faster than the MILP's by its clock.

    Whole operators are of the space of every team; fused blocks, gathers, streams and other teams are of other spaces.
    """
    proven = found["milp"]
    comparable = [solution for solution in found.values() if solution.timing == proven.timing]
    within = [solution for solution in comparable if solution.space in (proven.space, "fixed scheme")]
    assert len(within) >= len(comparable) - 7
    for solution in within:
        if solution.status in ("optimal", "feasible"):
            assert proven.latency_s <= (1 + 1e-4) * solution.latency_s
            assert solution.latency_s >= proven.bound_s


@pytest.mark.parametrize(("model", "cluster_name"), [("lenet5", "mcu-x3"), ("alexnet", "edge-x3"), ("vgg11", "edge-x3")])
def test_real_models_order_as_proven(model, cluster_name):
    """MILP <= (1 + gap) x every other plan that fits, and greedy <= CoEdge, on reference instances."""
    graph = load_model(model)
    cluster = load_cluster(cluster_name, graph)
    names = [name for name in METHODS if name not in ("exhaustive", "pso", "overlap")]
    found = {name: solve(graph, cluster, name) for name in names}
    assert found["milp"].status == "optimal"
    check_against_proof(found)
    assert found["greedy"].latency_s <= found["coedge"].latency_s
    assert found["iop_segments"].latency_s <= found["greedy"].latency_s


@pytest.mark.parametrize("cluster_name", ["edge-x3", *(pytest.param(name, marks=pytest.mark.slow) for name in ("mcu-x3", "mcu-x3-tight-0.6"))])
def test_depthwise_chains_order_as_proven(cluster_name, mobile_graph):
    """On a chain like MobileNet's every method gives a plan, and none that fits is faster than the proven optimum."""
    cluster = load_cluster(cluster_name, mobile_graph)
    found = {name: solve(mobile_graph, cluster, name) for name, method in METHODS.items() if not method.tiny_only and name != "overlap"}
    assert found["milp"].status == "optimal"
    assert all(solution.plan is not None for solution in found.values())
    check_against_proof(found)
    assert found["greedy"].latency_s <= found["coedge"].latency_s
