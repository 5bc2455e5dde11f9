"""Which iopopt is tested: an installed one if there is one, and the same one in child processes.

``PYTHONPATH=$PWD pytest`` tests the checkout in any case; ``pytest --installed`` refuses to.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent

sys.path.append(str(CHECKOUT))  # paper_figs, benchmarks and tests.mutation; last, so that it does not hide an installed iopopt
os.environ |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONSAFEPATH": "1"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--installed``: a wheel is to be tested."""
    parser.addoption("--installed", action="store_true", help="fail if iopopt would be imported from the checkout")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse the checkout if a wheel is to be tested."""
    if config.getoption("--installed") and _package().is_relative_to(CHECKOUT):
        raise pytest.UsageError(f"--installed: iopopt comes from {_package()}; install the wheel, and leave PYTHONPATH empty")


def pytest_report_header() -> str:
    """Where the tested package is."""
    return f"iopopt: {_package()}"


def _package() -> Path:
    import iopopt

    return Path(iopopt.__file__).resolve().parent
