"""The program of time without barriers: every plan is a point of it, so that its optimum is below every makespan."""

from __future__ import annotations

import math
import random

import pytest
from support.any_teams import AnyTeams

from iopopt import Cluster, Device, Graph, GraphBuilder, Plan, evaluate
from iopopt.cost.instance import Instance
from iopopt.cost.stopwatch import NO_LIMIT
from iopopt.milp.backends import Options
from iopopt.milp.backends.scipy_highs import ScipyHighs
from iopopt.milp.barriers import BarrierBound
from iopopt.milp.overlap_program import OverlapProgram
from iopopt.simulation.simulate import Simulator


def _optimum_s(graph: Graph, cluster: Cluster, most_s: float) -> float:
    """The proven bound of the program, seconds; infinite if no plan fits."""
    instance = Instance.of(graph, cluster)
    program = OverlapProgram(instance, BarrierBound(instance, 4).stages, most_s, NO_LIMIT).program
    outcome = ScipyHighs().solve(program, Options(5.0, 0.0, 0, 1, {}, ""), lambda progress: None)
    return math.inf if outcome.status == "infeasible" else (outcome.bound or 0.0) * most_s


def _random_chain(rng: random.Random) -> tuple[Graph, Cluster]:
    """Two or three convolutions of few rows on two or three devices, whose links take about as long as they compute; often with little memory."""
    net = GraphBuilder("chain", (rng.randint(1, 2), rng.randint(4, 8), rng.randint(1, 2)))
    for _ in range(rng.randint(2, 3)):
        kernel = rng.choice([1, 3, 3, 5])
        net.conv(rng.randint(1, 3), (kernel, 1), padding=(kernel // 2, 0), bias=False)
    graph = (net.fc(rng.randint(1, 3), bias=False) if rng.random() < 0.3 else net).build()
    speeds = [rng.uniform(1, 3) for _ in range(rng.choice([2, 2, 3]))]
    seconds = 2 * graph.macs / sum(speeds)
    bytes_per_s = sum(operator.out_shape.elements for operator in graph.operators) / seconds * 10 ** rng.uniform(-1, 1)
    memory = rng.choice([1e9, rng.uniform(0.4, 1.1) * sum(graph.whole_memory_bytes(1))])
    devices = tuple(Device(f"d{j}", speed, memory, bytes_per_s * rng.uniform(0.5, 1.5)) for j, speed in enumerate(speeds))
    setup_s, source = seconds * rng.choice([0, 0.01, 0.05]), rng.choice([None, 0, 1])
    return graph, Cluster(devices, setup_s, source=source, sink=rng.randrange(len(speeds)), bytes_per_element=1)


def _exceeds(seed: int, rounds: int) -> bool:
    """Whether a descent to a fast plan that fits the memory finds one that is faster than the optimum."""
    rng = random.Random(seed)
    graph, cluster = _random_chain(rng)
    simulator = Simulator(graph, cluster)

    def makespan_s(plan: Plan) -> float:
        return simulator.makespan_s(plan) if evaluate(graph, cluster, plan).feasible else math.inf

    fastest = AnyTeams(graph, cluster, 4).fast(rng, makespan_s, rounds)
    most_s = 2 * graph.macs / min(device.flops_per_s for device in cluster.devices)
    return min(most_s, _optimum_s(graph, cluster, most_s)) > fastest * (1 + 1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_no_descent_beats_the_program(seed: int) -> None:
    """Chains, with and without tight memory."""
    assert not _exceeds(seed, rounds=40)


@pytest.mark.slow
def test_no_descent_beats_the_program_on_many_instances() -> None:
    """The same on two hundred, longer."""
    assert [seed for seed in range(100, 300) if _exceeds(seed, rounds=400)] == []


def _cluster(setup_s: float, memory_bytes: float = 1e6, source: int | None = None) -> Cluster:
    """Two devices of 2 FLOP/s and 2 bytes/s, one byte an element; device 0 is the sink."""
    devices = tuple(Device(f"d{j}", 2.0, memory_bytes, 2.0) for j in range(2))
    return Cluster(devices, connection_setup_s=setup_s, source=source, bytes_per_element=1)


def _pointwise(rows: int, *channels: int, kernel: int = 1) -> Graph:
    """Convolutions on a map of one column, the first of them 1 x 1, to these channels."""
    net = GraphBuilder("pointwise", (1, rows, 1))
    for number, count in enumerate(channels):
        extent = kernel if number else 1
        net.conv(count, (extent, 1), padding=(extent // 2, 0), bias=False)
    return net.build()


@pytest.mark.parametrize(
    ("graph", "cluster", "seconds"),
    [
        # The cases of test_barriers.
        pytest.param(_pointwise(3, 1), _cluster(0.5), 2.0, id="the sink hears of every share"),
        pytest.param(_pointwise(4, 1), _cluster(0.5, source=0), 3.0, id="the input comes from the source"),
        pytest.param(_pointwise(3, 1, 1), _cluster(1.5), 4.0, id="rows are no barrier"),
    ],
)
def test_the_optimum_is_reached(graph: Graph, cluster: Cluster, seconds: float) -> None:
    """The fastest of all plans takes as long as the program says."""
    fastest = min(map(Simulator(graph, cluster).makespan_s, AnyTeams(graph, cluster, 3).plans()))
    assert _optimum_s(graph, cluster, 10.0) == pytest.approx(seconds)
    assert fastest == pytest.approx(seconds)


def test_a_halo_takes_time() -> None:
    """Four rows of 1 s, then four of 3 s by a 3 x 1 kernel: each device has two rows of the first and two of the second, and one of the other's rows.

    A row takes 0.5 + 1/2 s, while the other row of the first operator is computed, so that both compute for 2 + 6 s; the output of device 1 takes
    1.5 s more. Device 0 with one row more of the second needs 5 s less on device 1, and 11 s. So the fastest takes 9.5 s.
    """
    graph, cluster = _pointwise(4, 1, 1, kernel=3), _cluster(0.5)
    fastest = min(map(Simulator(graph, cluster).makespan_s, AnyTeams(graph, cluster, 1).plans()))
    assert fastest == pytest.approx(9.5)
    assert 8.0 <= _optimum_s(graph, cluster, 20.0) <= fastest


def test_fields_are_cut_at_both_ends() -> None:
    """Two rows, one on each device, by a 3 x 1 kernel: each needs the other's row, and no more.

    1 s, 1 s for the row, 3 s, and 1 s to the sink; on one device 2 + 6 s.
    """
    graph, cluster = _pointwise(2, 1, 1, kernel=3), _cluster(0.5)
    fastest = min(map(Simulator(graph, cluster).makespan_s, AnyTeams(graph, cluster, 1).plans()))
    assert fastest == pytest.approx(6.0)
    assert 5.0 <= _optimum_s(graph, cluster, 20.0) <= fastest


def test_nothing_fits() -> None:
    """Weights that no device can hold make the program infeasible."""
    assert _optimum_s(_pointwise(3, 1), _cluster(0.5, memory_bytes=0.4), 10.0) == math.inf
