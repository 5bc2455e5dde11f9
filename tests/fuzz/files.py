"""Valid files of every kind that the toolkit reads, and mutants of them.

A seed and a number name a mutant: the same two give the same file.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import yaml
from support.damage import WRONG_VALUES, Path, part, paths, replaced, without
from support.offloading import random_offload_instance
from support.random_branches import random_branched_graph
from support.random_gathers import with_gathers
from support.random_instances import random_cluster, random_graph, random_plan, with_powers

from iopopt import Cluster, Device, Graph, GraphBuilder, Plan, Solution, load_model, solve_coedge, solve_exhaustive, solve_oc, solve_single
from iopopt.cluster.units import trust_units
from iopopt.methods.solution import Point, heuristic_solution

KINDS = ("cluster", "graph", "plan", "solution", "offload")

EXTREMES: tuple[Any, ...] = (
    *(0, 1, 2, 2**31, 2**53, 2**63 - 1, 2**63, 10**9, 10**12, 10**18, 10**308, 10**309, -(10**12), 10**400, 10**4000),
    *(0.0, -0.0, 0.5, 1e308, 1e-308, 5e-324, 1e300, 1e30, 1e24, 1e-6, -1e308, math.inf, -math.inf, math.nan),
    *("", "1", "1000000000000", "1e9", "9" * 5000, "nan", "\0", "<script>alert(1)</script>", "ü" * 300, "H", "IC"),
)
"""Values that a figure or a text may be replaced by, beside those of other tests."""

_BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{letter}: &{letter} [{', '.join([f'*{before}'] * 9)}]\n" for before, letter in zip("abcdefghi", "bcdefghij", strict=True)
)
"""YAML of half a kilobyte that stands for ten thousand million texts."""


@dataclass(frozen=True)
class Mutant:
    """One file: its kind and number, the suffix of its name, its content."""

    kind: str
    number: int
    suffix: str
    content: bytes

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.number}.{self.suffix}"


@cache
def network() -> Graph:
    """The network that mutated clusters and plans are used with: rows, groups, a branch, a fully connected end."""
    net = GraphBuilder("fuzz", (3, 16, 12))
    trunk = net.conv(8, 3, padding=1, name="stem").batch_norm().relu().max_pool(2).tip
    branch = net.conv(8, 3, padding=1, groups=4, name="branch").relu().tip
    net.add(trunk, branch, name="sum")
    return net.conv(6, 1, name="point").fc(5, name="head").build()


@cache
def cluster() -> Cluster:
    """The cluster that mutated graphs and plans are used with."""
    return Cluster((Device("a", 1e9, 1e8, 1.2e7), Device("b", 2e9, 1e8, 1.2e7, 4e9), Device("c", 3e9, 5e7, 2.4e7)), source=1, sink=2)


@cache
def originals(kind: str) -> tuple[Any, ...]:
    """The records that are mutated."""
    rng = random.Random(5)
    return tuple({"cluster": _clusters, "graph": _graphs, "plan": _plans, "solution": _solutions, "offload": _offloads}[kind](rng))


def _clusters(rng: random.Random) -> list[Any]:
    named = cluster().to_dict() | {"source": "b", "sink": "c"}
    powered = with_powers(random.Random(7), cluster()).to_dict()
    return [cluster().to_dict(), named, powered, *(random_cluster(rng).to_dict() for _ in range(4))]


def _graphs(rng: random.Random) -> list[Any]:
    graphs = [network(), load_model("lenet5"), *(random_graph(rng) for _ in range(4)), *(random_branched_graph(rng) for _ in range(8))]
    return [graph.to_dict() for graph in graphs]


def _plans(rng: random.Random) -> list[Any]:
    return [plan.to_dict() for plan in _some_plans(rng)]


def _some_plans(rng: random.Random) -> list[Plan]:
    return [with_gathers(rng, random_plan(rng, network(), len(cluster())), len(cluster())) for _ in range(12)]


def _solutions(rng: random.Random) -> list[Any]:
    tight = Cluster(tuple(replace(device, memory_bytes=100) for device in cluster().devices))
    trust_units(tight)
    tiny = GraphBuilder("tiny", (1, 4, 4)).conv(2, 3).fc(2).build()
    found: list[Solution] = [solve_single(network(), cluster()), solve_coedge(network(), tight), solve_oc(network(), cluster(), team=(2, 0))]
    found += [solve_exhaustive(tiny, cluster(), team=(0, 1)), solve_exhaustive(tiny, tight, team=(0, 1))]
    common: Any = {"method": "hand", "space": "none", "build_s": 0.0, "solve_s": 1.0}
    found += [heuristic_solution(network(), cluster(), plan, **common) for plan in _some_plans(rng)[:6]]
    powered = with_powers(random.Random(7), cluster())
    in_joules = [heuristic_solution(network(), powered, plan, **common, objective="energy", deadline_s=60.0) for plan in _some_plans(rng)[:2]]
    traced = (Point(0.5, None, 1e-9), Point(1.0, 0.1, None))
    found = [replace(solution, bound_s=0.0) for solution in found] + [replace(solution, bound_j=0.0) for solution in in_joules]
    return [replace(solution, seed=3, trajectory=traced).to_dict() for solution in found]


def _offloads(rng: random.Random) -> list[Any]:
    instances = [random_offload_instance(rng, [network()], clients=clients).to_dict() for clients in (1, 1, 2, 3)]
    link = {"bytes_per_s": 2.5e6, "delay_s": 5e-3}
    named = {"name": "camera", "model": "lenet5", "input_size": 32, "board": "pi4", "uplink": link}
    shaped = {"name": "phone", "model": "alexnet", "input_shape": [3, 224, 224], "flops_per_s": 8e9, "uplink": link, "result_at": "device"}
    return [*instances, {"schema_version": 1, "devices": [named, shaped], "servers": [{"name": "edge", "board": "server", "workers": 2}]}]


def mutant(kind: str, number: int, seed: int) -> Mutant:
    """The mutant of that number: one to three changes to a record, and in some to its text."""
    rng = random.Random(f"{seed} {kind} {number}")
    record = rng.choice(originals(kind))
    suffix = rng.choice(["yaml", "json"]) if kind in ("cluster", "offload") else "json"
    if rng.random() < 0.8:
        for _ in range(rng.choice([1, 1, 2, 3])):
            record = rng.choice(_CHANGES)(rng, record)
    text = written(record, suffix).encode()
    for _ in range(rng.choice([0, 0, 0, 0, 0, 1, 2])):
        text = rng.choice(_TEXT_CHANGES)(rng, text)
    return Mutant(kind, number, suffix, text)


def written(record: Any, suffix: str) -> str:
    """The record as text. Python refuses to write integers of many thousand digits; JSON and YAML have no such limit, but hold none here."""
    return yaml.safe_dump(record, sort_keys=False, allow_unicode=True) if suffix == "yaml" else json.dumps(record, indent=1)


# Changes to records.


def _any_path(rng: random.Random, record: Any, *types: type[Any]) -> Path | None:
    """Any place, or any that holds one of these types; None if there is none."""
    found = [path for path in paths(record) if path and (not types or isinstance(part(record, path), types))]
    return rng.choice(found) if found else None


def _replace(rng: random.Random, record: Any) -> Any:
    """Anything in the place of anything."""
    path = _any_path(rng, record)
    return record if path is None else replaced(record, path, rng.choice([*WRONG_VALUES, *EXTREMES]))


def _extreme(rng: random.Random, record: Any) -> Any:
    """An extreme figure in the place of a figure."""
    path = _any_path(rng, record, int, float)
    return record if path is None else replaced(record, path, rng.choice([value for value in EXTREMES if not isinstance(value, str)]))


def _scale(rng: random.Random, record: Any) -> Any:
    """A figure many times larger or smaller, everywhere where the same key has it half of the time."""
    path = _any_path(rng, record, int, float)
    if path is None:
        return record
    factor = rng.choice([2, 10, 10**3, 10**6, 10**9, 10**12, 1e-3, 1e-9, 1e-200, 1e200, -1])
    everywhere = [other for other in paths(record) if other and other[-1] == path[-1]] if rng.random() < 0.5 else [path]
    for place in everywhere:
        value = part(record, place)
        if isinstance(value, (int, float)):
            record = replaced(record, place, value * factor if abs(value) < 1e100 else 1.0)
    return record


def _scale_equal(rng: random.Random, record: Any) -> Any:
    """All figures of one value, such as a number of channels, many times larger or smaller: sizes that agree still do."""
    path = _any_path(rng, record, int)
    value = None if path is None else part(record, path)
    if path is None or value in (0, 1, True) or abs(value) > 10**100:
        return record
    factor = rng.choice([2, 3, 10, 10**3, 10**6, 10**9, 10**12, 10**15])
    for place in list(paths(record)):
        if place and part(record, place) == value and place != ("schema_version",):
            record = replaced(record, place, value * factor)
    return record


def _digits(rng: random.Random, record: Any) -> Any:
    """A figure as a text."""
    path = _any_path(rng, record, int, float)
    return record if path is None else replaced(record, path, str(part(record, path))[:4000])


def _delete(rng: random.Random, record: Any) -> Any:
    """A key or an entry less."""
    path = _any_path(rng, record)
    return record if path is None else without(record, path)


def _rename(rng: random.Random, record: Any) -> Any:
    """A key, or a text, by a near or far name."""
    path = _any_path(rng, record)
    if path is None or not isinstance(path[-1], str):
        return record
    value, name = part(record, path), path[-1]
    new = rng.choice([name[:-1], name + "s", name.upper(), name[::-1], "", "x", "name", "<b>"])
    return replaced(without(record, path), (*path[:-1], new), value)


def _swap(rng: random.Random, record: Any) -> Any:
    """Two parts that change places."""
    one, other = _any_path(rng, record), _any_path(rng, record)
    if one is None or other is None or one == other[: len(one)] or other == one[: len(other)]:
        return record
    return replaced(replaced(record, one, part(record, other)), other, part(record, one))


def _repeat(rng: random.Random, record: Any) -> Any:
    """A list with an entry several times, up to some hundreds."""
    path = _any_path(rng, record, list)
    items = [] if path is None else part(record, path)
    if path is None or not items:
        return record
    at = rng.randrange(len(items))
    return replaced(record, path, items[:at] + [items[at]] * rng.choice([2, 3, 300]) + items[at + 1 :])


def _nest(rng: random.Random, record: Any) -> Any:
    """A part wrapped in lists or mappings, up to some hundreds of levels."""
    path = _any_path(rng, record)
    if path is None:
        return record
    value = part(record, path)
    for _ in range(rng.choice([1, 3, 90])):
        value = rng.choice([[value], {"a": value}])
    return replaced(record, path, value)


_CHANGES: tuple[Callable[[random.Random, Any], Any], ...] = (
    *(_extreme, _extreme, _extreme, _scale, _scale, _scale, _scale_equal, _scale_equal, _scale_equal),
    *(_replace, _digits, _delete, _rename, _swap, _repeat, _nest),
)
"""Figures are changed most often, because such files are more often read, and then used."""


# Changes to text.


def _flip(rng: random.Random, text: bytes) -> bytes:
    """A byte that becomes another."""
    at = rng.randrange(max(1, len(text)))
    return text[:at] + bytes([rng.randrange(256)]) + text[at + 1 :]


def _digit(rng: random.Random, text: bytes) -> bytes:
    """A digit that becomes another, or many."""
    places = [at for at, byte in enumerate(text) if byte in b"0123456789"]
    if not places:
        return text
    at = rng.choice(places)
    return text[:at] + rng.choice([b"0", b"7", b"-1", b"9" * 30, b"9" * 5000, b"1e9", b".5"]) + text[at + 1 :]


def _cut(rng: random.Random, text: bytes) -> bytes:
    """The end is missing."""
    return text[: rng.randrange(len(text) + 1)]


def _lines(rng: random.Random, text: bytes) -> bytes:
    """Some lines twice, or missing."""
    lines = text.split(b"\n")
    start = rng.randrange(len(lines))
    stop = start + rng.choice([1, 1, 2, 8])
    return b"\n".join(lines[:stop] + lines[start if rng.random() < 0.6 else stop + 1 :])


def _deep(rng: random.Random, text: bytes) -> bytes:
    """Brackets, thousands of levels deep, or aliases that stand for more than memory holds, in the place of a value or of all."""
    at = rng.randrange(len(text) + 1)
    levels = rng.choice([10, 900, 3000, 100_000])
    deep = rng.choice([b"[" * levels + b"]" * levels, b'{"a":' * levels + b"1" + b"}" * levels, _BOMB.encode()])
    return rng.choice([deep, text[:at] + deep + text[at:], b"schema_version: 1\ndevices: &d [*d]\n", _BOMB.encode() + b"devices: *j\n"])


_TEXT_CHANGES: tuple[Callable[[random.Random, bytes], bytes], ...] = (_flip, _flip, _digit, _digit, _cut, _lines, _lines, _deep)
