"""Slices of feature maps that a device holds."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from iopopt.schedule.regions import Region


class TensorSlice(NamedTuple):
    """A region of a feature map, and its elements."""

    region: Region
    tensor: Tensor


def view(piece: TensorSlice, region: Region) -> Tensor:
    """A region of a slice, in the same memory."""
    channels, rows = region.within(piece.region)
    return piece.tensor[channels, rows]


def cut(piece: TensorSlice, region: Region) -> Tensor:
    """A copy of a region of a slice."""
    return view(piece, region).clone(memory_format=torch.contiguous_format)
