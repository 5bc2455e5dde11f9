"""Processor quotas by control groups, version 1 or 2."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.testbed.layout import leftovers

PERIOD_US = 10_000
"""The period of a quota: short compared with an operator's time, so that a device is slow instead of stopped from time to time."""

_KILL_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Hierarchy:
    """A mounted hierarchy with the cpu controller."""

    root: Path
    version: int

    def group(self, name: str) -> Group:
        return Group(self.root / name, self.version)

    def leftover_groups(self) -> list[Group]:
        """The groups that testbeds left."""
        return [self.group(name) for name in leftovers(sorted(path.name for path in self.root.iterdir() if path.is_dir()))]


@dataclass(frozen=True)
class Group:
    """One control group."""

    path: Path
    version: int

    @property
    def processes(self) -> Path:
        """The file that takes and lists process ids."""
        return self.path / "cgroup.procs"

    def create(self) -> None:
        """Create it, with priority over everything else on the machine, so that only the quota limits it."""
        self.path.mkdir()
        file, most = ("cpu.weight", 10_000) if self.version == 2 else ("cpu.shares", 262_144)
        (self.path / file).write_text(str(most))

    def limit(self, cpu_share: float | None) -> None:
        """Limit it to a share of one core; no limit for None."""
        quota_us = None if cpu_share is None else round(cpu_share * PERIOD_US)
        if self.version == 2:
            (self.path / "cpu.max").write_text(f"{'max' if quota_us is None else quota_us} {PERIOD_US}")
            return
        (self.path / "cpu.cfs_period_us").write_text(str(PERIOD_US))
        (self.path / "cpu.cfs_quota_us").write_text(str(-1 if quota_us is None else quota_us))

    def remove(self) -> None:
        """Kill the processes in it, and remove it; nothing happens if it no longer exists."""
        until = time.monotonic() + _KILL_TIMEOUT_S
        while self.path.exists() and time.monotonic() < until:
            with suppress(OSError):
                self.limit(None)  # ending processes need processor time too
                for process in self.processes.read_text().split():
                    with suppress(ProcessLookupError):
                        os.kill(int(process), signal.SIGKILL)
            with suppress(OSError):  # busy until the last process is gone
                self.path.rmdir()
                return
            time.sleep(0.02)


def find_hierarchy(mounts: str) -> Hierarchy | None:
    """The hierarchy with the cpu controller among the lines of ``/proc/mounts``; version 1 if there are both."""
    second = None
    for line in mounts.splitlines():
        _, place, kind, options, *_ = line.split()
        if kind == "cgroup" and "cpu" in options.split(","):
            return Hierarchy(Path(place), 1)
        if kind == "cgroup2" and _gives_cpu(Path(place)):
            second = Hierarchy(Path(place), 2)
    return second


def _gives_cpu(root: Path) -> bool:
    """Whether groups directly below ``root`` have the cpu controller; if not, switching it on is the administrator's decision."""
    try:
        return "cpu" in (root / "cgroup.subtree_control").read_text().split()
    except OSError:
        return False
