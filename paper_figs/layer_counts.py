"""Memory counted layer by layer, in the terms in which vertical partitioning was compared: not the evaluator's.

Every pool is a layer of its own. A device needs its weights (no biases) and the largest sum of a layer's input and output, without halos, buffers or
tensors that wait for later layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from iopopt import Graph


class Layer(NamedTuple):
    """Weights, input and output of one layer, elements."""

    weights: int
    inputs: int
    outputs: int


def layers_of(graph: Graph) -> list[Layer]:
    """The layers of a network: operators, and the pools in their epilogues."""
    found = []
    for operator in graph.operators:
        before, after = operator.pre_pool_shape.elements, operator.out_shape.elements
        found.append(Layer(operator.kernel_elements, operator.in_elements, before))
        if operator.pool.rows.extent > 1:
            found.append(Layer(0, before, after))
    return found


def counted_bytes(graph: Graph, devices: int, bytes_per_element: int = 4) -> Mapping[str, float]:
    """What the fullest of ``devices`` equal devices needs by each scheme, bytes."""
    layers = layers_of(graph)
    weights, largest = sum(layer.weights for layer in layers), max(layer.inputs + layer.outputs for layer in layers)
    counts = {
        "stages": _sequential(layers, devices),
        "data": weights + largest / devices,
        "horizontal": weights / devices + max(layer.inputs + layer.outputs / devices for layer in layers),
        "vps": (weights + largest) / devices,
    }
    return {scheme: bytes_per_element * count for scheme, count in counts.items()}


def _sequential(layers: Sequence[Layer], devices: int) -> float:
    """The least largest count over contiguous stages."""
    stops = range(len(layers) + 1)
    best = [0.0, *(_stage(layers[:stop]) for stop in stops[1:])]
    for _ in range(devices - 1):
        best = [min([best[stop], *(max(best[start], _stage(layers[start:stop])) for start in range(stop))]) for stop in stops]
    return best[-1]


def _stage(layers: Sequence[Layer]) -> float:
    return sum(layer.weights for layer in layers) + max(layer.inputs + layer.outputs for layer in layers)
