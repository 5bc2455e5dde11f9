"""A testbed that lives as long as a ``with`` block, and its processes; it leaves nothing behind."""

from __future__ import annotations

import atexit
import json
import os
import secrets
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from benchmarks.testbed.layout import PACEMAKER, PREFIX, Names, Node, cores_of, leftovers, network_commands, node_environment, start_command
from benchmarks.testbed.quota import Group
from benchmarks.testbed.requirements import cpu_hierarchy
from iopopt.errors import ExecutionError

ROOT = Path(__file__).parents[2]
"""The directory from which the processes import ``benchmarks``."""


_SIGNALS = tuple(number for number in signal.Signals if number.name in ("SIGTERM", "SIGINT", "SIGHUP"))  # Windows, which is refused, has no SIGHUP


class Stopped(BaseException):
    """A signal asks the process to end; not an Exception, so that no handler swallows it."""


@contextmanager
def ending_in_order() -> Iterator[None]:
    """Let signals that ask the process to end (SIGTERM, SIGINT, SIGHUP) raise :class:`Stopped` in the block, so that it is cleaned up."""
    handlers = {number: signal.signal(number, _stop) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Delay such signals until the end of the block."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Testbed:
    """Namespaces, links and control groups of some nodes; ``with`` creates and removes them.

    :func:`clean` removes what is left after SIGKILL; the processes always end with this one.
    """

    __test__ = False  # for pytest, because the name looks like a test

    def __init__(self, nodes: tuple[Node, ...]) -> None:
        hierarchy = cpu_hierarchy()
        if hierarchy is None:
            raise ExecutionError("no control groups with the cpu controller")
        self.nodes, self.names = nodes, Names(secrets.token_hex(3))
        self._cores = cores_of(nodes, sorted(os.sched_getaffinity(0)))
        self._groups: list[Group] = [hierarchy.group(self.names.node(j)) for j in range(len(nodes))]
        self._processes: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Testbed:
        atexit.register(self.take_down)
        try:
            for command in network_commands(self.names, self.nodes):
                _run(command)
            for group in self._groups:
                group.create()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with undisturbed():
            self.take_down()
            atexit.unregister(self.take_down)

    def take_down(self) -> None:
        """End the processes, then remove groups and namespaces; links and queues go with their namespaces."""
        for process in self._processes:  # all at once, so that none reports the end of another
            process.kill()
        for group in self._groups:
            group.remove()
        for process in self._processes:
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream:
                    stream.close()
        self._processes.clear()
        for name in [self.names.hub, *(self.names.node(j) for j in range(len(self.nodes)))]:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)

    def limit(self, on: bool) -> None:
        """Switch the processor quotas on or off (for what is not measured)."""
        for group, node in zip(self._groups, self.nodes, strict=True):
            group.limit(node.cpu_share if on else None)

    def start(self, device: int, command: list[str]) -> subprocess.Popen[str]:
        """Start a process on a device; it communicates through its standard input and output."""
        environment = os.environ | node_environment(self.names, device, len(self.nodes)) | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
        full = start_command(self.names, device, self._cores[device], str(self._groups[device].processes), command)
        process = subprocess.Popen(full, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True, cwd=ROOT)
        self._processes.append(process)
        return process


class Crew:
    """One node process for each device, in one process group as long as the testbed exists; they read orders, a line of JSON each."""

    def __init__(self, testbed: Testbed, timeout_s: float) -> None:
        self._testbed, self._timeout_s = testbed, timeout_s
        testbed.limit(on=False)
        command = [sys.executable, "-m", "benchmarks.testbed.node", "--timeout", str(timeout_s)]
        for device in range(len(testbed.nodes)):
            testbed.start(device, [sys.executable, "-S", "-c", PACEMAKER])
        self._processes = [testbed.start(j, command) for j in range(len(testbed.nodes))]
        self._await_all()

    def order(self, record: dict[str, Any], *, limited: bool) -> None:
        """Give all nodes the same order, and wait until all have executed it; ``limited`` switches the processor quotas on until then.

        Raises:
            ExecutionError: if one of them ends, or does not answer in time.
        """
        self._testbed.limit(on=limited)
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(json.dumps(record) + "\n")
            process.stdin.flush()
        self._await_all()

    def _await_all(self) -> None:
        """Wait until every node has answered ``done``."""
        until = time.monotonic() + self._timeout_s
        with selectors.DefaultSelector() as selector:
            for device, process in enumerate(self._processes):
                assert process.stdout is not None
                selector.register(process.stdout, selectors.EVENT_READ, device)
            while selector.get_map():
                ready = selector.select(max(0.0, until - time.monotonic()))
                if not ready:
                    raise ExecutionError(f"devices {[key.data for key in selector.get_map().values()]} did not answer within {self._timeout_s:g} s")
                for key, _ in ready:
                    answer = key.fileobj.readline().strip()  # type: ignore[union-attr]
                    if answer != "done":
                        raise ExecutionError(f"device {key.data} ended: {answer or 'no output'}")
                    selector.unregister(key.fileobj)


def clean() -> list[str]:
    """Remove the leftovers of killed testbeds, and testbeds that still run; returns the names."""
    directories = list(Path(tempfile.gettempdir()).glob(f"{PREFIX}*"))
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)
    hierarchy = cpu_hierarchy()
    groups = hierarchy.leftover_groups() if hierarchy else []
    for group in groups:
        group.remove()
    namespaces = standing_namespaces()
    for name in namespaces:
        subprocess.run(["ip", "netns", "del", name], capture_output=True)
    return sorted({*namespaces, *(path.name for path in directories), *(group.path.name for group in groups)})


def standing_namespaces() -> list[str]:
    """The testbeds' network namespaces on this machine."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout
    return leftovers([line.split()[0] for line in listed.splitlines() if line.strip()])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ExecutionError(f"'{' '.join(command)}' failed: {done.stderr.strip()}")


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped(signal.Signals(number).name)
