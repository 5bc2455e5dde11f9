"""Random rates and times: draws against the exact probabilities, and those against an integral."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from iopopt import RandomRateChannel, RandomTimeChannel, ServiceError, TruncatedNormal, UnsupportedError
from iopopt.reliability.channel import Channel

RATE = TruncatedNormal(2e6, 1.5e6, least=2e5, most=4e6)


def normal_cdf(x: float) -> float:
    """Of the standard normal distribution, by the error function."""
    return (1 + math.erf(x / math.sqrt(2))) / 2


@pytest.mark.parametrize("distribution", [RATE, TruncatedNormal(0.05, 0.02), TruncatedNormal(-1.0, 1.0, least=0.5)])
def test_truncated_normal_by_its_definition(distribution: TruncatedNormal) -> None:
    """The probability of at most x is that of the normal distribution between least and x, over that between least and most."""
    below, above = (normal_cdf((end - distribution.mean) / distribution.deviation) for end in distribution.support())
    for x in np.linspace(distribution.least, distribution.mean + 3 * distribution.deviation, 7).clip(*distribution.support()):
        part = (normal_cdf((x - distribution.mean) / distribution.deviation) - below) / (above - below)
        assert distribution.cdf(x) == pytest.approx(part, abs=1e-9)
        assert distribution.sf(x) == pytest.approx(1 - part, abs=1e-9)
    drawn = distribution.rvs(size=1000, random_state=np.random.default_rng(0))
    assert distribution.least <= drawn.min() <= drawn.max() <= distribution.most


def test_a_rate_brings_its_bytes() -> None:
    """Time = size / rate, of the same rate for every size."""
    sizes, rng = np.array([1e5, 3e5]), np.random.default_rng(1)
    times = RandomRateChannel(RATE).draw_s(sizes, 500, rng)
    assert times[:, 1] == pytest.approx(3 * times[:, 0])
    rates = RATE.rvs(size=500, random_state=np.random.default_rng(1))
    assert times == pytest.approx(sizes / rates[:, None])


def test_a_time_is_that_of_the_input_whatever_its_size() -> None:
    """Inputs of one size have the same time; several sizes are refused, exactly and by samples."""
    channel = RandomTimeChannel(TruncatedNormal(0.05, 0.02))
    times = channel.draw_s(np.array([7.0, 7.0]), 500, np.random.default_rng(1))
    assert (times[:, 0] == times[:, 1]).all()
    assert (times[:, 0] == TruncatedNormal(0.05, 0.02).rvs(size=500, random_state=np.random.default_rng(1))).all()
    for call in (
        lambda: channel.draw_s(np.array([7.0, 8.0]), 5, np.random.default_rng(1)),
        lambda: channel.probability_within(np.arange(2.0), np.ones(2)),
    ):
        with pytest.raises(UnsupportedError, match=r'RandomTimeChannel knows the time of one input.*inputs="shared"'):
            call()


@pytest.mark.parametrize(
    "channel", [RandomRateChannel(RATE), RandomRateChannel(stats.gamma(3, scale=5e5)), RandomTimeChannel(stats.expon(scale=0.05))]
)
def test_draws_agree_with_the_exact_probability(channel: Channel) -> None:
    """The part of 20,000 draws within each time is the exact probability, within four standard errors."""
    sizes, seconds = np.array([1e5]), np.array([0.0, 0.02, 0.05, 0.1, 0.5, 100.0])
    times = channel.draw_s(sizes, 20_000, np.random.default_rng(3))
    exact = channel.probability_within(sizes, seconds)
    assert exact.shape == seconds.shape
    errors = np.sqrt(exact * (1 - exact) / 20_000)
    assert np.abs((times <= seconds).mean(axis=0) - exact) == pytest.approx(0, abs=float(4 * errors.max()))
    assert exact[0] == 0
    assert exact[-1] == pytest.approx(1, abs=1e-3)


def test_no_time_and_no_rate() -> None:
    """Nothing arrives within no time, and at a rate of 0 never; no warning says so."""
    channel = RandomRateChannel(RATE)
    assert channel.probability_within(np.array([1e5]), np.array([0.0, 1e9])).tolist() == [0.0, 1.0]

    class Outage:
        def rvs(self, *, size: int, random_state: np.random.Generator) -> Any:
            return np.zeros(size)

        cdf = sf = rvs

        def support(self) -> tuple[float, float]:
            return 0.0, 0.0

    assert RandomRateChannel(Outage()).draw_s(np.array([1.0]), 2, np.random.default_rng(0)).tolist() == [[math.inf], [math.inf]]


@pytest.mark.parametrize(
    ("figures", "message"),
    [
        ({"mean": math.nan}, "truncated normal: mean is nan; it must be a finite number"),
        ({"deviation": 0}, "truncated normal: deviation is 0; it must be a positive"),
        ({"least": -1.0}, "truncated normal: least is -1.0; it must be a number from 0"),
        ({"most": 0}, "truncated normal: most is 0"),
        ({"least": 2.0, "most": 2.0}, "truncated normal: least is 2 and most is 2; least must be below most"),
        ({"least": 40}, "truncated normal: least to most lies 39 deviations off the mean; at most 30 are allowed"),
        ({"deviation": 1e8, "most": 3.0}, r"least to most is 3e-08 deviations wide; at least 1e-06 are needed; scipy\.stats\.uniform is the same"),
        ({"mean": 1e6, "most": 3.0}, r"lies 1e\+06 deviations off the mean"),
    ],
)
def test_figures_out_of_range(figures: dict[str, Any], message: str) -> None:
    """The message names the figure and what is allowed."""
    with pytest.raises(ServiceError, match=message):
        TruncatedNormal(**{"mean": 1.0, "deviation": 1.0} | figures)


@pytest.mark.parametrize("kind", [RandomRateChannel, RandomTimeChannel])
def test_what_is_no_distribution(kind: Any) -> None:
    """A number, or a distribution of negative numbers, is refused with what is expected."""
    with pytest.raises(ServiceError, match=rf"of {kind.__name__}: found 2.0 \(a float\); a TruncatedNormal or a distribution of scipy.stats"):
        kind(2.0)
    with pytest.raises(ServiceError, match=rf"of {kind.__name__}: numbers from -inf on are possible; they must be at least 0"):
        kind(stats.norm(1, 1))
