"""Plans: a placement for every operator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from iopopt.cluster.cluster import Cluster
from iopopt.errors import FileFormatError, PlanError
from iopopt.network.graph import Graph, as_graph
from iopopt.network.operators import Operator
from iopopt.network.records import check_keys, check_schema, foreign, short_repr
from iopopt.network.shapes import Dim
from iopopt.plan.html import plan_html
from iopopt.plan.placement import Placement, placement_from, placement_record

EQUATIONS: Mapping[Dim, int] = {"H": 3, "IC": 4, "OC": 5}
"""The equation that states what the shares of a dimension sum to."""


@dataclass(frozen=True, repr=False)
class Plan(Mapping[str, Placement]):
    """A placement for every operator, by name, in the order of the graph."""

    placements: tuple[tuple[str, Placement], ...]

    @classmethod
    def of(cls, graph: Graph, placements: Sequence[Placement]) -> Plan:
        """The plan that gives the operators of ``graph``, in order, these placements.

        Raises:
            GraphError: if ``graph`` is no Graph.
            PlanError: if ``placements`` are not one Placement for each operator.
        """
        as_graph(graph)
        if not isinstance(placements, Iterable):
            raise PlanError(f"plan: found {foreign(placements)}; a Placement for each operator is expected, in order")
        placements = list(placements)
        invalid = [placement for placement in placements if not isinstance(placement, Placement)]
        if invalid:
            raise PlanError(f"plan: {short_repr(invalid[0])} is not a Placement; give one for each operator, in order")
        if len(placements) != len(graph):
            raise PlanError(f"plan: {len(placements)} placements for the {len(graph)} operators of {graph.name}")
        return cls(tuple((operator.name, placement) for operator, placement in zip(graph.operators, placements, strict=True)))

    def __repr__(self) -> str:
        counts = Counter(placement.dim or "whole" for placement in self.values())
        found = ", ".join(f"{counts[dim]} {dim}" for dim in ("H", "OC", "IC", "whole") if counts[dim])
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
        return hash(self.placements)

    @property
    def split_operators(self) -> tuple[str, ...]:
        """The names of the split operators."""
        return tuple(name for name, placement in self.placements if not placement.is_whole)

    def to_dict(self) -> dict[str, Any]:
        """A record of JSON's types; :meth:`from_dict` reads it back."""
        return {"schema_version": 1, "placements": {name: placement_record(placement) for name, placement in self.placements}}

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
        return cls(tuple((name, placement_from(item, f"{where}: {_checked_name(name, where)}")) for name, item in record["placements"].items()))


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
    for operator in graph.operators:
        _validate_placement(operator, plan[operator.name], len(cluster))


def _validate_placement(operator: Operator, placement: Placement, device_count: int) -> None:
    if max(placement.devices) >= device_count:
        raise PlanError(
            f"operator {operator.name!r}: device {max(placement.devices)} does not exist; the cluster has devices 0 to {device_count - 1}"
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
