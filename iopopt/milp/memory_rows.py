"""Equation (1) in the program: resident weights plus the largest activations of every device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from iopopt.cost.instance import Instance
from iopopt.milp.affine import Affine, constant, times, total
from iopopt.milp.arcs import Node
from iopopt.milp.operator_variables import OperatorVariables
from iopopt.milp.program import ProgramBuilder
from iopopt.network.terms import Line, Terms, amount, lines
from iopopt.plan.shares import even_shares

_SCALE = 1e4
"""A device's memory in units of the program, so that one byte in hundreds of megabytes exceeds the back end's tolerance."""


def add_memory(
    builder: ProgramBuilder,
    instance: Instance,
    operators: Sequence[OperatorVariables],
    limits: Sequence[Affine],
    two_phase: Sequence[Affine],
    *,
    always: bool = False,
) -> None:
    """sum_i w_ij + max_i (a_ij + live_ij) <= ``limits[j]`` (in bytes); rows that cannot bind are left out unless ``always``.

    ``two_phase`` is 1 for each operator with a two-phase reduce, whose owners hold slices instead of partial sums.
    """
    for j, device in enumerate(instance.cluster.devices):
        memory = _DeviceMemory(instance, operators, two_phase, j)
        if always or memory.most() > device.memory_bytes:
            memory.add(builder, _SCALE / device.memory_bytes, limits[j])


class _DeviceMemory:
    """What one device needs, as expressions."""

    def __init__(self, instance: Instance, operators: Sequence[OperatorVariables], two_phase: Sequence[Affine], j: int) -> None:
        self._instance, self._operators, self._two_phase, self._j = instance, operators, two_phase, j
        self._e = instance.cluster.bytes_per_element

    def add(self, builder: ProgramBuilder, scale: float, limit: Affine) -> None:
        """Equation (1), in units of 1 / ``scale`` bytes."""
        peak = builder.variable(("A", self._j))
        resident = total(self._weights(operator) for operator in self._operators)
        for operator, live in zip(self._operators, self._live(), strict=True):
            for number, line in enumerate(self._activations(operator)):
                name = ("activations", operator.unit.name, self._j, str(number))
                builder.at_least(name, times(1, peak), (line + live) * scale)
        builder.at_most(("eq1", self._j), times(1, peak) + resident * scale, limit * scale)

    def most(self) -> float:
        """A bound on the demand of any plan on the device."""
        by_operator = [(operator, list(self._nodes(operator))) for operator in self._operators]
        weights = [max((self._most_weights(operator, node) for node in nodes), default=0.0) for operator, nodes in by_operator]
        activations = [max((self._most_activations(operator, node) for node in nodes), default=0.0) for operator, nodes in by_operator]
        for producer, during in self._instance.live_tensors:
            unit = self._instance.units[producer]
            live = self._input_bytes if self._is_input(producer) else self._e * max(unit.pre_pool_shape.elements, unit.out_shape.elements)
            for i in during:
                activations[i] += live
        return sum(weights) + max(activations)

    def _nodes(self, operator: OperatorVariables) -> Iterator[Node]:
        """The nodes at which the device takes part."""
        return (node for node in operator.choice if node.device == self._j or operator.share_of(node, self._j) is not None)

    # w_ij and a_ij.

    def _weights(self, operator: OperatorVariables) -> Affine:
        return total(self._only_line(operator, node, operator.unit.weights[node.dim]) for node in self._nodes(operator))

    def _activations(self, operator: OperatorVariables) -> list[Affine]:
        """Expressions whose maximum is a_ij: each is a sum of one line of each node, of which only the chosen node's is not 0."""
        by_node = [(node, self._activation_lines(operator, node)) for node in self._nodes(operator)]
        most = max((len(found) for _, found in by_node), default=1)
        return [total(self._line(operator, node, found[min(number, len(found) - 1)]) for node, found in by_node) for number in range(most)]

    def _activation_lines(self, operator: OperatorVariables, node: Node) -> list[Line]:
        return [line for terms in operator.unit.activations[node.dim] for line in lines(terms, *_extent(operator, node))]

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
        return self._e * max(amount(terms, _most(operator, node)) for terms in operator.unit.activations[node.dim])

    # live_ij.

    def _live(self) -> list[Affine]:
        """What the device holds of live tensors while each operator runs."""
        live = [constant(0)] * len(self._operators)
        for producer, during in self._instance.live_tensors:
            held = constant(self._input_bytes) if self._is_input(producer) else self._owned(self._operators[producer], self._two_phase[producer])
            for i in during:
                live[i] = live[i] + held
        return live

    def _is_input(self, producer: int) -> bool:
        return producer == self._instance.source

    @property
    def _input_bytes(self) -> int:
        return self._e * self._instance.graph.input_shape.elements if self._j in self._instance.input_holders else 0

    def _owned(self, operator: OperatorVariables, two_phase: Affine) -> Affine:
        """What the device owns of the operator's output, linear in its share."""
        parts = []
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
