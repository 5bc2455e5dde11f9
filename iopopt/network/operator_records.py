"""Operators as JSON has them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from iopopt.errors import FileFormatError
from iopopt.network.operators import Activation, EpilogueStep, Mixing, Normalisation, Operator, Pool
from iopopt.network.shapes import Shape, Window
from iopopt.records import check_keys, short_repr, typed, typed_fields


def operator_record(operator: Operator) -> dict[str, Any]:
    """One operator as JSON holds it."""
    record = {item.name: getattr(operator, item.name) for item in dataclasses.fields(operator)}
    record["in_shape"], record["more_inputs"] = list(operator.in_shape), [list(shape) for shape in operator.more_inputs]
    record["rows"], record["columns"] = dataclasses.asdict(operator.rows), dataclasses.asdict(operator.columns)
    record["epilogue"] = [_step_record(step) for step in operator.epilogue]
    return record


def _step_record(step: EpilogueStep) -> dict[str, Any]:
    fields = {key: list(value) if isinstance(value, tuple) else value for key, value in dataclasses.asdict(step).items()}
    return {"step": type(step).__name__.lower(), **fields}


def operator_from(record: Any, where: str) -> Operator:
    """Read a record of :func:`operator_record`; FileFormatError begins with ``where``."""
    required, optional = _field_names(Operator)
    check_keys(record, where, required, optional)
    nested = {"in_shape", "more_inputs", "rows", "columns", "epilogue"}
    values = typed_fields({key: value for key, value in record.items() if key not in nested}, Operator, where)
    values["in_shape"] = shape_from(record["in_shape"], f"{where}: 'in_shape'")
    values["more_inputs"] = tuple(shape_from(shape, f"{where}: 'more_inputs'[{number}]") for number, shape in _listed(record, "more_inputs", where))
    for axis in {"rows", "columns"} & record.keys():
        values[axis] = _window_from(record[axis], f"{where}.{axis}")
    values["epilogue"] = tuple(_step_from(step, f"{where}.epilogue[{number}]") for number, step in _listed(record, "epilogue", where))
    values["kind"] = "elementwise" if values["kind"] == "local" else values["kind"]  # as older files call it
    return Operator(**values)


def _listed(record: Mapping[str, Any], key: str, where: str) -> Iterator[tuple[int, Any]]:
    """The items of an optional list, numbered."""
    items = record.get(key, [])
    if not isinstance(items, list):
        raise FileFormatError(f"{where}: {key!r} is {short_repr(items)}; it must be a list")
    return enumerate(items)


def _step_from(record: Any, where: str) -> EpilogueStep:
    steps: dict[str, type[EpilogueStep]] = {step.__name__.lower(): step for step in (Activation, Normalisation, Pool, Mixing)}
    if not isinstance(record, Mapping) or not isinstance(record.get("step"), str) or record["step"] not in steps:
        raise FileFormatError(f"{where}: {short_repr(record)} is no epilogue step; it needs 'step', one of {', '.join(sorted(steps))}")
    step = steps[record["step"]]
    fields = {key: value for key, value in record.items() if key != "step"}
    check_keys(fields, where, *_field_names(step))
    axes = {"rows", "columns"} & fields.keys()
    values = typed_fields({key: value for key, value in fields.items() if key not in axes}, step, where)
    for axis in axes:
        values[axis] = _window_from(fields[axis], f"{where}.{axis}")
    return step(**values)


def _window_from(record: Any, where: str) -> Window:
    check_keys(record, where, *_field_names(Window))
    return Window(**typed_fields(record, Window, where))


def _field_names(cls: type[Any]) -> tuple[set[str], set[str]]:
    """Required and optional keys of a dataclass."""
    missing = dataclasses.MISSING
    required = {item.name for item in dataclasses.fields(cls) if item.default is missing and item.default_factory is missing}
    return required, {item.name for item in dataclasses.fields(cls)} - required


def shape_from(value: Any, where: str) -> Shape:
    """(C, H, W) of a list of three integers; FileFormatError begins with ``where``."""
    sizes = typed(value, tuple[int, ...], where)
    if len(sizes) != 3:
        raise FileFormatError(f"{where} is {short_repr(value)}; it must be [channels, height, width]")
    return Shape(*sizes)
