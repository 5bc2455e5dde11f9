"""Memory and throughput of vertical partitioning beside sequential, data and horizontal partitioning, and beside the least memory that is possible.

YOLOv2 at 608 x 608, VGG16, ResNet-18 and MobileNet-V2 on 2 to 8 equal boards. Counts in the terms of the comparison stand beside the evaluator's.
About ten minutes; writes table_vps.csv (one row for each network and number of devices), .md and .png.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from iopopt import METHODS, Cluster, Graph, Solution, evaluate, load_cluster, load_model, simulate, solve_milp
from paper_figs.columns import Column, Table, fixed, small_percent
from paper_figs.command_line import run
from paper_figs.comparison import Progress
from paper_figs.layer_counts import counted_bytes
from paper_figs.report import Report
from paper_figs.table_drawing import draw_tables

STEM = "table_vps"
SCHEMES = ("stages", "data", "horizontal", "vps")
BOARD = "pi4"
INPUTS = 8
"""How many inputs are in flight."""

TIME_LIMIT_S = 30.0


class Setting(NamedTuple):
    """A network on so many boards."""

    label: str
    model: str
    size: tuple[int, int, int] | None
    devices: int

    @property
    def graph(self) -> Graph:
        return load_model(self.model, input_shape=self.size)

    @property
    def cluster(self) -> Cluster:
        return load_cluster(f"{BOARD}-x{self.devices}")


_NETWORKS = (
    ("YOLOv2 608", "yolov2", (3, 608, 608)),
    ("VGG16", "vgg16", None),
    ("ResNet-18", "resnet18", None),
    ("MobileNet-V2", "mobilenet_v2", None),
)
SETTINGS = tuple(Setting(label, model, size, devices) for label, model, size in _NETWORKS for devices in (2, 4, 6, 8))
STEPS = len(SETTINGS)

_COUNTED, _NEEDED, _THROUGHPUT = "counted, MB", "evaluator, MB", "inputs per second"
COLUMNS = (
    Column("label", "", "model"),
    Column("devices", "", "N", "{:g}".format),
    *(Column(f"{scheme}_counted_bytes", _COUNTED, METHODS[scheme].label, fixed(1, 1e-6)) for scheme in SCHEMES),
    *(Column(f"{scheme}_memory_bytes", _NEEDED, METHODS[scheme].label, fixed(1, 1e-6)) for scheme in SCHEMES),
    Column("least_memory_bytes", _NEEDED, "least found", fixed(1, 1e-6)),
    Column("least_bound_bytes", _NEEDED, "proven bound", fixed(1, 1e-6)),
    Column("gap_percent", _NEEDED, "gap, %", small_percent),
    *(Column(f"{scheme}_per_s", _THROUGHPUT, METHODS[scheme].label, fixed(2)) for scheme in SCHEMES),
    Column("least_per_s", _THROUGHPUT, "least found", fixed(2)),
)


def row(setting: Setting, time_limit_s: float, progress: Progress) -> dict[str, Any]:
    """One network on so many boards."""
    progress(f"{setting.label} on {setting.devices} boards")
    graph, cluster = setting.graph, setting.cluster
    counted = counted_bytes(graph, setting.devices, cluster.bytes_per_element)
    found: dict[str, Solution] = {scheme: METHODS[scheme].solve(graph, cluster) for scheme in SCHEMES}
    least = solve_milp(graph, cluster, objective="memory_bytes", time_limit_s=time_limit_s)
    found["least"] = least
    return {
        "label": setting.label,
        "devices": setting.devices,
        **{f"{scheme}_counted_bytes": counted[scheme] for scheme in SCHEMES},
        **{f"{name}_memory_bytes": _memory_bytes(graph, cluster, solution) for name, solution in found.items()},
        "least_bound_bytes": least.bound,
        "gap_percent": 100 * (least.gap or 0.0),
        **{f"{name}_per_s": _throughput_per_s(graph, cluster, solution) for name, solution in found.items()},
    }


def _memory_bytes(graph: Graph, cluster: Cluster, solution: Solution) -> float:
    assert solution.plan is not None  # the boards have room for every scheme
    return max(evaluate(graph, cluster, solution.plan).memory_bytes)


def _throughput_per_s(graph: Graph, cluster: Cluster, solution: Solution) -> float:
    assert solution.plan is not None
    return simulate(graph, cluster, solution.plan, inputs=INPUTS).throughput_per_s


def build(time_limit_s: float, progress: Progress, settings: Sequence[Setting] = SETTINGS) -> Report:
    """Solve and report."""
    rows: Sequence[Mapping[str, Any]] = [row(setting, time_limit_s, progress) for setting in settings]
    table = Table(STEM, COLUMNS, tuple(rows), (frozenset(),) * len(rows))
    report = Report(
        stem=STEM,
        title="Memory of the fullest device, and throughput, by sequential, data, horizontal and vertical partitioning",
        tables=(table,),
        frames={STEM: table.frame()},
        setting=(
            f"N equal boards ({BOARD}) with Gigabit Ethernet; every board has the input. Stages are cut for the least memory; VPS is our "
            "reconstruction, with the least memory.",
        ),
        notes=(
            "Counted: weights and the largest input and output of a layer, every pool a layer of its own; no biases, no halos, no buffers, no "
            "tensors that wait for later layers. Shares are fractions.",
            "Evaluator: equation (1) for the plan. It differs from the count by biases; by pools, which are fused with their operators and have no "
            "input of their own; by halos of rows (data); by whole rows and channels; by fully connected operators, and others without rows, which "
            "run on the sink (data); by skip connections and inputs of concatenations, which wait; and by the buffers of messages (VPS).",
            "Least found: the plan of the least memory by the exact program, over whole operators and splits of one dimension without streams, which "
            "VPS has beyond that space; the proven bound is for that space.",
            f"Throughput: simulated with {INPUTS} inputs in flight, without barriers.",
            "The paper's own figures for memory and performance are not public in digits.",
        ),
    )
    return report.with_figure(draw_tables(report))


def main(argv: Sequence[str] | None = None) -> int:
    """The command ``python -m paper_figs.table_vps``."""
    return run(STEM, __doc__ or "", build, STEPS, argv, time_limit_s=TIME_LIMIT_S)


if __name__ == "__main__":
    sys.exit(main())
