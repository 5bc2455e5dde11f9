"""The ideas that make the program fast: each can be left out without changing the optimum."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from iopopt.errors import UnknownNameError

IDEAS: Mapping[str, str] = {
    "pruning": "nodes that no plan faster than the incumbent takes are ruled out by min-marginals before the program is built",
    "makespan_cuts": "no split computes faster than the best integer shares",
    "gather_cuts": "compute times by the arcs out of an operator: shares that are cheap to all-gather are slow to compute",
    "surrogate_times": "operators without FLOPs inherit the compute times of the operator that their shares come from",
    "halo_floors": "at least K - S rows cross each boundary between the shares of a halo exchange",
    "edge_cuts": "all edges into an operator together take at least as long as each of them alone",
}
"""Each idea by the name with which ``solve_milp(..., without=...)`` leaves it out."""


def checked_ideas(without: Collection[str]) -> frozenset[str]:
    """The ideas to leave out.

    Raises:
        UnknownNameError: if no idea has that name.
    """
    names = without if isinstance(without, Collection) and not isinstance(without, str) else [without]
    for name in names:
        if not isinstance(name, str) or name not in IDEAS:
            raise UnknownNameError("idea of the program", str(name), IDEAS)
    return frozenset(names)
