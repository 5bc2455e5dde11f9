"""A child and all that it started end together: whoever ends first, and wherever their parents went."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from iopopt.processes import fault, python_child

_PARENT = """
import subprocess, sys, threading
from iopopt.processes import end_with_parent
sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session="away" in sys.argv, stdout=subprocess.DEVNULL)
print(sleeper.pid, flush=True)
if "watch" in sys.argv:
    threading.Thread(target=end_with_parent, daemon=True).start()
if "stay" in sys.argv:
    sleeper.wait()
"""
"""A process that starts a sleeper, says its id, and stays or ends."""

_STARTER = """
import subprocess, sys
from iopopt.processes import python_child
with python_child("parent", sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
    print(child.pid, child.stdout.readline().strip(), flush=True)
    child.wait()
"""
"""A process that starts such a parent, and says both ids."""


@pytest.fixture(autouse=True)
def family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The modules ``parent`` and ``starter``."""
    (tmp_path / "parent.py").write_text(_PARENT, encoding="utf-8")
    (tmp_path / "starter.py").write_text(_STARTER, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)


def alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has collected does not."""
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def ends_soon(pid: int) -> bool:
    """Whether a process ends within ten seconds."""
    until = time.monotonic() + 10
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not alive(pid)


def line(child: subprocess.Popen[str]) -> list[int]:
    """The process ids that a child prints."""
    assert child.stdout is not None
    return [int(word) for word in child.stdout.readline().split()]


@pytest.mark.parametrize("words", [["stay"], [], ["stay", "away"], ["away"]])
def test_nothing_outlives_the_block(words: list[str]) -> None:
    """The child's own child ends with it, also if the child ended before, and if its own child is in another session."""
    with python_child("parent", words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        (sleeper,) = line(child)
        if "stay" not in words:
            child.wait(timeout=30)
        assert alive(sleeper)
    assert child.returncode is not None
    assert not alive(sleeper)


def test_trees_end_one_by_one() -> None:
    """The end of one tree leaves another alone."""
    with python_child("parent", ["stay"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as first:
        (first_sleeper,) = line(first)
        with python_child("parent", ["stay"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as second:
            (second_sleeper,) = line(second)
        assert not alive(second_sleeper)
        assert alive(first_sleeper)
        assert first.poll() is None


def test_a_tree_ends_with_the_trees_in_it() -> None:
    """A child that starts a tree of its own takes it along."""
    with python_child("starter", ["stay"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        parent, sleeper = line(child)
        assert alive(parent)
        assert alive(sleeper)
    assert not alive(parent)
    assert not alive(sleeper)


@pytest.mark.parametrize("words", [["watch", "stay"], ["watch", "stay", "away"]])
def test_a_child_ends_with_its_parent(words: list[str]) -> None:
    """When the starting process is killed, its child notices, and ends itself and what it started."""
    command = [sys.executable, "-m", "starter", *words]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as starter:
        parent, sleeper = line(starter)
        assert alive(sleeper)
        starter.kill()
    assert ends_soon(parent)
    assert ends_soon(sleeper)


def interrupted(sleepers: list[int]) -> None:
    """A Ctrl-C while a child runs, whose sleeper is noted."""
    with python_child("parent", ["stay"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        sleepers += line(child)
        raise KeyboardInterrupt


def test_an_exception_in_the_block_ends_the_tree_too() -> None:
    """A Ctrl-C while waiting is an exception in the block."""
    sleepers: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        interrupted(sleepers)
    assert [alive(sleeper) for sleeper in sleepers] == [False]


def test_what_ended_a_process() -> None:
    """Signals by name, or by number where they have none; Windows exceptions by code; nothing for a process that ended by itself."""
    assert fault(-signal.SIGTERM) == "SIGTERM"
    assert fault(-999) == "signal 999"
    assert fault(0xC0000005) == "exception 0xc0000005"
    assert [fault(code) for code in (0, 1, 255)] == [None] * 3
