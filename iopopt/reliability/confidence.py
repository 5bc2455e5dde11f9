"""Confidence intervals: of a probability, and of the mean of outcomes whose possible values are known."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from iopopt.reliability.channel import FloatArray


class Estimate(NamedTuple):
    """A value and its confidence interval; both ends equal the value where it is exact."""

    value: float
    low: float
    high: float

    @classmethod
    def exact(cls, value: float) -> Estimate:
        """A value that is known."""
        return cls(value, value, value)


def probability_estimate(hits: int, samples: int, confidence: float) -> Estimate:
    """The part of the samples that are hits, with Wilson's score interval."""
    from scipy import stats  # takes a second to import

    interval = stats.binomtest(hits, samples).proportion_ci(confidence, method="wilson")
    return Estimate(hits / samples, float(interval.low), float(interval.high))


def mean_estimate(values: FloatArray, counts: FloatArray, confidence: float) -> Estimate:
    """The mean of samples of which ``counts`` have these values, with an interval by the multinomial profile likelihood.

    The interval holds every mean of a distribution over ``values`` that the likelihood-ratio test does not reject. Unlike mean plus or minus
    some standard errors it stays in the range of the values, and does not shrink to a point where all samples have one value: what has never
    been seen may still be possible.

    Args:
        values: every value that can occur, shape (values,).
        counts: how often each of them did, shape (values,).
    """
    from scipy import stats

    loss = float(stats.chi2.ppf(confidence, 1)) / 2
    return Estimate(float(values @ counts / counts.sum()), -_greatest_mean(-values, counts, loss), _greatest_mean(values, counts, loss))


def _greatest_mean(values: FloatArray, counts: FloatArray, allowed: float) -> float:
    """The greatest mean of a distribution whose log-likelihood is at most ``allowed`` below that of the frequencies.

    With counts n and values v its probabilities are proportional to n / (level - v) for some level above all values seen, by the conditions of
    Lagrange; if a greater value was not seen, it gets what likelihood is left at the level of that value.
    """
    from scipy import optimize

    seen = counts > 0
    n, below = counts[seen], values[seen].max() - values[seen]
    unseen = values.max() - values[seen].max()

    def tilted(gap: float) -> FloatArray:
        weights = n / (gap + below)
        return np.asarray(weights / weights.sum())

    def loss(gap: float) -> float:
        return float(n @ np.log(n / n.sum() / tilted(gap)))

    left = allowed - loss(unseen) if unseen > 0 else -math.inf
    if left >= 0:
        mean = float(tilted(unseen) @ values[seen])
        kept = math.exp(-left / n.sum())
        return kept * mean + (1 - kept) * float(values.max())
    spread = below.max()
    if spread == 0:
        return float(values.max())
    middle = math.log(spread)
    log_gap: Any = optimize.brentq(lambda log_gap: loss(math.exp(log_gap)) - allowed, middle - 60, middle + 60, xtol=1e-12)
    return float(tilted(math.exp(log_gap)) @ values[seen])
