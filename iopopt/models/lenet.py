"""LeNet-5 as usually built today: LeCun et al., "Gradient-based learning applied to document recognition", 1998."""

from __future__ import annotations

from iopopt.models.sizes import InputSize, build_at_size
from iopopt.network.builder import GraphBuilder
from iopopt.network.graph import Graph


def lenet5(input_size: InputSize = 32) -> Graph:
    """LeNet-5 with full connections between the feature maps and ReLU; 1 x 32 x 32 by default."""
    return build_at_size("lenet5", 1, input_size, _layers)


def _layers(net: GraphBuilder) -> GraphBuilder:
    net.conv(6, 5).relu().average_pool(2)
    net.conv(16, 5).relu().average_pool(2)
    net.fc(120).relu()
    net.fc(84).relu()
    return net.fc(10)
