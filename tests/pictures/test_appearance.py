"""What all pictures share."""

from __future__ import annotations

import pytest

from iopopt.pictures.appearance import COMPUTING, TRANSFERS, fits, milliseconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 ms"),
        (1.2345678e-6, "0.001235 ms"),
        (0.48719, "487.2 ms"),
        (0.99994, "999.9 ms"),
        (0.99996, "1,000 ms"),
        (1.0, "1,000 ms"),
        (14599.6, "14,599,600 ms"),
    ],
)
def test_milliseconds(seconds: float, text: str) -> None:
    """Four figures, and no exponents of large ones."""
    assert milliseconds(seconds) == text


def test_what_fits() -> None:
    """A longer text, or a smaller box on either side, does not."""
    assert fits("conv1", 6.0, 21.0, 6.0)
    assert not fits("conv10", 6.0, 21.0, 6.0)
    assert not fits("conv1", 6.0, 20.0, 6.0)
    assert not fits("conv1", 6.0, 21.0, 5.9)


def test_black_text_is_readable_on_every_shade() -> None:
    """All shades differ, and have a contrast of 7 : 1 or more with black."""
    shades = (*COMPUTING, *TRANSFERS)
    assert len(set(shades)) == len(shades)
    for shade in shades:
        channels = [int(shade[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
        luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        assert (luminance + 0.05) / 0.05 >= 7, shade
