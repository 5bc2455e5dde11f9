"""With this folder first on PYTHONPATH every Python process lacks what only POSIX has, as on Windows.

    PYTHONPATH=$PWD/tests/support/without_posix python -m pytest tests/milp tests/executor

The standard library and psutil choose their own calls by operating system, so they keep a ``signal`` module of their own that is whole.
"""

import os
import signal
import subprocess
import sys
import types

import psutil

_SIGNALS = ("SIGKILL", "SIGHUP", "SIGALRM", "SIGUSR1", "SIGUSR2")
_CALLS = ("killpg", "setsid", "getsid", "setpgid", "getpgid", "setpgrp", "getpgrp", "fork", "forkpty", "wait4", "nice", "sched_getaffinity")

_whole = types.ModuleType("signal")
_whole.__dict__.update(signal.__dict__)
subprocess.signal = psutil.signal = _whole

for _name in _CALLS:
    delattr(os, _name)
for _name in (*_SIGNALS, "alarm", "setitimer"):
    delattr(signal, _name)
for _name in _SIGNALS:
    _member = signal.Signals._member_map_.pop(_name)
    signal.Signals._member_names_.remove(_name)
    signal.Signals._value2member_map_.pop(_member.value)
sys.modules["resource"] = None  # its import fails
