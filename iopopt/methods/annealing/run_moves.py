"""Moves that place runs of pieces anew: whole, by rows, by channels, or as their neighbours are."""

from __future__ import annotations

import math
from random import Random

from iopopt.methods.annealing.share_moves import alike, part_of
from iopopt.methods.annealing.space import Pieces, Space, like, replaced, split_by
from iopopt.plan.pieces import Piece
from iopopt.plan.placement import Placement


def team_of_some(space: Space, rng: Random) -> list[int]:
    """Some or all devices in any order, the faster ones more often."""
    count = rng.choice([len(space.devices)] * 3 + list(range(2, len(space.devices) + 1))) if len(space.devices) > 1 else 1
    drawn = sorted(space.devices, key=lambda device: -space.speeds[device] * math.exp(rng.gauss(0, 0.7)))[:count]
    rng.shuffle(drawn)
    return drawn


def weights_near_speeds(space: Space, rng: Random, team: list[int]) -> list[float]:
    """The speeds of a team, a power of them, or something near."""
    power, deviation = rng.choice((1.0, 1.0, rng.uniform(0.5, 2.0))), rng.choice((0.0, 0.1, 0.3))
    return [space.speeds[device] ** power * math.exp(rng.gauss(0, deviation)) for device in team]


def gather_whole(space: Space, rng: Random, pieces: Pieces) -> Pieces:
    """A run, often one up to the end, is placed whole on one device, often the fastest."""
    run, device = part_of(range(len(pieces)), rng), rng.randrange(len(space.cluster))
    if rng.random() < 0.5:
        device = space.fastest
    if rng.random() < 0.4:
        run = range(run.start, len(pieces))
    return replaced(pieces, run, lambda piece: space.wholly(piece.run, device))


def follow(space: Space, rng: Random, pieces: Pieces) -> Pieces:
    """Pieces after one, or before it, are placed like it; blocks stay blocks where it is split."""
    number = rng.randrange(len(pieces))
    model, length = pieces[number].placement, 1 + int(len(pieces) ** (rng.random() ** 2))
    run = range(number + 1, number + 1 + length) if rng.random() < 0.5 else range(number - length, number)
    return replaced(pieces, run, lambda piece: _following(space, piece, model))


def _following(space: Space, piece: Piece, model: Placement) -> Pieces:
    if len(piece.run) > 1 and model.dim is None:
        return space.singly(piece.run, model)
    return [Piece(piece.run, like(space.unit(piece.run), model))]


def resplit(space: Space, rng: Random, pieces: Pieces) -> Pieces | None:
    """A run is split by rows over another team; what has no rows is whole on its first device."""
    if len(space.devices) < 2:
        return None
    run = part_of(range(len(pieces)), rng) if rng.random() < 0.5 else alike(pieces, rng.randrange(len(pieces)))
    team = team_of_some(space, rng)
    weights = weights_near_speeds(space, rng, team)

    def by_rows(piece: Piece) -> Pieces:
        unit = space.unit(piece.run)
        return [Piece(piece.run, split_by(unit, "H", team, weights))] if "H" in unit.dims else space.wholly(piece.run, team[0])

    return replaced(pieces, run, by_rows)


def rechannel(space: Space, rng: Random, pieces: Pieces) -> Pieces | None:
    """A single operator, often one without rows, is split by channels; after a split by output channels often the next one by the input channels that
    it makes."""
    rowless = [number for number, piece in enumerate(pieces) if len(piece.run) == 1 and "H" not in space.unit(piece.run).dims]
    number = rng.choice(rowless) if rowless and rng.random() < 0.5 else rng.randrange(len(pieces))
    run, placement = pieces[number]
    unit = space.unit(run)
    dims = [dim for dim in unit.dims if dim != "H"]
    if len(run) > 1 or not dims or len(space.devices) < 2:
        return None
    team = list(placement.devices) if placement.dim and rng.random() < 0.5 else _few(space, rng)
    dim, changed = rng.choice(dims), list(pieces)
    split = split_by(unit, dim, team, weights_near_speeds(space, rng, team))
    if dim == "IC" and rng.random() < 0.3:
        split = Placement.split("IC", team, split.shares, "two_phase")
    changed[number] = Piece(run, split)
    if dim == "OC" and number + 1 < len(pieces) and rng.random() < 0.5:
        after = pieces[number + 1].run
        if len(after) == 1 and "IC" in space.unit(after).dims:
            changed[number + 1] = Piece(after, like(space.unit(after), split, "IC"))
    return changed


def _few(space: Space, rng: Random) -> list[int]:
    """Any team, often two devices, mostly fast ones: every further one needs the whole input."""
    team = team_of_some(space, rng)
    if rng.random() < 0.5:
        team = sorted(team, key=lambda device: -space.speeds[device])[:2]
        rng.shuffle(team)
    return team
