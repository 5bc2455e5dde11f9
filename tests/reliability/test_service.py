"""Service reliability: samples against the rule, request by request, and against the closed form."""

from __future__ import annotations

import dataclasses
import math
import pickle
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import integrate

import iopopt
from iopopt import (
    Candidate,
    Channel,
    GilbertElliottChannel,
    RandomRateChannel,
    RandomTimeChannel,
    ServiceError,
    TimeTraceChannel,
    TruncatedNormal,
    UnsupportedError,
    estimate_service,
    exact_service,
    select_model,
)
from iopopt.reliability.service import Inputs

CANDIDATES = (
    Candidate("small", 41.5, 0.002, 49_152),
    Candidate("large", 70.9, 0.050, 150_528),
    Candidate("useless", 60.0, 0.060, 150_528),
    Candidate("middle", 63.3, 0.012, 110_592),
)
RATES = TruncatedNormal(3e6, 2e6, least=2e5)
RATE = RandomRateChannel(RATES)
BURSTS = GilbertElliottChannel(5.56e6, 3e5, 0.1, 0.3, 0.01)
DEADLINES_S = (0.001, 0.02, 0.05, 0.08, 0.12, 0.3, 0.5)


class FixedTimes(Channel):
    """A channel of the user's own: these times, one after another."""

    def __init__(self, *times: float) -> None:
        self.times = times

    def draw_s(self, input_bytes: npt.NDArray[np.float64], samples: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
        return np.resize(np.array(self.times), (samples, 1)).repeat(len(input_bytes), axis=1)


def test_by_hand_over_a_channel_of_ones_own() -> None:
    """Of four inputs after 20, 60, 75 and 200 ms by 80 ms the first allows the large model, two the small ones, and the last none."""
    (point,) = estimate_service(CANDIDATES, FixedTimes(0.02, 0.06, 0.075, 0.2), [0.08], samples=4).points
    assert point.reliability.value == 0.75
    assert point.selected == {"large": 0.25, "middle": 0.25, "small": 0.25, "useless": 0.0}
    assert point.expected_accuracy.value == pytest.approx((70.9 + 63.3 + 41.5) / 4)
    assert point.accuracy_when_served is not None
    assert point.accuracy_when_served.value == pytest.approx((70.9 + 63.3 + 41.5) / 3)


@pytest.mark.parametrize("channel", [RATE, BURSTS])
@pytest.mark.parametrize("inputs", ["shared", "own"])
def test_every_request_follows_the_rule(channel: Channel, inputs: Inputs) -> None:
    """The parts are those of selecting request by request: after the largest input, or each after its own of the same state of the channel."""
    samples, sizes = 400, np.unique([candidate.input_bytes for candidate in CANDIDATES])
    times = channel.draw_s(sizes if inputs == "own" else sizes[-1:], samples, np.random.default_rng(7))
    service = estimate_service(CANDIDATES, channel, DEADLINES_S, samples=samples, seed=7, inputs=inputs)
    for point in service.points:
        found = []
        for row in times:
            late = {c.name: row[list(sizes).index(c.input_bytes)] if inputs == "own" else row[0] for c in CANDIDATES}
            brought = [dataclasses.replace(c, latency_s=c.latency_s + late[c.name]) for c in CANDIDATES]
            found.append(select_model(brought, point.deadline_s, 0.0))
        assert point.reliability.value == sum(item is not None for item in found) / samples
        assert point.expected_accuracy.value == pytest.approx(sum(item.accuracy for item in found if item) / samples)
        assert point.selected == {c.name: sum(item is not None and item.name == c.name for item in found) / samples for c in CANDIDATES}


def densities(rates: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Of the truncated normal rates, by the definition."""
    above = (1 - math.erf((RATES.least - RATES.mean) / RATES.deviation / math.sqrt(2))) / 2
    return np.asarray(np.exp(-(((rates - RATES.mean) / RATES.deviation) ** 2) / 2) / (RATES.deviation * math.sqrt(2 * math.pi) * above))


@pytest.mark.parametrize("inputs", ["shared", "own"])
@pytest.mark.parametrize("deadline_s", [0.02, 0.05, 0.08, 0.3])
def test_the_closed_form_is_an_integral_over_rates(inputs: Inputs, deadline_s: float) -> None:
    """The best accuracy in time at each rate, integrated over the density of rates."""
    rates = np.linspace(2e5, 1.5e7, 100_001)
    sizes = {c.name: c.input_bytes if inputs == "own" else 150_528 for c in CANDIDATES}
    accuracies = np.max([c.accuracy * (sizes[c.name] / rates + c.latency_s <= deadline_s) for c in CANDIDATES], axis=0)
    (point,) = exact_service(CANDIDATES, RATE, [deadline_s], inputs=inputs).points
    assert point.expected_accuracy.value == pytest.approx(integrate.trapezoid(accuracies * densities(rates), rates), abs=0.01)
    assert point.reliability.value == pytest.approx(integrate.trapezoid((accuracies > 0) * densities(rates), rates), abs=2e-4)
    assert sum(point.selected.values()) == pytest.approx(point.reliability.value)
    assert point.accuracy_when_served is not None
    assert point.accuracy_when_served.value == pytest.approx(point.expected_accuracy.value / point.reliability.value)


@pytest.mark.parametrize("channel", [RATE, RandomTimeChannel(TruncatedNormal(0.06, 0.04))])
def test_intervals_contain_the_closed_form_as_often_as_they_say(channel: Channel) -> None:
    """Over 300 seeds 95 % intervals of 1000 samples contain the exact reliability and accuracies about 95 times of 100, at every deadline."""
    deadlines_s, seeds = (0.03, 0.08, 0.15), 300
    exact = exact_service(CANDIDATES, channel, deadlines_s)
    hits = {name: np.zeros(len(deadlines_s)) for name in ("reliability", "expected_accuracy", "accuracy_when_served")}
    for seed in range(1000, 1000 + seeds):
        service = estimate_service(CANDIDATES, channel, deadlines_s, samples=1000, seed=seed)
        for number, (found, true) in enumerate(zip(service.points, exact.points, strict=True)):
            for name in hits:
                hits[name][number] += getattr(found, name).low <= getattr(true, name).value <= getattr(found, name).high
    for covered in hits.values():
        assert covered / seeds == pytest.approx(0.955, abs=0.04)


@pytest.mark.parametrize("channel", [RATE, BURSTS, TimeTraceChannel((0, 1, 3, 4), (0.01, 0.05, 0.2, 0.04))])
def test_nothing_falls_with_the_deadline(channel: Channel) -> None:
    """Reliability and expected accuracy are monotone in the deadline, because the draws are the same."""
    service = estimate_service(CANDIDATES, channel, np.linspace(0.005, 0.4, 40).tolist(), samples=2000)
    for name in ("reliability", "expected_accuracy"):
        values = [getattr(point, name).value for point in service.points]
        assert values == sorted(values)
        assert values[0] < values[-1]


@pytest.mark.parametrize("channel", [RATE, BURSTS])
@pytest.mark.parametrize("inputs", ["shared", "own"])
def test_faster_models_serve_better(channel: Channel, inputs: Inputs) -> None:
    """Where every model is faster, neither reliability nor expected accuracy is lower at any deadline, and somewhere both are higher."""
    faster = [dataclasses.replace(c, latency_s=c.latency_s * factor) for c, factor in zip(CANDIDATES, (0.5, 0.5, 0.99, 0.4), strict=True)]
    deadlines_s = (*DEADLINES_S, 0.0285)  # within which bursts bring the largest input in good slots alone, to the faster small model only
    slow, fast = (estimate_service(chosen, channel, deadlines_s, samples=5000, inputs=inputs) for chosen in (CANDIDATES, faster))
    for name in ("reliability", "expected_accuracy"):
        gains = [getattr(b, name).value - getattr(a, name).value for a, b in zip(slow.points, fast.points, strict=True)]
        assert min(gains) >= 0
        assert max(gains) > 0


def test_the_seed_decides() -> None:
    """The same seed gives the same service, whatever the order of the candidates; another one does not."""
    first, again, other = (estimate_service(CANDIDATES, BURSTS, DEADLINES_S, samples=500, seed=seed) for seed in (3, 3, 4))
    assert first == again == estimate_service(CANDIDATES[::-1], BURSTS, DEADLINES_S, samples=500, seed=3)
    assert first != other
    assert pickle.loads(pickle.dumps(first)) == first


def test_before_any_model_could_answer() -> None:
    """By 1 ms nothing is in time: reliability 0 with an interval above it, no accuracy when served, nothing selected."""
    for service in (estimate_service(CANDIDATES, RATE, [0.001], samples=100), exact_service(CANDIDATES, RATE, [0.001])):
        (point,) = service.points
        assert (point.reliability.value, point.expected_accuracy.value, point.accuracy_when_served, point.most_selected) == (0.0, 0.0, None, None)
    assert estimate_service(CANDIDATES, RATE, [0.001], samples=100).points[0].reliability.high == pytest.approx(3.8415 / 103.8415, rel=1e-3)


def test_just_in_time_is_in_time() -> None:
    """An input that is there at once leaves exactly the latency; what could not be in time even then has no part in the interval."""
    (point,) = estimate_service(CANDIDATES, FixedTimes(0.0), [0.012], samples=50).points
    assert point.selected["middle"] == point.reliability.value == 1.0
    assert point.accuracy_when_served is not None
    assert point.accuracy_when_served.high == point.expected_accuracy.high == 63.3


def test_frames() -> None:
    """One row for each deadline, in the order given."""
    service = estimate_service(CANDIDATES, RATE, (0.3, 0.001), samples=200)
    frame, selected = service.to_frame(), service.selected_frame()
    assert frame["deadline_s"].tolist() == selected.index.tolist() == [0.3, 0.001]
    assert frame["reliability"].tolist() == [point.reliability.value for point in service.points]
    assert frame.loc[0, "most_selected"] == "large"
    assert frame["accuracy_when_served_low"].isna().tolist() == [False, True]
    assert selected.sum(axis=1).tolist() == pytest.approx(frame["reliability"].tolist())
    assert set(selected.columns) == {candidate.name for candidate in CANDIDATES}


def test_what_a_service_says_of_itself() -> None:
    """Samples, seed and confidence of an estimate; none of them where it is exact."""
    estimated = estimate_service(CANDIDATES, RATE, [0.1], samples=10, seed=2, confidence=0.9)
    assert (estimated.samples, estimated.seed, estimated.confidence, estimated.inputs) == (10, 2, 0.9, "shared")
    exact = exact_service(CANDIDATES, RATE, [0.1], inputs="own")
    assert (exact.samples, exact.seed, exact.confidence, exact.inputs) == (None, None, None, "own")
    fixed = estimate_service(CANDIDATES, FixedTimes(0.01, 1.0), [0.001, 0.02, 0.5, 2.0], samples=10, seed=2)
    assert repr(fixed) == "Service(10 samples, seed 2; reliability 0.0% by 1 ms, ..., 100.0% by 2000 ms)"
    assert repr(exact) == f"Service(exact; reliability {exact.points[0].reliability.value:.1%} by 100 ms)"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"candidates": []}, "candidates: there is none"),
        ({"channel": RATES}, r"channel: found TruncatedNormal\(.*; a Channel is expected"),
        ({"deadlines_s": []}, "deadlines_s: there is none"),
        ({"deadlines_s": 0.1}, r"deadlines_s: found 0.1 \(a float\); a sequence of seconds is expected"),
        ({"deadlines_s": [0.1, -1]}, r"deadlines_s\[1\] is -1; it must be a positive"),
        ({"samples": 0}, "samples is 0; it must be a positive integer"),
        ({"samples": 1e3}, "samples is 1000.0"),
        ({"seed": -1}, "seed is -1; it must be an integer of at least 0"),
        ({"seed": None}, "seed is None"),
        ({"confidence": 95}, "confidence is 95; it must be above 0 and below 1, as 0.95"),
        ({"inputs": "each"}, "inputs is 'each'; allowed are 'shared' and 'own'"),
        ({"channel": FixedTimes(-1.0)}, "FixedTimes.draw_s: found -1.0; times in seconds of at least 0 are expected"),
        ({"channel": FixedTimes(math.nan)}, "FixedTimes.draw_s: found nan"),
    ],
)
def test_wrong_arguments(change: dict[str, Any], message: str) -> None:
    """The message names the argument, what was found and what is allowed."""
    with pytest.raises(ServiceError, match=message):
        estimate_service(**{"candidates": CANDIDATES, "channel": RATE, "deadlines_s": [0.1], "samples": 10} | change)


def test_a_channel_that_draws_the_wrong_shape() -> None:
    """A channel of the user's own is checked: its name and the shape that is expected are told."""

    class Flat(Channel):
        def draw_s(self, input_bytes: Any, samples: int, rng: Any) -> Any:
            return np.zeros(samples)

    with pytest.raises(ServiceError, match=r"Flat.draw_s: found an array of shape \(10,\); \(10, 1\) is expected"):
        estimate_service(CANDIDATES, Flat(), [0.1], samples=10)


def test_what_has_no_closed_form() -> None:
    """It is refused with the way that works."""
    with pytest.raises(UnsupportedError, match=r"GilbertElliottChannel has no closed form; iopopt\.estimate_service"):
        exact_service(CANDIDATES, BURSTS, [0.1])


def test_an_infinite_time_is_an_outage() -> None:
    """An input that never arrives fails at every deadline, and nothing else does."""
    (point,) = iopopt.estimate_service(CANDIDATES, FixedTimes(math.inf, 0.0), [1e9], samples=10).points
    assert point.reliability.value == 0.5
