"""The plan spaces that are compared, and the ideas that lead from one to the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from iopopt.plan.splits import STRATEGIES, ShareRule, StrategyName


@dataclass(frozen=True)
class Space:
    """One plan space.

    Attributes:
        name: in the CSV file.
        label: in tables.
        holds: smaller spaces that are parts of it: it is solved after them, from the best of their plans, and so never has a slower one.
        strategies: the ways in which operators may be split; None for one device, which runs everything.
        fuses: whether operators may be fused.
    """

    name: str
    label: str
    holds: tuple[str, ...] = ()
    strategies: tuple[StrategyName, ...] | None = STRATEGIES
    shares: ShareRule = "free"
    fuses: bool = False


@dataclass(frozen=True)
class Idea:
    """What a space adds to the best of others."""

    label: str
    space: str
    over: tuple[str, ...]


SPACES: Mapping[str, Space] = {
    space.name: space
    for space in (
        Space("single", "one device", strategies=None),
        Space("oc", "OC only", ("single",), ("OC",)),
        Space("rows", "rows only", ("single",), ("H",)),
        Space("rows_oc", "rows and OC", ("oc", "rows"), ("H", "OC")),
        Space("pairs", "+ pairs", ("rows_oc",), ("H", "OC", "IC")),
        Space("two_phase", "+ two-phase", ("pairs",)),
        Space("by_speed", "blocks, shares by speed", ("single",), shares="by_speed", fuses=True),
        Space("blocks", "+ blocks", ("two_phase", "by_speed"), fuses=True),
    )
}
"""Every space by name, those that it holds before it."""

IDEAS = (
    Idea("output channels only, over one device", "oc", ("single",)),
    Idea("rows only, over one device", "rows", ("single",)),
    Idea("both, over the better of the two", "rows_oc", ("oc", "rows")),
    Idea("+ interleaved pairs", "pairs", ("rows_oc",)),
    Idea("+ two-phase reduces", "two_phase", ("pairs",)),
    Idea("+ fused blocks", "blocks", ("two_phase",)),
    Idea("free shares, over shares by speed", "blocks", ("by_speed",)),
)
"""Every idea, in the order in which tables show them; the first two start from one device, the last from the largest space at fixed shares."""


def idea_of(space: str) -> Idea | None:
    """The idea that leads to a space from those before it; for shares by speed, the one that leads away from them."""
    found = (idea for idea in IDEAS if (idea.over == (space,) if space == "by_speed" else idea.space == space))
    return next(found, None)
