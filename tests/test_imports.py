"""``import iopopt`` is quick and has no side effects."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

HEAVY = ("ortools", "scipy", "pulp", "pyswarms", "matplotlib", "pandas", "torch", "highspy")


def _python(code: str, cwd: Path) -> str:
    """What a fresh interpreter prints that runs ``code`` with ``cwd`` as its working and home directory."""
    environment = {**os.environ, "HOME": str(cwd), "XDG_CONFIG_HOME": str(cwd), "XDG_CACHE_HOME": str(cwd), "TMPDIR": str(cwd)}
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_import_has_no_side_effects(tmp_path: Path) -> None:
    """Importing writes no file, adds no logging handler and loads no solver, plotting or table library."""
    code = f"""
import logging, sys
before = logging.getLogger().level
import iopopt
loggers = [logging.getLogger(), *(logging.getLogger(name) for name in logging.root.manager.loggerDict)]
import json
print(json.dumps({{
    "handlers": [str(handler) for logger in loggers for handler in logger.handlers if not isinstance(handler, logging.NullHandler)],
    "level": logging.getLogger().level - before,
    "heavy": sorted({{name.partition(".")[0] for name in sys.modules}} & set({HEAVY!r})),
}}))
"""
    assert json.loads(_python(code, tmp_path)) == {"handlers": [], "level": 0, "heavy": []}
    assert list(tmp_path.iterdir()) == []


def test_pricing_needs_no_heavy_library(tmp_path: Path) -> None:
    """Loading, evaluating and the greedy work without solver, plotting or table library."""
    code = f"""
import sys, iopopt
graph = iopopt.load_model("lenet5")
iopopt.load_cluster("pi4-x3")
solution = iopopt.solve_greedy(graph, iopopt.load_cluster("mcu-x3", graph))
print(solution.status, sorted({{name.partition(".")[0] for name in sys.modules}} & set({HEAVY!r})))
"""
    assert _python(code, tmp_path).split(maxsplit=1) == ["feasible", "[]\n"]
    assert list(tmp_path.iterdir()) == []


def test_public_names_exist() -> None:
    """Every name of ``__all__`` is there, once, and every public name of the package is listed."""
    import types

    import iopopt

    assert len(iopopt.__all__) == len(set(iopopt.__all__))
    for name in iopopt.__all__:
        assert hasattr(iopopt, name)
    public = {name for name, value in vars(iopopt).items() if not name.startswith("_") and not isinstance(value, types.ModuleType)}
    assert public <= set(iopopt.__all__)
