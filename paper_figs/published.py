"""The numbers that papers and MobileNet-V1's authors publish, from ``data/``. They are shown in separate columns and never mixed with ours."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from iopopt import Graph, load_model
from iopopt.errors import FileFormatError
from iopopt.network.records import check_keys, check_schema, read_json

DATA = Path(__file__).parents[1] / "data"
"""Part of a checkout; the package does not need it."""

PAPERS = DATA / "papers.json"
MOBILENET_V1 = DATA / "mobilenet_v1.json"


class Reductions(NamedTuple):
    """The reductions of IOP against a baseline, percent."""

    latency_vs_oc: float
    latency_vs_coedge: float
    peak_memory_vs_coedge: float


class Range(NamedTuple):
    """The range of a reduction over a sweep, percent."""

    least: float
    most: float


@dataclass(frozen=True)
class Paper:
    """A paper's results.

    Attributes:
        source: title, authors, venue and arXiv number or DOI in one line.
        not_known: the parts of the setting that are not known here.
    """

    source: str
    not_known: tuple[str, ...]


@dataclass(frozen=True)
class IopPaper(Paper):
    """The IOP paper's results.

    Attributes:
        reductions: by model of the zoo.
        sweep: latency reduction as the connection set-up time goes from 1 to 8 ms, by model; its baseline is not named.
    """

    reductions: dict[str, Reductions]
    sweep: dict[str, Range]


@dataclass(frozen=True)
class HalpPaper(Paper):
    """The HALP paper's results.

    Attributes:
        speed_up: of three Raspberry Pi 4 over one, by model of the zoo.
    """

    speed_up: dict[str, float]


@dataclass(frozen=True)
class CoEdgePaper(Paper):
    """CoEdge's results.

    Attributes:
        energy_reduction: over four networks, percent, at close latency.
    """

    energy_reduction: Range


class WeightSplitNetwork(NamedTuple):
    """What DeeperThings publishes of one network.

    Attributes:
        input_size: height and width.
        convolutions: the layer numbers of all its convolutions, in order.
        first_split: the number of the first layer whose weights are split.
        exchanged_elements: the optimum of the communication program, elements.
        configuration: LOP, LIP, FUSE1 or FUSE2 by layer number.
    """

    input_size: int
    convolutions: tuple[int, ...]
    first_split: int
    exchanged_elements: int
    configuration: dict[int, str]


@dataclass(frozen=True)
class DeeperThingsPaper(Paper):
    """DeeperThings' results for so many devices, by network."""

    devices: int
    networks: dict[str, WeightSplitNetwork]


@dataclass(frozen=True)
class OffloadPaper(Paper):
    """The results of PSOMW's paper, and of its precursor.

    Attributes:
        psomw_gain, mw_gain: how many times faster than no fused layers, in the mean; MW's is that of the precursor.
        above_bf_percent: by how much PSOMW is above brute force.
    """

    psomw_gain: float
    mw_gain: float
    above_bf_percent: float


@cache
def iop_paper() -> IopPaper:
    """The entry of ``data/papers.json`` for the IOP paper.

    Raises:
        FileFormatError: if the file is missing (it comes with a checkout), or a key is missing or unknown.
    """
    record = _record("iop")
    sweep = record["connection_setup_sweep"]["latency_reduction_percent"]
    return IopPaper(
        source=_source(record),
        not_known=tuple(record["not_known"]),
        reductions={model: _row(Reductions, row, f"{PAPERS}: {model}") for model, row in record["reductions_percent"].items()},
        sweep={model: _row(Range, row, f"{PAPERS}: sweep of {model}") for model, row in sweep.items()},
    )


@cache
def halp_paper() -> HalpPaper:
    """The entry of ``data/papers.json`` for the HALP paper.

    Raises:
        FileFormatError: if the file is missing.
    """
    record = _record("halp")
    return HalpPaper(_source(record), tuple(record["not_known"]), {model: float(value) for model, value in record["speed_up"].items()})


@cache
def coedge_paper() -> CoEdgePaper:
    """The entry of ``data/papers.json`` for the CoEdge paper.

    Raises:
        FileFormatError: if the file is missing.
    """
    record = _record("coedge")
    return CoEdgePaper(_source(record), tuple(record["not_known"]), _row(Range, record["energy_reduction_percent"], f"{PAPERS}: coedge"))


@cache
def deeperthings_paper() -> DeeperThingsPaper:
    """The entry of ``data/papers.json`` for DeeperThings.

    Raises:
        FileFormatError: if the file is missing, or a key of a network is missing or unknown.
    """
    record = _record("deeperthings")
    networks = {name: _weight_split_network(network, f"{PAPERS}: {name}") for name, network in record["networks"].items()}
    return DeeperThingsPaper(_source(record), tuple(record["not_known"]), record["devices"], networks)


def _weight_split_network(record: Any, where: str) -> WeightSplitNetwork:
    check_keys(record, where, set(WeightSplitNetwork._fields))
    configuration = {int(number): str(split) for number, split in record["configuration"].items()}
    return WeightSplitNetwork(**record | {"convolutions": tuple(record["convolutions"]), "configuration": configuration})


@cache
def offload_paper() -> OffloadPaper:
    """The entry of ``data/papers.json`` for PSOMW.

    Raises:
        FileFormatError: if the file is missing.
    """
    record = _record("psomw")
    precursor = record["precursor"]
    return OffloadPaper(
        source=f"{_source(record)} (precursor: {precursor['method']}, {precursor['venue']})",
        not_known=tuple(record["not_known"]),
        psomw_gain=float(record["times_over_no_fused_layers"]),
        mw_gain=float(precursor["times_over_no_fused_layers"]),
        above_bf_percent=float(record["percent_above_brute_force"]),
    )


def _record(paper: str) -> Any:
    return _published(PAPERS)["papers"][paper]


def _source(record: Any) -> str:
    number = next((f", {name} {record[key]}" for key, name in (("arxiv", "arXiv"), ("doi", "DOI")) if key in record), "")
    return f"{', '.join(record['authors'])}: {record['title']}. {record['venue']}{number}"


def _published(path: Path) -> Any:
    """The content of a file of published figures."""
    if not path.exists():
        raise FileFormatError(f"{path}: the published figures are missing. They come with a checkout: run paper_figs from one, with its folder data/")
    content = read_json(path)
    check_schema(content, str(path), 1)
    return content


def _row(kind: Any, record: Any, where: str) -> Any:
    check_keys(record, where, set(kind._fields))
    return kind(**{key: float(value) for key, value in record.items()})


class Variant(NamedTuple):
    """One of the sixteen checkpoints of MobileNet-V1: its width multiplier and resolution, and what is published of it."""

    width: float
    resolution: float
    million_macs: float
    million_parameters: float
    top1_percent: float

    @property
    def label(self) -> str:
        """``0.75-192``."""
        return f"{self.width:g}-{self.resolution:g}" if self.width != 1 else f"1.0-{self.resolution:g}"

    def graph(self) -> Graph:
        """The network of the zoo."""
        return load_model("mobilenet_v1" if self.width == 1 else f"mobilenet_v1-{self.width:g}", input_size=int(self.resolution))


@dataclass(frozen=True)
class MobileNets:
    """MobileNet-V1's checkpoints, and where their figures are published."""

    source: str
    url: str
    variants: tuple[Variant, ...]


@cache
def mobilenets() -> MobileNets:
    """The content of ``data/mobilenet_v1.json``, by width and resolution, the largest first.

    Raises:
        FileFormatError: if the file is missing (it comes with a checkout), or a key is missing or unknown.
    """
    record, name = _published(MOBILENET_V1), str(MOBILENET_V1)
    check_keys(record, name, {"schema_version", "title", "source", "url", "convention", "variants"})
    variants = tuple(_row(Variant, row, f"{name}: variants[{number}]") for number, row in enumerate(record["variants"]))
    return MobileNets(record["source"], record["url"], variants)


def caveat(paper: Paper | None = None) -> str:
    """The note below everything that shows numbers of a paper; of the IOP paper unless another is given."""
    paper = paper or iop_paper()
    return (
        f"Columns and bands named 'paper' repeat what is published in {paper.source}. They hold for the paper's own setting and are not reproduced "
        f"here. Not known of that setting: {'; '.join(paper.not_known)}. To look for a setting that explains them is a separate piece of work."
    )
