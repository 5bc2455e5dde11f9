"""Operators as JSON: the fields of their kind."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, get_args, get_origin, get_type_hints

from iopopt.errors import FileFormatError
from iopopt.network.epilogue import Activation, EpilogueStep, Mixing, Normalisation, Pool
from iopopt.network.operators import KINDS, Operator
from iopopt.network.records import check_keys, short_repr, typed
from iopopt.network.shapes import Shape, Window

_BY_NAME = {name: kind for kind in KINDS.values() for name in (kind.kind, *kind.former_kinds)}

_FORMER: Mapping[str, Any] = {
    "out_channels": int,
    "rows": Window,
    "columns": Window,
    "groups": int,
    "bias": bool,
    "function": str,
    "more_inputs": tuple[Shape, ...],
    "first_channel": int,
}
"""Keys that older records had for every kind, by type; if a kind has no such field, the value must agree with its other fields."""

_FORMER_DEFAULTS = {"function": "", "first_channel": 0}


def operator_record(operator: Operator) -> dict[str, Any]:
    """One operator as a JSON record."""
    fields: dict[str, Any] = _json(operator)
    return {"name": fields.pop("name"), "kind": operator.kind, **fields}


def _json(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        step = {"step": type(value).__name__.lower()} if isinstance(value, EpilogueStep) else {}
        return step | {item.name: _json(getattr(value, item.name)) for item in dataclasses.fields(value)}
    return [_json(item) for item in value] if isinstance(value, tuple) else value


def operator_from(record: Any, where: str) -> Operator:
    """Read a record of :func:`operator_record`; FileFormatError begins with ``where``."""
    kind = _kind_of(record, where)
    former = record.keys() & _FORMER.keys() - {item.name for item in dataclasses.fields(kind)}
    operator: Operator = _read({key: value for key, value in record.items() if key not in former}, kind, where, "kind")
    for key in sorted(former):
        found, expected = _figure(record[key], _FORMER[key], where, key), getattr(operator, key, _FORMER_DEFAULTS.get(key))
        if found != expected and key != "bias":  # older records had it for every kind; it has no meaning without a kernel
            raise FileFormatError(f"{where}: {key!r} is {short_repr(record[key])}; this {kind.kind} has {short_repr(_json(expected))}")
    return operator


def _kind_of(record: Any, where: str) -> type[Operator]:
    if not isinstance(record, Mapping) or "kind" not in record:
        check_keys(record, where, {"name", "kind", "in_shape"}, set(_FORMER) | {"epilogue"})
    name = typed(record["kind"], str, f"{where}: 'kind'")
    if name not in _BY_NAME:
        raise FileFormatError(f"{where}: 'kind' is {short_repr(name)}; allowed are {', '.join(KINDS)}")
    return _BY_NAME[name]


def _read(record: Any, cls: type[Any], where: str, *marks: str) -> Any:
    """An object of a dataclass, from a record of its fields and of ``marks`` that name the class."""
    missing, fields = dataclasses.MISSING, dataclasses.fields(cls)
    required = {item.name for item in fields if item.default is missing and item.default_factory is missing}
    hints = get_type_hints(cls)
    check_keys(record, where, {*required, *marks}, {item.name for item in fields} - required)
    return cls(**{key: _figure(value, hints[key], where, key) for key, value in record.items() if key not in marks})


def _figure(value: Any, hint: Any, where: str, key: str) -> Any:
    """The value of a key as the type of its field has it."""
    if get_origin(hint) is tuple:
        if not isinstance(value, (list, tuple)):
            raise FileFormatError(f"{where}: {key!r} is {short_repr(value)}; it must be a list")
        return tuple(_figure(item, get_args(hint)[0], where, f"{key}[{number}]") for number, item in enumerate(value))
    if hint is Shape:
        return shape_from(value, f"{where}: {key!r}")
    if hint is Window:
        return _read(value, Window, f"{where}.{key}")
    return _step_from(value, f"{where}.{key}") if hint == EpilogueStep else typed(value, hint, f"{where}: {key!r}")


def _step_from(record: Any, where: str) -> EpilogueStep:
    steps: dict[str, type[EpilogueStep]] = {step.__name__.lower(): step for step in (Activation, Normalisation, Pool, Mixing)}
    if not isinstance(record, Mapping) or not isinstance(record.get("step"), str) or record["step"] not in steps:
        raise FileFormatError(f"{where}: {short_repr(record)} is not an epilogue step; it needs 'step', one of {', '.join(sorted(steps))}")
    step: EpilogueStep = _read(record, steps[record["step"]], where, "step")
    return step


def shape_from(value: Any, where: str) -> Shape:
    """(C, H, W) of a list of three integers; FileFormatError begins with ``where``."""
    sizes = typed(value, tuple[int, ...], where)
    if len(sizes) != 3:
        raise FileFormatError(f"{where} is {short_repr(value)}; it must be [channels, height, width]")
    return Shape(*sizes)
