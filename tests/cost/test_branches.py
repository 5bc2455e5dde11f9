"""Graphs with branches, operators without a kernel and fused blocks: the worked cases of the cost model, calculated by hand."""

from __future__ import annotations

import re
from importlib.resources import files

import numpy as np
import pytest
from support.branched_cases import BranchedCase, branched_cases, fused_cases, streamed_cases
from support.naive_pricing import naive_price

from iopopt import PlanBatch, Pricer, evaluate

IN_ARRAYS = {**branched_cases(), **fused_cases()}
CASES = {**IN_ARRAYS, **streamed_cases()}
EXACT = {"rel": 1e-12, "abs": 0.0}

# t_com of the edges into each operator and of the sink's, T, memory of each device, transferred bytes and connections, by the
# arithmetic of the statement's section "Worked cases".
EXPECTED: dict[str, tuple[tuple[float, ...], float, tuple[float, ...], float, int]] = {
    "pool and add by channels": ((0, 0, 0, 8.5), 24.5, (25, 25), 8, 1),
    "pool and add by rows": ((0, 4.5, 0, 8.5), 29, (34, 34), 16, 3),
    "gate by rows": ((0, 2.5, 2.5, 4.5), 17.5, (18, 16), 8, 3),
    "gate by channels": ((0, 1.5, 0, 4.5), 10, (15, 15), 6, 3),
    "concat by rows": ((0, 0, 0, 6.5), 18.5, (15, 15), 6, 1),
    "concat by channels": ((0, 0, 9, 4.5), 29.5, (22, 17), 16, 5),
    "concat in rounds": ((0, 0, 8.5, 4.5), 29, (22, 17), 16, 3),
    "slice of a whole tensor": ((0, 4.5, 4.5), 33, (19, 8), 8, 2),
    "slice of rows": ((0, 4.5, 4.5), 33, (19, 11), 8, 3),
    "slice of channels": ((0, 8.5, 4.5), 29, (14, 13), 16, 3),
    "nearest, aligned": ((0, 0, 4.5), 8.5, (7, 7), 4, 1),
    "nearest, not aligned": ((0, 1.5, 6.5), 12, (5, 10), 7, 3),
    "linear": ((0, 1.5, 4.5), 10, (9, 9), 6, 3),
    "space to depth by rows": ((0, 0, 4.5), 12.5, (9, 9), 4, 1),
    "space to depth by channels": ((0, 4.5, 4.5), 17, (13, 13), 12, 3),
    "softmax behind channels": ((0, 4.5, 8.5), 37, (15, 15), 16, 3),
    "softmax on one device": ((0, 8.5, 8.5), 49, (16, 14), 16, 2),
    "two consumers": ((0, 4.5, 4.5, 4.5), 45.5, (12, 16), 12, 3),
    "two phases, two consumers": ((0, 5, 0, 2.5), 23.5, (12, 12), 10, 5),
    "partial sums, two consumers": ((0, 4.5, 2.5, 2.5), 25.5, (14, 14), 14, 5),
    "input everywhere, kept": ((0, 0, 0, 0), 32, (20, 2), 0, 0),
    "input on device 1, kept": ((2.5, 0, 2.5, 0), 37, (18, 2), 4, 2),
    "one tensor three times": ((0, 13.5, 4.5), 34, (12, 16), 16, 4),
    "one tensor three times, in rounds": ((0, 12.5, 4.5), 33, (12, 16), 16, 2),
    "host in the middle": ((5, 7, 5), 197, (47, 46, 46), 17, 8),
    "gathered on a participant": ((0, 13, 3.5), 132.5, (28, 33), 15, 3),
    "gathered on a third device": ((0, 21, 3.5), 140.5, (27, 33, 8), 23, 5),
    "gathered and live": ((0, 5, 5, 2.5), 28.5, (16, 14), 12, 6),
    "a convolution by rows": ((0, 2.5), 22.5, (11, 5), 2, 1),
    "a fully connected operator": ((0, 1.5), 37.5, (14, 9), 1, 1),
    "a sum alone": ((0, 4.5), 52.5, (0, 12), 4, 1),
    "residual block": ((0, 4.5, 6.5), 527, (98, 98), 14, 3),
    "a tensor that waits": ((3.5, 4.5), 452, (128, 128), 7, 2),
    "two fields": ((0, 10.5, 8.5, 10.5), 69.5, (42, 28), 28, 3),
    "two ways down": ((0, 6.5, 2.5), 385, (109, 111), 12, 3),
    "a row that nobody reads": ((0, 3.5, 1.5), 35, (19, 15), 4, 2),
    "a block of two": ((0, 2.5), 134.5, (27, 27), 2, 1),
    "a block gathered for the sink": ((0, 3.5, 4), 37.5, (19, 15), 6, 3),
    "channels in messages": ((0, 26, 9), 155, (43, 23, 28), 56, 10),
    "sums in messages": ((0, 17, 2.5), 211.5, (36, 52), 26, 4),
    "a pair, then messages": ((0, 8.5, 9, 4.5), 142, (43, 23), 28, 6),
    "messages of one device": ((9, 4.5), 29.5, (10, 14), 12, 3),
}


@pytest.mark.parametrize("name", CASES)
def test_evaluate_by_hand(name: str) -> None:
    """The evaluator gives a worked case its figures, edge by edge."""
    case, (seconds, latency, memory, transferred, connections) = CASES[name], EXPECTED[name]
    evaluation = evaluate(case.graph, case.cluster, case.plan)
    assert [*(cost.communication_s for cost in evaluation.operators), evaluation.sink_s] == pytest.approx(seconds, **EXACT)
    assert evaluation.latency_s == pytest.approx(latency, **EXACT)
    assert evaluation.memory_bytes == pytest.approx(memory, **EXACT)
    assert (evaluation.transferred_bytes, evaluation.connections) == (pytest.approx(transferred, **EXACT), connections)


@pytest.mark.parametrize("name", IN_ARRAYS)
def test_pricer_by_hand(name: str) -> None:
    """The vectorised form gives a worked case the same figures."""
    case, (_, latency, memory, transferred, connections) = CASES[name], EXPECTED[name]
    priced = Pricer(case.graph, case.cluster).price(PlanBatch.from_plans(case.graph, [case.plan], len(case.cluster)))
    assert priced.latency_s[0] == pytest.approx(latency, **EXACT)
    np.testing.assert_allclose(priced.memory_bytes[:, 0], memory, rtol=1e-12)
    assert (priced.transferred_bytes[0], priced.connections[0]) == (pytest.approx(transferred, **EXACT), connections)


@pytest.mark.parametrize("name", CASES)
def test_naive_pricing_by_hand(name: str) -> None:
    """So does the second implementation with which random plans are compared."""
    case, (seconds, latency, memory, transferred, connections) = CASES[name], EXPECTED[name]
    naive = naive_price(case.graph, case.cluster, case.plan)
    assert [*naive.communication_s, naive.sink_s] == list(seconds)
    assert (naive.latency_s, naive.memory_bytes) == (latency, list(memory))
    assert (naive.transferred_bytes, naive.connections) == (transferred, connections)


def test_the_statement_has_these_figures() -> None:
    """Every worked case stands in the statement with the figures that are tested here, and no other does."""
    text = files("iopopt").joinpath("cost_model.md").read_text(encoding="utf-8").split("## Worked cases")[1]
    stated = dict(re.findall(r"\*([^*]+)\*\. .+?\*\*(T = [^*]+)\*\*", re.sub(r"\s+", " ", text)))
    tested = {
        name: f"T = {latency:g}, memory {_listed(memory)}, {transferred:g} bytes, {connections} connection{'s' * (connections != 1)}"
        for name, (_, latency, memory, transferred, connections) in EXPECTED.items()
    }
    assert {name.lower(): figures for name, figures in stated.items()} == tested
    assert CASES.keys() == EXPECTED.keys()


def _listed(figures: tuple[float, ...]) -> str:
    """The figures as the statement lists them: ``1, 2 and 3``."""
    *others, last = (f"{figure:g}" for figure in figures)
    return f"{', '.join(others)} and {last}"


def test_kinds_of_the_worked_cases() -> None:
    """Every kind of operator without a kernel is in some worked case but the activation alone, which is an add with one input."""

    def kinds(case: BranchedCase) -> set[str]:
        return {operator.kind for operator in case.graph.operators}

    assert set().union(*map(kinds, CASES.values())) == {"conv", "fc", "pool", "add", "mul", "concat", "slice", "upsample", "space_to_depth"}
