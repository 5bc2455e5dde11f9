"""Child processes that end as a whole, with everything that they started, on every operating system.

A tree is known by a name that its processes inherit in an environment variable. Their parents' ids would not do: a solver that a worker
started belongs to nobody once the worker has ended, and process groups and sessions exist on POSIX only.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import psutil

_TREES = "IOPOPT_PROCESS_TREES"
"""The variable with the names of the trees that a process belongs to, outermost first."""

_PATIENCE_S = 5.0
"""How long to wait for killed processes to be gone, seconds; one in the middle of a disk access ends when that does."""

_YOUNG_S, _LOADING_S = 2.0, 0.1
"""How old a process is at most that may not have its environment yet, and how long that takes at most, seconds."""

_WINDOWS_EXCEPTION = 0xC0000000
"""Windows: exit codes from here on are exceptions that nothing handled."""


@contextmanager
def python_child(
    module: str, words: Sequence[str], *, environment: Mapping[str, str] | None = None, stdout: int | None, stderr: int | IO[str]
) -> Iterator[subprocess.Popen[str]]:
    """``python -m module`` as a child with this process's import path; it and all that it started are ended with the block.

    A Ctrl-C in the terminal reaches this process only: the child leads a session of its own (POSIX; Windows ignores ``start_new_session``)
    or a group of its own (Windows). Its standard input is a pipe that closes when this process ends, however it ends: see
    :func:`end_with_parent`.

    Args:
        words: arguments of the module.
        environment: variables to set on top of this process's own.
        stdout: as of ``subprocess.Popen``; None shares this process's.
    """
    name = uuid.uuid4().hex
    inherited = os.environ | {"PYTHONPATH": os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)}
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", module, *words],
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        text=True,
        env=inherited | dict(environment or {}) | {_TREES: " ".join([*_trees(os.environ), name])},
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # exists on Windows only, where 0 would let Ctrl-C through
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        _end(name)
        for stream in (child.stdin, child.stdout, child.stderr):
            if stream:
                stream.close()


def end_with_parent() -> None:
    """Wait until the parent ends, which closes our standard input; then end this process and all that it started. Run it in a thread.

    The raw descriptor is read, because a thread blocked in ``sys.stdin`` would delay interpreter shutdown.
    """
    os.read(0, 1)
    for name in _trees(os.environ)[-1:]:
        _end(name)
    os._exit(1)


def fault(returncode: int) -> str | None:
    """What ended a process from outside, such as "SIGSEGV"; None if it ended by itself.

    A signal is named where this operating system knows it, otherwise numbered.
    """
    if returncode < 0:
        return next((known.name for known in signal.Signals if known == -returncode), f"signal {-returncode}")
    return f"exception {returncode:#x}" if returncode >= _WINDOWS_EXCEPTION else None


def _trees(environment: Mapping[str, str]) -> list[str]:
    return environment.get(_TREES, "").split()


def _end(name: str) -> None:
    """Kill the processes of a tree, apart from this one, until none is left.

    A dying process loses its environment, and with it the name of the tree, before it is gone: so those found once are remembered.
    """
    until = time.monotonic() + _PATIENCE_S
    found = set(_members(name))
    while (living := [process for process in found if _alive(process)]) and time.monotonic() < until:
        for process in living:
            with suppress(psutil.NoSuchProcess):  # it has ended meanwhile
                process.kill()
        time.sleep(0.005)
        found.update(_members(name))


def _alive(process: psutil.Process) -> bool:
    """Whether a process runs; one that nobody has collected does not."""
    with suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def _members(name: str) -> Iterator[psutil.Process]:
    """The living processes of a tree, apart from this one."""
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):  # it has ended, or is another user's
            if process.pid != os.getpid() and name in _trees(_environment(process)):
                yield process


def _environment(process: psutil.Process) -> Mapping[str, str]:
    """The environment of a process. One that has just been started has none for a moment, while its program is loaded: that is waited for."""
    until = time.monotonic() + _LOADING_S
    while not (found := process.environ()) and time.time() - process.create_time() < _YOUNG_S and time.monotonic() < until:
        time.sleep(0.001)
    return found
