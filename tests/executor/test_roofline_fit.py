"""Rooflines from the times of tasks."""

from __future__ import annotations

import math
import random

import pytest

from iopopt.schedule.rounds import Work

pytest.importorskip("torch", reason="the extra 'run' is not installed")

from iopopt.executor.roofline_fit import Roofline, fit_roofline

CONVOLUTIONS = [Work(flops, flops / intensity) for flops, intensity in ((1e9, 40), (3e9, 90), (2e8, 25), (8e8, 60))]
MIXED = [*CONVOLUTIONS, Work(2e8, 4e8), Work(3e7, 6e7), Work(0.0, 2e7), Work(1e7, 3e7)]
"""Convolutions use an element often; fully connected operators and pools do not."""


def seconds_of(works: list[Work], flops_per_s: float, memory_bytes_per_s: float) -> list[float]:
    return [max(work.flops / flops_per_s, work.touched_bytes / memory_bytes_per_s) for work in works]


def deviance(works: list[Work], seconds: list[float], flops_per_s: float, memory_bytes_per_s: float) -> float:
    fitted = seconds_of(works, flops_per_s, memory_bytes_per_s)
    return sum(after - before + before * math.log(before / after) for after, before in zip(fitted, seconds, strict=True))


@pytest.mark.parametrize(("flops_per_s", "memory_bytes_per_s"), [(1e10, 2e9), (5e9, 4e9), (2e11, 1e10)])
def test_exact_times_give_both_figures(flops_per_s: float, memory_bytes_per_s: float) -> None:
    """Where every task takes what its roofline says, both figures come back."""
    found = fit_roofline(MIXED, seconds_of(MIXED, flops_per_s, memory_bytes_per_s))
    assert found == pytest.approx(Roofline(flops_per_s, memory_bytes_per_s), rel=1e-9)


def test_noisy_times_give_both_figures_nearly() -> None:
    """Ten runs, each task with up to a tenth of noise: both within 3 %."""
    rng = random.Random(1)
    works = MIXED * 10
    found = fit_roofline(works, [taken * rng.uniform(0.9, 1.1) for taken in seconds_of(works, 1e10, 2e9)])
    assert found == pytest.approx(Roofline(1e10, 2e9), rel=0.03)


def test_times_that_do_not_exercise_memory_leave_it_out() -> None:
    """Convolutions alone, with noise, in a hundred draws: a speed near the true one, and no memory bandwidth."""
    rng = random.Random(2)
    for _ in range(100):
        works = CONVOLUTIONS * 3
        found = fit_roofline(works, [taken * rng.uniform(0.9, 1.1) for taken in seconds_of(works, 1e10, 1e12)])
        assert found is not None
        assert found.memory_bytes_per_s is None
        assert found.flops_per_s == pytest.approx(1e10, rel=0.1)


def test_one_task_bound_by_memory_is_not_enough() -> None:
    """It may as well have been disturbed; with a second one it is believed."""
    seconds = seconds_of(MIXED[:6], 1e10, 2e9)
    speed = sum(work.flops for work in MIXED[:5]) / sum(seconds[:5])
    assert fit_roofline(MIXED[:5], seconds[:5]) == Roofline(pytest.approx(speed), None)
    assert fit_roofline(MIXED[:6], seconds) == pytest.approx(Roofline(1e10, 2e9))


def test_no_roofline_fits_better() -> None:
    """Of any times whatever, a fitted roofline has the least deviance: no other, near or far, has less."""
    rng, fitted = random.Random(3), 0
    for _ in range(200):
        works = [Work(10 ** rng.uniform(6, 9), 10 ** rng.uniform(6, 8)) for _ in range(rng.randint(5, 12))]
        seconds = [taken * rng.uniform(0.5, 2) for taken in seconds_of(works, 1e9, 1e8)]
        found = fit_roofline(works, seconds)
        assert found is not None
        least = deviance(works, seconds, found.flops_per_s, found.memory_bytes_per_s or 1e30)
        if found.memory_bytes_per_s is None:
            others = [(found.flops_per_s * rng.uniform(0.8, 1.25), 1e30) for _ in range(50)]
        else:
            fitted += 1
            near = [(found.flops_per_s * rng.uniform(0.8, 1.25), found.memory_bytes_per_s * rng.uniform(0.8, 1.25)) for _ in range(100)]
            others = near + [(10 ** rng.uniform(8, 10), 10 ** rng.uniform(7, 9)) for _ in range(100)]
        assert all(deviance(works, seconds, *other) >= least * (1 - 1e-12) for other in others)
    assert fitted > 50


def test_every_second_counts_the_same() -> None:
    """An operator in ten equal pieces weighs as much as in one."""
    whole, seconds = [*MIXED[:3], *MIXED[4:]], [0.2, 0.5, 0.03, 0.2, 0.03, 0.01, 0.02]
    pieces = [Work(whole[1].flops / 10, whole[1].touched_bytes / 10)] * 10
    divided = fit_roofline([whole[0], *pieces, *whole[2:]], [seconds[0], *[seconds[1] / 10] * 10, *seconds[2:]])
    assert divided == pytest.approx(fit_roofline(whole, seconds), rel=1e-9)


def test_nothing_to_fit() -> None:
    """Without a task that has FLOPs and took time there is no roofline; tasks without time, or that touch nothing, are passed over."""
    assert fit_roofline([], []) is None
    assert fit_roofline([Work(0.0, 8.0), Work(5.0, 5.0)], [1.0, 0.0]) is None
    assert fit_roofline([Work(10.0, 1.0), Work(0.0, 0.0), Work(7.0, 1.0)], [2.0, 5.0, 0.0]) == Roofline(5.0, None)


def test_sums_are_kept() -> None:
    """By hand: 30 FLOPs in 5 s are 6 FLOP/s. With a roofline, the tasks bound by arithmetic and those bound by memory each take what was measured."""
    assert fit_roofline([Work(10.0, 1.0), Work(20.0, 1.0)], [1.0, 4.0]) == Roofline(6.0, None)
    rng = random.Random(4)
    seconds = [taken * rng.uniform(0.8, 1.2) for taken in seconds_of(MIXED, 1e10, 2e9)]
    found = fit_roofline(MIXED, seconds)
    assert found is not None
    assert found.memory_bytes_per_s is not None
    assert sum(work.flops for work in MIXED[:4]) / found.flops_per_s == pytest.approx(sum(seconds[:4]))
    assert sum(work.touched_bytes for work in MIXED[4:]) / found.memory_bytes_per_s == pytest.approx(sum(seconds[4:]))
