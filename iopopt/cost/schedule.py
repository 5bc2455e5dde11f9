"""The schedule of a plan in the cost model: the tasks of equation (7) and the transfers of equation (8)."""

from __future__ import annotations

from collections.abc import Sequence

from iopopt.cost.instance import Instance
from iopopt.cost.streams import scatter_rounds
from iopopt.cost.transfers import edge_rounds
from iopopt.cost.work import share_work
from iopopt.plan.placement import Placement
from iopopt.schedule.rounds import EdgeRounds, Schedule, Step


def schedule_of(instance: Instance, placements: Sequence[Placement]) -> Schedule:
    """The steps of all operators, and the sink's.

    Args:
        placements: of every unit (:meth:`Instance.placements`).
    """
    return Schedule(tuple(step_of(instance, placements, number) for number in range(instance.sink + 1)))


def step_of(instance: Instance, placements: Sequence[Placement], number: int) -> Step:
    """The step of one operator, or of the sink, which depends on the placements of its producers too."""
    unit, placement, e = instance.units[number], placements[number], instance.cluster.bytes_per_element
    edges = instance.edges_into[number]
    priced = tuple([EdgeRounds(edge.producer, tuple(edge_rounds(edge, placements[edge.producer], placement, e))) for edge in edges])
    tasks = dict(share_work(unit, placement, e)) if number < instance.sink else {}
    return Step(unit.name, priced, tasks, scatter=scatter_rounds(unit, placement, e) if placement.streams_sums else ())
