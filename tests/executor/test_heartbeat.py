"""Signs of life through a store: what others say, for how long they have been silent, and a store that is lost."""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Iterator

import pytest

from iopopt import ExecutionError
from iopopt.executor.heartbeat import Heartbeat
from iopopt.executor.patience import Progress

TIMEOUT_S = 0.2


class Kept:
    """A store in this process."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.lost, self.hangs, self.goes_on = False, False, threading.Event()

    def set(self, key: str, value: str) -> None:
        self.values[key] = value

    def get(self, key: str) -> bytes:
        if self.hangs:
            self.goes_on.wait(30)
        if self.lost:
            raise RuntimeError("Broken pipe\nand more")
        return self.values[key].encode()

    def wait(self, keys: list[str], timeout: datetime.timedelta) -> None:
        raise NotImplementedError

    def delete_key(self, key: str) -> bool:
        raise NotImplementedError


@pytest.fixture
def store() -> Iterator[Kept]:
    kept = Kept()
    yield kept
    kept.goes_on.set()


@pytest.fixture
def pair(store: Kept) -> Iterator[tuple[Heartbeat, Heartbeat]]:
    """Device 0 and device 1, both announced; only device 0 has started."""
    both = Heartbeat(0, 2, TIMEOUT_S, store), Heartbeat(1, 2, TIMEOUT_S, store)
    for heartbeat in both:
        heartbeat.announce()
    both[0].start()
    yield both
    for heartbeat in both:
        heartbeat.end()


def eventually(heartbeat: Heartbeat, turn: int, waiting: bool) -> Progress:
    """The progress of device 1 as soon as it is this one."""
    until = time.monotonic() + 30
    while (progress := heartbeat.progress_of(1))[:2] != (turn, waiting):
        assert time.monotonic() < until
        time.sleep(0.01)
    return progress


def test_others_are_seen_where_they_are(pair: tuple[Heartbeat, Heartbeat]) -> None:
    """Before they start at turn -1, then where they say."""
    assert pair[0].progress_of(1)[:2] == (-1, False)
    pair[1].start()
    for turn, waiting in ((3, True), (3, False), (7, True)):
        pair[1].tell(turn, waiting)
        eventually(pair[0], turn, waiting)


def test_silence_is_measured(pair: tuple[Heartbeat, Heartbeat]) -> None:
    """A device that stops beating has been silent for ever longer, whatever it said last; one that beats has not."""
    pair[1].start()
    pair[1].tell(4, False)
    assert eventually(pair[0], 4, False).silent_s < 10
    pair[1].end()
    until = time.monotonic() + 30
    while pair[0].progress_of(1).silent_s < 2 * TIMEOUT_S:
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("lost", "device 0 cannot reach device 0, where the devices met: Broken pipe$"),
        ("hangs", r"device 0, where the devices met, has not answered device 0 for 0\.2 s"),
    ],
)
def test_a_store_that_is_lost(pair: tuple[Heartbeat, Heartbeat], store: Kept, fault: str, message: str) -> None:
    """Whoever asks for the others then gets an error, and never hangs itself."""
    setattr(store, fault, True)

    def ask_for(seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            pair[0].progress_of(1)
            time.sleep(0.01)

    with pytest.raises(ExecutionError, match=message):
        ask_for(30)
