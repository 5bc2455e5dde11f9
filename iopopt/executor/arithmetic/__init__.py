"""Operators on slices of tensors, with PyTorch. Tensors have the axes (channel, row, column)."""

from iopopt.executor.arithmetic.epilogue import EpilogueParameters, finish, mix
from iopopt.executor.arithmetic.kinds import check_runnable, convolve, without_kernel
from iopopt.executor.arithmetic.pieces import TensorSlice, cut, view

__all__ = ["EpilogueParameters", "TensorSlice", "check_runnable", "convolve", "cut", "finish", "mix", "view", "without_kernel"]
