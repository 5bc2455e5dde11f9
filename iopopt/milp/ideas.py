"""The ideas that make the program fast: each can be left out, and none of them changes an optimum."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from iopopt.errors import UnknownNameError

IDEAS: Mapping[str, str] = {
    "pruning": "nodes that no plan faster than the incumbent takes are ruled out by min-marginals before there is a program",
    "makespan_cuts": "no split computes faster than the best integer shares",
    "gather_cuts": "compute times by the arcs out of an operator: shares that are cheap to gather are slow to compute",
    "surrogate_times": "operators without FLOPs inherit the compute times of the operator that their shares come from",
    "halo_floors": "across each inner boundary of a halo exchange at least K - S whole rows pass",
    "edge_cuts": "all edges into an operator together take no less than each of them alone",
}
"""By the name under which ``solve_milp(..., without=...)`` leaves it out."""


def checked_ideas(without: Collection[str]) -> frozenset[str]:
    """The ideas to leave out.

    Raises:
        UnknownNameError: if there is none of that name.
    """
    for name in [without] if isinstance(without, str) else without:
        if name not in IDEAS:
            raise UnknownNameError("idea of the program", str(name), IDEAS)
    return frozenset([without] if isinstance(without, str) else without)
