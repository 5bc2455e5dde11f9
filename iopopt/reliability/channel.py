"""What every channel offers: the random time that it takes to bring an input to the host."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt

from iopopt.errors import ServiceError, UnsupportedError

FloatArray = npt.NDArray[np.float64]


class Channel(ABC):
    """A channel over which inputs come; a new one is a class derived from this in one file.

    A request comes at a random moment, so each draw starts from a state of its own.
    """

    @abstractmethod
    def draw_s(self, input_bytes: FloatArray, samples: int, rng: np.random.Generator) -> FloatArray:
        """Random times, seconds, shape (samples, sizes), to bring inputs of these sizes in bytes, shape (sizes,).

        A row is one state of the channel: what each of the inputs would take, had it been sent instead of the others. A larger input never takes
        less time in the same row. Infinite where an input never arrives.
        """

    def probability_within(self, input_bytes: FloatArray, seconds: FloatArray) -> FloatArray:
        """The exact probability that an input of each size arrives within each time, which may be negative; shapes as numpy broadcasts them.

        Only a channel where a single random number decides everything has it: of two such events the less probable one implies the other.

        Raises:
            UnsupportedError: if this channel has no closed form.
        """
        raise UnsupportedError(f"{type(self).__name__} has no closed form; iopopt.estimate_service draws samples of it")


def drawn_s(channel: Channel, input_bytes: FloatArray, samples: int, rng: np.random.Generator) -> FloatArray:
    """The times that a channel draws, checked, because it may be the user's own.

    Raises:
        ServiceError: if they are not an array of times of the right shape; the message names the channel.
    """
    times = np.asarray(channel.draw_s(input_bytes, samples, rng), dtype=float)
    if times.shape != (samples, len(input_bytes)):
        raise ServiceError(f"{type(channel).__name__}.draw_s: found an array of shape {times.shape}; {(samples, len(input_bytes))} is expected")
    if not (times >= 0).all():
        raise ServiceError(f"{type(channel).__name__}.draw_s: found {times[~(times >= 0)][0]}; times in seconds of at least 0 are expected")
    return times


def the_one_size(input_bytes: FloatArray, channel: Channel) -> None:
    """Refuse inputs of several sizes on a channel that knows the time of one.

    Raises:
        UnsupportedError: if the sizes differ.
    """
    if len(np.unique(input_bytes)) > 1:
        raise UnsupportedError(
            f'{type(channel).__name__} knows the time of one input, not of several sizes; use inputs="shared", or a channel that has rates'
        )
