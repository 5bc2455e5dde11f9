"""How figures stand in tables."""

from __future__ import annotations

import math

import pytest

from iopopt.commands.tables import either, finite_text, four_digits, median_and_worst, ms_text


@pytest.mark.parametrize(("value", "text"), [(0.0, "0"), (1.23456, "1.235"), (999.96, "1000"), (1000.4, "1,000"), (1234567.0, "1,234,567")])
def test_four_digits(value: float, text: str) -> None:
    """And all digits of what is larger."""
    assert four_digits(value) == ms_text(value / 1e3) == text


def test_what_is_not_finite_is_a_dash() -> None:
    """Infinite or nan."""
    assert [finite_text(value, "{:g}".format) for value in (2.5, math.inf, math.nan)] == ["2.5", "-", "-"]


def test_median_and_worst() -> None:
    """One run alone; of several the middle one, or the two of an even number, and the last."""
    assert median_and_worst("m", [3.0], float) == [("m", [3.0])]
    assert median_and_worst("m", [3.0, 1.0, 2.0], float) == [("m, median of 3", [2.0]), ("m, worst of 3", [3.0])]
    assert median_and_worst("m", [4.0, 1.0, 3.0, 2.0], float) == [("m, median of 4", [2.0, 3.0]), ("m, worst of 4", [4.0])]


def test_equal_texts_once() -> None:
    """In their order."""
    assert either(["b", "a", "b"]) == "b / a"
