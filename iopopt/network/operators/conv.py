"""Convolutions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from iopopt.network.operators.kernel import KernelOperator
from iopopt.network.shapes import NO_WINDOW, Window, window_text


@dataclass(frozen=True)
class Conv(KernelOperator):
    """A convolution; with ``groups``, output channels read the input channels of their group (as many groups as channels: depthwise)."""

    kind: ClassVar[str] = "conv"

    rows: Window = NO_WINDOW
    columns: Window = NO_WINDOW
    groups: int = 1

    @property
    def text(self) -> str:
        groups = f" in {self.groups} groups" if self.groups > 1 else ""
        return f"conv {window_text(self.rows, self.columns)}{groups}"
