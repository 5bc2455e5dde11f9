"""Operators that have only an epilogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from iopopt.network.operators.operator import Operator
from iopopt.network.typical_values import Values


@dataclass(frozen=True)
class Elementwise(Operator):
    """Steps that cannot join the operator before them, because others read its tensor without them."""

    kind: ClassVar[str] = "elementwise"
    former_kinds: ClassVar[tuple[str, ...]] = ("local",)
    channel_by_channel: ClassVar[bool] = True

    def typical(self, inputs: Sequence[Values], rng: np.random.Generator) -> Values:
        return inputs[0]
