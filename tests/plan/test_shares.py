"""The rules by which shares are chosen."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

import pytest
from support.random_instances import random_graph

from iopopt import Device, GraphBuilder, Placement
from iopopt.cost.work import share_work
from iopopt.network.terms import amount
from iopopt.plan.shares import (
    coarse_shares,
    even_shares,
    fastest_shares,
    makespan_shares,
    proportional_shares,
    unit_even_shares,
    unit_makespan_shares,
    unit_proportional_shares,
)


def _all_shares(size: int, count: int) -> Iterator[tuple[int, ...]]:
    for cuts in itertools.combinations_with_replacement(range(size + 1), count - 1):
        bounds = (0, *cuts, size)
        yield tuple(stop - start for start, stop in itertools.pairwise(bounds))


def test_even_shares() -> None:
    """The first size mod count participants take one more."""
    assert even_shares(10, 4) == (3, 3, 2, 2)
    assert even_shares(2, 4) == (1, 1, 0, 0)
    assert even_shares(0, 3) == (0, 0, 0)


def test_proportional_shares_by_hand() -> None:
    """Largest remainder: 10 over 1:2:4 is 1.43, 2.86, 5.71, so the second and then the third take the two units left."""
    assert proportional_shares(10, (1, 2, 4)) == (1, 3, 6)
    assert proportional_shares(7, (1, 1)) == (4, 3)  # a tie goes to the first
    assert proportional_shares(1, (1, 5, 1)) == (0, 1, 0)
    assert proportional_shares(5, (3,)) == (5,)
    assert proportional_shares(224, (1, 2, 4, 1.5)) == (26, 53, 105, 40)  # 26.35, 52.71, 105.41, 39.53


def test_proportional_shares_follow_largest_remainder() -> None:
    """Shares sum to the size and differ from exact proportion by less than one unit."""
    rng = random.Random(1)
    for _ in range(500):
        size, weights = rng.randint(0, 50), [rng.choice([1, 1.5, 2, 2.5, 3, rng.uniform(0.1, 5)]) for _ in range(rng.randint(1, 6))]
        shares = proportional_shares(size, weights)
        exact = [Fraction(weight) * size / sum(Fraction(weight) for weight in weights) for weight in weights]
        assert sum(shares) == size
        assert all(abs(share - quota) < 1 + 1e-9 for share, quota in zip(shares, exact, strict=True))


def _makespan(shares: Sequence[int], speeds: Sequence[float], stride: int, extent: int) -> float:
    return max(max(0, (share - 1) * stride + extent) / speed for share, speed in zip(shares, speeds, strict=True))


@pytest.mark.parametrize("limited", [False, True])
def test_makespan_shares_are_optimal(limited: bool) -> None:
    """No shares within the limits have a smaller makespan: compared with all of them; None where the limits cannot hold the size."""
    rng = random.Random(2 + limited)
    impossible = 0
    for _ in range(400):
        count, size = rng.randint(1, 4), rng.randint(1, 9)
        speeds = tuple(rng.choice([1.0, 2.0, 1.5, rng.uniform(0.1, 10) * 1e9]) for _ in range(count))
        stride, extent = rng.randint(1, 4), rng.randint(1, 5)
        limits = tuple(rng.randint(0, size) for _ in range(count)) if limited else None
        fitting = [
            shares for shares in _all_shares(size, count) if limits is None or all(s <= limit for s, limit in zip(shares, limits, strict=True))
        ]
        shares = makespan_shares(size, speeds, stride, extent, limits)
        if not fitting:
            assert shares is None
            impossible += 1
            continue
        assert shares in fitting
        best = min(_makespan(candidate, speeds, stride, extent) for candidate in fitting)
        assert _makespan(shares, speeds, stride, extent) == pytest.approx(best, rel=1e-12)
    assert (impossible > 20) == limited


def test_makespan_shares_of_large_sizes() -> None:
    """At thousands of channels the makespan is the smallest that a search over exact fractions finds."""
    rng = random.Random(3)
    for _ in range(40):
        size, speeds = rng.randint(1000, 5000), tuple(rng.choice([0.5e9, 1e9, 2e9, 0.75e9]) for _ in range(rng.randint(2, 8)))
        shares = makespan_shares(size, speeds)
        assert shares is not None
        assert sum(shares) == size
        makespan = max(Fraction(share) / Fraction(speed) for share, speed in zip(shares, speeds, strict=True))
        # Any smaller makespan is smaller than that of the slowest participants' last unit: less fits strictly below it.
        fits_below = sum(-((-makespan * Fraction(speed)) // 1) - 1 for speed in speeds)
        assert fits_below < size


@pytest.mark.parametrize("limited", [False, True])
def test_unit_makespan_shares_are_optimal(limited: bool) -> None:
    """For each dimension of random operators, overlapping pools included, no valid shares compute faster by the evaluator's own FLOPs."""
    rng = random.Random(6 + limited)
    overlapping = 0
    for _ in range(60):
        for operator in random_graph(rng).operators:
            for dim in operator.splittable_dims:
                size, count = operator.size(dim), rng.randint(2, 3)
                speeds = [rng.uniform(1, 5) for _ in range(count)]
                limits = [rng.randint(size // count, size) for _ in range(count)] if limited else None

                def seconds(shares: Sequence[int], operator=operator, dim=dim, speeds=speeds) -> float:  # type: ignore[no-untyped-def]
                    return max(work.flops / speeds[j] for j, work in share_work(operator.unit, Placement.split(dim, range(len(speeds)), shares), 1))

                fitting = [
                    s
                    for s in _all_shares(size, count)
                    if (limits is None or all(share <= limit for share, limit in zip(s, limits, strict=True)))
                    and (dim != "OC" or operator.groups == 1 or all(share % (size // operator.groups) == 0 for share in s))
                ]
                shares = unit_makespan_shares(operator.unit, dim, speeds, limits)
                assert (shares is None) == (not fitting)
                if shares is not None:
                    assert shares in fitting
                    assert seconds(shares) == pytest.approx(min(map(seconds, fitting)), rel=1e-12)
                overlapping += dim == "H" and operator.pool.rows.kernel > operator.pool.rows.stride
    assert overlapping > 5


def test_limits_that_cannot_hold_the_size() -> None:
    """Limits below the size give None; limits that just hold it give themselves."""
    assert makespan_shares(7, (1.0, 1.0), limits=(3, 3)) is None
    assert makespan_shares(6, (1.0, 9.0), limits=(3, 3)) == (3, 3)


def test_output_channels_of_groups_go_in_whole_groups() -> None:
    """Five groups of three channels: even over two are 3 and 2 groups, over speeds 1 : 3 they are 1.25 and 3.75, so 1 and 4; rows go one by one."""
    operator = GraphBuilder("x", (10, 9, 9)).conv(15, 3, padding=1, groups=5).build().operators[0]
    assert unit_even_shares(operator.unit, "OC", 2) == (9, 6)
    assert unit_proportional_shares(operator.unit, "OC", (1, 3)) == (3, 12)
    assert unit_makespan_shares(operator.unit, "OC", (1, 3)) == (3, 12)
    # A limit of seven channels holds two groups.
    assert unit_makespan_shares(operator.unit, "OC", (3, 1), limits=(7, 15)) == (6, 9)
    assert unit_makespan_shares(operator.unit, "OC", (3, 1), limits=(7, 8)) is None
    assert unit_even_shares(operator.unit, "H", 2) == (5, 4)


def test_coarse_shares_by_hand() -> None:
    """Eight rows at speeds of 1 and 3: by twos 2 and 6; threes do not divide them, and rows one by one not the pairs of an upsampling."""
    unit = GraphBuilder("x", (1, 8, 1)).conv(1, 1).build().units[0]
    assert coarse_shares(unit, (1, 3), 2) == (2, 6)
    assert coarse_shares(unit, (1, 3), 3) is None
    doubled = GraphBuilder("x", (1, 4, 1)).upsample((2, 1)).build().units[0]
    assert [coarse_shares(doubled, (1, 3), rows) for rows in (1, 2)] == [None, (2, 6)]


def test_the_fastest_shares_by_hand() -> None:
    """Six channels, a second each by arithmetic; n touch 6 + 7 n elements, at 5 bytes/s 4 s for two and, of two bytes each, 5.2 s for one."""
    unit = GraphBuilder("x", (1, 6, 1)).conv(6, 1, bias=False).build().units[0]
    assert (unit.flops, amount(unit.touched["OC"], 1)) == (72, 6 + 7)
    plain = Device("a", 12.0, 1e9, 1.0)
    assert fastest_shares(unit, "OC", [plain, plain], 1) == (3, 3)
    assert fastest_shares(unit, "OC", [plain, replace(plain, memory_bytes_per_s=5.0)], 1) == (4, 2)
    assert fastest_shares(unit, "OC", [replace(plain, memory_bytes_per_s=5.0), plain], 2) == (1, 5)


def test_the_fastest_shares_of_a_huge_dimension() -> None:
    """A billion channels are shared in no time, also where a long input makes a device take as long for few channels as for none."""
    unit = GraphBuilder("x", (1, 6, 1)).conv(10**9, 1, bias=False).build().units[0]
    slow = Device("a", 12.0, 1e9, 1.0, 5.0)
    for devices in ([slow, replace(slow, memory_bytes_per_s=9.0)], [slow, Device("b", 24.0, 1e9, 1.0)], [slow] * 3):
        shares = fastest_shares(unit, "OC", devices, 4)
        times = [
            device.compute_s(*work)
            for device, (_, work) in zip(devices, share_work(unit, Placement.split("OC", range(len(devices)), shares), 4), strict=True)
        ]
        assert sum(shares) == 10**9
        assert max(times) == pytest.approx(min(times), rel=1e-6)
    wide = GraphBuilder("x", (10**7, 6, 1)).conv(1000, 1, bias=False).build().units[0]
    assert sum(fastest_shares(wide, "OC", [slow, replace(slow, memory_bytes_per_s=1e-3)], 4)) == 1000


def test_participants_that_take_no_time() -> None:
    """A pool without FLOPs over a device with a memory bandwidth and two without: the shares sum to its rows, and none of them takes time."""
    graph = GraphBuilder("pooled", (2, 12, 3)).max_pool(2, stride=2).build()
    devices = [Device("a", 1.0, 1e9, 1.0), Device("b", 1.0, 1e9, 1.0), Device("c", 1.0, 1e9, 1.0, 1.0)]
    unit = graph.operators[0].unit
    assert fastest_shares(unit, "OC", devices, 4)[2] == 0
    for dim in unit.dims:
        assert sum(fastest_shares(unit, dim, devices, 4)) == unit.sizes[dim]
