"""AlexNet in torchvision's one-column form: Krizhevsky, "One weird trick for parallelizing CNNs", 2014."""

from __future__ import annotations

from iopopt.models.sizes import InputSize, build_at_size
from iopopt.network.builder import GraphBuilder
from iopopt.network.graph import Graph


def alexnet(input_size: InputSize = 224) -> Graph:
    """AlexNet; at sizes other than 224 the first fully connected operator grows or shrinks with the map."""
    return build_at_size("alexnet", 3, input_size, _layers)


def _layers(net: GraphBuilder) -> GraphBuilder:
    net.conv(64, 11, stride=4, padding=2).relu().max_pool(3, 2)
    net.conv(192, 5, padding=2).relu().max_pool(3, 2)
    net.conv(384, 3, padding=1).relu()
    net.conv(256, 3, padding=1).relu()
    net.conv(256, 3, padding=1).relu().max_pool(3, 2)
    net.fc(4096).relu()
    net.fc(4096).relu()
    return net.fc(1000)
