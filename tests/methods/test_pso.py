"""The particle swarm."""

import logging
import random
import statistics
import subprocess
import sys

import numpy as np
import pytest
from support.block_instances import block_instance
from support.random_branches import random_branched_graph
from support.random_instances import random_cluster

from iopopt import Pricer, Solution, SolverError, evaluate, load_cluster, load_model, solve, solve_exhaustive, solve_milp, solve_pso
from iopopt.methods.pso import SwarmSettings
from iopopt.methods.swarm.decoder import Decoder
from iopopt.methods.swarm.local_search import LocalSearch
from iopopt.methods.swarm.pyswarms_runs import quiet_pyswarms, seeded
from iopopt.models.resnet import resnet18
from iopopt.plan.team import check_in_space

QUICK = SwarmSettings(particles=10, iterations=6, swarms=2, stretch=3, passes=4)
PLAIN = SwarmSettings(particles=20, iterations=30, swarms=1, plain=True)
SCHEMES = ("single", "oc", "coedge", "greedy")


@pytest.fixture(scope="module")
def instance():
    graph = load_model("alexnet")
    return graph, load_cluster("edge-x3", graph)


def test_a_seed_on_branches():
    """Two runs of one seed agree on a residual network, and the latency is the evaluator's."""
    graph = resnet18(64)
    cluster = load_cluster("edge-x3", graph)
    first, again = (solve_pso(graph, cluster, seed=3, settings=SwarmSettings(10, 5, 1)) for _ in range(2))
    assert first.plan == again.plan
    assert first.latency_s == evaluate(graph, cluster, first.plan).latency_s


@pytest.mark.parametrize("settings", [QUICK, PLAIN])
def test_the_same_seed_gives_the_same_plan(instance, settings):
    """Two runs of one seed agree to the bit, in all that they find on the way, two seeds do not."""
    first, again, other = (solve_pso(*instance, seed=seed, longest_block=4, settings=settings) for seed in (1, 1, 2))
    assert first.plan == again.plan
    assert first.latency_s == again.latency_s
    found = [[point.value for point in solution.trajectory] for solution in (first, again, other)]
    assert found[0] == found[1] != found[2]


def test_numpys_global_generator_is_left_alone(instance):
    """The state of numpy's global generator, which pyswarms draws from, is the same before and after."""
    np.random.seed(7)
    expected = np.random.random()
    np.random.seed(7)
    solve_pso(*instance, settings=QUICK)
    assert np.random.random() == expected


@pytest.mark.parametrize("settings", [QUICK, SwarmSettings(particles=40, iterations=100, swarms=1, plain=True)])
def test_memory_is_penalised(settings):
    """Where only few plans fit, the swarm finds one that does."""
    graph = load_model("alexnet")
    solution = solve_pso(graph, load_cluster("edge-x3-tight-0.5", graph), settings=settings)
    assert solution.status == "feasible"


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("time_limit_s", [1e-9, 60.0])
def test_it_is_never_worse_than_its_start(seed, time_limit_s):
    """The start is the best of the cheap schemes that fit, and the Solution says which; whatever the time, the plan is no slower."""
    rng = random.Random(seed)
    graph, cluster = random_branched_graph(rng), random_cluster(rng)
    schemes = {name: solve(graph, cluster, name) for name in SCHEMES}
    fitting = [scheme for scheme in schemes.values() if scheme.status == "feasible"]
    found = solve_pso(graph, cluster, settings=QUICK, seed=seed, time_limit_s=time_limit_s)
    if time_limit_s < 1:  # the greedy pairs need time
        fitting = [scheme for scheme in fitting if scheme.method != "greedy"]
        assert found.termination == "time_limit"
    if fitting:
        start = min(scheme.latency_s for scheme in fitting)
        assert found.start_latency_s == pytest.approx(start, rel=1e-12)
        assert schemes[found.started_from].latency_s == pytest.approx(start, rel=1e-12)
        assert found.status == "feasible"
        assert found.latency_s <= start * (1 + 1e-12)
    else:
        assert (found.start_latency_s, found.started_from) == (None, None)


def test_what_was_gained_is_said(instance):
    """The explanation names the scheme, its latency and the gain over it; what a record holds of them is read back."""
    found = solve_pso(*instance, settings=QUICK)
    gain = f"{found.latency_s / found.start_latency_s - 1:+.1%}"
    assert found.latency_s < 0.95 * found.start_latency_s
    assert f"({gain} from oc, {found.start_latency_s * 1e3:.4g} ms)" in found.headline
    assert Solution.from_dict(found.to_dict()) == found


@pytest.mark.parametrize("seed", range(8))
def test_tiny_instances_are_solved(seed):
    """On instances small enough to price every plan with blocks, the plan is an optimum, or no plan fits."""
    graph, cluster, team, longest = block_instance(3000 + seed, most_plans=2000)
    settings = SwarmSettings(particles=20, iterations=12, swarms=2, stretch=4, passes=10)
    found = solve_pso(graph, cluster, team=team, longest_block=longest, settings=settings)
    optimum = solve_exhaustive(graph, cluster, team=team, longest_block=longest)
    assert found.plan is not None
    check_in_space(found.plan, team, cluster, longest)
    assert found.space == optimum.space
    assert found.latency_s == evaluate(graph, cluster, found.plan).latency_s
    assert (found.status == "feasible") == (optimum.status == "optimal")
    if found.status == "feasible":
        assert found.latency_s == pytest.approx(optimum.latency_s, rel=1e-9)


def test_blocks_pay_where_a_device_is_slow_to_reach():
    """Of VGG-11 over wifi, where one device is the optimum without blocks, the swarm fuses the first convolutions."""
    graph = load_model("vgg11")
    cluster = load_cluster("wifi-x3", graph)
    settings = SwarmSettings(particles=20, iterations=20, swarms=1, stretch=5, passes=15)
    found = solve_pso(graph, cluster, longest_block=8, settings=settings)
    assert found.space == "team=(0, 1, 2), blocks of up to 8"
    assert found.plan.blocks
    assert found.latency_s < 0.9 * found.start_latency_s


def test_the_plain_variant_is_the_swarm_alone(instance):
    """It has no start and takes no moves: the best of the positions that pyswarms visits from random ones, as drawn from numpy's generator."""
    from pyswarms.single import GlobalBestPSO

    found = solve_pso(*instance, seed=5, settings=PLAIN)
    assert (found.started_from, found.start_latency_s) == (None, None)
    decoder, pricer = Decoder(*instance, (0, 1, 2)), Pricer(*instance)
    visited = []

    def costs(positions):
        visited.append(pricer.price(decoder.decode(positions)).latency_s)
        return visited[-1]

    with quiet_pyswarms(), seeded(5):
        bounds, options = (np.zeros(decoder.dimensions), np.ones(decoder.dimensions)), {"w": 0.72, "c1": 1.5, "c2": 1.5}
        GlobalBestPSO(20, decoder.dimensions, options, bounds=bounds, bh_strategy="periodic").optimize(costs, 30, verbose=False)
    assert found.latency_s == pytest.approx(min(map(min, visited)), rel=1e-12)


@pytest.mark.parametrize("longest_block", [0, 1.5, True])
def test_lengths_of_blocks_that_are_none_are_refused(instance, longest_block):
    """A block of no operators is refused by name."""
    with pytest.raises(SolverError, match="longest_block"):
        solve_pso(*instance, longest_block=longest_block)


def test_an_interruption_keeps_the_best_plan(instance, monkeypatch):
    """Ctrl-C while the local search runs ends it with what was found."""

    def interrupted(self, start, passes):
        raise KeyboardInterrupt

    monkeypatch.setattr(LocalSearch, "improved", interrupted)
    found = solve_pso(*instance, settings=QUICK)
    assert (found.status, found.termination) == ("feasible", "interrupted")
    assert found.latency_s <= found.start_latency_s


def test_a_time_limit_ends_it(instance):
    """A limit that has passed ends the search with the best plan so far."""
    solution = solve_pso(*instance, time_limit_s=1e-9)
    assert solution.termination == "time_limit"
    assert solution.plan is not None


def test_pyswarms_touches_no_logger_and_writes_nothing(tmp_path):
    """A run leaves the root logger as it was, and no report.log in the working directory."""
    program = (
        "import logging, iopopt\n"
        "from iopopt.methods.pso import SwarmSettings\n"
        "handler = logging.StreamHandler(); logging.getLogger().addHandler(handler); logging.getLogger().setLevel(logging.ERROR)\n"
        "graph = iopopt.load_model('lenet5')\n"
        "iopopt.solve_pso(graph, iopopt.load_cluster('mcu-x3', graph), settings=SwarmSettings(5, 2, 1))\n"
        "root = logging.getLogger()\n"
        "assert root.handlers == [handler] and root.level == logging.ERROR, (root.handlers, root.level)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []
    assert logging.getLogger("pyswarms").handlers == []


@pytest.mark.slow
@pytest.mark.parametrize("longest_block", [1, 8])
@pytest.mark.parametrize(("model", "cluster_name"), [("alexnet", "edge-x3"), ("lenet5", "mcu-x3"), ("vgg16", "board-x4"), ("vgg19", "wifi-x4")])
def test_within_a_percent_of_the_optimum(model, cluster_name, longest_block):
    """Over five seeds of ten seconds the median is within 1 % of the proven optimum."""
    graph = load_model(model)
    cluster = load_cluster(cluster_name, graph)
    optimum = solve_milp(graph, cluster, longest_block=longest_block).latency_s
    found = [solve_pso(graph, cluster, seed=seed, longest_block=longest_block, time_limit_s=10).latency_s for seed in range(5)]
    assert statistics.median(found) <= 1.01 * optimum
