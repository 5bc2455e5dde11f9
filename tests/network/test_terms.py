"""Terms and the lines of which they are the largest: the program may use the lines wherever the evaluator uses the terms."""

from __future__ import annotations

import itertools
import random

import pytest
from support.random_branches import random_branched_graph
from support.random_instances import random_graph

from iopopt.network.terms import Line, Position, Term, Terms, amount, fixed, larger_lines, lines, positions, proportional


def _value(found: tuple[Line, ...], m: float) -> float:
    """The largest of the lines."""
    return max(constant + slope * m for constant, slope in found)


def _random_terms(rng: random.Random) -> Terms:
    """One to four terms; fields that are clipped at small shares, or leave rows out, among them."""
    terms = []
    for _ in range(rng.randint(1, 4)):
        kind = rng.random()
        if kind < 0.25:
            terms.append(fixed(rng.choice([0, 1, 7.5])))
        elif kind < 0.5:
            terms.append(proportional(rng.randint(0, 90), rng.randint(1, 12)))
        else:
            terms.append(Term(rng.choice([0, 0.5, 1, 3]), rng.choice([0.25, 0.5, 1, 2, 3]), rng.choice([-4, -2.5, -1, -0.25, 0, 1, 2])))
    return tuple(terms)


def test_amounts_by_hand() -> None:
    """7 whatever the share, 12 n / 4, and 2 max(0, 3 n - 4), one by one and together."""
    terms = (fixed(7), proportional(12, 4), Term(2, 3, -4))
    assert [amount(terms[:1], n) for n in (0, 1, 4)] == [7, 7, 7]
    assert [amount(terms[1:2], n) for n in (0, 1, 4)] == [0, 3, 12]
    assert [amount(terms[2:], n) for n in (0, 1, 4)] == [0, 0, 16]
    assert [amount(terms, n) for n in (0, 1, 4)] == [7, 10, 35]
    assert amount((), 3) == 0


def test_positions_by_hand() -> None:
    """One participant is the first, two are first and last, and others stand between."""
    first, inner, last = Position.FIRST, Position.INNER, Position.LAST
    assert [positions(count) for count in (1, 2, 4)] == [(first,), (first, last), (first, inner, inner, last)]


def test_lines_by_hand() -> None:
    """2 max(0, 3 n - 4) is 0, 0, 4, 10, 16 at 0 to 4: flat to 1, then by 4 to 2, then by 6; unclipped terms are one line."""
    assert lines((Term(2, 3, -4),), 4, 1) == (Line(0, 0), Line(-4, 4), Line(-8, 6))
    assert lines((fixed(7), proportional(12, 4)), 4, 1) == (Line(7, 3),)
    assert lines((fixed(7), proportional(12, 4)), 2, 2) == (Line(7, 6),)  # in granules of two


def test_a_corner_at_a_whole_number_needs_no_line_in_between() -> None:
    """max(0, 2 n - 4) is 0 up to 2 and rises by 2 from there."""
    assert lines((Term(1, 2, -4),), 5, 1) == (Line(0, 0), Line(-4, 2))


def test_the_lines_meet_the_terms_at_every_whole_share() -> None:
    """The largest of the lines is the value of random terms at every number of granules, so no integer plan is priced otherwise."""
    rng, several = random.Random(1), 0
    for _ in range(2000):
        terms, granules, granularity = _random_terms(rng), rng.randint(1, 9), rng.choice([1, 1, 2, 3])
        found = lines(terms, granules, granularity)
        for m in range(granules + 1):
            assert _value(found, m) == pytest.approx(amount(terms, m * granularity), rel=1e-9, abs=1e-9)
        several += len(found) > 1
    assert several > 500


def test_no_line_is_too_many() -> None:
    """Slopes rise from line to line, and without any one of them the rest lie below the chord between some two whole shares."""
    rng, needed = random.Random(2), 0
    for _ in range(1000):
        terms, granules = _random_terms(rng), rng.randint(1, 9)
        found = lines(terms, granules, 1)
        assert all(one.slope < other.slope for one, other in itertools.pairwise(found))
        for left_out in range(len(found)) if len(found) > 1 else ():
            rest = (*found[:left_out], *found[left_out + 1 :])
            chords = [(m + 0.5, (amount(terms, m) + amount(terms, m + 1)) / 2) for m in range(granules)]
            assert any(_value(rest, middle) < chord - 1e-9 for middle, chord in chords), (terms, found)
            needed += 1
    assert needed > 500


def test_no_convex_bound_is_tighter() -> None:
    """Between whole shares the lines are the chord, above the terms: the largest convex function with their values at whole shares."""
    rng, above = random.Random(3), 0
    for _ in range(500):
        terms, granules = _random_terms(rng), rng.randint(1, 9)
        found = lines(terms, granules, 1)
        for m in range(granules):
            part = rng.uniform(0.1, 0.9)
            chord = (1 - part) * amount(terms, m) + part * amount(terms, m + 1)
            assert _value(found, m + part) == pytest.approx(chord, rel=1e-9, abs=1e-9)
            above += chord > amount(terms, m + part) + 1e-9
    assert above > 50


def test_the_larger_of_two_by_hand() -> None:
    """Granules of two, 12 + 2 m against 7 m: 12, 14, 16, 21, 28 at 0 to 4, the second overtakes the first between 2 and 3."""
    first, second = (fixed(12), proportional(1, 1)), (proportional(7, 2),)
    assert larger_lines(first, second, 4, 2) == larger_lines(second, first, 4, 2) == (Line(12, 2), Line(6, 5), Line(0, 7))
    assert larger_lines(first, (fixed(3),), 4, 2) == lines(first, 4, 2)


def test_the_lines_of_the_larger_of_two() -> None:
    """At every whole share the largest of the lines is the larger of two random sums; in between it is the chord, so nothing convex is tighter."""
    rng, crossing = random.Random(5), 0
    for _ in range(2000):
        first, second, granules, granularity = _random_terms(rng), _random_terms(rng), rng.randint(1, 9), rng.choice([1, 1, 2, 3])
        found = larger_lines(first, second, granules, granularity)
        values = [max(amount(first, m * granularity), amount(second, m * granularity)) for m in range(granules + 1)]
        assert [_value(found, m) for m in range(granules + 1)] == pytest.approx(values, rel=1e-9, abs=1e-9)
        for m, (low, high) in enumerate(itertools.pairwise(values)):
            assert _value(found, m + 0.5) == pytest.approx((low + high) / 2, rel=1e-9, abs=1e-9)
        ahead = {amount(first, m * granularity) > amount(second, m * granularity) for m in range(granules + 1)}
        crossing += len(ahead) == 2
    assert crossing > 300


def test_the_lines_of_real_units() -> None:
    """Work, weights, activations and outputs of random operators are the largest of their lines at every share that they may have."""
    rng = random.Random(4)
    for number in range(60):
        graph = random_branched_graph(rng) if number % 2 else random_graph(rng)
        for unit in graph.placed_units:
            for dim in unit.dims:
                for terms in (unit.work[dim], unit.weights[dim], unit.output[dim], *unit.activations[dim]):
                    found = lines(terms, unit.granules(dim), unit.granularities[dim])
                    for m in range(unit.granules(dim) + 1):
                        assert _value(found, m) == pytest.approx(amount(terms, m * unit.granularities[dim]), rel=1e-9, abs=1e-9)
                # Equation (1) and the shares of the output are read as one line by the program.
                assert len(lines(unit.weights[dim], unit.granules(dim), unit.granularities[dim])) == 1
                assert len(lines(unit.output[dim], unit.granules(dim), unit.granularities[dim])) == 1
