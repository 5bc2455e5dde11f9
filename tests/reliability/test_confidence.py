"""Confidence intervals against a search over all distributions, and their coverage."""

from __future__ import annotations

import numpy as np
import pytest

from iopopt.reliability.confidence import Estimate, mean_estimate, probability_estimate

CHI2_95 = 3.841458820694124
"""The 95 % point of the chi-squared distribution of one degree of freedom, from tables."""


def by_search(values: list[float], counts: list[int], steps: int = 300) -> tuple[float, float]:
    """Ends of the interval over a grid of distributions on three values."""
    i, j = np.triu_indices(steps + 1)
    parts = np.stack([i, j - i, steps - j], axis=1) / steps
    seen = np.array(counts) > 0
    with np.errstate(divide="ignore"):
        loss = np.array(counts)[seen] @ np.log(np.array(counts)[seen] / sum(counts) / parts[:, seen]).T
    kept = parts[2 * loss <= CHI2_95] @ np.array(values)
    return float(kept.min()), float(kept.max())


@pytest.mark.parametrize(
    ("values", "counts"),
    [
        ([0.0, 40.0, 70.0], [10, 20, 30]),
        ([70.0, 0.0, 40.0], [3, 1, 40]),
        ([0.0, 40.0, 70.0], [0, 20, 20]),
        ([0.0, 40.0, 70.0], [20, 20, 0]),
        ([0.0, 60.0, 70.0], [0, 20, 0]),
        ([0.0, 40.0, 70.0], [0, 0, 30]),
        ([0.0, 69.9, 70.0], [40, 1, 0]),
        ([0.0, 1.0, 70.0], [1, 50, 0]),
    ],
)
def test_ends_are_those_of_a_search_over_distributions(values: list[float], counts: list[int]) -> None:
    """No distribution within the likelihood has a mean outside, and some come as near as the grid allows."""
    estimate = mean_estimate(np.array(values), np.array(counts, dtype=float), 0.95)
    low, high = by_search(values, counts)
    step = 2 * 70.0 / 300
    assert estimate.value == pytest.approx(np.average(values, weights=counts))
    assert estimate.low <= low + 1e-9
    assert estimate.low >= low - step
    assert estimate.high >= high - 1e-9
    assert estimate.high <= high + step


def test_never_seen_is_not_impossible() -> None:
    """All of 100 samples at one value: the others have at most 1 - exp(-1.92 / 100) of the probability."""
    part = 1 - np.exp(-CHI2_95 / 200)
    assert mean_estimate(np.array([0.0, 50.0, 70.0]), np.array([0.0, 100.0, 0.0]), 0.95) == pytest.approx((50.0, 50 * (1 - part), 50 + 20 * part))


def test_one_possible_value_is_certain() -> None:
    """With nothing else possible the interval is a point; values given twice make no difference."""
    assert mean_estimate(np.array([40.0]), np.array([7.0]), 0.95) == Estimate.exact(40.0)
    assert mean_estimate(np.array([40.0, 40.0]), np.array([7.0, 0.0]), 0.95) == pytest.approx(Estimate.exact(40.0))
    once = mean_estimate(np.array([0.0, 40.0]), np.array([3.0, 7.0]), 0.95)
    assert mean_estimate(np.array([0.0, 40.0, 40.0]), np.array([3.0, 5.0, 2.0]), 0.95) == pytest.approx(once)


def test_large_samples_give_the_normal_interval() -> None:
    """At a million samples the ends are 1.96 standard errors away."""
    values, counts = np.array([0.0, 40.0, 70.0]), np.array([2e5, 3e5, 5e5])
    estimate = mean_estimate(values, counts, 0.95)
    error = 1.959964 * np.sqrt(np.average((values - 47) ** 2, weights=counts) / 1e6)
    assert estimate == pytest.approx((47.0, 47.0 - error, 47.0 + error), abs=0.01 * error)


def test_a_higher_confidence_is_wider() -> None:
    """99 % contains 95 %, which contains 50 %."""
    values, counts = np.array([0.0, 40.0, 70.0]), np.array([2.0, 30.0, 50.0])
    half, most, nearly_all = (mean_estimate(values, counts, confidence) for confidence in (0.5, 0.95, 0.99))
    assert nearly_all.low < most.low < half.low < half.value < half.high < most.high < nearly_all.high


def test_wilson_by_hand() -> None:
    """8 of 10: (p + z2/2n +- z sqrt(p q / n + z2/4n2)) / (1 + z2/n) with z2 = 3.8415 gives 0.4902 and 0.9433."""
    assert probability_estimate(8, 10, 0.95) == pytest.approx((0.8, 0.4902, 0.9433), abs=5e-5)
    assert probability_estimate(10, 10, 0.95).high == 1.0
    assert probability_estimate(10, 10, 0.95).low < 0.8


@pytest.mark.parametrize("parts", [(0.3, 0.3, 0.4), (0.02, 0.08, 0.9), (0.0, 0.03, 0.97)])
def test_coverage(parts: tuple[float, ...]) -> None:
    """Of 1000 intervals from 200 samples each, about 95 % contain the true mean, near the ends of the range too."""
    values, rng = np.array([0.0, 50.0, 70.0]), np.random.default_rng(5)
    mean = float(values @ np.array(parts))
    estimates = [mean_estimate(values, rng.multinomial(200, parts).astype(float), 0.95) for _ in range(1000)]
    assert 0.93 <= np.mean([low <= mean <= high for _, low, high in estimates]) <= 0.985
