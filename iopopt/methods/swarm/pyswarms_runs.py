"""What every run of pyswarms needs: it has no seed of its own, and it configures logging."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """pyswarms draws from numpy's global generator: seed it, and restore it afterwards."""
    state: Any = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)


@contextmanager
def quiet_pyswarms() -> Iterator[None]:
    """Keep pyswarms from configuring the root logger and writing ``report.log``, which it does at import and in every object."""
    before = os.environ.get("LOG_CFG")
    with tempfile.TemporaryDirectory(prefix="iopopt-") as directory:
        config = Path(directory, "logging.yaml")
        config.write_text("version: 1\nincremental: true\n", encoding="utf-8")
        os.environ["LOG_CFG"] = str(config)
        try:
            yield
        finally:
            if before is None:
                del os.environ["LOG_CFG"]
            else:
                os.environ["LOG_CFG"] = before
