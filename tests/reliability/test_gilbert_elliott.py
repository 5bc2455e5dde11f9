"""The Gilbert-Elliott channel against an enumeration of its states, and against formulas by hand."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from iopopt import GilbertElliottChannel, ServiceError, UnsupportedError

CHANNEL = GilbertElliottChannel(good_bytes_per_s=3, bad_bytes_per_s=1, good_to_bad=0.25, bad_to_good=0.5, slot_s=1)
SAMPLES = 200_000


def enumerated(channel: GilbertElliottChannel, size: int) -> Mapping[Fraction, Fraction]:
    """The probability of each time, slot by slot over all sequences of states; the bad rate must be above 0."""
    leave = {True: Fraction(channel.good_to_bad), False: Fraction(channel.bad_to_good)}
    rate = {True: Fraction(channel.good_bytes_per_s), False: Fraction(channel.bad_bytes_per_s)}
    slot, found = Fraction(channel.slot_s), Counter[Fraction]()

    def go_on(good: bool, sent: Fraction, elapsed: Fraction, part: Fraction) -> None:
        after = sent + rate[good] * slot
        if after >= size:
            found[elapsed + (size - sent) / rate[good]] += part
            return
        go_on(not good, after, elapsed + slot, part * leave[good])
        if leave[good] < 1:
            go_on(good, after, elapsed + slot, part * (1 - leave[good]))

    in_good = leave[False] / (leave[True] + leave[False])
    go_on(True, Fraction(0), Fraction(0), in_good)
    go_on(False, Fraction(0), Fraction(0), 1 - in_good)
    return found


@pytest.mark.parametrize("size", [1, 4, 7])
@pytest.mark.parametrize("changes", [(0.25, 0.5), (1.0, 1.0), (0.75, 0.125)])
def test_times_have_their_exact_distribution(size: int, changes: tuple[float, float]) -> None:
    """Every time that is possible occurs as often as it should, within 4.5 standard errors, and no other."""
    channel = dataclasses.replace(CHANNEL, good_to_bad=changes[0], bad_to_good=changes[1])
    exact = enumerated(channel, size)
    assert sum(exact.values()) == 1
    times = channel.draw_s(np.array([float(size)]), SAMPLES, np.random.default_rng(2))[:, 0]
    drawn = Counter(dict(zip(*(array.tolist() for array in np.unique(times.round(9), return_counts=True)), strict=True)))
    possible = {round(float(time), 9): float(part) for time, part in exact.items()}
    assert drawn.keys() <= possible.keys()
    for time, part in possible.items():
        assert drawn[time] / SAMPLES == pytest.approx(part, abs=4.5 * (part * (1 - part) / SAMPLES) ** 0.5 + 1e-12), time


def test_stationary_distribution_and_mean_rate() -> None:
    """Two thirds of the slots are good: 0.5 / (0.25 + 0.5); the mean rate is 2 x 3/3 + 1 x 1/3, at which much data comes."""
    assert CHANNEL.good_part == pytest.approx(2 / 3)
    assert CHANNEL.mean_bytes_per_s == pytest.approx(7 / 3)
    times = CHANNEL.draw_s(np.array([7000.0]), 2000, np.random.default_rng(0))
    assert times.mean() == pytest.approx(3000, rel=2e-3)


def test_a_bad_state_that_sends_nothing() -> None:
    """2.5 good slots' worth: their time, the bad stay before them in 1 of 3 cases, and one after each of the first two with 0.25; 2 slots each."""
    channel = dataclasses.replace(CHANNEL, bad_bytes_per_s=0, slot_s=0.5)
    times = channel.draw_s(np.array([3.75]), SAMPLES, np.random.default_rng(4))[:, 0]
    assert times.mean() == pytest.approx(0.5 * (2.5 + 2 / 3 + 2 * 0.25 * 2), abs=4.5 * times.std() / SAMPLES**0.5)
    assert times.min() == 1.25
    assert (times == 1.25).mean() == pytest.approx(2 / 3 * 0.75**2, abs=5e-3)


def test_inputs_of_several_sizes_share_the_states() -> None:
    """In a row the larger input takes longer, by the bytes it has more; each column is distributed as alone, whatever the order of the sizes."""
    times = CHANNEL.draw_s(np.array([4.0, 1.0, 7.0]), SAMPLES, np.random.default_rng(2))
    assert (times[:, 1] < times[:, 0]).all()
    assert (times[:, 0] < times[:, 2]).all()
    assert ((times[:, 2] - times[:, 0] >= 1 - 1e-9) & (times[:, 2] - times[:, 0] <= 3 + 1e-9)).all()
    for column, size in enumerate((4, 1, 7)):
        mean = float(sum(time * part for time, part in enumerated(CHANNEL, size).items()))
        assert times[:, column].mean() == pytest.approx(mean, abs=4.5 * times[:, column].std() / SAMPLES**0.5)


def test_the_same_seed_draws_the_same() -> None:
    """And another one does not."""
    first, again, other = (CHANNEL.draw_s(np.array([9.0]), 50, np.random.default_rng(seed)).tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_two_equal_rates_leave_no_chance() -> None:
    """Then the time is size / rate in every state."""
    even = dataclasses.replace(CHANNEL, bad_bytes_per_s=3)
    assert even.draw_s(np.array([10.0]), 100, np.random.default_rng(0)) == pytest.approx(10 / 3)


def test_it_has_no_closed_form() -> None:
    """What one number does not decide cannot be had exactly; the message says what can."""
    with pytest.raises(UnsupportedError, match=r"GilbertElliottChannel has no closed form; iopopt.estimate_service draws samples"):
        CHANNEL.probability_within(np.array([1.0]), np.array([1.0]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"good_bytes_per_s": 0}, "Gilbert-Elliott channel: good_bytes_per_s is 0; it must be a positive"),
        ({"bad_bytes_per_s": -1}, "bad_bytes_per_s is -1; it must be a number from 0"),
        ({"bad_bytes_per_s": 4}, "bad_bytes_per_s is 4 and good_bytes_per_s 3; the bad state cannot be the faster one"),
        ({"good_to_bad": 0}, "good_to_bad is 0; it must be a probability above 0 and at most 1"),
        ({"bad_to_good": 1.5}, "bad_to_good is 1.5; it must be a probability above 0 and at most 1"),
        ({"slot_s": None}, "slot_s is None"),
    ],
)
def test_figures_out_of_range(change: dict[str, Any], message: str) -> None:
    """The message names the figure, what was found and what is allowed."""
    with pytest.raises(ServiceError, match=message):
        dataclasses.replace(CHANNEL, **change)


def test_too_many_changes_of_state() -> None:
    """A million bytes at 7/3 bytes a slot, 2 x 2/3 x 0.25 changes in each, would take minutes; the message says what may be wrong."""
    message = r"changes 1.43e\+05 times on average while 1e\+06 bytes come; at most 100000 are simulated\. Is slot_s in seconds\?"
    with pytest.raises(ServiceError, match=message):
        CHANNEL.draw_s(np.array([1e6]), 10, np.random.default_rng(0))
