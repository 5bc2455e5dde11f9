"""Teams: the devices over which split operators are split, in the order of their intervals, and the plan space that a team spans.

In a plan of a team every operator is whole on one device (any of the cluster) or split over exactly the team, in its order.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence, Set
from operator import index
from typing import Literal

from iopopt.cluster.cluster import Cluster, Device, as_cluster
from iopopt.errors import ClusterError, PlanError
from iopopt.network.records import short_repr
from iopopt.plan.plan import Plan
from iopopt.plan.splits import ALL_SPLITS, Splits

Team = Literal["all", "best"] | Sequence[int]
"""``"all"`` devices (the paper's space), device indices in the order of their intervals, or ``"best"``: the best of all sets of devices.

The two names use the order of the cluster, and so does a set of indices.
"""


def resolve_team(team: Team, cluster: Cluster) -> tuple[int, ...]:
    """The devices of one team, in the order of their intervals.

    Raises:
        ClusterError: if a device does not exist or repeats, or the method was asked for ``"best"`` and does not choose teams.
    """
    if isinstance(team, str):
        if team == "all":
            return tuple(range(len(cluster)))
        allowed = "'all' or a sequence of device indices" + ("; only the exact methods choose the best team" if team == "best" else "")
        raise ClusterError(f"team is {team!r}; allowed is {allowed}")
    try:
        devices = tuple(index(j) for j in (sorted(team) if isinstance(team, Set) else team))
    except TypeError:
        devices = ()
    if not devices or len(set(devices)) < len(devices) or not all(0 <= j < len(cluster) for j in devices):
        allowed = f"'all' or distinct device indices in the order of their intervals, 0 to {len(cluster) - 1}"
        raise ClusterError(f"team is {short_repr(team)}; it must be {allowed}")
    return devices


def candidate_teams(team: Team, cluster: Cluster) -> tuple[tuple[int, ...], ...]:
    """The teams that an exact method must search, the largest first.

    A team of one device splits nothing, and its plans belong to every other team; so ``"best"`` leaves such teams out.
    """
    if not _is_best(team):
        return (resolve_team(team, cluster),)
    devices = range(len(cluster))
    sizes = range(len(cluster), 1, -1) if len(cluster) > 1 else (1,)
    return tuple(itertools.chain.from_iterable(itertools.combinations(devices, size) for size in sizes))


def _is_best(team: Team) -> bool:
    return isinstance(team, str) and team == "best"


def team_of(plan: Plan) -> tuple[int, ...] | None:
    """The one team over which a plan splits operators; None if it splits nothing.

    Raises:
        PlanError: if two operators are split over different devices.
    """
    teams = {placement.devices: name for name, placement in plan.items() if not placement.is_whole}
    if len(teams) > 1:
        (one, first), (other, second) = list(teams.items())[:2]
        raise PlanError(
            f"the plan splits {first!r} over {list(one)} and {second!r} over {list(other)}; a plan of one team splits all operators over the "
            "same devices in the same order"
        )
    return next(iter(teams), None)


def check_in_space(plan: Plan, team: Team, cluster: Cluster, longest_block: int = 1) -> None:
    """Refuse a plan outside the space of ``team`` and of blocks of at most so many operators.

    Raises:
        PlanError: the message names the operators or the teams that do not fit.
    """
    gathered = next((name for name, placement in plan.items() if placement.gather is not None), None)
    if gathered is not None:
        raise PlanError(
            f"the plan gathers the rows of {gathered!r} on device {plan[gathered].gather}, which no method searches; "
            "a plan of this space has no gathers"
        )
    streamed = next((name for name, placement in plan.items() if placement.stream is not None), None)
    if streamed is not None:
        raise PlanError(f"the plan streams the channels of {streamed!r}, which no method searches; a plan of this space has no streams")
    longest = max(plan.blocks, key=len, default=())
    if len(longest) > longest_block:
        raise PlanError(f"the plan fuses {longest[0]} to {longest[-1]}, {len(longest)} operators; ask for longest_block={len(longest)}")
    found = team_of(plan)
    if found is None:
        return
    if _is_best(team):
        if found != tuple(sorted(found)):
            raise PlanError(f"the plan splits over {list(found)}, but the space has only teams in the order of the cluster; ask for team={found}")
        return
    wanted = resolve_team(team, cluster)
    if found != wanted:
        raise PlanError(f"the plan splits over {list(found)}, but the space is that of team {list(wanted)}; ask for team={found} or team='best'")


def space_name(team: Team, devices: Cluster | Sequence[Device], longest_block: int = 1, splits: Splits = ALL_SPLITS) -> str:
    """The name in a Solution of the space of ``team``, for which its bound and status hold; with all fused blocks up to a length, and
    with all splits or only some.

    Raises:
        ClusterError: if ``team`` names a device that does not exist.
    """
    blocks = f", blocks of up to {longest_block}" if longest_block > 1 else ""
    return ("team=best" if _is_best(team) else f"team={resolve_team(team, as_cluster(devices))}") + blocks + str(splits)


def subsets_name(team: Team, devices: Cluster | Sequence[Device], longest_block: int = 1) -> str:
    """The name of the space of a method that leaves out devices of the team.

    Raises:
        ClusterError: if ``team`` names a device that does not exist.
    """
    everybody = isinstance(team, str) and team == "all"
    return space_name("best", devices, longest_block) if everybody else f"subsets of {space_name(team, devices, longest_block)}"
