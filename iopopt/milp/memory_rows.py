"""Equation (1) in the program: resident weights plus the largest activations of every device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from iopopt.cost.instance import Instance
from iopopt.milp.affine import Affine, constant, times, total
from iopopt.milp.arcs import Node
from iopopt.milp.operator_variables import OperatorVariables
from iopopt.milp.program import ProgramBuilder
from iopopt.network.terms import Line, Terms, amount, lines, positions
from iopopt.plan.shares import even_shares

_SCALE = 1e4
"""A device's memory in units of the program, so that one byte in hundreds of megabytes exceeds the back end's tolerance."""


def add_memory(
    builder: ProgramBuilder,
    instance: Instance,
    placed: Sequence[Sequence[OperatorVariables]],
    two_phase: Sequence[Affine],
    *,
    reserve_bytes: float = 0.0,
    limited: bool = True,
    tops: Sequence[Top] = (),
) -> None:
    """sum_i w_ij + max_i (a_ij + live_ij) <= M_j for each device j; rows that cannot bind are left out.

    Args:
        placed: for each operator, the variables of the operator and of the blocks that end with it.
        two_phase: 1 for each operator with a two-phase reduce, whose owners hold slices instead of partial sums.
        reserve_bytes: held back from every limit.
        limited: whether the limits hold at all.
        tops: for each device, what its demand is at most besides, if anything: for a program that minimises it.
    """
    for j, device in enumerate(instance.cluster.devices):
        memory = _DeviceMemory(instance, placed, two_phase, j)
        binds = limited and memory.most() > device.memory_bytes - reserve_bytes
        if not binds and not tops:
            continue
        scale = _SCALE / (tops[j].about_bytes if tops else device.memory_bytes)
        demand = memory.add(builder, scale)
        if binds:
            builder.at_most(("eq1", j), demand, constant((device.memory_bytes - reserve_bytes) * scale))
        if tops:
            builder.at_most(("top", j), demand, tops[j].bytes_ * scale)


class Top(NamedTuple):
    """An expression in bytes above the demand of a device, and about how large it is at the optimum."""

    bytes_: Affine
    about_bytes: float


class _DeviceMemory:
    """What one device needs, as expressions."""

    def __init__(self, instance: Instance, placed: Sequence[Sequence[OperatorVariables]], two_phase: Sequence[Affine], j: int) -> None:
        self._instance, self._placed, self._two_phase, self._j = instance, placed, two_phase, j
        self._e = instance.cluster.bytes_per_element

    def add(self, builder: ProgramBuilder, scale: float) -> Affine:
        """The left side of equation (1), in units of 1 / ``scale`` bytes: at least what the device needs."""
        peak = builder.variable(("A", self._j))
        resident = total(self._weights(operator) for at_operator in self._placed for operator in at_operator)
        for unit, at_operator, live in zip(self._instance.placed, self._placed, self._live(), strict=True):
            for number, line in enumerate(self._activations(at_operator)):
                name = ("activations", unit.name, self._j, str(number))
                builder.at_least(name, times(1, peak), (line + live) * scale)
        return times(1, peak) + resident * scale

    def most(self) -> float:
        """A bound on the demand of any plan on the device."""
        ways = [[(operator, node) for operator in at_operator for node in self._nodes(operator)] for at_operator in self._placed]
        weights = [max((self._most_weights(*way) for way in at_operator), default=0.0) for at_operator in ways]
        activations = [max((self._most_activations(*way) for way in at_operator), default=0.0) for at_operator in ways]
        for producer, during in self._instance.live_tensors:
            for i in during:
                activations[i] += self._most_live(producer)
        return sum(weights) + max(activations)

    def _most_live(self, producer: int) -> float:
        """A bound on what the device holds of a live tensor."""
        unit = self._instance.units[producer]
        return self._input_bytes if self._is_input(producer) else self._e * max(unit.pre_pool_shape.elements, unit.out_shape.elements)

    def _nodes(self, operator: OperatorVariables) -> Iterator[Node]:
        """The nodes at which the device takes part."""
        return (node for node in operator.choice if node.device == self._j or operator.share_of(node, self._j) is not None)

    def _terms(self, operator: OperatorVariables, terms: Terms) -> Terms:
        """Terms as they are for the device, which may be the first or the last of the team."""
        if self._j not in operator.team:
            return terms
        place = positions(len(operator.team))[operator.team.index(self._j)]
        return tuple(term.at(place) for term in terms)

    # w_ij and a_ij.

    def _weights(self, operator: OperatorVariables) -> Affine:
        return total(self._only_line(operator, node, operator.unit.weights[node.dim]) for node in self._nodes(operator))

    def _activations(self, at_operator: Sequence[OperatorVariables]) -> list[Affine]:
        """Expressions whose maximum is a_ij: each is a sum of one line of each node, of which only the chosen node's is not 0."""
        by_node = [(operator, node, self._activation_lines(operator, node)) for operator in at_operator for node in self._nodes(operator)]
        most = max((len(found) for _, _, found in by_node), default=1)
        return [total(self._line(operator, node, found[min(number, len(found) - 1)]) for operator, node, found in by_node) for number in range(most)]

    def _activation_lines(self, operator: OperatorVariables, node: Node) -> list[Line]:
        every = operator.unit.activations[node.dim]
        return [line for terms in every for line in lines(self._terms(operator, terms), *_extent(operator, node))]

    def _only_line(self, operator: OperatorVariables, node: Node, terms: Terms) -> Affine:
        """An amount that is affine in the share throughout."""
        (line,) = lines(terms, *_extent(operator, node))
        return self._line(operator, node, line)

    def _line(self, operator: OperatorVariables, node: Node, line: Line) -> Affine:
        """A line in granules, active while the node is chosen; in bytes."""
        whole = times(self._e * line.constant, operator.choice[node])
        share = operator.share_of(node, self._j)
        return whole if share is None else whole + times(self._e * line.slope, share)

    def _most_weights(self, operator: OperatorVariables, node: Node) -> float:
        return self._e * amount(operator.unit.weights[node.dim], _most(operator, node))

    def _most_activations(self, operator: OperatorVariables, node: Node) -> float:
        return self._e * max(amount(self._terms(operator, terms), _most(operator, node)) for terms in operator.unit.activations[node.dim])

    # live_ij.

    def _live(self) -> list[Affine]:
        """What the device holds of live tensors while each operator runs."""
        live = [constant(0)] * len(self._placed)
        for producer, during in self._instance.live_tensors:
            held = constant(self._input_bytes) if self._is_input(producer) else self._owned(self._placed[producer], self._two_phase[producer])
            for i in during:
                live[i] = live[i] + held - total(times(self._most_live(producer), *block.choice.values()) for block in self._inside(i, producer))
        return live

    def _inside(self, i: int, producer: int) -> Iterator[OperatorVariables]:
        """The blocks that read a tensor and have an operator as a member, but not the last: nothing runs at the operator by itself, so what
        its device holds of the tensor must not count there."""
        for end, at_operator in enumerate(self._placed[i + 1 :], start=i + 1):
            for block in at_operator:
                members = range(end - block.unit.span + 1, end + 1)
                if i in members and self._instance.graph.outside_of(members) == producer:
                    yield block

    def _is_input(self, producer: int) -> bool:
        return producer == self._instance.source

    @property
    def _input_bytes(self) -> int:
        return self._e * self._instance.graph.input_shape.elements if self._j in self._instance.input_holders else 0

    def _owned(self, at_operator: Sequence[OperatorVariables], two_phase: Affine) -> Affine:
        """What the device owns of the output of an operator or of a block that ends with it, linear in its share."""
        parts = []
        for operator in at_operator:
            for node in self._nodes(operator):
                if node.dim == "IC":
                    sums = self._e * operator.unit.pre_pool_shape.elements
                    slice_ = self._e * amount(operator.unit.output["IC"], self._even_slice(operator))
                    parts += [times(sums, operator.choice[node]), two_phase * (slice_ - sums)]
                else:
                    parts.append(self._only_line(operator, node, operator.unit.output[node.dim]))
        return total(parts)

    def _even_slice(self, operator: OperatorVariables) -> int:
        return even_shares(operator.unit.sizes["OC"], len(operator.team))[operator.team.index(self._j)]


def _extent(operator: OperatorVariables, node: Node) -> tuple[int, int]:
    """How many granules the shares of a node sum to, and their size; a whole operator is one granule."""
    return (1, 1) if node.dim is None else (operator.size(node), operator.granularity(node))


def _most(operator: OperatorVariables, node: Node) -> int:
    """The largest share of a node."""
    return 1 if node.dim is None else operator.unit.sizes[node.dim]
