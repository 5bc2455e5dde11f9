"""Whether a network fits: against the prices of all plans, by hand, and what is said where nothing is proven."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from support.backends import HERE, solved_here
from support.memory_instances import memory_instance

from iopopt import Cluster, Device, Fit, GraphBuilder, SolverError, UnknownNameError, evaluate, fit, load_cluster, load_model
from iopopt.methods import fitting
from iopopt.methods.fitting import Count, DeviceCount

ROUNDING = 3 * HERE

HAND = GraphBuilder("hand", (1, 4, 1)).conv(2, 1, bias=False).build()


def _pair(memory_bytes: float) -> Cluster:
    return Cluster((Device("a", 1.0, memory_bytes, 1.0), Device("b", 0.25, memory_bytes, 1.0)), 0.5, bytes_per_element=1)


def _fit(*arguments: Any, **settings: Any) -> Fit:
    with solved_here():
        return fit(*arguments, backend="scipy", **settings)


@pytest.mark.parametrize("start", range(0, 30, 10))
def test_the_least_share_is_that_of_all_plans(start: int) -> None:
    """Above 1 as well, with a bound that closes the gap."""
    for seed in range(start, start + 10):
        case = memory_instance(seed)
        found = _fit(case.graph, case.cluster, team=case.team, longest_block=case.longest_block, gap=0.0, most_devices=1)
        least = float(case.prices().share.min())
        assert found.least.share == pytest.approx(least, rel=ROUNDING)
        assert found.least.bound == pytest.approx(least, rel=ROUNDING)
        assert found.least.bound <= least * (1 + 1e-9)
        assert found.verdict == ("yes" if least <= 1 else "no")
        assert evaluate(case.graph, case.cluster, found.least.plan).feasible == (found.verdict == "yes")


def test_the_least_number_of_devices_by_hand() -> None:
    """One device needs 2 of weights and 4 + 8; two rows on each of two, 2 + 2 + 4 = 8; one row on each of four, 2 + 1 + 2 = 5."""
    for memory, enough in ((14.0, 1), (13.9, 2), (8.0, 2), (7.9, 4), (5.0, 4)):
        (kind,) = _fit(HAND, _pair(memory)).kinds
        assert (kind.at_least, kind.enough) == (enough, enough), memory
        assert kind.plan is not None
        cluster = Cluster(tuple(Device(str(j), 1.0, memory, 1.0) for j in range(enough)), bytes_per_element=1)
        assert evaluate(HAND, cluster, kind.plan).feasible
    (never,) = _fit(HAND, _pair(4.9), most_devices=6).kinds
    assert (never.at_least, never.enough, never.plan) == (7, None, None)
    assert str(never) == "a with 4.9e-06 MB each: at least 7 (proven); of the numbers that were tried none was found to be enough"


def test_weights_alone_exclude_small_numbers() -> None:
    """Without a program: a fully connected operator of 64 bytes of weights needs at least seven devices of 10 bytes."""
    heavy = GraphBuilder("heavy", (8, 1, 1)).fc(8, bias=False).build()
    (kind,) = _fit(heavy, _pair(10.0), most_devices=3).kinds
    assert kind.counts == (Count(6, "no", "weights"),)
    assert (kind.at_least, kind.enough) == (7, None)


BEYOND = "Plans that stream channels (method vps) are outside the space of these proofs; they may need less."


def test_what_is_said() -> None:
    """What fits, what does not, and by how much memory must grow."""
    assert _fit(HAND, _pair(16.0)).explain().splitlines() == [
        "hand fits: a plan of team=(0, 1) keeps every limit.",
        "The device that needs most needs 50.00% of its memory, and in every plan of this space some device needs as much (proven).",
        "Of equal devices, with every operator whole on one or split over all of them:",
        "  a with 1.6e-05 MB each: 1 is enough",
        BEYOND,
    ]
    tight = _fit(HAND, _pair(6.4))
    assert tight.explain().splitlines() == [
        "hand does not fit: no plan of team=(0, 1) keeps every limit (proven).",
        "The device that needs most needs 125.00% of its memory, and in every plan of this space some device needs as much (proven).",
        "1.25 times the memory on every device is enough; less than 1.25 times is not (proven).",
        "Of equal devices, with every operator whole on one or split over all of them:",
        "  a with 6.4e-06 MB each: 4 are enough; 3 are not (proven)",
        BEYOND,
    ]
    assert repr(tight) == "Fit(hand: no, 1.25 of the memory, at least 1.25)"
    record = json.loads(json.dumps(tight.to_dict()))
    assert (record["schema_version"], record["verdict"], record["least"]["share"]) == (1, "no", 1.25)
    assert [count["devices"] for count in record["kinds"][0]["counts"]] == [1, 2, 3, 4]


def test_devices_that_differ_in_memory_are_counted_each() -> None:
    """Each kind by itself, once."""
    cluster = Cluster((Device("a", 1.0, 14.0, 1.0), Device("b", 1.0, 8.0, 1.0), Device("c", 1.0, 8.0, 1.0)), 0.5, bytes_per_element=1)
    assert [(kind.name, kind.enough) for kind in _fit(HAND, cluster).kinds] == [("a", 1), ("b", 2)]


def test_boards() -> None:
    """Named boards are counted instead; LeNet-5 needs two ESP32."""
    graph = load_model("lenet5")
    found = fit(graph, load_cluster("pi3-x2"), boards=["esp32"])
    assert [(kind.name, kind.at_least, kind.enough) for kind in found.kinds] == [("esp32", 2, 2)]


def test_nothing_is_claimed_without_a_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a search ends without plan and proof, it is unknown whether so many fit; the answer says so."""
    real = fitting.solve_milp

    def unknown(graph: Any, cluster: Any, **settings: Any) -> Any:
        found = real(graph, cluster, **settings)
        if settings["gap"] < 0.9:
            return replace(found, bound_share=0.1, status="feasible")
        return replace(found, status="unknown") if found.plan is None and len(cluster) == 2 else found

    monkeypatch.setattr(fitting, "solve_milp", unknown)
    found = _fit(HAND, _pair(6.4))
    assert found.verdict == "unknown"
    assert "It is not known whether hand fits" in found.explain()
    assert "1.25 times the memory on every device is enough.\n" in found.explain()
    (kind,) = found.kinds
    assert (kind.at_least, kind.enough) == (2, 4)
    assert str(kind).endswith("4 are enough, at least 2 are needed (proven)")


def test_ctrl_c_ends_the_counting(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found before stands."""
    real = fitting.solve_milp

    def stopped(graph: Any, cluster: Any, **settings: Any) -> Any:
        found = real(graph, cluster, **settings)
        return replace(found, status="unknown", termination="interrupted") if len(cluster) == 3 else found

    monkeypatch.setattr(fitting, "solve_milp", stopped)
    found = _fit(HAND, _pair(6.4))
    assert found.interrupted
    assert found.verdict == "no"
    (kind,) = found.kinds
    assert (kind.at_least, kind.enough) == (3, None)
    assert found.explain().endswith("Interrupted.")


def test_an_answer_of_no_counts() -> None:
    """Where there was no time to count, nothing is claimed but that none is not enough."""
    kind = DeviceCount("a", 1e6, (Count(0, "no", "weights"),))
    assert (kind.at_least, kind.enough) == (1, None)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"most_devices": 0}, SolverError, "most_devices is 0; it must be an integer from 1"),
        ({"time_limit_s": -1.0}, SolverError, "time_limit_s is -1.0"),
        ({"boards": ["pi9"]}, UnknownNameError, "unknown board 'pi9'"),
        ({"gap": 1.5}, SolverError, "gap is 1.5"),
    ],
)
def test_settings_out_of_range(settings: dict[str, Any], error: type[Exception], message: str) -> None:
    """With what is allowed."""
    with pytest.raises(error, match=message):
        fit(HAND, _pair(16.0), **settings)
