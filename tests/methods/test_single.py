"""The best single device."""

from iopopt import Device, Placement, evaluate, solve_single
from iopopt.plan.plan import Plan


def test_single_takes_the_fastest_including_transfer(alexnet, edge):
    """The best single device is the least of the three whole plans, priced one by one."""
    prices = [evaluate(alexnet, edge, Plan.of(alexnet, [Placement.whole(j)] * 8)).latency_s for j in range(3)]
    assert solve_single(alexnet, edge).latency_s == min(prices) == prices[2]


def test_single_prefers_a_slow_device_that_holds_the_model(alexnet):
    """A device whose memory is too small is passed over, however fast it is."""
    devices = [Device("small", 1e12, 1e6, 1e9), Device("large", 1e9, 1e9, 1e7)]
    solution = solve_single(alexnet, devices)
    assert solution.plan["conv1"] == Placement.whole(1)
    assert solution.status == "feasible"
