"""A picture of a plan as HTML, for notebooks: for each operator a bar of shares, coloured by device."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from iopopt.network.html import heading, text
from iopopt.plan.appearance import DIMENSIONS, NARROWEST, TWO_PHASE, colour

if TYPE_CHECKING:
    from iopopt.plan.placement import Placement
    from iopopt.plan.plan import Plan

_CELL = "padding:1px 0.6em 1px 0;white-space:nowrap"


def plan_html(plan: Plan, device_names: Sequence[str] | None = None) -> str:
    """A bar for each fused block and for each run of other operators with equal placements, below the colours of the devices.

    Args:
        device_names: the names of the cluster's devices; without them a device is shown by its number.
    """
    used = sorted({device for placement in plan.values() for device in placement.holders})
    names = {device: f"device {device}" if device_names is None else f"{device} {device_names[device]}" for device in used}
    fused = {name: block for block in plan.blocks for name in block}
    runs = [[name for name, _ in run] for _, run in itertools.groupby(plan.placements, key=lambda item: (item[1], fused.get(item[0])))]
    rows = "".join(_row(run, plan[run[0]], names, fused=run[0] in fused) for run in runs)
    legend = "".join(
        f'<span style="display:inline-block;white-space:nowrap;margin-right:1em">{_swatch(device)} {text(name)}</span>'
        for device, name in names.items()
    )
    split = f"{len(plan.split_operators)} of {len(plan)} operators split; devices:"
    return (
        f"{heading('Plan', split)}<div>{legend}</div>"
        f'<div style="max-height:40em;overflow:auto"><table style="border-collapse:collapse;width:100%;max-width:64em"><tbody>{rows}</tbody></table>'
        "</div>"
    )


def _swatch(device: int) -> str:
    style = f"display:inline-block;width:0.9em;height:0.9em;vertical-align:-0.1em;background:{colour(device)};border:1px solid #8888"
    return f'<span style="{style}"></span>'


def _row(operators: Sequence[str], placement: Placement, names: dict[int, str], *, fused: bool) -> str:
    count = f" ({len(operators)})" if len(operators) > 1 else ""
    cells = (f"{_short(operators[0])} to {_short(operators[-1])}" if count else text(operators[0])) + count
    dim = DIMENSIONS[placement.dim] + (f", {TWO_PHASE}" if placement.reduce == "two_phase" else "") + (", fused" if fused else "")
    dim += "" if placement.gather is None else f", gathered on {names[placement.gather]}"
    dim += "" if placement.stream is None else f", streamed {placement.stream}"
    return (
        f'<tr><td style="{_CELL};text-align:left">{cells}</td><td style="{_CELL};text-align:left">{escape(dim)}</td>'
        f'<td style="width:60%;padding:1px 0">{_bar(placement, names)}</td></tr>'
    )


def _short(name: str) -> str:
    """A name of which two stand in one cell."""
    return escape(name if len(name) <= 24 else f"{name[:11]}...{name[-10:]}")


def _bar(placement: Placement, names: dict[int, str]) -> str:
    total = sum(placement.shares)
    return f'<div style="display:flex;width:100%;border:1px solid #8888;min-width:14em">{"".join(_pieces(placement, total, names))}</div>'


def _pieces(placement: Placement, total: int, names: dict[int, str]) -> Iterable[str]:
    """The shares that are not empty, as wide as they are large."""
    for device, share in zip(placement.devices, placement.shares, strict=True):
        if share == 0:
            continue
        part = share / total
        what = "whole" if placement.dim is None else f"{placement.dim} {share} of {total}"
        label = "" if part < NARROWEST else text(names[device]) if placement.dim is None else str(share)
        style = f"flex:0 0 {100 * part:.3f}%;background:{colour(device)};color:#000;text-align:center;overflow:hidden;line-height:1.5em;height:1.5em"
        yield f'<div style="{style}" title="{escape(names[device])}: {what}">{label}</div>'
