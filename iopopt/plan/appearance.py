"""How plans look in every picture: the colours of devices, and the names and colours of the ways to split an operator."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping

from iopopt.network.shapes import Dim

_COLOURS = ("#77aadd", "#ee8866", "#eedd88", "#44bb99", "#ffaabb", "#99ddff", "#bbcc33", "#aaaa00")
"""Paul Tol's light scheme: eight colours that colour-blind readers tell apart and that black text is readable on."""

DIMENSIONS: Mapping[Dim | None, str] = {"H": "H, rows", "OC": "OC, output channels", "IC": "IC, input channels", None: "whole"}
"""What each way to split is called, in the order of legends."""

DIMENSION_COLOURS: Mapping[Dim | None, str] = {"H": _COLOURS[0], "OC": _COLOURS[1], "IC": _COLOURS[3], None: "#dddddd"}
"""Where colours tell the dimensions apart instead of the devices."""

TWO_PHASE = "two-phase"
"""What a split by input channels is that adds up in two phases."""

NARROWEST = 0.04
"""The part of a bar below which a share is not written into it."""


def colour(device: int) -> str:
    """The colour of a device: one of a scheme, and beyond that hues that differ as much as possible, equally light."""
    if device < len(_COLOURS):
        return _COLOURS[device]
    red, green, blue = colorsys.hls_to_rgb(device * 0.618034 % 1, 0.75, 0.6)
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"
