"""Plans: a placement for every operator."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from iopopt.cluster.cluster import Cluster
from iopopt.errors import FileFormatError, PlanError
from iopopt.network.block import block_name
from iopopt.network.graph import Graph, as_graph
from iopopt.network.operators import Operator
from iopopt.network.records import check_keys, check_schema, foreign, is_integer, short_repr, typed
from iopopt.network.shapes import Dim
from iopopt.plan.html import plan_html
from iopopt.plan.placement import Placement, placement_from, placement_record
from iopopt.plan.streams import stream_fault

EQUATIONS: Mapping[Dim, int] = {"H": 3, "IC": 4, "OC": 5}
"""The equation that states what the shares of a dimension sum to."""


@dataclass(frozen=True, repr=False)
class Plan(Mapping[str, Placement]):
    """A placement for every operator, by name, in the order of the graph.

    Attributes:
        placements: by operator; the members of a fused block all have the block's, whose shares are rows of its last operator.
        blocks: the names of the members of each fused block, in order.
    """

    placements: tuple[tuple[str, Placement], ...]
    blocks: tuple[tuple[str, ...], ...] = ()

    @classmethod
    def of(cls, graph: Graph, placements: Sequence[Placement], spans: Sequence[int] | None = None) -> Plan:
        """The plan that gives the operators of ``graph``, in order, these placements.

        Args:
            spans: how many operators each placement places, more than one for a fused block; always one by default.

        Raises:
            GraphError: if ``graph`` is no Graph.
            PlanError: if ``placements`` are not one Placement for each operator, or for each of ``spans``.
        """
        as_graph(graph)
        if not isinstance(placements, Iterable):
            raise PlanError(f"plan: found {foreign(placements)}; a Placement for each operator is expected, in order")
        placements = list(placements)
        invalid = [placement for placement in placements if not isinstance(placement, Placement)]
        if invalid:
            raise PlanError(f"plan: {short_repr(invalid[0])} is not a Placement; give one for each operator, in order")
        spans = [1] * len(placements) if spans is None else list(spans)
        if not all(map(is_integer, spans)):
            raise PlanError(f"plan: spans {short_repr(spans)} are not all integers")
        if len(placements) != len(spans) or sum(spans) != len(graph) or min(spans, default=1) < 1:
            fused = f", spans {spans}," if max(spans, default=1) > 1 else ""
            raise PlanError(f"plan: {len(placements)} placements{fused} for the {len(graph)} operators of {graph.name}")
        names = [operator.name for operator in graph.operators]
        runs = [tuple(names[stop - span : stop]) for span, stop in zip(spans, itertools.accumulate(spans), strict=True)]
        by_name = tuple((name, placement) for run, placement in zip(runs, placements, strict=True) for name in run)
        return cls(by_name, tuple(run for run in runs if len(run) > 1))

    def __repr__(self) -> str:
        counts = Counter(placement.dim or "whole" for placement in self.values())
        found = ", ".join(f"{counts[dim]} {dim}" for dim in ("H", "OC", "IC", "whole") if counts[dim])
        found += f"; {len(self.blocks)} fused block{'s' if len(self.blocks) > 1 else ''}" if self.blocks else ""
        return f"Plan({len(self)} operator{'' if len(self) == 1 else 's'}{': ' if found else ''}{found})"

    def _repr_html_(self) -> str:
        return plan_html(self)

    @cached_property
    def _by_name(self) -> dict[str, Placement]:
        return dict(self.placements)

    def __getitem__(self, name: str) -> Placement:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self.placements)

    def __hash__(self) -> int:
        return hash((self.placements, self.blocks))

    @cached_property
    def _fused(self) -> dict[str, tuple[str, ...]]:
        """The members of each fused block by its last one."""
        return {block[-1]: block for block in self.blocks}

    @cached_property
    def _inside(self) -> frozenset[str]:
        """The members of fused blocks that are not the last."""
        return frozenset(name for block in self.blocks for name in block[:-1])

    def spans(self, graph: Graph) -> tuple[int, ...] | None:
        """How many operators of ``graph`` each placement places, in the order of the graph; None if it is always one."""
        if not self.blocks:
            return None
        names = (operator.name for operator in graph.operators)
        return tuple(len(self._fused.get(name, (name,))) for name in names if name not in self._inside)

    def by_last_operator(self, graph: Graph) -> list[Placement]:
        """The placement of each single operator and fused block, in the order of the graph."""
        return [self[operator.name] for operator in graph.operators if operator.name not in self._inside]

    @property
    def by_unit(self) -> dict[str, Placement]:
        """The placements by the names that reports give to single operators and fused blocks."""
        fused = {name: block_name(block) for name, block in self._fused.items()}
        return {fused.get(name, name): placement for name, placement in self.placements if name not in self._inside}

    @property
    def split_operators(self) -> tuple[str, ...]:
        """The names of the split operators."""
        return tuple(name for name, placement in self.placements if not placement.is_whole)

    def to_dict(self) -> dict[str, Any]:
        """A record of JSON's types; :meth:`from_dict` reads it back. A fused block is listed once, by its last operator."""
        fused, inner = {block[-1]: list(block) for block in self.blocks}, {name for block in self.blocks for name in block[:-1]}
        placed = {name: placement_record(placement) for name, placement in self.placements if name not in inner}
        return {
            "schema_version": 1,
            "placements": {name: record | ({"block": fused[name]} if name in fused else {}) for name, record in placed.items()},
        }

    @classmethod
    def from_dict(cls, record: Any, where: str = "plan") -> Plan:
        """Read a record of :meth:`to_dict`.

        Raises:
            FileFormatError: if a key is missing, unknown or of the wrong type; the message begins with ``where``.
        """
        check_schema(record, where, 1)
        check_keys(record, where, {"schema_version", "placements"})
        if not isinstance(record["placements"], Mapping):
            raise FileFormatError(f"{where}: 'placements' is {short_repr(record['placements'])}; it must map operators to placements")
        runs = [_run_from(_checked_name(name, where), item, where) for name, item in record["placements"].items()]
        return cls(
            tuple((name, placement) for names, placement in runs for name in names),
            tuple(names for names, _ in runs if len(names) > 1),
        )


def _run_from(name: str, record: Any, where: str) -> tuple[tuple[str, ...], Placement]:
    """The operators of one placement, and the placement itself."""
    where = f"{where}: {name}"
    if not isinstance(record, Mapping) or "block" not in record:
        return (name,), placement_from(record, where)
    names = typed(record["block"], tuple[str, ...], f"{where}: 'block'")
    if len(names) < 2 or len(set(names)) < len(names) or names[-1] != name:
        raise FileFormatError(f"{where}: 'block' is {short_repr(list(names))}; it must name two or more operators, of which {name!r} is the last")
    return names, placement_from({key: value for key, value in record.items() if key != "block"}, where)


def _checked_name(name: Any, where: str) -> str:
    if not isinstance(name, str):
        raise FileFormatError(f"{where}: operator {foreign(name)} is not named by a string")
    return name


def validate_plan(graph: Graph, cluster: Cluster, plan: Plan) -> None:
    """Refuse a plan that breaks equations (2) to (5) or belongs to another graph or cluster.

    Raises:
        PlanError: the message names the operator, what was found and what is allowed.
    """
    if not isinstance(plan, Plan):
        raise PlanError(f"plan: {foreign(plan)} is not a Plan; Plan.of makes one from placements, Plan.from_dict from a record")
    names = {operator.name for operator in graph.operators}
    for problem, found in (("has no placement for", names - plan.keys()), ("places unknown", plan.keys() - names)):
        if found:
            listed = ", ".join(sorted(found)[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
            raise PlanError(f"plan: {problem} {listed}; is it a plan of {graph.name}?")
    if len(plan.placements) != len(graph):
        raise PlanError(f"plan: {len(plan.placements)} placements for the {len(graph)} operators of {graph.name}; a name is repeated")
    fused = Counter(name for block in plan.blocks for name in block)
    for block in plan.blocks:
        _validate_block(graph, plan, block, fused)
    inside = {name for block in plan.blocks for name in block[:-1]}
    for number, operator in enumerate(graph.operators):
        if operator.name not in inside:
            _validate_placement(operator, plan[operator.name], len(cluster))
            if fault := stream_fault(graph, plan, number):
                raise PlanError(f"operator {operator.name!r}: {fault}")


def _validate_block(graph: Graph, plan: Plan, block: tuple[str, ...], fused: Counter[str]) -> None:
    """Refuse a fused block that is none, or that is not split by rows; its shares are those of its last operator."""
    if fault := _block_fault(graph, plan, block, fused):
        title = f"fused block {block[0]} to {block[-1]}" if block else "fused block"
        raise PlanError(f"{title}: {fault}")


def _block_fault(graph: Graph, plan: Plan, block: tuple[str, ...], fused: Counter[str]) -> str | None:
    names = [operator.name for operator in graph.operators]
    if not block or block[0] not in names:
        return f"it begins with no operator of {graph.name}"
    if shared := [name for name in block if fused[name] > 1]:
        return f"{shared[0]!r} is in two blocks"
    members = range(names.index(block[0]), names.index(block[0]) + len(block))
    if tuple(names[members.start : members.stop]) != block:
        return "they do not follow each other"
    if fault := graph.block_fault(members):
        return fault
    if len({plan[name] for name in block}) > 1:
        return "they have different placements"
    placement = plan[block[-1]]
    return None if placement.dim == "H" else f"it is {placement}; a block is split by H over two devices or more"


def _validate_placement(operator: Operator, placement: Placement, device_count: int) -> None:
    if max(placement.holders) >= device_count:
        raise PlanError(
            f"operator {operator.name!r}: device {max(placement.holders)} does not exist; the cluster has devices 0 to {device_count - 1}"
        )
    if placement.dim is None:
        return
    refusal = operator.refusal(placement.dim)
    if refusal is not None:
        raise PlanError(f"operator {operator.name!r}: {refusal} (equation 2)")
    size, total = operator.size(placement.dim), sum(placement.shares)
    if total != size:
        equation = EQUATIONS[placement.dim]
        raise PlanError(f"operator {operator.name!r}: its {placement.dim} shares sum to {total}, the dimension has {size} (equation {equation})")
    unit = operator.granularity(placement.dim)
    for share in placement.shares:
        if share % unit:
            whole = f"OC/g = {unit}, a whole group" if placement.dim == "OC" else f"{unit}, the rows of one upsampled row"
            equation = EQUATIONS[placement.dim]
            raise PlanError(f"operator {operator.name!r}: its {placement.dim} share {share} is not a multiple of {whole} (equation {equation})")
