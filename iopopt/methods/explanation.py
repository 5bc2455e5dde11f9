"""Explains the price of a plan, on one screen: deep networks in groups of consecutive operators."""

from __future__ import annotations

import itertools
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from iopopt.cost.evaluation import Evaluation, OperatorCost
from iopopt.network.unit import SINK
from iopopt.schedule.rounds import TransferKind

WIDTH = 120
"""The longest line, characters."""

MOST_LINES = 27
"""The most lines of the table for operators: as many as leave room for the rest of the explanation on a screen of 40 lines."""

_TO = " to "
_MOST_PATTERNS = 2
"""The most patterns of which a line gives the shares."""

_NEARLY_FULL = 0.95
_MOST_DEVICES = 8
"""The most devices whose memory is listed."""

_MOST_WRITTEN_OUT = 1e15
"""Whole figures from here on are written with an exponent."""

_NARROWEST = 15
"""What a column of text keeps of a long entry."""

_TEXTS, _FIGURES = ("operator", "placement", "edge"), ("count", "t_com [s]", "t_cmp [s]", "bytes", "connections")


@dataclass(frozen=True)
class Group:
    """Consecutive operators as one line of the table; their figures are summed."""

    operators: tuple[OperatorCost, ...]

    @property
    def name(self) -> str:
        first, last = self.operators[0].name, self.operators[-1].name
        return first if len(self.operators) == 1 else f"{first}{_TO}{last}"

    @property
    def placement(self) -> str:
        """The placement that all have, the range of each participant's share, or, of more than two ways to split, how often each dimension
        is split."""
        if len({cost.placement for cost in self.operators}) == 1:
            return str(self.operators[0].placement)
        patterns: dict[Hashable, list[OperatorCost]] = {}
        for cost in self.operators:
            patterns.setdefault(_pattern(cost), []).append(cost)
        if len(patterns) <= _MOST_PATTERNS:
            return "; ".join(_share_ranges(costs) for costs in patterns.values())
        counts = Counter(cost.placement.dim or "whole" for cost in self.operators)
        return ", ".join(f"{count} {dim}" for dim, count in counts.most_common())

    @property
    def edge(self) -> str:
        """The rows of the communication table that applied, each once, the most frequent first."""
        if len(self.operators) == 1:
            return "+".join(self.operators[0].cases)
        cases = [case for cost in self.operators for round_ in cost.cases for case in round_.split("+")]
        return ", ".join(sorted(dict.fromkeys(cases), key=lambda case: -cases.count(case)))

    @property
    def communication_s(self) -> float:
        return sum(cost.communication_s for cost in self.operators)

    @property
    def compute_s(self) -> float:
        return sum(cost.compute_s for cost in self.operators)

    @property
    def transferred_bytes(self) -> float:
        return sum(cost.transferred_bytes for cost in self.operators)

    @property
    def connections(self) -> int:
        return sum(cost.connections for cost in self.operators)


def explain(evaluation: Evaluation, full: bool = False) -> list[str]:
    """Lines on how operators are split, what dominates the latency, and which memory limit binds; ``full`` groups and cuts nothing."""
    groups = [Group((cost,)) for cost in evaluation.operators] if full else grouped(evaluation.operators)
    below = wrapped([_latency_parts(evaluation), _slowest(evaluation), *_energy_parts(evaluation), _memory(evaluation), _terms(groups)])
    return ["", *_table(evaluation, groups, None if full else WIDTH), "", *below]


def wrapped(lines: Iterable[str]) -> list[str]:
    """Lines of text, broken where they are longer than a screen is wide."""
    return [part for line in lines for part in textwrap.wrap(line, WIDTH, subsequent_indent="  ", break_on_hyphens=False)]


# Groups.


def grouped(operators: Sequence[OperatorCost], most: int = MOST_LINES) -> list[Group]:
    """The finest groups that are at most ``most``: single operators if these fit.

    Otherwise, consecutive operators form a group if they have the same placement and the same place in the network (``layer3.1`` of
    ``layer3.1.conv2``), which is made coarser until it is no condition; then if they have the same dimension, participants and reduce. If all
    this gives too many, the two neighbours that add least to the latency are joined until it does not.
    """
    for key in _keys(operators):
        groups = _runs(operators, key)
        if len(groups) <= most:
            return groups
    return _joined(groups, most)


def _keys(operators: Sequence[OperatorCost]) -> Iterator[Callable[[int], Hashable]]:
    """What consecutive operators must have in common, by their position, from the finest to the coarsest."""
    paths = [tuple(re.split(r"[./]", cost.name))[:-1] for cost in operators]
    yield lambda i: i
    for depth in range(max(map(len, paths)), -1, -1):
        yield lambda i, depth=depth: (paths[i][:depth], operators[i].placement)  # type: ignore[misc]
    yield lambda i: _pattern(operators[i])


def _pattern(cost: OperatorCost) -> Hashable:
    return cost.placement.dim, cost.placement.whereabouts


def _runs(operators: Sequence[OperatorCost], key: Callable[[int], Hashable]) -> list[Group]:
    return [Group(tuple(operators[i] for i in run)) for _, run in itertools.groupby(range(len(operators)), key)]


def _joined(groups: list[Group], most: int) -> list[Group]:
    """At most ``most`` groups: the neighbours that add least to the latency are joined first, so that what is costly stays alone."""
    groups = list(groups)
    seconds = [group.communication_s + group.compute_s for group in groups]
    while len(groups) > most:
        at = min(range(len(groups) - 1), key=lambda i: seconds[i] + seconds[i + 1])
        groups[at : at + 2] = [Group(groups[at].operators + groups[at + 1].operators)]
        seconds[at : at + 2] = [seconds[at] + seconds[at + 1]]
    return groups


def _share_ranges(costs: Sequence[OperatorCost]) -> str:
    """Operators that are split alike: the dimension, and the least and the largest share of each participant."""
    placement = costs[0].placement
    if placement.dim is None:
        return str(placement)
    shares = zip(*(cost.placement.shares for cost in costs), strict=True)
    ranges = "/".join(f"{min(share)}-{max(share)}" if min(share) < max(share) else str(share[0]) for share in shares)
    return f"{placement.dim} {ranges}{placement.whereabouts}"


# The table.


def _table(evaluation: Evaluation, groups: Sequence[Group], width: int | None) -> list[str]:
    """A line for each group and one for the sink, below the names of the columns."""
    rows: list[tuple[float | str, ...]] = [
        (group.name, group.placement, group.edge, len(group.operators), group.communication_s, group.compute_s, *_transfer(group)) for group in groups
    ]
    rows.append((SINK, "", "+".join(evaluation.sink_cases), "", evaluation.sink_s, 0.0, *evaluation.sink_transfer))
    cells = [_TEXTS + _FIGURES, *(tuple(map(_cell, row)) for row in rows)]
    if len(groups) == len(evaluation.operators):
        cells = [row[: len(_TEXTS)] + row[len(_TEXTS) + 1 :] for row in cells]  # every count is 1
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    if width is not None:
        widths = _narrowed(widths, width)
    return ["  ".join(_fitted(cell, size, place) for place, (cell, size) in enumerate(zip(row, widths, strict=True))).rstrip() for row in cells]


def _transfer(group: Group) -> tuple[float, int]:
    return group.transferred_bytes, group.connections


def _cell(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.0f}" if value % 1 == 0 and value < _MOST_WRITTEN_OUT else f"{value:.6g}"


def _narrowed(widths: Sequence[int], width: int) -> list[int]:
    """The widths of the columns, with the widest text column made narrower until all fit; names, which stand for two, count half."""
    widths = list(widths)
    while sum(widths) + 2 * (len(widths) - 1) > width and max(widths[: len(_TEXTS)]) > _NARROWEST:
        widths[max(range(len(_TEXTS)), key=lambda place: widths[place] / (2 if place == 0 else 1))] -= 1
    return widths


def _fitted(cell: str, size: int, place: int) -> str:
    """A cell as wide as its column: names keep their ends, other texts their beginning; figures are aligned to the right."""
    if place >= len(_TEXTS):
        return cell.rjust(size)
    if len(cell) > size:
        cell = _cut_name(cell, size) if place == 0 else cell[: size - 3] + "..."
    return cell.ljust(size)


def _cut_name(name: str, size: int) -> str:
    """The end of a name, where modules differ; of a range, the ends of both."""
    first, to, last = name.partition(_TO)
    if not to:
        return "..." + name[3 - size :]
    half = (size - len(_TO)) // 2
    return _TO.join(end if len(end) <= half else "..." + end[3 - half :] for end in (first, last))


# What dominates.


def _latency_parts(evaluation: Evaluation) -> str:
    share = evaluation.compute_s / evaluation.latency_s if evaluation.latency_s else 0.0
    return (
        f"Latency: {evaluation.compute_s * 1e3:.4g} ms of computation ({share:.0%}) and {evaluation.communication_s * 1e3:.4g} ms of communication, "
        f"{evaluation.transferred_bytes:,.0f} bytes over {evaluation.connections} connections."
    )


def _slowest(evaluation: Evaluation) -> str:
    cost = max(evaluation.operators, key=lambda cost: cost.compute_s + cost.communication_s)
    device = max(range(len(cost.device_compute_s)), key=lambda j: cost.device_compute_s[j])
    edges = [(cost.communication_s, _where(cost), cost.cases) for cost in evaluation.operators]
    seconds, place, cases = max([*edges, (evaluation.sink_s, "to the sink", evaluation.sink_cases)])
    return (
        f"Costliest operator: {cost.name} ({(cost.compute_s + cost.communication_s) * 1e3:.4g} ms; device {evaluation.device_names[device]!r} is the "
        f"last to finish it). Costliest edge: {place} ({seconds * 1e3:.4g} ms, {'+'.join(cases)})."
    )


def _where(cost: OperatorCost) -> str:
    """Of what an operator exchanges: its input, or where only its partial sums are streamed, those."""
    return f"{'out of' if cost.cases == (TransferKind.STREAMED_REDUCE_SCATTER.value,) else 'into'} {cost.name}"


def _energy_parts(evaluation: Evaluation) -> Iterator[str]:
    """The joules by what draws them, if any device has a power."""
    energy = evaluation.energy
    if energy is None:
        return
    total = energy.total_j
    kinds = (("idling", energy.idle_j), ("computing", energy.compute_j), ("sending", energy.transmit_j), ("receiving", energy.receive_j))
    parts = [f"{sum(joules):.4g} J {name} ({sum(joules) / total if total else 0.0:.0%})" for name, joules in kinds]
    most = max(range(len(energy.device_j)), key=lambda j: energy.device_j[j])
    device = f"device {evaluation.device_names[most]!r} draws most, {energy.device_j[most]:.4g} J"
    yield f"Energy: {total:.4g} J: {', '.join(parts)}; {device}."


def _memory(evaluation: Evaluation) -> str:
    """The peak memory of the devices; of many devices, of those that are fullest."""
    figures = list(zip(evaluation.device_names, evaluation.memory_bytes, evaluation.memory_limit_bytes, strict=True))
    fullest = sorted(range(len(figures)), key=lambda j: figures[j][1] / figures[j][2], reverse=True)[:_MOST_DEVICES]
    uses = [
        f"{name} {demand / 1e6:.4g} of {limit / 1e6:.4g} MB"
        + (" (over the limit)" if demand > limit else " (binds)" if demand > _NEARLY_FULL * limit else "")
        for name, demand, limit in (figures[j] for j in sorted(fullest))
    ]
    others = len(figures) - len(fullest)
    return "Peak memory: " + ", ".join(uses) + (f", and {others} devices that are less full" if others else "") + "."


def _terms(groups: Sequence[Group]) -> str:
    whole = all(len(group.operators) == 1 for group in groups)
    return ("" if whole else "Figures of a line with a count are sums; explain(full=True) has every operator. ") + "Terms: see 'iopopt glossary'."
