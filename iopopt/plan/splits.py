"""Which splits the plans of a space may have: fewer than all of them show what each kind of split, and the choice of shares, is worth."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from iopopt.cluster.cluster import Cluster
from iopopt.errors import PlanError, UnknownNameError
from iopopt.network.graph import Graph
from iopopt.network.shapes import Dim
from iopopt.network.unit import Unit
from iopopt.plan.placement import Placement, Strategy
from iopopt.plan.plan import Plan
from iopopt.plan.shares import unit_proportional_shares

StrategyName = Literal["H", "OC", "IC", "IC two-phase"]
"""A way to split an operator: by rows, by output channels, or by input channels with a direct or a two-phase reduce."""

ShareRule = Literal["free", "by_speed"]
"""Any shares, or only those in proportion to the speeds of the participants, rounded by largest remainder."""

STRATEGIES: tuple[StrategyName, ...] = get_args(StrategyName)
_SHARE_RULES: tuple[ShareRule, ...] = get_args(ShareRule)
_BY_NAME = dict(zip(STRATEGIES, (Strategy.H, Strategy.OC, Strategy.IC, Strategy.IC_TWO_PHASE), strict=True))
_NAMES = {strategy: name for name, strategy in _BY_NAME.items()}


@dataclass(frozen=True)
class Splits:
    """The splits that the plans of a space may have; every operator may be whole as well.

    Attributes:
        strategies: the ways to split an operator.
        shares: which shares a split may have.
    """

    strategies: frozenset[Strategy] = frozenset(_NAMES)
    shares: ShareRule = "free"

    @classmethod
    def named(cls, strategies: Collection[str], shares: str) -> Splits:
        """The splits of these names; one name may be given as a word.

        Raises:
            UnknownNameError: if no strategy or no rule of shares has a given name.
        """
        names = strategies if isinstance(strategies, Collection) and not isinstance(strategies, str) else [strategies]
        for name in names:
            if not isinstance(name, str) or name not in _BY_NAME:
                raise UnknownNameError("strategy", str(name), STRATEGIES, "Whole operators are always allowed.")
        if shares not in _SHARE_RULES:
            raise UnknownNameError("rule of shares", str(shares), _SHARE_RULES)
        return cls(frozenset(_BY_NAME[name] for name in names), shares)  # type: ignore[index]  # they are known names now

    def of_dim(self, dim: Dim | None) -> Iterator[Strategy]:
        """The strategies of a dimension, or of whole operators."""
        return (strategy for strategy in Strategy if strategy.dim == dim and (dim is None or strategy in self.strategies))

    def dims(self, unit: Unit) -> list[Dim]:
        """The dimensions by which an operator or a fused block may be split."""
        return [dim for dim in unit.dims if any(self.of_dim(dim))]

    def only_shares(self, unit: Unit, dim: Dim, cluster: Cluster, devices: Sequence[int]) -> tuple[int, ...] | None:
        """The shares of a split over ``devices`` if there is no choice; None if there is."""
        if self.shares == "free":
            return None
        return unit_proportional_shares(unit, dim, [cluster.devices[j].flops_per_s for j in devices])

    def allow(self, unit: Unit, placement: Placement, cluster: Cluster) -> bool:
        """Whether a placement of an operator or a fused block is among them."""
        if placement.dim is None:
            return True
        return placement.strategy in self.strategies and self.only_shares(unit, placement.dim, cluster, placement.devices) in (None, placement.shares)

    def longest_block(self, asked: int) -> int:
        """The most operators of a fused block: blocks are split by rows, so without those there are none."""
        return asked if Strategy.H in self.strategies else 1

    def __str__(self) -> str:
        """What the name of a space adds for them; nothing for all splits."""
        names = [name for name, strategy in _BY_NAME.items() if strategy in self.strategies]
        kinds = f", only {' and '.join(names)} splits" if names else ", no splits"
        return ("" if len(names) == len(STRATEGIES) else kinds) + (", shares by speed" if self.shares == "by_speed" else "")


ALL_SPLITS = Splits()


def stranger_to(splits: Splits, graph: Graph, cluster: Cluster, plan: Plan) -> tuple[Unit, Placement] | None:
    """The first operator or fused block of a plan whose split is not among ``splits``, with its placement."""
    units = graph.covered(plan.spans(graph) or (1,) * len(graph)).placed
    placed = zip(units, plan.by_last_operator(graph), strict=True)
    return next(((unit, placement) for unit, placement in placed if not splits.allow(unit, placement, cluster)), None)


def check_splits(splits: Splits, graph: Graph, cluster: Cluster, plan: Plan) -> None:
    """Refuse a plan with other splits.

    Raises:
        PlanError: the message names the operator and what the space would need for it.
    """
    found = stranger_to(splits, graph, cluster, plan)
    if found is None:
        return
    unit, placement = found
    if placement.strategy not in splits.strategies:
        names = [_NAMES[strategy] for strategy in sorted({*splits.strategies, placement.strategy})]
        raise PlanError(f"the plan has {unit.name} {placement}, but the space has{str(splits)[1:]}; ask for strategies={tuple(names)}")
    assert placement.dim is not None  # a whole operator is always allowed
    wanted = splits.only_shares(unit, placement.dim, cluster, placement.devices)
    raise PlanError(f"the plan has {unit.name} {placement}, but by speed its shares are {'/'.join(map(str, wanted or ()))}; ask for shares='free'")
