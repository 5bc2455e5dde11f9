"""What DeeperThings' programs know of a network: the sizes of its convolutions and fully connected operators."""

from __future__ import annotations

from dataclasses import dataclass

from iopopt.network.graph import Graph, as_graph
from iopopt.network.operators.operator import Operator


@dataclass(frozen=True)
class Layer:
    """A layer whose weights can be split by output and by input channels. Sizes are in elements.

    Attributes:
        name: of the operator.
        inputs: M_l, the map that it reads.
        outputs: K_l, the map that it gives; a pool of its epilogue comes later.
        weights: W_l, the kernel without its bias.
        after: the layer whose output this one reads as it is, with no pool, branch or other operator between the two; None if there is none.
    """

    name: str
    inputs: int
    outputs: int
    weights: int
    after: str | None = None


def weight_layers(graph: Graph) -> tuple[Layer, ...]:
    """The convolutions of one group and the fully connected operators of a network, in order."""
    units = as_graph(graph).unfused
    numbers = [i for i, operator in enumerate(graph.operators) if is_weight_layer(operator)]
    return tuple(
        Layer(
            operator.name,
            operator.in_shape.elements,
            operator.pre_pool_shape.elements,
            operator.kernel_elements,
            _before(graph, units.reads[i][0]),
        )
        for i in numbers
        for operator in [graph.operators[i]]
    )


def is_weight_layer(operator: Operator) -> bool:
    """Whether an operator has a kernel that can be split by output and by input channels."""
    return operator.has_kernel and operator.groups == 1


def _before(graph: Graph, producer: int) -> str | None:
    """The producer, if it is a layer that hands its output as it is to one reader."""
    if producer == graph.source:
        return None
    operator = graph.operators[producer]
    whole_way = is_weight_layer(operator) and operator.pre_pool_shape == operator.out_shape and not operator.mixes_channels
    return operator.name if whole_way and len(graph.edges_from[producer]) == 1 else None
