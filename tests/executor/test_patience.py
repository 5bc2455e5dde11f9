"""How long a device waits for another one without barriers, by a clock that only the waiting moves."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from iopopt import ExecutionError
from iopopt.executor import patience
from iopopt.executor.patience import NEVER, Patience, Progress

TIMEOUT_S = 1.0


class Clock:
    """Time that passes while somebody waits for what arrives at ``arrives_s``."""

    def __init__(self, arrives_s: float) -> None:
        self.now_s, self.arrives_s = 0.0, arrives_s

    def monotonic(self) -> float:
        return self.now_s

    def arrived(self, seconds: float) -> bool:
        assert 0 < seconds <= TIMEOUT_S / 10
        self.now_s += seconds
        return self.now_s >= self.arrives_s


def waited_s(monkeypatch: pytest.MonkeyPatch, progress_at: Callable[[float], Progress], arrives_s: float = 1e6, sent_after: float = 3) -> float:
    """How long device 0 waits for what device 1 sends in turn 3."""
    clock = Clock(arrives_s)
    monkeypatch.setattr(patience, "time", clock)
    try:
        Patience(0, TIMEOUT_S, lambda other: progress_at(clock.now_s)).wait(clock.arrived, 1, sent_after)
    finally:
        monkeypatch.undo()
    return clock.now_s


def test_what_has_arrived_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the sender does."""
    assert waited_s(monkeypatch, lambda _: Progress(9, False, 100.0), arrives_s=0) <= 0.1


def test_a_sender_that_computes_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the time limit, in one unit for up to 20 of them; whoever goes on from unit to unit may take as long as it likes."""
    assert waited_s(monkeypatch, lambda _: Progress(3, False), arrives_s=19.5) == pytest.approx(19.5, abs=0.1)
    assert waited_s(monkeypatch, lambda now_s: Progress(int(now_s / 15), False), arrives_s=55, sent_after=NEVER) == pytest.approx(55, abs=0.1)
    with pytest.raises(ExecutionError, match="device 1 has computed a single unit for 20 s, 20 times the limit for a message, while device 0"):
        waited_s(monkeypatch, lambda _: Progress(3, False))


def test_a_sender_that_itself_waits_is_not_to_blame(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has a limit of its own, whose error says more."""
    assert waited_s(monkeypatch, lambda _: Progress(3, True), arrives_s=500) == pytest.approx(500, abs=0.1)


def test_a_message_has_its_time_once_it_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """From when its sender has gone on to another unit, even if that one waits; a message that comes within it is in time."""
    for waiting in (False, True):
        sent_at_5 = lambda now_s, waiting=waiting: Progress(3 if now_s < 5 else 4, waiting)  # noqa: E731
        assert waited_s(monkeypatch, sent_at_5, arrives_s=5.9) == pytest.approx(5.9, abs=0.1)
        with pytest.raises(ExecutionError, match=r"device 0 waited 1 s for a message from device 1$"):
            waited_s(monkeypatch, sent_at_5, arrives_s=6.3)


def test_a_silent_sender_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it is."""
    for turn in (0, 3, 9):
        with pytest.raises(ExecutionError, match="device 1 has given no sign of life for 1 s, while device 0 waited for it"):
            waited_s(monkeypatch, lambda now_s, turn=turn: Progress(turn, True, now_s), arrives_s=1.3)  # type: ignore[misc]
