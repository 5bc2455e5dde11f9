"""DeeperThings' two integer programs on its own networks, six devices: breakpoints, configurations and exchanged elements beside the published ones.

Then its plans on six Raspberry Pi 3B+ at 100 Mbit/s, by the evaluator: memory of each device and latency, beside the exact program on the same space.
Minutes; writes table_deeperthings.csv (counts), table_deeperthings_configurations.csv, table_deeperthings_plans.csv, .md and .png.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from iopopt import Cluster, Graph, GraphBuilder, Solution, load_cluster, load_model, solve_deeperthings, solve_milp
from iopopt.methods.weight_splits.communication import WeightSplit, exchanged_elements, least_communication
from iopopt.methods.weight_splits.layers import Layer, weight_layers
from iopopt.methods.weight_splits.memory_breakpoint import held_elements, memory_breakpoint
from paper_figs.appearance import label
from paper_figs.columns import Column, Table, fixed, small_percent
from paper_figs.command_line import run
from paper_figs.comparison import Progress, reduction_percent
from paper_figs.published import WeightSplitNetwork, caveat, deeperthings_paper
from paper_figs.report import Report
from paper_figs.table_drawing import draw_tables

STEM = "table_deeperthings"
CLUSTER = "pi3-x6@ethernet-100"
LABELS = {"yolov2": "YOLOv2", "vgg16": "VGG-16", "alexnet": "AlexNet"}
MOST_DEVICES = 32
"""Up to how many devices breakpoints are compared."""

STEPS = 2 * len(LABELS) + 1
_SHORT = {WeightSplit.LOP: "LOP", WeightSplit.LIP: "LIP", WeightSplit.FUSE1: "F1", WeightSplit.FUSE2: "F2"}
_ELEMENTS = "exchanged elements"
_BREAKPOINT = "first layer whose weights are split"
_CONFIGURATION = "split of each convolution from the paper's breakpoint on"
_COUNT = "{:,}".format
_MEMORY_GROUP = "peak memory of each device, MB"


@dataclass(frozen=True)
class Case:
    """A network, its convolutions as the programs know them, and what is published of it."""

    name: str
    graph: Graph
    published: WeightSplitNetwork

    @property
    def label(self) -> str:
        return LABELS[self.name]

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The convolutions."""
        return tuple(layer for layer in weight_layers(self.graph) if self.graph[layer.name].kind == "conv")

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The published number of each convolution."""
        return {layer.name: number for layer, number in zip(self.layers, self.published.convolutions, strict=True)}

    @property
    def published_first(self) -> int:
        """The published breakpoint, as an index into the convolutions."""
        return self.published.convolutions.index(self.published.first_split)

    @property
    def split_layers(self) -> tuple[Layer, ...]:
        """The convolutions from the published breakpoint on."""
        return self.layers[self.published_first :]

    @property
    def runs(self) -> list[list[Layer]]:
        """The convolutions from the published breakpoint on, in runs of those that read each other's output as it is."""
        runs: list[list[Layer]] = []
        for layer in self.split_layers:
            if runs and layer.after == runs[-1][-1].name:
                runs[-1].append(layer)
            else:
                runs.append([layer])
        return runs

    @property
    def published_splits(self) -> dict[str, WeightSplit]:
        """The published configuration, by name of the convolution."""
        return {layer.name: WeightSplit(self.published.configuration[self.numbers[layer.name]]) for layer in self.split_layers}

    def text(self, splits: Mapping[str, WeightSplit]) -> str:
        """A configuration as the paper writes it: ``12F1 13F2``."""
        return " ".join(f"{self.numbers[name]}{_SHORT[split]}" for name, split in splits.items())

    def is_least_held(self, first: int, devices: int) -> bool:
        """Whether a breakpoint, an index into the convolutions, is an optimum of the memory program."""
        held = [held_elements(self.layers, number, devices) for number in range(len(self.layers) + 1)]
        return held[first] == min(held)


def cases() -> tuple[Case, ...]:
    """The published networks."""
    paper = deeperthings_paper()
    graphs = {"yolov2": load_model("yolov2"), "vgg16": load_model("vgg16"), "alexnet": krizhevsky_alexnet()}
    return tuple(Case(name, graphs[name], network) for name, network in paper.networks.items())


def krizhevsky_alexnet() -> Graph:
    """AlexNet with Krizhevsky's numbers of channels, ungrouped, at 227; the zoo has torchvision's, which has fewer."""
    net = GraphBuilder("alexnet", (3, 227, 227))
    net.conv(96, 11, stride=4).relu().max_pool(3, 2).conv(256, 5, padding=2).relu().max_pool(3, 2)
    for channels in (384, 384, 256):
        net.conv(channels, 3, padding=1).relu()
    return net.max_pool(3, 2).fc(4096).relu().fc(4096).relu().fc(1000).build()


def counts_table(found: Sequence[tuple[Case, int, Mapping[str, WeightSplit]]], devices: int) -> Table:
    """One row for each network: breakpoints, and exchanged elements from the published one on."""
    columns = (
        Column("model", "", "model"),
        Column("paper_first_split", _BREAKPOINT, "paper", str),
        Column("first_split", _BREAKPOINT, f"optimum for {devices} devices", str),
        Column("optimal_from_devices", _BREAKPOINT, "paper's is the optimum from", lambda count: f"{count:.0f} devices"),
        Column("paper_exchanged_elements", _ELEMENTS, "paper", _COUNT),
        Column("exchanged_elements", _ELEMENTS, "optimum", _COUNT),
        Column("configuration_elements", _ELEMENTS, "of the paper's configuration", _COUNT),
    )
    rows = [
        {
            "model": case.label,
            "devices": devices,
            "paper_first_split": case.published.first_split,
            "first_split": case.published.convolutions[first],
            "optimal_from_devices": _optimal_from(case),
            "paper_exchanged_elements": case.published.exchanged_elements,
            "exchanged_elements": math.floor(exchanged_elements(case.split_layers, splits, devices)),
            "configuration_elements": math.floor(exchanged_elements(case.split_layers, case.published_splits, devices)),
        }
        for case, first, splits in found
    ]
    return Table(STEM, columns, tuple(rows), (frozenset(),) * len(rows))


def _optimal_from(case: Case) -> float:
    """The least number of devices from which on the published breakpoint is an optimum, up to MOST_DEVICES; NaN if there is none."""
    others = [count for count in range(2, MOST_DEVICES + 1) if not case.is_least_held(case.published_first, count)]
    least = max(others, default=1) + 1
    return least if least <= MOST_DEVICES else math.nan


def configurations_table(found: Sequence[tuple[Case, int, Mapping[str, WeightSplit]]]) -> Table:
    """One row for each run of convolutions with nothing between them: their splits."""
    columns = (
        Column("model", "", "model"),
        Column("paper_configuration", _CONFIGURATION, "paper"),
        Column("configuration", _CONFIGURATION, "optimum"),
    )
    rows = [
        {
            "model": case.label,
            "paper_configuration": case.text({layer.name: case.published_splits[layer.name] for layer in run_}),
            "configuration": case.text({layer.name: splits[layer.name] for layer in run_}),
        }
        for case, _, splits in found
        for run_ in case.runs
    ]
    return Table(f"{STEM}_configurations", columns, tuple(rows), (frozenset(),) * len(rows))


@dataclass(frozen=True)
class Planned:
    """A plan of the scheme, and the best one of its space."""

    case: Case
    first: int
    scheme: Solution
    exact: Solution


def planned(case: Case, cluster: Cluster, first: int, time_limit_s: float) -> Planned:
    """The scheme's plan at a breakpoint, and what the exact program makes of it: blocks as long, and even shares as well."""
    scheme = solve_deeperthings(case.graph, cluster, first_split=case.layers[first].name)
    assert scheme.plan is not None
    longest = max(map(len, scheme.plan.blocks), default=1)
    exact = solve_milp(case.graph, cluster, longest_block=longest, shares="by_speed", warm_start=scheme.plan, time_limit_s=time_limit_s)
    return Planned(case, first, scheme, exact)


def plans_table(plans: Sequence[Planned], devices: int) -> Table:
    """One row for each network and breakpoint."""
    columns = (
        Column("model", "", "model"),
        Column("first_split", "", "from layer", str),
        *(Column(f"device_{j}_memory_bytes", _MEMORY_GROUP, str(j), fixed(1, 1e-6)) for j in range(devices)),
        Column("milp_largest_memory_bytes", _MEMORY_GROUP, f"largest, {label('milp')}", fixed(1, 1e-6)),
        Column("deeperthings_latency_s", "latency, s", label("deeperthings"), fixed(3)),
        Column("milp_latency_s", "latency, s", label("milp"), fixed(3)),
        Column("milp_bound_s", "latency, s", "proven bound", fixed(3)),
        Column("milp_gap_percent", "", "gap, %", small_percent),
        Column("milp_reduction_percent", "", "MILP below, %", fixed(1)),
    )
    rows = [
        {
            "model": plan.case.label,
            "first_split": plan.case.published.convolutions[plan.first],
            **{f"device_{j}_memory_bytes": held for j, held in enumerate(_evaluation(plan.scheme).memory_bytes)},
            "milp_largest_memory_bytes": max(_evaluation(plan.exact).memory_bytes),
            "transferred_bytes": _evaluation(plan.scheme).transferred_bytes,
            "deeperthings_latency_s": plan.scheme.latency_s,
            "milp_latency_s": plan.exact.latency_s,
            "milp_bound_s": math.nan if plan.exact.bound_s is None else plan.exact.bound_s,
            "milp_gap_percent": math.nan if plan.exact.gap is None else 100 * plan.exact.gap,
            "milp_reduction_percent": reduction_percent(plan.exact.latency_s, plan.scheme.latency_s),
            "milp_status": plan.exact.status,
            "space": plan.exact.space,
        }
        for plan in plans
    ]
    marked = [frozenset({"deeperthings_latency_s"} if plan.scheme.status == "violates_memory" else ()) for plan in plans]
    return Table(f"{STEM}_plans", columns, tuple(rows), tuple(marked))


def _evaluation(solution: Solution) -> Any:
    assert solution.evaluation is not None
    return solution.evaluation


def build(time_limit_s: float, progress: Progress, instances: Sequence[Case] | None = None) -> Report:
    """Solve and report."""
    devices, cluster = deeperthings_paper().devices, load_cluster(CLUSTER)
    found, plans = [], []
    for case in cases() if instances is None else instances:
        first = memory_breakpoint(case.layers, devices)
        splits = least_communication(case.split_layers, devices)
        found.append((case, first, splits))
        progress(f"{case.label}: {case.text(splits)}")
        for number in sorted({first, case.published_first}):
            plans.append(planned(case, cluster, number, time_limit_s))
            progress(f"{case.label} from layer {case.published.convolutions[number]}: {plans[-1].scheme.latency_s:.3f} s, {plans[-1].exact.status}")
    tables = (counts_table(found, devices), configurations_table(found), plans_table(plans, devices))
    board = cluster.devices[0]
    report = Report(
        stem=STEM,
        title="DeeperThings: breakpoints, configurations and plans",
        tables=tables,
        frames={table.stem: table.frame() for table in tables},
        setting=(
            f"{CLUSTER}: {len(cluster)} devices of {board.flops_per_s / 1e9:g} GFLOP/s and {board.memory_bytes / 1e6:.0f} MB, links of "
            f"{board.bandwidth_bytes_per_s / 1e6:g} MB/s, {cluster.connection_setup_s * 1e3:g} ms to set up a connection.",
        ),
        notes=(
            f"Both programs are counted over the convolutions, for {devices} devices, each map before its pool; counts are cut to integers. "
            f"Breakpoints are compared for up to {MOST_DEVICES} devices. F1 and F2 are FUSE1 and FUSE2. Layers are numbered as in Darknet's cfg "
            "files.",
            "AlexNet is Krizhevsky's, ungrouped, with an input of 227; the zoo's is torchvision's.",
            "Plans have blocks of even rows before the breakpoint; after it participants exchange maps directly instead of by the gateway, and "
            "fully connected operators are split by the same program. Memory and latency are the evaluator's, of the whole network; 1 MB is 1e6 "
            "bytes.",
            f"{label('milp')}: the fastest plan of the space of all devices, even shares and blocks as long as those of the plan beside it, found "
            f"from that plan within {time_limit_s:g} s; the gap to the bound is proven. It seeks latency, DeeperThings memory and few exchanged "
            "elements.",
            caveat(deeperthings_paper()),
        ),
    )
    return report.with_figure(draw_tables(report))


def main(argv: Sequence[str] | None = None) -> int:
    """The command ``python -m paper_figs.table_deeperthings``."""
    return run(STEM, __doc__ or "", build, STEPS, argv)


if __name__ == "__main__":
    sys.exit(main())
