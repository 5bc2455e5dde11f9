"""Seconds, and the limit on them."""

import math

import pytest
from support.clocks import TickingClock

from iopopt import IopoptError
from iopopt.cost.stopwatch import NO_LIMIT, Stopwatch, TimeUpError


def at(times):
    """A clock that reads these times one after another."""
    return iter(times).__next__


def test_laps_add_up_to_what_has_passed():
    """Started at 10: laps end at 12 and 17, and 9 seconds have passed at 19."""
    watch = Stopwatch(clock=at([10.0, 12.0, 17.0, 19.0]))
    assert (watch.lap(), watch.lap(), watch.elapsed_s) == (2.0, 5.0, 9.0)


def test_the_time_is_up_at_the_limit():
    """Of 3 seconds 1 is left after 2, which is in time; after 3 and 4 the time is up, and stays noted."""
    watch = Stopwatch(3.0, clock=at([0.0, 2.0, 2.0, 3.0, 4.0]))
    assert watch.remaining_s == 1.0
    watch.check()
    assert not watch.cut_short
    for _ in range(2):
        with pytest.raises(TimeUpError, match="3 s"):
            watch.check()
    assert watch.cut_short


def test_a_step_has_its_own_limit_by_the_same_clock():
    """Started at 10 and for 2 seconds at 14: at 15 a second is left of them, and 4 of the 9 seconds of the whole at 15 too."""
    watch = Stopwatch(9.0, clock=at([10.0, 14.0, 15.0, 15.0, 16.0]))
    step = watch.within(2.0)
    assert (step.remaining_s, watch.remaining_s) == (1.0, 4.0)
    with pytest.raises(TimeUpError, match="2 s"):
        step.check()


def test_without_a_limit_there_is_always_time():
    """However late it is, a search goes on."""
    watch = Stopwatch(clock=at([0.0, 1e300, 1e300]))
    watch.check()
    assert watch.remaining_s == math.inf
    NO_LIMIT.check()
    assert not NO_LIMIT.cut_short


def test_it_is_an_error_of_this_package():
    """Should one ever reach a caller, it is caught with all others."""
    assert issubclass(TimeUpError, IopoptError)


def test_time_passes_by_looking_at_the_ticking_clock():
    """The tests' own clock: a limit of 2 is up at the second look after the start."""
    watch = Stopwatch(2.0, clock=TickingClock())
    watch.check()
    with pytest.raises(TimeUpError):
        watch.check()
