"""What is tested, where it installs, and where it runs."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import iopopt

CHECKOUT = Path(__file__).resolve().parents[1]
WITHOUT_POSIX = CHECKOUT / "tests" / "support" / "without_posix"
MISSING = """
import os, signal
try:
    import resource
except ImportError:
    resource = None
print([hasattr(os, "killpg"), hasattr(os, "setsid"), hasattr(os, "getpgid"), hasattr(signal, "SIGKILL"), resource is not None])
"""
REPRESENTATIVE = (
    "tests/test_processes.py",
    "tests/milp/test_backends.py::test_the_optimum_of_a_small_programme",
    "tests/milp/test_backends.py::test_a_child_that_overstays_is_ended",
    "tests/methods/test_milp.py::test_ctrl_c_returns_the_incumbent",
    "tests/bench/test_bench.py::test_the_figures_are_the_evaluators",
    *(["tests/executor/test_command.py::test_a_plan_runs_on_processes"] if importlib.util.find_spec("torch") else []),
)
"""Child processes that end well, end late and are interrupted: solvers, the benchmark and a run."""


def test_child_processes_import_what_the_tests_import() -> None:
    """A checkout in the current folder does not hide the installed package from a child, and the reverse."""
    command = [sys.executable, "-c", "import iopopt; print(iopopt.__file__)"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == iopopt.__file__


def test_the_repository_has_no_symbolic_link() -> None:
    """Windows checks a link out as a text file, which breaks whatever it leads to."""
    if shutil.which("git") is None or not (CHECKOUT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "--stage"], cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "pyproject.toml" in listed
    assert [line for line in listed.splitlines() if line.startswith("120000")] == []


def without_posix() -> dict[str, str]:
    """An environment in which no Python process has what only POSIX has."""
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(WITHOUT_POSIX), os.environ["PYTHONPATH"]])}


def test_calls_of_posix_are_missing_in_children_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the next test relies on: neither a process nor the children that iopopt starts in it have these calls."""
    (tmp_path / "missing.py").write_text(MISSING, encoding="utf-8")
    starter = "import subprocess, sys; from iopopt.processes import python_child\n"
    starter += "with python_child('missing', [], stdout=None, stderr=subprocess.DEVNULL) as child: child.wait()"
    environment = without_posix()
    environment["PYTHONPATH"] += os.pathsep + str(tmp_path)
    for program in (MISSING, starter):
        done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout.strip() == str([False] * 5)


def test_no_call_of_posix_is_needed() -> None:
    """Solvers, benchmark and runs do without; the tests are those of this process, so they need what they need here."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *REPRESENTATIVE]
    done = subprocess.run(command, cwd=CHECKOUT, env=without_posix(), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout
