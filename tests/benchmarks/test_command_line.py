"""Every benchmark names bad input in one line and ends with 2."""

from __future__ import annotations

import subprocess
import sys

import pytest

BAD = {
    "dp": ["--model", "nonsense"],
    "exported": ["--model", "nonsense"],
    "ideas": ["--model", "nonsense"],
    "milp": ["--model", "lenet5", "--backend", "nonsense"],
    "time_limits": ["--model", "lenet5", "--cluster", "nonsense"],
}


@pytest.mark.parametrize("module", BAD)
def test_bad_input_is_one_line_and_exit_code_2(module: str) -> None:
    """No traceback; the line names what was not found."""
    ended = subprocess.run([sys.executable, "-m", f"benchmarks.{module}", *BAD[module]], capture_output=True, text=True, check=False)
    assert ended.returncode == 2, ended.stderr
    assert "nonsense" in ended.stderr
    assert "Traceback" not in ended.stderr
