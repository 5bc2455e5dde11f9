"""Figures of a cluster that look as if they were in another unit."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from iopopt.cluster.cluster import Cluster

_MOST_NAMED = 3
"""How many figures one warning names."""

_CHECKED = "_units_checked"
"""The mark of a cluster that was checked; it is no part of its value, as a cached property is none."""


class UnitWarning(UserWarning):
    """A figure looks as if it were in another unit."""


class Plausible(NamedTuple):
    """The range of a figure outside which it is more likely in another unit, and which that may be if it is too small, or too large."""

    least: float
    most: float
    unit: str
    if_small: str
    if_large: str


PLAUSIBLE = {
    # From an 8-bit microcontroller that multiplies in software to more than the largest accelerators.
    "flops_per_s": Plausible(1e5, 1e16, "FLOP/s", "MFLOP/s, GFLOP/s or TFLOP/s", ""),
    # From less than a Cortex-M0 has to more than the largest servers have.
    "memory_bytes": Plausible(2e4, 1e14, "bytes", "kB, MB or GB", "bits"),
    # From the slowest long-range radios to more than the links inside a server.
    "bandwidth_bytes_per_s": Plausible(1e3, 1e12, "bytes/s", "kB/s, MB/s or Mbit/s", "bits/s"),
    # From a microcontroller's flash to several times what the memory of the largest accelerators gives.
    "memory_bytes_per_s": Plausible(1e5, 1e14, "bytes/s", "MB/s or GB/s", ""),
    # Up to a workstation with several accelerators.
    **{key: Plausible(0.0, 2e3, "watts", "", "milliwatts") for key in ("compute_watts", "transmit_watts", "receive_watts", "idle_watts")},
    "connection_setup_s": Plausible(0.0, 0.5, "seconds", "", "milliseconds"),
    "bytes_per_element": Plausible(1, 8, "bytes", "", "bits"),
}
"""Every figure of a device or cluster that is checked."""

LINK_RATES_BIT_PER_S = (10e6, 11e6, 54e6, 100e6, 150e6, 300e6, 433e6, 867e6, 1e9, 2.5e9, 10e9)
"""Nominal rates of Ethernet and Wi-Fi; given as bytes per second they are almost certainly a mistake."""


def doubts(cluster: Cluster) -> Iterator[str]:
    """What is implausible, one sentence for each figure."""
    for device in cluster.devices:
        for key, value in device.figures().items():
            if found := doubt(key, value):
                yield f"device {device.name!r}: {found}"
    for key in ("connection_setup_s", "bytes_per_element"):
        if found := doubt(key, getattr(cluster, key)):
            yield found


def doubt(key: str, value: float, like: str | None = None) -> str | None:
    """What is implausible about a figure, if anything is.

    Args:
        like: the key of :data:`PLAUSIBLE` that says what is plausible; ``key`` itself by default.
    """
    kind = like or key
    least, most, unit, if_small, if_large = PLAUSIBLE[kind]
    if kind == "bandwidth_bytes_per_s" and value in LINK_RATES_BIT_PER_S:
        return f"{key} is {value:,.0f}, the nominal rate of a {value / 1e6:g} Mbit/s link in bits; in bytes that is {value / 8:,.0f}"
    if least <= value <= most:
        return None
    other = if_small if value < least else if_large
    return f"{key} is {value:g}, but {least:g} to {most:g} {unit} are plausible" + (f"; is it in {other}?" if other else "")


def warn_of_units(cluster: Cluster, where: str = "") -> None:
    """Warn of implausible figures, once for each cluster, at the line outside this package that led here.

    Args:
        where: the file that the cluster is from, for the message.
    """
    if _CHECKED in vars(cluster):
        return
    trust_units(cluster)
    warn_of(list(doubts(cluster)), where)


def warn_of(found: Sequence[str], where: str = "") -> None:
    """One warning of these doubts, at the line outside this package that led here.

    Args:
        where: the file that the figures are from, for the message.
    """
    if found:
        more = f"; and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
        text = "; ".join(found[:_MOST_NAMED]) + more
        warnings.warn(f"{where}: {text}" if where else text, UnitWarning, stacklevel=_caller_level())


def trust_units(cluster: Cluster) -> None:
    """Never warn of this cluster: it has been checked, or it is not of a person's making."""
    vars(cluster)[_CHECKED] = True


def _caller_level() -> int:
    """The ``stacklevel`` at which the caller of this function reports the first frame outside the package."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "iopopt":
        level, frame = level + 1, frame.f_back
    return level
