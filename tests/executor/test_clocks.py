"""Processes whose clocks differ agree on the moment at which a run begins."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the extra 'run' is not installed")

RANK = """
import sys, time
rank, offset, path = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
true_time = time.perf_counter
time.perf_counter = lambda: true_time() + offset
import torch.distributed as dist
from iopopt.executor.clocks import agree_on_start
dist.init_process_group("gloo", init_method=f"file://{path}", rank=rank, world_size=3)
start = agree_on_start(rank, 1, 60.0)
print(repr(start.at - offset), repr(start.clock_error_s), repr(time.perf_counter() >= start.at))
dist.destroy_process_group()
"""


def test_clocks_that_differ(tmp_path: Path) -> None:
    """By hours: the same moment on every device within the error that it states, which is half a round trip; nobody begins before it."""
    offsets = (5000.25, -300.5, 12345.0)
    words = [sys.executable, "-c", RANK]
    children = [
        subprocess.Popen([*words, str(rank), str(offset), str(tmp_path / "meet")], stdout=subprocess.PIPE, text=True)
        for rank, offset in enumerate(offsets)
    ]
    said = [child.communicate(timeout=100)[0].split() for child in children]
    moments, errors = [float(words[0]) for words in said], [float(words[1]) for words in said]
    assert errors[1] == 0  # the sink's clock is the one that counts
    for moment, error in zip(moments, errors, strict=True):
        assert abs(moment - moments[1]) <= error + 1e-9
        assert error < 0.5
    assert all(words[2] == "True" for words in said)
