"""CoEdge's rows by linear program: dropped devices, rounding within the limits, and never below what is proven."""

import random

import pytest
from support.random_branches import random_branched_graph
from support.random_instances import random_cluster, random_graph, with_powers

from iopopt import (
    Cluster,
    Device,
    GraphBuilder,
    Placement,
    SolverError,
    UnknownNameError,
    UnsupportedError,
    evaluate,
    load_cluster,
    load_model,
    solve,
    solve_coedge,
    solve_coedge_lp,
    solve_exhaustive,
    solve_milp,
    solve_single,
)
from iopopt.cost.instance import Instance
from iopopt.methods.coedge import coedge_placements
from iopopt.methods.coedge_program import Aim, relaxed, threshold
from iopopt.methods.objective import Goal


def pair(memory=1e6, setup_s=0.5, rows=4):
    """A pointwise convolution 1 x rows x 1 of two FLOPs a row, on devices of 1 and 3 FLOP/s, which compute at 1 and 9 watts.

    With x of four rows on device 1, whose output goes to the sink, device 0, at 8 bytes/s: T = max(8 (1 - x), 8 x / 3) + x / 2 + 0.5.
    """
    graph = GraphBuilder("line", (1, rows, 1)).conv(1, 1, bias=False, name="c").build()
    figures = {"transmit_watts": 0.0, "receive_watts": 0.0, "idle_watts": 0.0}
    slow = Device("slow", 1.0, memory, 8.0, compute_watts=1.0, **figures)
    fast = Device("fast", 3.0, memory, 8.0, compute_watts=9.0, **figures)
    return graph, Cluster((slow, fast), connection_setup_s=setup_s, bytes_per_element=1)


def rows_of(solution):
    """The shares of the one operator by device."""
    return {shard.device: shard.size for shard in solution.plan["c"].shards}


def test_the_least_latency_by_hand():
    """Three of four rows on the fast device: 2 s of computing, 3 bytes in 0.375 s, 0.5 s to connect."""
    solution = solve_coedge_lp(*pair())
    assert rows_of(solution) == {0: 1, 1: 3}
    assert solution.latency_s == pytest.approx(2 + 0.375 + 0.5)
    assert (solution.status, solution.bound, solution.space) == ("feasible", None, "team=best")


def test_the_program_by_hand():
    """Within 4.875 s x must be at least 3.625 / 7.5, and each row costs 2 J on the slow device and 6 J on the fast one: 8 + 16 x."""
    graph, cluster = pair()
    instance = Instance(graph, cluster)
    placements = (*coedge_placements(graph, cluster, (0, 1), "fastest"), *instance.terminals)
    found = relaxed(instance, (0, 1), placements, Aim(Goal("energy", 4.875)))
    assert found.fractions[1] == pytest.approx(3.625 / 7.5)
    assert found.value == pytest.approx(8 + 16 * 3.625 / 7.5)


def test_the_least_energy_within_a_deadline_by_hand():
    """x = 0.483 rounds to two rows of four: 4 + 0.25 + 0.5 s and 16 J; without a deadline the slow device alone takes 8 s and 8 J."""
    solution = solve_coedge_lp(*pair(), objective="energy", deadline_s=4.875)
    assert rows_of(solution) == {0: 2, 1: 2}
    assert (solution.latency_s, solution.value, solution.unit) == (pytest.approx(4.75), pytest.approx(16.0), "J")
    assert solve_coedge_lp(*pair(), objective="energy").plan["c"] == Placement.whole(0)


def test_rounding_that_misses_the_deadline_is_repaired():
    """Within 4.7 s x is at least 0.507, which rounds to two rows again and 4.75 s; three rows are the least that keep it."""
    solution = solve_coedge_lp(*pair(), objective="energy", deadline_s=4.7)
    assert rows_of(solution) == {0: 1, 1: 3}
    assert solution.value == pytest.approx(2 + 18)


def test_a_deadline_that_nothing_met_is_unknown_with_the_least_latency():
    """Nothing is proven, so it is not infeasible; the reason says what was found."""
    solution = solve_coedge_lp(*pair(), objective="energy", deadline_s=2.0)
    assert (solution.status, solution.plan, solution.deadline_s) == ("unknown", None, 2.0)
    assert "2875 ms" in solution.reason
    assert "2000 ms" in solution.reason


def test_rounding_that_breaks_the_memory_is_repaired():
    """By speed the fast device has 7.5 of ten rows, rounded 8, for which it needs 17 bytes: 8 in, 8 out and the weight. With 16 it has 7."""
    graph, cluster = pair(rows=10, setup_s=0.0)
    cluster = Cluster((cluster.devices[0], Device("fast", 3.0, 16, 8e9)), connection_setup_s=0.0, bytes_per_element=1)
    free = Cluster((cluster.devices[0], Device("fast", 3.0, 1e6, 8e9)), connection_setup_s=0.0, bytes_per_element=1)
    assert rows_of(solve_coedge_lp(graph, free)) == {0: 2, 1: 8}
    solution = solve_coedge_lp(graph, cluster)
    assert rows_of(solution) == {0: 3, 1: 7}
    assert solution.status == "feasible"


def test_memory_that_nothing_fits_is_violated():
    """The plan that is closest to fitting is returned, with what it lacks."""
    graph, cluster = pair(memory=3, rows=10)
    solution = solve_coedge_lp(graph, cluster)
    assert solution.status == "violates_memory"
    assert rows_of(solution) == {0: 5, 1: 5} or max(solution.evaluation.memory_bytes) <= 17
    assert "bytes" in solution.reason


def test_a_device_below_the_threshold_is_dropped():
    """AlexNet on devices of 1 : 2 : 4: the slow one would have a tenth of the rows, and a halo is two of thirteen."""
    graph = load_model("alexnet")
    cluster = load_cluster("edge-x3", graph)
    instance = Instance(graph, cluster)
    placements = (*coedge_placements(graph, cluster, (0, 1, 2), "fastest"), *instance.terminals)
    found = relaxed(instance, (0, 1, 2), placements, Aim())
    assert 0 < found.fractions[0] < threshold(instance, placements)
    solution = solve_coedge_lp(graph, cluster)
    assert solution.plan["conv1"].devices == (1, 2)
    assert solution.latency_s < solve_coedge(graph, cluster).latency_s


def test_every_operator_has_the_same_fractions():
    """Rows that are multiples of each other are cut at the same fractions, up to rounding."""
    plan = solve_coedge_lp(load_model("alexnet"), load_cluster("edge-x3", load_model("alexnet"))).plan
    heights = {name: sum(placement.shares) for name, placement in plan.items() if placement.dim == "H"}
    fractions = [plan[name].shares[0] / height for name, height in heights.items()]
    assert all(abs(fraction - fractions[0]) <= 1 / height + 1 / 27 for fraction, height in zip(fractions, heights.values(), strict=True))


def test_fully_connected_operators_stay_whole_or_are_split():
    """On the fastest device of those that take part, or by output channels over them; another word is refused."""
    graph = load_model("alexnet")
    cluster = load_cluster("edge-x3", graph)
    assert solve_coedge_lp(graph, cluster).plan["fc1"] == Placement.whole(2)
    assert solve_coedge_lp(graph, cluster, fully_connected="oc").plan["fc1"].dim == "OC"
    with pytest.raises(UnsupportedError, match="'fastest' and 'oc'"):
        solve_coedge_lp(graph, cluster, fully_connected="slowest")


def test_a_network_without_rows_can_be_split_by_output_channels():
    """Fractions of no rows decide nothing, and drop nobody."""
    graph = GraphBuilder("fc", (64, 1, 1)).fc(96, name="c").build()
    cluster = Cluster((Device("a", 100.0, 1e6, 1e6), Device("b", 100.0, 1e6, 1e6)), connection_setup_s=1e-3)
    assert solve_coedge_lp(graph, cluster, fully_connected="oc").plan["c"] == Placement.split("OC", (0, 1), (48, 48))


def test_a_team_keeps_its_order():
    """Devices are dropped from the team's order."""
    graph = load_model("alexnet")
    solution = solve_coedge_lp(graph, load_cluster("edge-x3", graph), team=(2, 0, 1))
    assert solution.plan["conv1"].devices == (2, 1)
    assert solution.space == "subsets of team=(2, 0, 1)"


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"objective": "power"}, UnknownNameError, "objective"),
        ({"deadline_s": 1.0}, SolverError, "objective='energy'"),
        ({"objective": "energy", "deadline_s": -1.0}, SolverError, "positive number of seconds"),
    ],
)
def test_settings_that_do_not_exist_are_refused(options, error, words):
    with pytest.raises(error, match=words):
        solve_coedge_lp(*pair(), **options)


def test_energy_needs_a_power():
    with pytest.raises(SolverError, match="compute_watts"):
        solve_coedge_lp(load_model("lenet5"), [Device("only", 1e5, 1e6, 1e5)], objective="energy")


def random_instance(seed):
    rng = random.Random(seed)
    graph = random_branched_graph(rng, tiny=True) if seed % 2 else random_graph(rng, tiny=True)
    return graph, with_powers(rng, random_cluster(rng, rng.randint(2, 3)))


@pytest.mark.parametrize("seed", range(11, 45))
def test_never_below_the_best_of_all_plans(seed):
    """Latency, and energy under deadlines from the fastest plan on, against every plan of every team; and never worse than the best device alone."""
    graph, cluster = random_instance(seed)
    found = solve_coedge_lp(graph, cluster)
    assert solve_exhaustive(graph, cluster, team="best").value <= found.latency_s <= solve_single(graph, cluster).latency_s
    for slack in (1.0, 1.3, 3.0):
        deadline_s = max(1e-9, slack * found.latency_s)
        frugal = solve_coedge_lp(graph, cluster, objective="energy", deadline_s=deadline_s)
        least = solve_exhaustive(graph, cluster, team="best", objective="energy", deadline_s=deadline_s)
        assert frugal.latency_s <= deadline_s * (1 + 1e-9)
        assert least.value <= frugal.value * (1 + 1e-9)


@pytest.mark.parametrize("seed", [2, 4, 12])
def test_never_below_the_exact_programs_bound(seed):
    """The program's space has every plan that CoEdge can give."""
    graph, cluster = random_instance(seed)
    deadline_s = 1.3 * solve_coedge_lp(graph, cluster).latency_s
    frugal = solve_coedge_lp(graph, cluster, objective="energy", deadline_s=deadline_s)
    proven = solve_milp(graph, cluster, team="best", objective="energy", deadline_s=deadline_s)
    assert (proven.status, proven.space) == ("optimal", frugal.space)
    assert proven.bound <= frugal.value * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(100, 140))
def test_limits_are_kept_or_the_status_says_so(seed):
    """Under tight memory and deadlines: feasible plans keep both, violates_memory the deadline, unknown has no plan."""
    rng = random.Random(seed)
    graph, cluster = random_instance(seed)
    demand = max(evaluate(graph, cluster, solve_coedge(graph, cluster).plan).memory_bytes)
    limited = tuple(Device(**{"name": device.name, **device.figures(), "memory_bytes": demand * rng.uniform(0.5, 1.3)}) for device in cluster.devices)
    cluster = Cluster(limited, cluster.connection_setup_s, cluster.connections, cluster.source, cluster.sink, cluster.bytes_per_element)
    deadline_s = max(1e-9, solve_coedge(graph, cluster).latency_s * rng.uniform(0.3, 1.5))
    solution = solve(graph, cluster, "coedge_lp", objective="energy", deadline_s=deadline_s)
    if solution.plan is None:
        assert solution.status == "unknown"
        assert "deadline" in solution.reason
    else:
        assert solution.latency_s <= deadline_s * (1 + 1e-9)
        assert solution.evaluation.feasible == (solution.status == "feasible")
