"""The schedule of a plan in the cost model: the tasks of equation (7) and the transfers of equation (8)."""

from __future__ import annotations

from collections.abc import Sequence

from iopopt.cost.instance import Instance
from iopopt.cost.transfers import edge_rounds
from iopopt.cost.work import share_flops
from iopopt.plan.placement import Placement
from iopopt.schedule.rounds import Round, Schedule, Step, together


def schedule_of(instance: Instance, placements: Sequence[Placement]) -> Schedule:
    """The steps of all operators, and the sink's.

    Args:
        placements: of every unit (:meth:`Instance.placements`).
    """
    e = instance.cluster.bytes_per_element
    steps = []
    for number, edges in enumerate(instance.edges_into):
        unit, placement = instance.units[number], placements[number]
        rounds = [round_ for edge in edges for round_ in edge_rounds(edge, placements[edge.producer], placement, e)]
        tasks = dict(share_flops(unit, placement)) if number < instance.sink else {}
        steps.append(Step(unit.name, _in_turn(rounds), tasks))
    return Schedule(tuple(steps))


def _in_turn(rounds: Sequence[Round]) -> tuple[Round, ...]:
    """The rounds of one operator: each reduce-scatter and each gather separately, then all other transfers together."""
    if len(rounds) < 2:
        return tuple(rounds)
    own = [round_ for round_ in rounds if round_.kinds[0].is_first_of_two]
    rest = [round_ for round_ in rounds if not round_.kinds[0].is_first_of_two]
    return (*own, *([together(rest)] if rest else []))
