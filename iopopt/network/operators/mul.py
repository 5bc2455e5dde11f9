"""Products of maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from iopopt.network.operators.join import Join
from iopopt.network.typical_values import Values


@dataclass(frozen=True)
class Mul(Join):
    """The product of maps of one shape, or of a map and gates with one element for each channel (squeeze and excitation)."""

    kind: ClassVar[str] = "mul"

    def typical(self, inputs: Sequence[Values], rng: np.random.Generator) -> Values:
        joined: Values = np.multiply.reduce(np.stack(inputs))
        return joined
