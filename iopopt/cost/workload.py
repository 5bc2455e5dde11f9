"""What one operator costs one device: computation (equation 7) and memory (equation 1) of ``cost_model.md``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from iopopt.network.operators import Operator
from iopopt.plan.plan import Placement
from iopopt.plan.shares import even_shares


class Demand(NamedTuple):
    """Memory of an operator on one device: resident weights w_ij and transient activations a_ij, bytes."""

    weights: float
    activations: float


def share_flops(operator: Operator, placement: Placement) -> Iterator[tuple[int, float]]:
    """C_ij: the FLOPs of each participant.

    Rows under overlapping pool windows are computed twice, so row shares may add up to more than F_i.
    """
    for device, share in zip(placement.devices, placement.shares, strict=True):
        if placement.dim is None:
            yield device, operator.flops
        elif placement.dim == "H":
            yield device, operator.flops / operator.pre_pool_shape.height * conv_rows(operator, share)
        else:
            yield device, operator.flops * share / operator.size(placement.dim)


def share_memory(operator: Operator, placement: Placement, bytes_per_element: int) -> Iterator[tuple[int, Demand]]:
    """w_ij and a_ij: the memory of each participant, bytes; an empty share keeps what the formulas leave it."""
    e, C, OC = bytes_per_element, operator.in_shape.channels, operator.out_channels
    W, B = e * operator.kernel_elements, e * operator.bias_elements
    whole_in, pre = e * operator.in_elements, e * operator.pre_pool_shape.elements
    for device, n in zip(placement.devices, placement.shares, strict=True):
        if placement.dim is None:
            demand = Demand(W + B, whole_in + pre)
        elif placement.dim == "H":
            in_row, conv_row = e * operator.in_row_elements, e * OC * operator.pre_pool_shape.width
            rows = in_row * field_rows(operator, n) + conv_row * conv_rows(operator, n)
            demand = Demand(W + B, rows + e * operator.gate_elements)
        elif placement.dim == "OC":
            needed = whole_in * n / OC if operator.is_channel_local else whole_in
            demand = Demand((W + B) * n / OC, needed + pre * n / OC)
        else:
            demand = Demand(W * n / C + B, whole_in * n / C + pre)
        yield device, demand


def share_output(operator: Operator, placement: Placement, bytes_per_element: int) -> Iterator[tuple[int, float]]:
    """What each participant owns of the operator's output, bytes: of a tensor that outlives the next operator this is what it keeps.

    Partial sums that are added up for each consumer stay whole with everyone until the last has them.
    """
    pre, post = bytes_per_element * operator.pre_pool_shape.elements, bytes_per_element * operator.out_shape.elements
    shares: Sequence[int] = placement.shares
    if placement.reduce == "two_phase":
        shares = even_shares(operator.out_channels, len(placement.devices))
    for device, n in zip(placement.devices, shares, strict=True):
        if placement.dim is None:
            yield device, post
        elif placement.reduce == "direct":
            yield device, pre
        else:
            yield device, post * n / operator.size("H" if placement.dim == "H" else "OC")


def conv_rows(operator: Operator, share: int) -> int:
    """Rows before the pool that ``share`` rows behind it need: (n - 1) s_p + k_p, never below 0."""
    return max(0, (share - 1) * operator.pool.rows.stride + operator.pool.rows.extent)


def field_rows(operator: Operator, share: int) -> int:
    """Input rows that ``share`` output rows need: (n - 1) S + K, never below 0."""
    return max(0, int((share - 1) * operator.S + operator.K))  # a whole number at whole units
