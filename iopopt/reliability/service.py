"""Service reliability over deadlines: how often some model is in time, and how accurate the selected one is.

A request has a deadline D. Its input comes to the host after a random time X, and the host runs the most accurate model m with X + latency_m <= D
(dynamic model selection, Dong et al., arXiv 2211.13778). Reliability R(D) is the probability that there is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from iopopt.errors import ServiceError
from iopopt.network.records import foreign, is_integer, is_number, short_repr
from iopopt.reliability.candidate import Candidate, by_preference, checked_candidates
from iopopt.reliability.channel import Channel, FloatArray, drawn_s
from iopopt.reliability.checking import positive
from iopopt.reliability.confidence import Estimate, mean_estimate, probability_estimate

if TYPE_CHECKING:
    import pandas as pd

Inputs = Literal["shared", "own"]
"""What comes over the channel: one input that serves every model, which the host scales down, or each model's own."""


@dataclass(frozen=True)
class ServicePoint:
    """The service at one deadline.

    Attributes:
        deadline_s: from the request until the output is there, seconds.
        reliability: R(D), the probability that some candidate is in time.
        expected_accuracy: of all requests, where those without an answer count as 0.
        accuracy_when_served: of the requests with an answer alone; None if there is none.
        selected: by name, the part of all requests for which each candidate is selected; the parts sum to the reliability.
    """

    deadline_s: float
    reliability: Estimate
    expected_accuracy: Estimate
    accuracy_when_served: Estimate | None
    selected: Mapping[str, float]

    @property
    def most_selected(self) -> str | None:
        """The candidate that is selected most often; None if there is none."""
        name = max(self.selected, key=self.selected.__getitem__)
        return name if self.selected[name] > 0 else None


@dataclass(frozen=True, repr=False)
class Service:
    """The service at every deadline, in the order in which they were given.

    Attributes:
        samples, seed: of the draws; None if the points are exact.
        confidence: of the intervals, which hold for each point alone; None if they are exact.
    """

    points: tuple[ServicePoint, ...]
    inputs: Inputs
    samples: int | None
    seed: int | None
    confidence: float | None

    def __repr__(self) -> str:
        how = "exact" if self.samples is None else f"{self.samples} samples, seed {self.seed}"
        points = [f"{point.reliability.value:.1%} by {point.deadline_s * 1e3:.4g} ms" for point in self.points]
        shown = points if len(points) <= 3 else [points[0], "...", points[-1]]
        return f"Service({how}; reliability {', '.join(shown)})"

    def to_frame(self) -> pd.DataFrame:
        """One row for each deadline: the estimates with the ends of their intervals (NaN where there is none) and the most selected candidate."""
        import pandas as pd

        return pd.DataFrame(map(_row, self.points))

    def selected_frame(self) -> pd.DataFrame:
        """One row for each deadline and one column for each candidate: the part of all requests for which it is selected."""
        import pandas as pd

        deadlines = pd.Index([point.deadline_s for point in self.points], name="deadline_s")
        return pd.DataFrame([dict(point.selected) for point in self.points], index=deadlines)


def _row(point: ServicePoint) -> dict[str, Any]:
    row: dict[str, Any] = {"deadline_s": point.deadline_s}
    for name in ("reliability", "expected_accuracy", "accuracy_when_served"):
        estimate = getattr(point, name) or Estimate.exact(np.nan)
        row |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    return row | {"most_selected": point.most_selected}


def estimate_service(
    candidates: Iterable[Candidate],
    channel: Channel,
    deadlines_s: Sequence[float],
    *,
    samples: int = 10_000,
    seed: int = 0,
    inputs: Inputs = "shared",
    confidence: float = 0.95,
) -> Service:
    """Draw requests over any channel; the same draws serve every deadline, and every set of candidates whose inputs have the same sizes.

    Args:
        deadlines_s: seconds.
        inputs: ``"shared"``, as in the paper: one X for all models, that of the largest input, from which the host makes the smaller ones. With
            ``"own"`` the input of each model comes in its own size, all over the same state of the channel, and the host selects as if it knew
            these times.
        confidence: of Wilson's interval for the reliability, and of those by the multinomial likelihood for the accuracies.

    Raises:
        ServiceError: if a candidate, deadline or option is not well formed, or a channel of your own draws no times.
        UnsupportedError: if the channel cannot say what inputs of several sizes take.
    """
    request = _Request.of(candidates, channel, deadlines_s, inputs)
    if not is_integer(samples) or samples < 1:
        raise ServiceError(f"samples is {short_repr(samples)}; it must be a positive integer")
    if not is_integer(seed) or seed < 0:
        raise ServiceError(f"seed is {short_repr(seed)}; it must be an integer of at least 0")
    if not is_number(confidence) or not 0 < confidence < 1:
        raise ServiceError(f"confidence is {short_repr(confidence)}; it must be above 0 and below 1, as 0.95")
    sizes, which = np.unique(request.input_bytes, return_inverse=True)
    arrivals_s = drawn_s(channel, sizes, samples, np.random.default_rng(seed))[:, which]
    points = tuple(_estimated_point(request.candidates, arrivals_s, deadline, confidence) for deadline in request.deadlines_s)
    return Service(points, inputs, samples, seed, confidence)


def exact_service(candidates: Iterable[Candidate], channel: Channel, deadlines_s: Sequence[float], *, inputs: Inputs = "shared") -> Service:
    """The same without samples, over a channel with a closed form: :class:`RandomRateChannel` and :class:`RandomTimeChannel` have one.

    Raises:
        ServiceError: if a candidate, deadline or option is not well formed.
        UnsupportedError: if the channel has no closed form, or cannot say what inputs of several sizes take.
    """
    request = _Request.of(candidates, channel, deadlines_s, inputs)
    latencies_s = np.array([candidate.latency_s for candidate in request.candidates])
    left_s = np.array(request.deadlines_s)[:, None] - latencies_s
    in_time = channel.probability_within(request.input_bytes, left_s)
    points = (_exact_point(request.candidates, row, deadline) for row, deadline in zip(in_time, request.deadlines_s, strict=True))
    return Service(tuple(points), inputs, None, None, None)


@dataclass(frozen=True)
class _Request:
    """What both ways are asked, checked: candidates in the order of preference, the size of the input that each waits for, deadlines."""

    candidates: tuple[Candidate, ...]
    input_bytes: FloatArray
    deadlines_s: tuple[float, ...]

    @classmethod
    def of(cls, candidates: Iterable[Candidate], channel: Channel, deadlines_s: Sequence[float], inputs: Inputs) -> _Request:
        found = checked_candidates(candidates)
        if not isinstance(channel, Channel):
            raise ServiceError(f"channel: found {foreign(channel)}; a Channel is expected (load_trace reads one from a file)")
        if not isinstance(deadlines_s, Iterable) or isinstance(deadlines_s, str):
            raise ServiceError(f"deadlines_s: found {foreign(deadlines_s)}; a sequence of seconds is expected")
        deadlines = tuple(positive(deadline, f"deadlines_s[{number}]") for number, deadline in enumerate(deadlines_s))
        if not deadlines:
            raise ServiceError("deadlines_s: there is none; at least one is needed")
        if inputs not in ("shared", "own"):
            raise ServiceError(f"inputs is {short_repr(inputs)}; allowed are 'shared' and 'own'")
        ordered = tuple(found[index] for index in by_preference(found))
        sizes = np.array([candidate.input_bytes for candidate in ordered])
        return cls(ordered, sizes if inputs == "own" else np.full_like(sizes, sizes.max()), deadlines)


def _estimated_point(candidates: tuple[Candidate, ...], arrivals_s: FloatArray, deadline_s: float, confidence: float) -> ServicePoint:
    """From times of arrival, shape (samples, candidates)."""
    accuracies = np.array([candidate.accuracy for candidate in candidates])
    latencies_s = np.array([candidate.latency_s for candidate in candidates])
    in_time = arrivals_s + latencies_s <= deadline_s
    served = in_time.any(axis=1)
    counts = np.bincount(in_time.argmax(axis=1)[served], minlength=len(candidates)).astype(float)  # argmax: the first that is in time
    possible = (latencies_s <= deadline_s) | (counts > 0)
    samples, hits = len(arrivals_s), int(served.sum())
    outcomes, outcome_counts = np.append(accuracies[possible], 0.0), np.append(counts[possible], float(samples - hits))
    return ServicePoint(
        deadline_s,
        reliability=probability_estimate(hits, samples, confidence),
        expected_accuracy=mean_estimate(outcomes, outcome_counts, confidence),
        accuracy_when_served=mean_estimate(accuracies[possible], counts[possible], confidence) if hits else None,
        selected=_by_name(candidates, counts / samples),
    )


def _exact_point(candidates: tuple[Candidate, ...], in_time: FloatArray, deadline_s: float) -> ServicePoint:
    """From the probability that each is in time; of two such events the less probable implies the other."""
    some_so_far = np.maximum.accumulate(in_time)
    selected = np.diff(some_so_far, prepend=0.0)
    reliability = float(some_so_far[-1])
    expected = float(selected @ np.array([candidate.accuracy for candidate in candidates]))
    return ServicePoint(
        deadline_s,
        reliability=Estimate.exact(reliability),
        expected_accuracy=Estimate.exact(expected),
        accuracy_when_served=Estimate.exact(expected / reliability) if reliability > 0 else None,
        selected=_by_name(candidates, selected),
    )


def _by_name(candidates: tuple[Candidate, ...], parts: FloatArray) -> Mapping[str, float]:
    return {candidate.name: float(part) for candidate, part in zip(candidates, parts, strict=True)}
