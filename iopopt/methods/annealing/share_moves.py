"""Moves that keep how units are split and change who has how much: shares, participants and their order."""

from __future__ import annotations

import math
from random import Random

from iopopt.methods.annealing.space import Pieces, Space, at_cuts, split_by
from iopopt.plan.pieces import Piece
from iopopt.plan.placement import Placement

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
        moved[i] = _shifted(space, pieces[i], boundary, of_piece, at_least_one=len(run) == 1)
    return moved


def _shifted(space: Space, piece: Piece, boundary: int, part: float, *, at_least_one: bool) -> Piece:
    """The piece with one boundary moved; those in its way go with it."""
    placement = piece.placement
    assert placement.dim is not None  # whole pieces have no boundaries
    step = round(part * space.unit(piece.run).granules(placement.dim)) or (int(math.copysign(1, part)) if at_least_one else 0)
    return _moved(space, piece, boundary, step)


def _moved(space: Space, piece: Piece, boundary: int, step: int) -> Piece:
    """The piece with one boundary so many granules further on; those in its way go with it."""
    placement = piece.placement
    assert placement.dim is not None  # whole pieces have no boundaries
    unit = space.unit(piece.run)
    size, granule = unit.granules(placement.dim), unit.granularities[placement.dim]
    cuts = [*(start // granule for start in placement.starts), size]
    to = max(0, min(size, cuts[boundary] + step))
    cuts = [min(cut, to) for cut in cuts[:boundary]] + [to] + [max(cut, to) for cut in cuts[boundary + 1 :]]
    return Piece(piece.run, at_cuts(unit, placement.dim, placement.devices, cuts, placement))


def align(space: Space, rng: Random, pieces: Pieces) -> Pieces | None:
    """A boundary goes to the same part of the rows or channels, a whole number of equal parts, in a run of pieces that are split alike.

    So the boundaries of maps of several sizes coincide, and least is exchanged between them.
    """
    number = _split_piece(pieces, rng)
    if number is None:
        return None
    run = alike(pieces, number)
    if rng.random() < 0.4:
        run = part_of(run, rng)
    placement = pieces[run.start].placement
    boundary = rng.randrange(1, len(placement.shards))
    parts = min(space.unit(pieces[i].run).granules(dim) for i in run if (dim := pieces[i].placement.dim)) * rng.choice((1, 1, 2, 4))
    near = round(placement.starts[boundary] / sum(placement.shares) * parts) + rng.choice((-2, -1, -1, 0, 1, 1, 2))
    to = max(0.0, min(1.0, near / parts))
    return [_cut_at(space, piece, boundary, to) if i in run else piece for i, piece in enumerate(pieces)]


def _cut_at(space: Space, piece: Piece, boundary: int, part: float) -> Piece:
    """The piece with one boundary at a part of its dimension; those in its way go with it."""
    placement = piece.placement
    assert placement.dim is not None  # whole pieces have no boundaries
    unit = space.unit(piece.run)
    size, granule = unit.granules(placement.dim), unit.granularities[placement.dim]
    return _moved(space, piece, boundary, round(part * size) - placement.starts[boundary] // granule)


def reweigh(space: Space, rng: Random, pieces: Pieces) -> Pieces | None:
    """A device gets more or less of a run that is split alike, or nothing; the others keep their proportions."""
    number = _split_piece(pieces, rng)
    if number is None:
        return None
    run = alike(pieces, number)
    if rng.random() < 0.4:
        run = part_of(run, rng)
    device = rng.choice(pieces[number].placement.devices)
    factor = rng.choice((0.0, *(math.exp(rng.gauss(0, deviation)) for deviation in (0.1, 0.3, 0.6))))
    return [_reweighed(space, piece, device, factor) if i in run else piece for i, piece in enumerate(pieces)]


def _reweighed(space: Space, piece: Piece, device: int, factor: float) -> Piece:
    placement = piece.placement
    assert placement.dim is not None  # whole pieces have one participant
    weights = [share * (factor if j == device else 1.0) for j, share in zip(placement.devices, placement.shares, strict=True)]
    if not any(weights):
        return piece
    split = split_by(space.unit(piece.run), placement.dim, placement.devices, weights)
    return Piece(piece.run, Placement.split(placement.dim, split.devices, split.shares, placement.reduce or "direct"))


def swap(space: Space, rng: Random, pieces: Pieces) -> Pieces | None:
    """Two devices change places in the order of the participants, with their shares or without, in a run that is split alike or in all pieces."""
    if len(space.devices) < 2:
        return None
    run = alike(pieces, rng.randrange(len(pieces))) if rng.random() < 0.6 else range(len(pieces))
    if rng.random() < 0.3:
        run = range(run.start, run.start + rng.randint(1, len(run)))
    one, other = rng.sample(space.devices, 2)
    with_shares, new = rng.random() < 0.5, {one: other, other: one}
    return [_swapped(piece, new, with_shares=with_shares) if number in run else piece for number, piece in enumerate(pieces)]


def exchange(space: Space, rng: Random, pieces: Pieces) -> Pieces:
    """Two devices change places in the order of the participants of all pieces, each with its shares."""
    one, other = rng.sample(space.devices, 2)
    return [_swapped(piece, {one: other, other: one}, with_shares=True) for piece in pieces]


def _swapped(piece: Piece, new: dict[int, int], *, with_shares: bool) -> Piece:
    placement = piece.placement
    if placement.dim is None:
        return piece
    devices = [new.get(device, device) for device in placement.devices]
    had = dict(zip(placement.devices, placement.shares, strict=True))
    shares = [had[device] for device in devices] if with_shares and set(devices) == set(had) else placement.shares
    return Piece(piece.run, Placement.split(placement.dim, devices, shares, placement.reduce or "direct"))


def enlist(space: Space, rng: Random, pieces: Pieces) -> Pieces | None:
    """A device joins the participants of a run that is split alike, or leaves them; the others keep their proportions."""
    number = _split_piece(pieces, rng)
    if number is None:
        return None
    run = alike(pieces, number)
    if rng.random() < 0.5:
        run = part_of(run, rng)
    devices = pieces[number].placement.devices
    others = [device for device in space.devices if device not in devices]
    joins = bool(others) and rng.random() < 0.5
    device, place = rng.choice(others) if joins else -1, rng.randrange(len(devices) + joins)
    part = math.exp(rng.uniform(math.log(0.01), math.log(0.3)))
    changed: Pieces = []
    for i, piece in enumerate(pieces):
        if i not in run:
            changed.append(piece)
            continue
        weights = [float(share) for share in piece.placement.shares]
        if joins:
            team, weights = [*devices[:place], device, *devices[place:]], [*weights[:place], sum(weights) * part, *weights[place:]]
        else:
            team, weights = [*devices[:place], *devices[place + 1 :]], [*weights[:place], *weights[place + 1 :]]
        changed += _resized(space, piece, team, weights if any(weights) else [1.0] * len(weights))
    return changed


def _resized(space: Space, piece: Piece, team: list[int], weights: list[float]) -> Pieces:
    """The piece over another team; a block of one device is none."""
    if len(team) == 1:
        return space.wholly(piece.run, team[0])
    dim = piece.placement.dim
    assert dim is not None  # only split pieces have a team
    return [Piece(piece.run, split_by(space.unit(piece.run), dim, team, weights))]
