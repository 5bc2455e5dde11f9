"""Where a network can be cut so that one tensor alone passes."""

from __future__ import annotations

from iopopt.network.graph import Graph


def single_tensor_runs(graph: Graph) -> tuple[range, ...]:
    """The operators, by number, between two tensors through which everything passes: runs that cover the network in order.

    In a chain each operator is one; those of a residual block form one.
    """
    reads = graph.unfused.reads[: len(graph)]
    last_reader = {producer: member for member, producers in enumerate(reads) for producer in producers}
    stops, open_until = [], last_reader.get(graph.source, -1)
    for member in range(len(graph)):
        if open_until <= member:
            stops.append(member + 1)
        open_until = max(open_until, last_reader.get(member, -1))
    return tuple(map(range, [0, *stops], stops))
