"""The colours of devices and of dimensions."""

from __future__ import annotations

from iopopt.plan.appearance import colour


def test_colours_differ_and_carry_black_text() -> None:
    """Sixteen devices have sixteen colours, all light enough for black text (a contrast of 7 : 1 or more)."""
    assert len({colour(j) for j in range(16)}) == 16
    for j in range(40):
        channels = [int(colour(j)[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
        luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        assert (luminance + 0.05) / 0.05 >= 7, j
