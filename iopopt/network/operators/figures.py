"""The figures of an operator: the types of its fields, checked as it is made."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterator
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

from iopopt.network.records import is_integer, short_repr


def unfit_figures(operator: Any) -> Iterator[str]:
    """What is wrong with each field that does not have its type."""
    for figure, hint in _figures(operator.__class__).items():
        value = getattr(operator, figure)
        if not _fits(value, hint):
            yield f"{figure} of this {operator.kind} is {short_repr(value)}; {_described(hint)}"


@cache
def _figures(kind: Any) -> dict[str, Any]:
    """The type of each field except the name."""
    hints = get_type_hints(kind)
    return {item.name: hints[item.name] for item in dataclasses.fields(kind) if item.name != "name"}


def _fits(value: object, hint: Any) -> bool:
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(_fits(item, get_args(hint)[0]) for item in value)
    if get_origin(hint) is Literal:
        return isinstance(value, str) and value in get_args(hint)
    return is_integer(value) if hint is int else isinstance(value, hint)


def _described(hint: Any) -> str:
    """The values that a figure of this type may have."""
    if get_origin(hint) is Literal:
        return f"allowed are {', '.join(map(repr, get_args(hint)))}"
    if get_origin(hint) is tuple:
        return f"a tuple is expected, of each item: {_described(get_args(hint)[0])}"
    names = [part.__name__ for part in get_args(hint)] if isinstance(hint, types.UnionType) else [hint.__name__]
    return f"{' or '.join(names)} is expected"
