"""DenseNet-121: Huang et al., "Densely connected convolutional networks", CVPR 2017. A hard case: it joins up to 25 tensors at a time.

Laid out as exporters write it: every layer joins all tensors of its block, and the normalisation of the joined tensor comes before its
convolution. It is no model of the zoo; an ONNX file of it can be imported.
"""

from __future__ import annotations

from iopopt.network.builder import GraphBuilder
from iopopt.network.graph import Graph

_GROWTH = 32
_BLOCKS = (6, 12, 24, 16)


def densenet121(blocks: tuple[int, ...] = _BLOCKS) -> Graph:
    """DenseNet-121 at 224 x 224; fewer or shorter ``blocks`` give a smaller network of the same kind."""
    net = GraphBuilder("densenet121", (3, 224, 224)).conv(2 * _GROWTH, 7, stride=2, padding=3, bias=False).batch_norm().relu().max_pool(3, 2, 1)
    for number, layers in enumerate(blocks):
        _dense_block(net, layers)
        if number < len(blocks) - 1:  # a transition halves channels, rows and columns
            net.batch_norm().relu().conv(net.shape.channels // 2, 1, bias=False).average_pool(2)
    return net.batch_norm().relu().global_average_pool().fc(1000).build()


def _dense_block(net: GraphBuilder, layers: int) -> None:
    """Each layer reads the tensors of all before it, and adds one of ``_GROWTH`` channels; what follows reads them all."""
    tensors = [net.tip]
    for _ in range(layers):
        net.concat(*tensors) if len(tensors) > 1 else net.at(tensors[0])
        net.batch_norm().relu().conv(4 * _GROWTH, 1, bias=False).batch_norm().relu()
        tensors.append(net.conv(_GROWTH, 3, padding=1, bias=False).tip)
    net.concat(*tensors)
