"""CoEdge's linear program: the evaluator's price at whole rows, below every vector of rows, within the limits."""

import itertools
import math
import random

import pytest
from support.naive_pricing import naive_energy_j, naive_price
from support.random_branches import random_branched_graph
from support.random_instances import random_cluster, random_graph, random_team, with_powers

from iopopt import Cluster, Device, GraphBuilder, Plan, evaluate, load_model
from iopopt.cost.instance import Instance
from iopopt.cost.transfers import edge_rounds
from iopopt.methods.coedge import coedge_placements
from iopopt.methods.coedge_lp import split_by
from iopopt.methods.coedge_program import Aim, halo_rows, relaxed, threshold
from iopopt.methods.objective import Goal

LATENCY, ENERGY = Goal("latency"), Goal("energy")


def placements_of(instance, team, fully_connected="fastest"):
    """Rows by capability, of every unit."""
    return (*coedge_placements(instance.graph, instance.cluster, team, fully_connected), *instance.terminals)


def common_rows(instance, placements):
    """The number of parts into which the rows of every operator can be cut; 0 if none has rows."""
    split = [unit.granules("H") for unit, placement in zip(instance.placed, placements, strict=False) if placement.dim == "H"]
    return math.gcd(*split)


def plan_of(instance, placements, fractions):
    """The plan of fractions that give whole rows."""
    return Plan.of(instance.graph, [split_by(unit, placement, fractions) for unit, placement in zip(instance.placed, placements, strict=False)])


def may_align(instance, placements):
    """Whether an edge is row-aligned at some fractions and not at others."""
    edges = [edge for edges in instance.edges_into for edge in edges if placements[edge.producer].dim == placements[edge.consumer].dim == "H"]
    return any(edge.q.field.overlap <= 0 and halo_rows(edge) for edge in edges)


def random_case(seed):
    """An instance, a team, its placements, and into how many equal parts all rows can be cut."""
    rng = random.Random(seed)
    graph = random_branched_graph(rng) if seed % 2 else random_graph(rng)
    cluster = with_powers(rng, random_cluster(rng))
    instance, team = Instance(graph, cluster), random_team(rng, len(cluster))
    placements = placements_of(instance, team, rng.choice(["fastest", "oc"]))
    return instance, team, placements, common_rows(instance, placements)


def compositions(total, count):
    """Every way to write ``total`` as a sum of ``count`` whole numbers of at least 0."""
    for cuts in itertools.combinations_with_replacement(range(total + 1), count - 1):
        yield tuple(stop - start for start, stop in itertools.pairwise((0, *cuts, total)))


CASES = [seed for seed in range(400) if random_case(seed)[3] > 1]


def test_there_are_enough_cases():
    """The seeds reach instances whose rows can be cut in several parts, chains and branches."""
    assert len(CASES) >= 80
    assert {seed % 2 for seed in CASES} == {0, 1}


@pytest.mark.parametrize("seed", CASES)
def test_whole_rows_have_the_evaluators_price(seed):
    """Latency, energy and memory at fractions that give whole rows; where an edge may be aligned, not more."""
    instance, team, placements, parts = random_case(seed)
    rng = random.Random(seed)
    shares = rng.choice(list(compositions(parts, len(team))))
    fractions = [share / parts for share in shares]
    price = evaluate(instance.graph, instance.cluster, plan_of(instance, placements, fractions))
    seconds, joules = (relaxed(instance, team, placements, Aim(goal), fractions).value for goal in (LATENCY, ENERGY))
    if may_align(instance, placements):
        assert seconds <= price.latency_s * (1 + 1e-7)
        assert joules <= price.energy_j * (1 + 1e-7)
    else:
        assert seconds == pytest.approx(price.latency_s, rel=1e-6)
        assert joules == pytest.approx(price.energy_j, rel=1e-6, abs=1e-12)
    fitting = tuple(demand * (1 + 1e-6) + 1e-3 for demand in price.memory_bytes)
    assert relaxed(instance, team, placements, Aim(LATENCY, fitting), fractions) is not None
    most = max(range(len(fitting)), key=lambda j: price.memory_bytes[j] / instance.cluster.devices[j].memory_bytes)
    lower = tuple(limit - (4 + 1e-4 * limit) * (j == most) for j, limit in enumerate(fitting))
    if price.memory_bytes[most] > 1e5:  # beyond the solver's tolerance, which is relative to the device's memory
        assert relaxed(instance, team, placements, Aim(LATENCY, lower), fractions) is None


@pytest.mark.parametrize("goal", [LATENCY, ENERGY], ids=["latency", "energy"])
@pytest.mark.parametrize("seed", CASES[:40])
def test_no_vector_of_rows_is_better(seed, goal):
    """The optimum is a lower bound on every vector of whole rows, by an independent price."""
    instance, team, placements, parts = random_case(seed)
    least = relaxed(instance, team, placements, Aim(goal)).value
    for shares in itertools.islice(compositions(parts, len(team)), 60):
        plan = plan_of(instance, placements, [share / parts for share in shares])
        if goal is LATENCY:
            found = naive_price(instance.graph, instance.cluster, plan).latency_s
        else:
            found = sum(naive_energy_j(instance.graph, instance.cluster, plan))
        assert least <= found * (1 + 1e-7) + 1e-12


def fine_instance(devices):
    """Convolutions on 48 and 24 rows, so that rows can be cut in 24 parts, and a fully connected one."""
    net = GraphBuilder("fine", (2, 48, 6)).conv(3, 3, padding=1, name="a").relu().max_pool(2)
    graph = net.conv(4, 3, padding=1, name="b").conv(4, 1, name="c").fc(5, name="d").build()
    return Instance(graph, Cluster(devices, connection_setup_s=1e-4, source=0))


def device(name, speed, link, watts=1.0, memory=1e9):
    return Device(name, speed, memory, link, compute_watts=watts, transmit_watts=0.5, receive_watts=0.25, idle_watts=0.1)


FINE = {
    "links bind": (device("x", 2e5, 3e4), device("y", 7e5, 9e4, 8.0)),
    "compute binds": (device("x", 1e5, 1e6), device("y", 2e5, 2e6, 5.0), device("z", 4e5, 4e6, 3.0)),
    "one is slow": (device("x", 5e5, 2e5, 2.0), device("y", 4e4, 8e5, 0.1), device("z", 3e5, 2e5, 4.0)),
}


@pytest.mark.parametrize("devices", FINE.values(), ids=FINE)
def test_a_grid_search_finds_the_same_optimum(devices):
    """No vector of 24ths is better, and the best of them is nearly as good: latency, energy, and energy under deadlines."""
    instance, team = fine_instance(devices), tuple(range(len(devices)))
    placements = placements_of(instance, team)
    assert common_rows(instance, placements) == 24
    grid = []
    for shares in compositions(24, len(team)):
        plan = plan_of(instance, placements, [share / 24 for share in shares])
        price = evaluate(instance.graph, instance.cluster, plan)
        grid.append((price.latency_s, price.energy_j))
    fastest = min(seconds for seconds, _ in grid)
    found = relaxed(instance, team, placements, Aim(LATENCY)).value
    assert found * (1 - 1e-9) <= fastest <= found * 1.05
    for slack in (1.02, 1.2, 1.6, 4.0):
        least = min(joules for seconds, joules in grid if seconds <= slack * fastest)
        joules = relaxed(instance, team, placements, Aim(Goal("energy", slack * fastest))).value
        assert joules * (1 - 1e-9) <= least <= joules * 1.08
    assert relaxed(instance, team, placements, Aim(Goal("energy", 0.999 * found))) is None


@pytest.mark.parametrize("devices", FINE.values(), ids=FINE)
def test_memory_limits_are_those_of_equation_1(devices):
    """No 24ths that fit are better than the program within the limits, and it is worse than without."""
    instance, team = fine_instance(devices), tuple(range(len(devices)))
    placements = placements_of(instance, team)
    free = relaxed(instance, team, placements, Aim(LATENCY))
    prices = [
        evaluate(instance.graph, instance.cluster, plan_of(instance, placements, [share / 24 for share in shares]))
        for shares in compositions(24, len(team))
    ]
    fastest = min(prices, key=lambda price: price.latency_s)
    largest = free.fractions.index(max(free.fractions))
    limits = tuple(1e9 if j != largest else 0.8 * demand for j, demand in enumerate(fastest.memory_bytes))
    limited = relaxed(instance, team, placements, Aim(LATENCY, limits))
    fitting = [price.latency_s for price in prices if all(demand <= limit for demand, limit in zip(price.memory_bytes, limits, strict=True))]
    assert free.value * 1.01 < limited.value <= min(fitting) <= limited.value * 1.06
    assert relaxed(instance, team, placements, Aim(LATENCY, (1.0,) * len(team))) is None


def one_edge(net):
    """The edge between the two operators of a graph, and its threshold on two devices."""
    instance = Instance(net.build(), Cluster((Device("x", 1.0, 1e9, 1.0), Device("y", 1.0, 1e9, 1.0))))
    (edge,) = (edge for edges in instance.edges_into for edge in edges if edge.producer == 0 and edge.consumer == 1)
    return edge, threshold(instance, placements_of(instance, (0, 1)))


@pytest.mark.parametrize(
    ("layer", "rows"),
    [
        (lambda net: net.conv(2, 1), 0),
        (lambda net: net.conv(2, 3, padding=1), 1),
        (lambda net: net.conv(2, 5, padding=2), 2),
        (lambda net: net.conv(2, 5), 4),  # n of 8 rows need 12 n / 8 + 4 (1 - n / 8) of 12: nearly 4 more if n is small
        (lambda net: net.conv(2, 2, stride=2), 0),
        (lambda net: net.conv(2, 3, padding=1).max_pool(2), 1),
        (lambda net: net.conv(2, 3, padding=1).max_pool(3, stride=2, padding=1), 2),  # K = 3 + 2, S = 2, P = 1 + 1
    ],
)
def test_halos_by_hand(layer, rows):
    """The rows that a part of 12 lacks on one side, at the most."""
    edge, least = one_edge(layer(GraphBuilder("pair", (1, 12, 12)).conv(2, 1)))
    assert halo_rows(edge) == rows
    assert least == pytest.approx(rows / 12)


def test_odd_maps_have_a_halo_without_an_overlap():
    """A 2 x 2 pool leaves out the last of 13 rows: its parts drift by up to a row against those that it reads."""
    edge, least = one_edge(GraphBuilder("pair", (1, 13, 12)).conv(2, 1).conv(2, 2, stride=2))
    assert edge.q.field.overlap == 0
    assert halo_rows(edge) == 1
    assert least == pytest.approx(1 / 13)


def test_the_threshold_is_the_largest_halo():
    """AlexNet: the last pool needs two of 13 rows from a neighbour."""
    graph = load_model("alexnet")
    instance = Instance(graph, Cluster(tuple(Device(name, 1e9, 1e9, 1e6) for name in "xyz")))
    assert threshold(instance, placements_of(instance, (0, 1, 2))) == pytest.approx(2 / 13)


def test_nobody_lacks_more_than_the_halo():
    """By the cases of equation (8), over every vector of whole rows of random instances."""
    for seed in CASES:
        instance, team, placements, parts = random_case(seed)
        if len(team) < 2:
            continue
        for shares in itertools.islice(compositions(parts, len(team)), 200):
            plan = plan_of(instance, placements, [share / parts for share in shares])
            by_rows = {number: plan[unit.name] for number, unit in enumerate(instance.placed) if plan[unit.name].dim == "H"}
            for edge in (edge for edges in instance.edges_into for edge in edges):
                if edge.producer in by_rows and edge.consumer in by_rows:
                    (round_,) = edge_rounds(edge, by_rows[edge.producer], by_rows[edge.consumer], 1)
                    row = edge.shape.channels * edge.shape.width
                    assert all(size <= halo_rows(edge) * row for _, _, size in round_.transfers)
