"""Whether this machine allows a testbed."""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.testbed.layout import PREFIX, shape_command
from benchmarks.testbed.quota import Hierarchy, find_hierarchy
from iopopt.executor.running import INSTALL_TORCH

_TOOLS = {"ip": "iproute2", "tc": "iproute2", "nsenter": "util-linux", "setpriv": "util-linux", "taskset": "util-linux"}


def why_not(needs_torch: bool = True) -> str | None:
    """Why a testbed is impossible here; None if it is possible."""
    if sys.platform != "linux":
        return f"it needs Linux (network namespaces, traffic control, control groups), and this is {sys.platform}"
    if os.geteuid() != 0:
        return "it needs root (namespaces, traffic control, processor quotas)"
    for tool, package in _TOOLS.items():
        if shutil.which(tool) is None:
            return f"it needs {tool} ({package})"
    if needs_torch and importlib.util.find_spec("torch") is None:
        return f"it needs PyTorch: {INSTALL_TORCH}"
    return _why_no_link() or _why_no_quota()


def cpu_hierarchy() -> Hierarchy | None:
    """The machine's hierarchy of processor quotas."""
    mounts = Path("/proc/mounts")
    return find_hierarchy(mounts.read_text()) if mounts.exists() else None


def _why_no_link() -> str | None:
    """Try a namespace with a rate-limited veth; being root is not enough in most containers."""
    name = f"{PREFIX}{secrets.token_hex(3)}-try"
    link = ["ip", "-n", name, "link", "add", "name", "try0", "type", "veth", "peer", "name", "try1"]
    try:
        for command in (["ip", "netns", "add", name], link, shape_command(name, "try0", 1e7)):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                return f"'{' '.join(command)}' is refused: {done.stderr.strip()}"
    finally:
        subprocess.run(["ip", "netns", "del", name], capture_output=True)
    return None


def _why_no_quota() -> str | None:
    hierarchy = cpu_hierarchy()
    if hierarchy is None:
        return "it needs control groups with the cpu controller (version 1, or version 2 with cpu in the root's cgroup.subtree_control)"
    group = hierarchy.group(f"{PREFIX}{secrets.token_hex(3)}-try")
    try:
        group.create()
        group.limit(0.5)
    except OSError as error:
        return f"control group {group.path} cannot be created: {error.strerror}"
    finally:
        group.remove()
    return None
