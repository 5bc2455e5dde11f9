"""The energy of evaluations: the worked cases of the statement, a naive sum, records and tables."""

from __future__ import annotations

import json
import random
import re
from importlib.resources import files
from typing import Any, NamedTuple

import pytest
from support.markup import cells
from support.naive_pricing import naive_energy_j
from support.random_any import random_case
from support.random_instances import with_powers

from iopopt import Cluster, Device, Evaluation, FileFormatError, Graph, GraphBuilder, Placement, Plan, evaluate


class Case(NamedTuple):
    """A plan with what each device draws while it idles, computes, sends and receives."""

    cluster: Cluster
    plan: Plan
    idle_j: tuple[float, ...]
    compute_j: tuple[float, ...]
    transmit_j: tuple[float, ...]
    receive_j: tuple[float, ...]


def _pointwise(last: int) -> Graph:
    """Two pointwise convolutions, 1x4x1 -> 2x4x1 and on to ``last`` channels."""
    return GraphBuilder("pointwise", (1, 4, 1)).conv(2, 1, bias=False).conv(last, 1, bias=False).build()


def _pair(rate: float = 1.0, **second: float) -> Cluster:
    first = Device("a", 1, 1e9, 1, compute_watts=2, transmit_watts=3, receive_watts=5, idle_watts=1)
    return Cluster((first, Device("b", 1, 1e9, rate, **second)), 0.5, bytes_per_element=1)


ROWS = Placement.split("H", (0, 1), (2, 2))
CHANNELS = Placement.split("OC", (0, 1), (1, 1))

CASES = {
    "rows, then whole": Case(
        _pair(compute_watts=4, transmit_watts=2), Plan.of(_pointwise(1), [ROWS, Placement.whole(0)]), (28.5, 0), (48, 32), (0, 8), (20, 0)
    ),
    "everything to everybody": Case(
        _pair(2.0, compute_watts=4, transmit_watts=2), Plan.of(_pointwise(2), [CHANNELS] * 2), (33, 0), (48, 96), (12, 8), (40, 0)
    ),
    "a device that only waits": Case(
        _pair(compute_watts=4, idle_watts=0.25), Plan.of(_pointwise(1), [Placement.whole(0)] * 2), (32, 8), (64, 0), (0, 0), (0, 0)
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_worked_cases(name: str) -> None:
    """Each part of each device's energy is that of the calculation in the statement."""
    case = CASES[name]
    graph = _pointwise(2 if name == "everything to everybody" else 1)
    energy = evaluate(graph, case.cluster, case.plan).energy
    assert energy is not None
    assert (energy.idle_j, energy.compute_j, energy.transmit_j, energy.receive_j) == case[2:]
    assert naive_energy_j(graph, case.cluster, case.plan) == list(energy.device_j)


def test_the_statement_has_these_figures() -> None:
    """Every worked case stands in the statement with the energy that is tested here, and no other does."""
    text = files("iopopt").joinpath("cost_model.md").read_text(encoding="utf-8").split("## Energy")[1].split("\n## ")[0]
    stated = dict(re.findall(r"\*([^*]+)\*\. .+?\*\*E = ([^*]+) J\*\*", re.sub(r"\s+", " ", text)))
    tested = {name: f"{sum(map(sum, case[2:])):g}" for name, case in CASES.items()}
    assert {name.lower(): joules for name, joules in stated.items()} == tested


@pytest.mark.parametrize("seed", range(150))
def test_random_plans(seed: int) -> None:
    """Chains, branches, blocks, gathers, any order of participants, any powers missing: the energy of each device is the naive sum."""
    graph, cluster, plan = random_case(seed)
    powered = with_powers(random.Random(seed), cluster)
    evaluation, plain = evaluate(graph, powered, plan), evaluate(graph, cluster, plan)
    assert evaluation.energy is not None
    assert evaluation.energy.device_j == pytest.approx(naive_energy_j(graph, powered, plan), rel=1e-9, abs=1e-15)
    assert evaluation.energy_j == pytest.approx(sum(evaluation.energy.device_j), rel=1e-12)
    assert (plain.energy, plain.energy_j, plain.latency_s) == (None, None, evaluation.latency_s)
    record = evaluation.to_dict()
    assert Evaluation.from_dict(record) == evaluation
    assert json.loads(json.dumps(record)) == record
    assert "energy" not in plain.to_dict()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"idle_j": [1.0]}, "energy: idle_j has 1 figures for 2 devices"),
        ({"compute_j": [1.0, -1.0]}, "a figure of the energy is negative"),
        ({"receive_j": "1"}, r"energy: 'receive_j' is '1'; it must be a list"),
        ({"joules": 1.0}, "energy: unknown key 'joules'"),
    ],
)
def test_records_that_contradict_themselves(change: dict[str, Any], message: str) -> None:
    """Figures that are missing, negative or unknown are refused."""
    case = CASES["rows, then whole"]
    record = evaluate(_pointwise(1), case.cluster, case.plan).to_dict()
    with pytest.raises(FileFormatError, match=f"^evaluation: {message}"):
        Evaluation.from_dict(record | {"energy": record["energy"] | change})


def test_texts_and_tables() -> None:
    """The line and the table say the joules where there are any; without powers nothing changes."""
    case = CASES["rows, then whole"]
    evaluation = evaluate(_pointwise(1), case.cluster, case.plan)
    assert "; 136.5 J; 2 operators" in repr(evaluation)
    found = cells(evaluation._repr_html_())
    assert found[1].endswith("of communication; 136.5 J")
    assert found[found.index("energy, J") - 4 : found.index("energy, J") + 1] == ["device", "peak memory, MB", "of, MB", "used", "energy, J"]
    assert (found[-5], found[-1]) == ("b", "40")
    plain = evaluate(_pointwise(1), Cluster((Device("a", 1, 1e9, 1), Device("b", 1, 1e9, 1))), case.plan)
    assert "J" not in repr(plain) + plain._repr_html_()
