"""Segmentations of a chain and pairings of a graph with branches, all of them, and their plans."""

import itertools

from iopopt.methods.coedge import coedge_placements
from iopopt.methods.greedy import iop_pair, paired_successor
from iopopt.plan.plan import Plan


def every_segmentation(graph):
    """All ways to cut the operators into singles and pairs, as lists of segment lengths; no pair ends in a grouped operator."""
    for lengths in itertools.product((1, 2), repeat=len(graph)):
        for used in range(len(graph) + 1):
            ends = list(itertools.accumulate(lengths[:used]))
            if used and ends[-1] == len(graph):
                if all(length == 1 or graph.operators[end - 1].groups == 1 for length, end in zip(lengths, ends, strict=False)):
                    yield lengths[:used]
                break


def plan_of(graph, cluster, segments, reduce):
    """CoEdge on the singles, OC then IC on the pairs."""
    team = tuple(range(len(cluster)))
    placements, position = coedge_placements(graph, cluster, team, "fastest"), 0
    for length in segments:
        if length == 2:
            placements[position : position + 2] = iop_pair(graph.placed_units[position], cluster, team, reduce)
        position += length
    return Plan.of(graph, placements)


def every_pairing(graph):
    """All sets of pairs of which no two share an operator."""
    pairs = [(i, paired_successor(graph, i)) for i in range(len(graph)) if paired_successor(graph, i) is not None]
    for count in range(len(pairs) + 1):
        for chosen in itertools.combinations(pairs, count):
            ends = [end for pair in chosen for end in pair]
            if len(ends) == len(set(ends)):
                yield chosen


def paired_plan(graph, cluster, team, pairs, reduce):
    """CoEdge with these pairs."""
    placements = coedge_placements(graph, cluster, team, "fastest")
    for first, second in pairs:
        placements[first], placements[second] = iop_pair(graph.placed_units[first], cluster, team, reduce)
    return Plan.of(graph, placements)
