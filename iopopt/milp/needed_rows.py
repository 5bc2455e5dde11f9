"""What the output needs, whatever the plan: the fewest rows of every tensor, and the least work of every operator."""

from __future__ import annotations

import math

from iopopt.network.graph import Graph
from iopopt.network.operators.operator import Operator


def needed_rows(graph: Graph) -> tuple[int, ...]:
    """The fewest rows of each operator's output on which the whole output depends, in every plan.

    Rows that no field reaches are needed by nobody: a device may compute them late, or while others work on what follows.
    """
    needed = [0] * len(graph)
    needed[-1] = graph.output.out_shape.height
    for number in reversed(range(len(graph) - 1)):
        ways = [_rows_under(graph.operators[edge.consumer], edge.slot, needed[edge.consumer]) for edge in graph.edges_from[number]]
        needed[number] = max(ways)
    return tuple(needed)


def least_work(graph: Graph) -> tuple[float, ...]:
    """The FLOPs that all devices together at least spend on the needed rows of each operator."""
    return tuple(_work_of(operator, rows) for operator, rows in zip(graph.operators, needed_rows(graph), strict=True))


def is_anchored(operator: Operator) -> bool:
    """Whether each of its rows needs a row of its input, and one before its pool: none lies under padding alone."""
    granule, height, pool = operator.granularity("H"), operator.out_shape.height, operator.pool.rows
    first_end = (granule - 1) * operator.S - operator.P + operator.K
    last_start = (height - granule) * operator.S - operator.P
    pooled = pool.extent > pool.before and (height - 1) * pool.stride - pool.before < operator.pre_pool_shape.height
    return pooled and int(first_end) > 0 and int(last_start) < operator.in_shape.height


def _rows_under(reader: Operator, slot: int, rows: int) -> int:
    """The fewest input rows under any ``rows`` output rows of a reader."""
    height = reader.in_shapes[slot].height
    if reader.is_gate(slot):
        return height
    end = (reader.out_shape.height - 1) * reader.S - reader.P + reader.K
    if rows == reader.out_shape.height and reader.K >= reader.S:
        return min(height, int(end))
    fewest = math.ceil(rows * min(reader.K, reader.S) - reader.P - max(0, end - height))
    return max(1 if rows and is_anchored(reader) else 0, fewest)


def _work_of(operator: Operator, rows: int) -> float:
    """F_i / H_c for each row before the pool under ``rows`` rows of the output; a split by channels computes all of them."""
    pool, height = operator.pool.rows, operator.pre_pool_shape.height
    end = (operator.out_shape.height - 1) * pool.stride - pool.before + pool.extent
    if rows == operator.out_shape.height and pool.extent >= pool.stride:
        before = min(height, end)
    else:
        before = max(0, rows * min(pool.extent, pool.stride) - pool.before - max(0, end - height))
    return operator.flops * min(height, before) / height
