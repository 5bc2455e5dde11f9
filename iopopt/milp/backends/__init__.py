"""The solvers: one file and one registry line each. A :class:`Backend` is a class with ``solve(program, options, report) -> Outcome``.

Back ends run in a child process (:mod:`iopopt.milp.worker`), which allows threads, a trajectory and cancellation at any time, and separates
solver libraries that cannot share a process.
"""

from __future__ import annotations

import functools
import inspect
import sys
from typing import Any, cast

from iopopt.errors import PluginError
from iopopt.milp.backends.backend import LEAST_SOLVE_S, Backend, Incumbent, Options, Outcome, OutcomeStatus, Progress, Report
from iopopt.network.records import short_repr
from iopopt.registry import Registry

__all__ = [
    "BACKENDS",
    "LEAST_SOLVE_S",
    "Backend",
    "Incumbent",
    "Options",
    "Outcome",
    "OutcomeStatus",
    "Progress",
    "Report",
    "place_of",
    "register_backend",
]

_MEMBERS = ("summary", "tolerance", "solve", "saved_incumbents")


def place_of(backend: type[Backend]) -> str:
    """Where another process imports a class from: ``package.module:qualified.name``."""
    return f"{backend.__module__}:{backend.__qualname__}"


def _adapted(name: str, found: Any) -> type[Backend]:
    """An imported object, if it is a back end that a child process can import."""
    if not isinstance(found, type):
        raise PluginError(f"back end {name!r} is {short_repr(found)}; a class derived from iopopt.Backend is expected")
    missing = [member for member in _MEMBERS if not hasattr(found, member)] or sorted(getattr(found, "__abstractmethods__", ()))
    if missing:
        raise PluginError(f"back end {name!r}: {found.__name__} has no {', '.join(missing)}; derive it from iopopt.Backend, and write solve")
    tolerance = found.tolerance  # type: ignore[attr-defined]
    if not isinstance(tolerance, float) or not 0 <= tolerance < 1:
        raise PluginError(f"back end {name!r}: its tolerance is {short_repr(tolerance)}; a relative accuracy such as 1e-6 is expected")
    if _needs_arguments(found):
        raise PluginError(f"back end {name!r}: {found.__name__} cannot be made without arguments; settings can be attributes of a derived class")
    backend = cast(type[Backend], found)
    if not _is_importable(backend):
        raise PluginError(
            f"back end {name!r}: {place_of(backend)} cannot be imported by another process, in which back ends run; define the class at the top "
            "level of a module (a .py file on Python's path), not in a script, a notebook or a function"
        )
    return backend


def _needs_arguments(found: type) -> bool:
    try:
        inspect.signature(found).bind()
    except TypeError:
        return True
    except ValueError:  # a class written in C may have no signature
        return False
    return False


def _is_importable(backend: type) -> bool:
    if backend.__module__ in ("__main__", "__mp_main__"):
        return False
    module: Any = sys.modules.get(backend.__module__)
    return functools.reduce(lambda place, name: getattr(place, name, None), backend.__qualname__.split("."), module) is backend


BACKENDS = Registry[type[Backend]](
    "back end",
    "iopopt.backends",
    {
        "highs": "iopopt.milp.backends.highs:Highs",
        "scip": "iopopt.milp.backends.scip:Scip",
        "cbc": "iopopt.milp.backends.cbc:Cbc",
        "scipy": "iopopt.milp.backends.scipy_highs:ScipyHighs",
    },
    _adapted,
)
"""Every back end; other packages announce theirs under the entry-point group ``iopopt.backends``."""


def register_backend(name: str, backend: type[Backend]) -> None:
    """Let ``solve_milp(backend=name)`` and the benchmark find a back end of your own; see :class:`Backend`.

    Raises:
        PluginError: if the name is a built-in's, or ``backend`` is no such class, or other processes cannot import it.
    """
    BACKENDS.register(name, _adapted(name, backend))
