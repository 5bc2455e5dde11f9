"""Small random networks for offloading."""

from __future__ import annotations

import random

from support.random_branches import random_branched_graph

from iopopt.network.builder import GraphBuilder
from iopopt.network.graph import Graph


def small_chain(rng: random.Random, most_layers: int = 4) -> Graph:
    """Convolutions of unlike widths, windows and strides; half of the chains end in a layer that is not computed by rows."""
    builder = GraphBuilder("chain", (rng.randint(1, 4), rng.randint(12, 16), rng.randint(6, 8)))
    for _ in range(rng.randint(1, most_layers)):
        kernel = rng.choice([1, 3])
        builder.conv(rng.randint(1, 6), kernel, stride=rng.choice([1, 1, 2]), padding=kernel // 2)
    if rng.random() < 0.5:
        builder.fc(rng.randint(1, 8))
    return builder.build()


def small_network(rng: random.Random, most_layers: int = 4) -> Graph:
    """Such a chain, or a tiny network with branches."""
    return random_branched_graph(rng, tiny=True) if rng.random() < 0.3 else small_chain(rng, most_layers)
