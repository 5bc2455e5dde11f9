"""Channels whose rate, or whose time for an input, is a random number: drawn once for each request."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from iopopt.errors import ServiceError
from iopopt.network.records import foreign, is_number, short_repr
from iopopt.reliability.channel import Channel, FloatArray, the_one_size
from iopopt.reliability.checking import not_negative, positive

_MOST_DEVIATIONS = 30
"""Beyond, what is left of the normal distribution is below the least floating-point numbers."""

_LEAST_SPAN = 1e-6
"""Deviations; within less, differences of its probabilities are lost in rounding."""


class Distribution(Protocol):
    """A continuous distribution, as the frozen ones of ``scipy.stats`` are: ``scipy.stats.lognorm(0.5, scale=2e6)``."""

    def rvs(self, *, size: int, random_state: np.random.Generator) -> Any:
        """Random numbers."""

    def cdf(self, x: Any) -> Any:
        """The probability of at most ``x``."""

    def sf(self, x: Any) -> Any:
        """The probability of more than ``x``."""

    def support(self) -> tuple[float, float]:
        """The least and the largest value."""


@dataclass(frozen=True)
class TruncatedNormal:
    """The normal distribution of this mean and standard deviation, given that the number lies from ``least`` to ``most``.

    Mean and deviation are those before the truncation.

    Raises:
        ServiceError: if a figure is out of range, or the range lies more than 30 deviations off the mean or is less than 1e-6 wide.
    """

    mean: float
    deviation: float
    least: float = 0.0
    most: float = math.inf

    def __post_init__(self) -> None:
        if not is_number(self.mean):
            raise ServiceError(f"truncated normal: mean is {short_repr(self.mean)}; it must be a finite number")
        positive(self.deviation, "truncated normal: deviation")
        not_negative(self.least, "truncated normal: least")
        if self.most != math.inf:
            positive(self.most, "truncated normal: most")
        if self.least >= self.most:
            raise ServiceError(f"truncated normal: least is {self.least:g} and most is {self.most:g}; least must be below most")
        off = max(self.least - self.mean, self.mean - self.most) / self.deviation
        if off > _MOST_DEVIATIONS:
            raise ServiceError(f"truncated normal: least to most lies {off:.3g} deviations off the mean; at most {_MOST_DEVIATIONS} are allowed")
        span = (self.most - self.least) / self.deviation
        if span < _LEAST_SPAN:
            advice = f"at least {_LEAST_SPAN:g} are needed; scipy.stats.uniform is the same there"
            raise ServiceError(f"truncated normal: least to most is {span:.3g} deviations wide; {advice}")

    def rvs(self, *, size: int, random_state: np.random.Generator) -> FloatArray:
        """Random numbers."""
        return np.asarray(self._frozen.rvs(size=size, random_state=random_state))

    def cdf(self, x: Any) -> FloatArray:
        """The probability of at most ``x``."""
        return np.asarray(self._frozen.cdf(x))

    def sf(self, x: Any) -> FloatArray:
        """The probability of more than ``x``."""
        return np.asarray(self._frozen.sf(x))

    def support(self) -> tuple[float, float]:
        """``least`` and ``most``."""
        return self.least, self.most

    @property
    def _frozen(self) -> Any:
        from scipy import stats  # takes a second to import

        ends = [(end - self.mean) / self.deviation for end in (self.least, self.most)]
        return stats.truncnorm(*ends, loc=self.mean, scale=self.deviation)


@dataclass(frozen=True)
class RandomRateChannel(Channel):
    """A channel whose rate, bytes/s, is random but constant while an input comes; a rate of 0 never brings it.

    Args:
        bytes_per_s: a :class:`TruncatedNormal`, or any continuous distribution of ``scipy.stats``.

    Raises:
        ServiceError: if it is not a distribution, or of numbers that may be negative.
    """

    bytes_per_s: Distribution

    def __post_init__(self) -> None:
        _check(self.bytes_per_s, "bytes_per_s of RandomRateChannel")

    def draw_s(self, input_bytes: FloatArray, samples: int, rng: np.random.Generator) -> FloatArray:
        """Size / rate."""
        rates = np.asarray(self.bytes_per_s.rvs(size=samples, random_state=rng), dtype=float)
        with np.errstate(divide="ignore"):
            return np.asarray(input_bytes / rates[:, None])

    def probability_within(self, input_bytes: FloatArray, seconds: FloatArray) -> FloatArray:
        """The probability of a rate of at least size / time."""
        sizes, times = np.broadcast_arrays(input_bytes, seconds)
        least = np.divide(sizes, times, out=np.full(times.shape, math.inf), where=times > 0)
        return np.asarray(self.bytes_per_s.sf(least), dtype=float)


@dataclass(frozen=True)
class RandomTimeChannel(Channel):
    """A channel that brings the input, whatever its size, in a random time.

    Args:
        seconds: a :class:`TruncatedNormal`, or any continuous distribution of ``scipy.stats``.

    Raises:
        ServiceError: if it is not a distribution, or of numbers that may be negative.
    """

    seconds: Distribution

    def __post_init__(self) -> None:
        _check(self.seconds, "seconds of RandomTimeChannel")

    def draw_s(self, input_bytes: FloatArray, samples: int, rng: np.random.Generator) -> FloatArray:
        """The same random time for each of the inputs, which must be of one size."""
        the_one_size(input_bytes, self)
        times = np.asarray(self.seconds.rvs(size=samples, random_state=rng), dtype=float)
        return np.repeat(times[:, None], len(input_bytes), axis=1)

    def probability_within(self, input_bytes: FloatArray, seconds: FloatArray) -> FloatArray:
        """The probability of at most this time."""
        the_one_size(input_bytes, self)
        return np.broadcast_to(np.asarray(self.seconds.cdf(seconds), dtype=float), np.broadcast_shapes(input_bytes.shape, seconds.shape))


def _check(distribution: Any, name: str) -> None:
    if not all(callable(getattr(distribution, method, None)) for method in ("rvs", "cdf", "sf", "support")):
        expected = "a TruncatedNormal or a distribution of scipy.stats with its parameters is expected"
        raise ServiceError(f"{name}: found {foreign(distribution)}; {expected}")
    if not distribution.support()[0] >= 0:
        raise ServiceError(f"{name}: numbers from {float(distribution.support()[0]):g} on are possible; they must be at least 0")
