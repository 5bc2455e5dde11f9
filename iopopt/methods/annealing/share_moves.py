"""Moves that keep how units are split and change who has how much: shares, participants and their order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random
from typing import TypeVar

from iopopt.methods.annealing.space import Pieces, Space, at_cuts, replaced, split_by
from iopopt.plan.pieces import Piece
from iopopt.plan.placement import Placement

_T = TypeVar("_T")

_LEAST_SHIFT, _MOST_SHIFT = 10**-2.5, 10**-0.7
"""Parts of a dimension that a shift moves."""


def alike(pieces: Pieces, number: int) -> range:
    """The longest run of pieces around one that are split by the same dimension over the same devices in the same order."""
    model, start, stop = pieces[number].placement, number, number + 1

    def same(piece: Piece) -> bool:
        return piece.placement.dim == model.dim and piece.placement.devices == model.devices

    while start > 0 and same(pieces[start - 1]):
        start -= 1
    while stop < len(pieces) and same(pieces[stop]):
        stop += 1
    return range(start, stop)


def part_of(run: range, rng: Random) -> range:
    """Some of a run; short parts are as likely as long ones."""
    length = min(len(run), int((len(run) + 1) ** rng.random()))
    start = rng.randrange(run.start, run.stop - length + 1)
    return range(start, start + length)


def _split_piece(pieces: Pieces, rng: Random) -> int | None:
    """The number of any piece that is split."""
    split = [number for number, piece in enumerate(pieces) if piece.placement.dim]
    return rng.choice(split) if split else None


def _split_run(pieces: Pieces, rng: Random, *, partly: float) -> range | None:
    """Pieces that are split alike, around any piece that is split; with the probability ``partly`` some of them."""
    number = _split_piece(pieces, rng)
    if number is None:
        return None
    run = alike(pieces, number)
    return part_of(run, rng) if rng.random() < partly else run


def shift(space: Space, rng: Random, pieces: Pieces) -> Pieces | None:
    """The boundary between two participants moves: in one piece, or in a run of them that are split alike, by the same part or by a rising one."""
    number = _split_piece(pieces, rng)
    if number is None:
        return None
    drawn = rng.random()
    run = range(number, number + 1) if drawn < 0.45 else alike(pieces, number)
    if drawn > 0.65:
        run = part_of(run, rng)
    boundary = rng.randrange(1, len(pieces[run.start].placement.shards))
    part = math.exp(rng.uniform(math.log(_LEAST_SHIFT), math.log(_MOST_SHIFT))) * rng.choice((-1, 1))
    slope, moved = rng.choice((0, 0, 1, -1)), list(pieces)
    for place, i in enumerate(run):
        along = place / (len(run) - 1) if len(run) > 1 else 0.5
        of_piece = part * (1.0 if slope == 0 else along if slope > 0 else 1 - along)
        if len(run) == 1:
            of_piece = math.copysign(max(abs(of_piece), 1 / _granules(space, pieces[i])), of_piece)  # else nothing might move
        moved[i] = _cut(space, pieces[i], boundary, _part_before(pieces[i], boundary) + of_piece)
    return moved


def align(space: Space, rng: Random, pieces: Pieces) -> Pieces | None:
    """A boundary goes to the same part of the rows or channels, a whole number of equal parts, in a run of pieces that are split alike.

    So the boundaries of maps of several sizes coincide, and least is exchanged between them.
    """
    run = _split_run(pieces, rng, partly=0.4)
    if run is None:
        return None
    boundary = rng.randrange(1, len(pieces[run.start].placement.shards))
    parts = min(_granules(space, pieces[i]) for i in run) * rng.choice((1, 1, 2, 4))
    to = round(_part_before(pieces[run.start], boundary) * parts) + rng.choice((-2, -1, -1, 0, 1, 1, 2))
    return replaced(pieces, run, lambda piece: [_cut(space, piece, boundary, to / parts)])


def _granules(space: Space, piece: Piece) -> int:
    """Into how many granules the dimension of a split piece can be cut."""
    assert piece.placement.dim is not None  # the moves cut split pieces alone
    return space.unit(piece.run).granules(piece.placement.dim)


def _part_before(piece: Piece, boundary: int) -> float:
    """Which part of the dimension lies before a boundary."""
    return piece.placement.starts[boundary] / sum(piece.placement.shares)


def _cut(space: Space, piece: Piece, boundary: int, part: float) -> Piece:
    """The piece with one boundary behind this part of its dimension, as near as granules allow; the boundaries in its way go with it."""
    unit, placement = space.unit(piece.run), piece.placement
    assert placement.dim is not None  # whole pieces have no boundaries
    size, granule = unit.granules(placement.dim), unit.granularities[placement.dim]
    to = max(0, min(size, round(part * size)))
    cuts = [*(start // granule for start in placement.starts), size]
    cuts = [min(cut, to) for cut in cuts[:boundary]] + [to] + [max(cut, to) for cut in cuts[boundary + 1 :]]
    return Piece(piece.run, at_cuts(unit, placement.dim, placement.devices, cuts, placement))


def reweigh(space: Space, rng: Random, pieces: Pieces) -> Pieces | None:
    """A device gets more or less of a run that is split alike, or nothing; the others keep their proportions."""
    run = _split_run(pieces, rng, partly=0.4)
    if run is None:
        return None
    devices = pieces[run.start].placement.devices
    place = devices.index(rng.choice(devices))
    factor = rng.choice((0.0, *(math.exp(rng.gauss(0, deviation)) for deviation in (0.1, 0.3, 0.6))))

    def reweighed(piece: Piece) -> Pieces:
        shares = piece.placement.shares
        weights = _spliced(shares, place, 1, [shares[place] * factor])
        return _over(space, piece, devices, weights) if any(weights) else [piece]

    return replaced(pieces, run, reweighed)


def enlist(space: Space, rng: Random, pieces: Pieces) -> Pieces | None:
    """A device joins the participants of a run that is split alike, or leaves them; the others keep their proportions."""
    run = _split_run(pieces, rng, partly=0.5)
    if run is None:
        return None
    devices = pieces[run.start].placement.devices
    others = [device for device in space.devices if device not in devices]
    joins = bool(others) and rng.random() < 0.5
    joining, place = [rng.choice(others)] if joins else [], rng.randrange(len(devices) + joins)
    part = math.exp(rng.uniform(math.log(0.01), math.log(0.3)))
    leaving = 0 if joins else 1
    team = _spliced(devices, place, leaving, joining)

    def resized(piece: Piece) -> Pieces:
        shares = piece.placement.shares
        weights = _spliced(shares, place, leaving, [sum(shares) * part for _ in joining])
        return _over(space, piece, team, weights if any(weights) else [1.0] * len(team))

    return replaced(pieces, run, resized)


def _spliced(before: Sequence[_T], place: int, leaving: int, joining: Sequence[_T]) -> list[_T]:
    """A sequence in which so many from ``place`` on make way for others."""
    return [*before[:place], *joining, *before[place + leaving :]]


def _over(space: Space, piece: Piece, team: Sequence[int], weights: Sequence[float]) -> Pieces:
    """A split piece over a team in these proportions, otherwise as it was; on one device its operators are whole, and it is no block."""
    if len(team) == 1:
        return space.wholly(piece.run, team[0])
    placement = piece.placement
    assert placement.dim is not None  # only split pieces have a team
    return [Piece(piece.run, split_by(space.unit(piece.run), placement.dim, team, weights, placement))]


def swap(space: Space, rng: Random, pieces: Pieces) -> Pieces | None:
    """Two devices change places in the order of the participants, with their shares or without, in a run that is split alike or in all pieces."""
    if len(space.devices) < 2:
        return None
    run = alike(pieces, rng.randrange(len(pieces))) if rng.random() < 0.6 else range(len(pieces))
    if rng.random() < 0.3:
        run = range(run.start, run.start + rng.randint(1, len(run)))
    return _swapped(pieces, run, rng.sample(space.devices, 2), with_shares=rng.random() < 0.5)


def exchange(space: Space, rng: Random, pieces: Pieces) -> Pieces:
    """Two devices change places in the order of the participants of all pieces, each with its shares."""
    return _swapped(pieces, range(len(pieces)), rng.sample(space.devices, 2), with_shares=True)


def _swapped(pieces: Pieces, run: range, pair: Sequence[int], *, with_shares: bool) -> Pieces:
    """Two devices in each other's places in a run; where only one of them takes part, the other takes over its share."""
    new = dict(zip(pair, reversed(pair), strict=True))

    def of_piece(piece: Piece) -> Pieces:
        placement = piece.placement
        if placement.dim is None:
            return [piece]
        devices = [new.get(device, device) for device in placement.devices]
        had = dict(zip(placement.devices, placement.shares, strict=True))
        shares = [had[device] for device in devices] if with_shares and set(devices) == set(had) else placement.shares
        return [Piece(piece.run, Placement.split(placement.dim, devices, shares, placement.reduce or "direct"))]

    return replaced(pieces, run, of_piece)
