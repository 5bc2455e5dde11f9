"""Which instances a benchmark runs: networks on reference clusters, by tier and number of devices, or on clusters by name."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

import iopopt
from iopopt.cluster.reference import TIERS

PUBLISHED_TIERS = ("edge", "slow-link", "board", "wifi")
"""The tiers of the figures that the project publishes."""


def add_instances(parser: argparse.ArgumentParser, *, models: Sequence[str], devices: Sequence[int], tiers: Sequence[str] = PUBLISHED_TIERS) -> None:
    """Add the options that choose instances, with these defaults."""
    clusters = parser.add_argument_group("instances")
    clusters.add_argument("--model", nargs="+", default=list(models), help=f"networks (default: {' '.join(models)})")
    clusters.add_argument(
        "--tier",
        nargs="+",
        default=list(tiers),
        choices=list(TIERS),
        metavar="TIER",
        help=f"of {', '.join(TIERS)}; where lenet5 would be on edge, it is on mcu (default: {' '.join(tiers)})",
    )
    clusters.add_argument("--devices", nargs="+", type=int, default=list(devices), metavar="N", help="devices of each tier (default: %(default)s)")
    clusters.add_argument("--memory", default="", metavar="SUFFIX", help="of the names of these clusters, such as -tight-0.4")
    clusters.add_argument("--cluster", nargs="+", metavar="NAME", help="clusters by name or file, in place of tiers and devices")


def instances_of(options: argparse.Namespace) -> Iterator[tuple[str, iopopt.Graph, str, iopopt.Cluster]]:
    """The network and the cluster of each instance, each after its name.

    Raises:
        IopoptError: if there is no network or cluster of a name.
    """
    for model in options.model:
        graph = iopopt.load_model(model)
        for name in options.cluster or _reference_names(model, options):
            yield model, graph, name, iopopt.load_cluster(name, graph)


def _reference_names(model: str, options: argparse.Namespace) -> list[str]:
    tiers = [("mcu" if model == "lenet5" and tier == "edge" else tier) for tier in options.tier]
    return [f"{tier}-x{devices}{options.memory}" for tier in dict.fromkeys(tiers) for devices in options.devices]
