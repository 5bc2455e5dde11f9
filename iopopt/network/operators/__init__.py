"""The kinds of operators, one file each; every file in this package is imported and its kinds are registered."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from types import ModuleType

from iopopt.network.operators.operator import INPUT, Operator
from iopopt.network.shapes import Dim, Shape, Window

__all__ = ["INPUT", "KINDS", "Dim", "Operator", "Shape", "Window"]


def _kinds_in(module: ModuleType) -> Iterator[type[Operator]]:
    for item in vars(module).values():
        if isinstance(item, type) and issubclass(item, Operator) and item.__module__ == module.__name__ and "kind" in vars(item):
            yield item


_FILES = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]

KINDS: Mapping[str, type[Operator]] = {kind.kind: kind for module in _FILES for kind in _kinds_in(module)}
"""The classes of operators by the names of their kinds."""
