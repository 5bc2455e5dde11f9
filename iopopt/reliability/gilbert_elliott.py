"""The Gilbert-Elliott channel: good and bad slots, by a Markov chain of two states.

Gilbert (Bell System Technical Journal 39, 1960) and Elliott (42, 1963) describe bursts of errors by it; here, as in the literature on scheduling,
each state has a rate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from iopopt.errors import ServiceError
from iopopt.reliability.channel import Channel, FloatArray
from iopopt.reliability.checking import not_negative, positive, probability

_MOST_CHANGES = 100_000
"""Changes of state while one input comes, on average, up to which draws take seconds."""


@dataclass(frozen=True)
class GilbertElliottChannel(Channel):
    """Slots of equal length, each of them good or bad, with a rate for each state.

    A request comes at the start of a slot, in a state drawn from the stationary distribution; its input is sent in that slot and those that follow,
    across changes of state, and arrives in the midst of the last one.

    Attributes:
        good_bytes_per_s, bad_bytes_per_s: the rates; the bad one may be 0.
        good_to_bad, bad_to_good: the probabilities that the next slot is in the other state, above 0 and at most 1.
        slot_s: the length of a slot, seconds.

    Raises:
        ServiceError: if a figure is out of range, or the bad rate exceeds the good one.
    """

    good_bytes_per_s: float
    bad_bytes_per_s: float
    good_to_bad: float
    bad_to_good: float
    slot_s: float

    def __post_init__(self) -> None:
        positive(self.good_bytes_per_s, "Gilbert-Elliott channel: good_bytes_per_s")
        not_negative(self.bad_bytes_per_s, "Gilbert-Elliott channel: bad_bytes_per_s")
        probability(self.good_to_bad, "Gilbert-Elliott channel: good_to_bad")
        probability(self.bad_to_good, "Gilbert-Elliott channel: bad_to_good")
        positive(self.slot_s, "Gilbert-Elliott channel: slot_s")
        if self.bad_bytes_per_s > self.good_bytes_per_s:
            found = f"bad_bytes_per_s is {self.bad_bytes_per_s:g} and good_bytes_per_s {self.good_bytes_per_s:g}"
            raise ServiceError(f"Gilbert-Elliott channel: {found}; the bad state cannot be the faster one")

    @property
    def good_part(self) -> float:
        """The part of all slots that are good."""
        return self.bad_to_good / (self.good_to_bad + self.bad_to_good)

    @property
    def mean_bytes_per_s(self) -> float:
        """The rate over a long time."""
        return self.good_part * self.good_bytes_per_s + (1 - self.good_part) * self.bad_bytes_per_s

    def draw_s(self, input_bytes: FloatArray, samples: int, rng: np.random.Generator) -> FloatArray:
        """Stay by stay: the number of slots in one state is geometric, which is the same as drawing them slot by slot.

        Raises:
            ServiceError: if the state changes so often while an input comes that this would take too long.
        """
        largest = input_bytes.max()
        self._check_effort(largest)
        times = np.empty((samples, len(input_bytes)))
        coming = np.arange(samples)  # the draws whose largest input has not arrived yet
        good = rng.random(samples) < self.good_part
        sent, elapsed = np.zeros(samples), np.zeros(samples)
        while len(coming):
            stay_s = self.slot_s * rng.geometric(np.where(good, self.good_to_bad, self.bad_to_good))
            rates = np.where(good, self.good_bytes_per_s, self.bad_bytes_per_s)
            after = sent + rates * stay_s
            rows, columns = np.nonzero((sent[:, None] < input_bytes) & (input_bytes <= after[:, None]))
            times[coming[rows], columns] = elapsed[rows] + (input_bytes[columns] - sent[rows]) / rates[rows]
            going = after < largest
            coming, good, sent, elapsed = coming[going], ~good[going], after[going], (elapsed + stay_s)[going]
        return times

    def _check_effort(self, size: float) -> None:
        slots = size / (self.mean_bytes_per_s * self.slot_s)
        changes = slots * 2 * self.good_part * self.good_to_bad
        if changes > _MOST_CHANGES:
            raise ServiceError(
                f"Gilbert-Elliott channel: its state changes {changes:.3g} times on average while {size:g} bytes come; at most {_MOST_CHANGES:g} are "
                "simulated. Is slot_s in seconds? For so many changes RandomRateChannel at the mean rate is as good."
            )
