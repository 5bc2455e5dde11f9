"""CoEdge's linear program: one vector of fractions by which every operator with rows is split (Zeng et al., IEEE/ACM ToN 2021, arXiv 2012.03257).

Reconstructed. CoEdge splits the rows of the input once, and every layer follows; so the variables are the fractions a_j of the height that devices
take, sum_j a_j = 1, and the rows of operator i are n_ij = a_j H_i, which need not be whole:

    minimise    the latency T = sum_i (max_j t_cmp(i, j) + max_j t_com(i, j)), or the energy E
    subject to  T <= deadline, and equation (1) for every device

Times, energy and memory are those of ``cost_model.md``, which are sums and maxima of clipped linear functions of the rows, so the program states them
exactly: where the fractions give whole rows, it has the evaluator's price. Two things are not linear. Fractions of no rows still pay for the
connections of a participant, as empty shares do; and an edge that is row-aligned at some fractions and not at others opens no connections, so that
the program's price is never above the evaluator's.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from iopopt.cost.evaluation import bulk_synchronous
from iopopt.cost.instance import Instance
from iopopt.cost.memory import share_memory, share_output
from iopopt.cost.schedule import schedule_of
from iopopt.cost.stopwatch import NO_LIMIT, Stopwatch
from iopopt.cost.transfers import Side, Volumes, edge_rounds, kinds_between, placement_side, transfers
from iopopt.cost.work import share_work
from iopopt.errors import SolverError
from iopopt.methods.objective import LATENCY, Goal
from iopopt.milp.affine import Affine, constant, times, total
from iopopt.milp.arc_bounds import setup_s
from iopopt.milp.arcs import Name
from iopopt.milp.program import Program, ProgramBuilder
from iopopt.network.tensor_edge import TensorEdge
from iopopt.network.terms import Terms, positions
from iopopt.network.unit import Unit
from iopopt.plan.placement import Placement
from iopopt.schedule.rounds import Transfer, TransferKind

_UNITS = 1e3
"""The latency of rows by capability, and the memory of a device, in units of the program: far above the solver's tolerance."""

_TOLERANCE = 1e-9

_LEAST_S, _MOST_S = 0.05, 1e6
"""The shortest and the longest time limit of a solve, seconds."""

_POWERS = ("idle_watts", "compute_watts", "transmit_watts", "receive_watts")


class Aim(NamedTuple):
    """What the program minimises, and within which limits.

    Attributes:
        memory_bytes: the most memory of each device of the cluster; None if it has no limit.
    """

    goal: Goal = LATENCY
    memory_bytes: tuple[float, ...] | None = None


class Relaxation(NamedTuple):
    """An optimum: the fractions in the order of the team, and the objective, seconds or joules."""

    fractions: tuple[float, ...]
    value: float


def halo_rows(edge: TensorEdge) -> int:
    """The most rows that a participant lacks on one side, at any fractions, if both ends of the edge are split by rows; 0 where they are aligned.

    Where its part begins at the fraction s of the map, it owns the producer's rows from s H_p on and needs those from s H_q S - P on; where it ends
    at s, it owns those up to s H_p and needs those up to s H_q S + K - S - P. Both differences are linear in s, so one of the ends has the largest.
    """
    field, drift = edge.q.field, edge.p.sizes["H"] - edge.q.field.stride * edge.q.granules("H")
    return max(0, *(rows for above in (field.above, field.above + drift) for rows in (above, field.overlap - above)))


def threshold(instance: Instance, placements: Sequence[Placement]) -> float:
    """The least fraction with which a participant owns every row that a neighbour lacks: the largest halo of an edge between operators that are
    split by rows, as a fraction of the tensor's rows."""
    edges = (edge for edges in instance.edges_into for edge in edges)
    between = (edge for edge in edges if placements[edge.producer].dim == placements[edge.consumer].dim == "H")
    return max((halo_rows(edge) / edge.p.sizes["H"] for edge in between), default=0.0)


def relaxed(
    instance: Instance,
    team: Sequence[int],
    placements: Sequence[Placement],
    aim: Aim,
    at: Sequence[float] | None = None,
    watch: Stopwatch = NO_LIMIT,
) -> Relaxation | None:
    """The fractions of the least objective; None if none keep the limits.

    Args:
        placements: of every unit (:meth:`Instance.placements`); those split by rows get the fractions instead of their own shares.
        at: the fractions, if they are to be priced and not chosen.

    Raises:
        SolverError: if HiGHS fails.
        TimeUpError: if the time is up.
    """
    return _CoEdgeProgram(instance, team, placements, watch).minimised(aim, at)


class _Fractions:
    """The arithmetic of rows on expressions in the fractions.

    A count that never falls below 0 is a variable of its own, which costs make equal to it, unless its sign is the same at all fractions.
    """

    def __init__(self, builder: ProgramBuilder, fractions: Sequence[int]) -> None:
        self._builder, self._fractions, self._count = builder, fractions, 0

    def constant(self, value: float) -> Affine:
        return constant(value)

    def choose(self, condition: bool, yes: Affine, no: Affine) -> Affine:
        return yes if condition else no

    def at_least_zero(self, value: Affine) -> Affine:
        ends = [value.constant + value.terms.get(fraction, 0.0) for fraction in self._fractions]  # they sum to 1
        if min(ends) >= 0:
            return value
        if max(ends) <= 0:
            return constant(0)
        name, self._count = ("rows", self._count), self._count + 1
        variable = times(1, self._builder.variable(name))
        self._builder.at_least(name, variable, value)
        return variable


class _CoEdgeProgram:
    """The program of one team."""

    def __init__(self, instance: Instance, team: Sequence[int], placements: Sequence[Placement], watch: Stopwatch) -> None:
        self._watch = watch
        self._instance, self._cluster, self._team, self._placements = instance, instance.cluster, tuple(team), placements
        self._e = instance.cluster.bytes_per_element
        self._unit_s = (bulk_synchronous(instance, placements, schedule_of(instance, placements)).latency_s or 1.0) / _UNITS
        self._builder = ProgramBuilder(watch)
        self._fractions = [self._builder.variable(("a", j), upper=1.0) for j in team]
        self._builder.equal(("whole",), times(1, *self._fractions), constant(1))
        self._rows = _Fractions(self._builder, self._fractions)
        self._busy_s, self._sending_s, self._receiving_s = (defaultdict[int, list[Affine]](list) for _ in range(3))
        numbers = range(len(instance.placed))
        self._latency_s = total([*map(self._compute_s, numbers), *map(self._transfer_s, range(len(instance.edges_into)))])

    def minimised(self, aim: Aim, at: Sequence[float] | None) -> Relaxation | None:
        if math.isfinite(aim.goal.deadline_s):
            self._builder.at_most(("deadline",), self._latency_s * (1 / self._unit_s), constant(aim.goal.deadline_s / self._unit_s))
        if aim.memory_bytes is not None:
            self._limit_memory(aim.memory_bytes)
        for fraction, given in zip(self._fractions, at or (), strict=at is not None):
            self._builder.equal(("at", fraction), times(1, fraction), constant(given))
        value, unit = (self._latency_s, self._unit_s) if aim.goal.objective == "latency" else self._energy()
        cost = self._builder.variable(("objective",), cost=1.0)
        self._builder.at_least(("objective",), times(1, cost), value * (1 / unit))
        found = _solved(self._builder.build(), self._watch)
        return None if found is None else Relaxation(tuple(float(found[fraction]) for fraction in self._fractions), float(found[cost]) * unit)

    def _energy(self) -> tuple[Affine, float]:
        """The energy, joules, and a unit for it."""
        parts, most_watts = [], 0.0
        for j, device in enumerate(self._cluster.devices):
            idle, computing, sending, receiving = (getattr(device, key) or 0.0 for key in _POWERS)
            parts += [self._latency_s * idle, total(self._busy_s[j]) * computing]
            parts += [total(self._sending_s[j]) * sending, total(self._receiving_s[j]) * receiving]
            most_watts += idle + computing + sending + receiving
        return total(parts), most_watts * self._unit_s or 1.0

    # Latency: equations (6) to (8). Variables and rows count in units of the program, expressions in seconds.

    def _compute_s(self, number: int) -> Affine:
        """The largest t_cmp of a unit."""
        unit, placement = self._instance.units[number], self._placements[number]
        devices = self._cluster.devices
        if placement.dim == "H":
            seconds = {j: self._share_s(unit, rank) for rank, j in enumerate(self._team)}
        else:
            seconds = {j: constant(devices[j].compute_s(*work)) for j, work in share_work(unit, placement, self._e)}
        for j, busy in seconds.items():
            self._busy_s[j].append(busy)
        return self._largest(("t_cmp", unit.name), seconds.values(), self._unit_s)

    def _share_s(self, unit: Unit, rank: int) -> Affine:
        """t_cmp of a participant."""
        device = self._cluster.devices[self._team[rank]]
        parts = [self._amount(unit.work["H"], unit, rank) * (1 / device.flops_per_s)]
        if device.memory_bytes_per_s is not None:
            parts.append(self._amount(unit.touched["H"], unit, rank) * (self._e / device.memory_bytes_per_s))
        return self._largest(("t_cmp", unit.name, self._team[rank]), parts, self._unit_s)

    def _transfer_s(self, number: int) -> Affine:
        """The largest t_com of the edges into a unit, which take place together."""
        into, out_of, opened = defaultdict[int, list[Affine]](list), defaultdict[int, list[Affine]](list), Counter[int]()
        for edge in self._instance.edges_into[number]:
            p, q = self._placements[edge.producer], self._placements[edge.consumer]
            may_align = p.dim == q.dim == "H" and edge.q.field.overlap <= 0
            for k, j, size in self._transfers(edge, p, q):
                into[j].append(size)
                out_of[k].append(size)
                opened[j] += not may_align
        seconds = []
        for j in sorted(into.keys() | out_of.keys()):
            per_byte = 1 / self._cluster.devices[j].bandwidth_bytes_per_s
            received, sent = total(into[j]) * per_byte, total(out_of[j]) * per_byte
            self._receiving_s[j].append(received)
            self._sending_s[j].append(sent)
            setup = constant(setup_s(self._cluster, opened[j]))
            seconds += [received + setup, sent + setup]
        return self._largest(("t_com", self._instance.units[number].name), seconds, self._unit_s)

    def _transfers(self, edge: TensorEdge, p: Placement, q: Placement) -> list[Transfer[Affine]]:
        """The transfers of an edge, in bytes."""
        if "H" not in (p.dim, q.dim):
            return [(k, j, constant(size)) for round_ in edge_rounds(edge, p, q, self._e) for k, j, size in round_.transfers]
        *_, kind = kinds_between(edge, p.strategy, q.strategy, same_participants=p.devices == q.devices)
        if kind is TransferKind.HALO_EXCHANGE and not halo_rows(edge):
            return []
        sides = (self._side(edge.p, p), self._side(edge.q, q))
        return transfers(kind, p.devices, q.devices, Volumes(edge, self._e, *sides, self._rows, partial=False))

    def _side(self, unit: Unit, placement: Placement) -> Side[Affine]:
        """A placement as one end of an edge, split by the fractions if it is split by rows."""
        if placement.dim != "H":
            given = placement_side(placement, unit)
            return Side(given.dim, given.devices, [constant(share) for share in given.shares], [constant(start) for start in given.starts])
        granules = unit.granules("H")
        shares = [times(granules, fraction) for fraction in self._fractions]
        return Side("H", self._team, shares, [times(granules, *self._fractions[:rank]) for rank in range(len(shares))])

    # Memory: equation (1).

    def _limit_memory(self, limits: Sequence[float]) -> None:
        resident, running = self._demands()
        for j, (device, limit) in enumerate(zip(self._cluster.devices, limits, strict=True)):
            unit = device.memory_bytes / _UNITS
            peak = self._largest(("peak", j), running[j], unit)
            self._builder.at_most(("eq1", j), (total(resident[j]) + peak) * (1 / unit), constant(limit / unit))

    def _demands(self) -> tuple[list[list[Affine]], list[list[Affine]]]:
        """For each device its weights, and what it needs besides while each operator runs, of which the largest counts; bytes."""
        live = [[constant(0)] * len(self._cluster) for _ in self._instance.placed]
        for producer, during in self._instance.live_tensors:
            for j, held in self._held(producer):
                for i in during:
                    live[i][j] = live[i][j] + held
        resident: list[list[Affine]] = [[] for _ in self._cluster.devices]
        running: list[list[Affine]] = [[] for _ in self._cluster.devices]
        for i, (unit, placement) in enumerate(zip(self._instance.placed, self._placements, strict=False)):
            activations = {j: [constant(0)] for j in range(len(self._cluster))}
            if placement.dim == "H":
                for rank, j in enumerate(self._team):
                    resident[j].append(self._amount(unit.weights["H"], unit, rank) * self._e)
                    activations[j] = [self._amount(terms, unit, rank) * self._e for terms in unit.activations["H"]]
            else:
                for j, demand in share_memory(unit, placement, self._e):
                    resident[j].append(constant(demand.weights))
                    activations[j] = [constant(demand.activations)]
            for j, alternatives in activations.items():
                running[j] += [needed + live[i][j] for needed in alternatives]
        return resident, running

    def _held(self, producer: int) -> Iterable[tuple[int, Affine]]:
        """What each device holds of a live tensor, bytes."""
        unit, placement = self._instance.units[producer], self._placements[producer]
        if producer == self._instance.source:
            return [(j, constant(self._e * unit.out_shape.elements)) for j in self._instance.input_holders]
        if placement.dim == "H":
            return [(j, self._amount(unit.output["H"], unit, rank) * self._e) for rank, j in enumerate(self._team)]
        return [(j, constant(held)) for j, held in share_output(unit, placement, self._e)]

    # Expressions.

    def _amount(self, terms: Terms, unit: Unit, rank: int) -> Affine:
        """The terms of a participant, of its part of the rows."""
        place, rows = positions(len(self._team))[rank], times(unit.sizes["H"], self._fractions[rank])
        parts = (term.at(place) for term in terms)
        return total(self._rows.at_least_zero(rows * part.slope + constant(part.constant)) * part.weight for part in parts)

    def _largest(self, name: Name, values: Iterable[Affine], unit: float) -> Affine:
        """An expression that is at least each of the values and at least 0, and that costs make the largest; ``unit`` is that of its variable."""
        given = list(values)
        least = max([0.0, *(value.constant for value in given if not value.terms)])
        varying = [value for value in given if value.terms]
        if not varying:
            return constant(least)
        if len(given) == 1:
            return varying[0]
        largest = times(unit, self._builder.variable(name))
        for value in [*varying, *([constant(least)] if least else [])]:
            self._builder.at_least(name, largest * (1 / unit), value * (1 / unit))
        return largest


def _solved(program: Program, watch: Stopwatch) -> np.ndarray[tuple[int], np.dtype[np.float64]] | None:
    """The values of an optimum; None if the program is infeasible.

    Raises:
        SolverError: if HiGHS ends otherwise.
        TimeUpError: if the time is up.
    """
    from scipy.optimize import linprog  # takes most of a second to import
    from scipy.sparse import csr_matrix, vstack

    matrix = csr_matrix((program.values, (program.rows, program.columns)), shape=(len(program.row_lower), len(program.objective)))
    is_equal = program.row_lower == program.row_upper
    above, below = (np.isfinite(bound) & ~is_equal for bound in (program.row_lower, program.row_upper))
    result = linprog(
        program.objective,
        A_ub=vstack([-matrix[above], matrix[below]]),
        b_ub=np.concatenate([-program.row_lower[above], program.row_upper[below]]),
        A_eq=matrix[is_equal],
        b_eq=program.row_lower[is_equal],
        bounds=np.column_stack([program.lower, program.upper]),
        method="highs",
        options={
            "primal_feasibility_tolerance": _TOLERANCE,
            "dual_feasibility_tolerance": _TOLERANCE,
            "time_limit": max(_LEAST_S, min(watch.remaining_s, _MOST_S)),
        },
    )
    watch.check()
    if result.status == 2:
        return None
    if result.x is None:
        raise SolverError(f"CoEdge's linear program: HiGHS ended with {result.message!r}")
    values: np.ndarray[tuple[int], np.dtype[np.float64]] = result.x
    return values
