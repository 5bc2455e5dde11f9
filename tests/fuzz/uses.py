"""What is done with a file that may be damaged: it is read, and what can be read is used.

A use ends well, or with an :class:`iopopt.IopoptError`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from iopopt import Cluster, Evaluation, Graph, Plan, PlanBatch, Pricer, Solution, evaluate, load_cluster, load_model, solve
from iopopt.network.records import read_json
from iopopt.offload.files import load_offload_instance, offload_instance_from
from iopopt.offload.methods.nfl import solve_best_cut
from iopopt.offload.plan import OffloadPlan
from iopopt.offload.timeline import offload_timeline
from iopopt.plan.plan import validate_plan
from tests.fuzz.files import cluster, network

_METHODS = ("single", "coedge", "oc", "greedy", "iop_segments", "dp")
_MOST_OPERATORS = 12
"""The largest network for which the methods that compare many plans are called."""


def use_cluster(path: Path) -> None:
    """Read a cluster and run every quick method on it."""
    found = load_cluster(path)
    _shown(found)
    assert Cluster.from_dict(found.to_dict()) == found
    for method in _METHODS:
        _use(solve(network(), found, method), network(), found)


def use_graph(path: Path) -> None:
    """Read a network and partition it."""
    found = load_model(path)
    _shown(found)
    found.summary()
    assert Graph.from_dict(found.to_dict()) == found
    for method in _METHODS if len(found) <= _MOST_OPERATORS else _METHODS[:3]:
        _use(solve(found, cluster(), method), found, cluster())


def use_plan(path: Path) -> None:
    """Read a plan and price it."""
    found = Plan.from_dict(read_json(path), str(path))
    _shown(found)
    assert Plan.from_dict(found.to_dict()) == found
    _price(found, network(), cluster())


def use_solution(path: Path) -> None:
    """Read a solution and explain it, then price its plan."""
    found = Solution.from_dict(read_json(path), str(path))
    _shown(found)
    assert isinstance(found.gap, float | None)
    assert found.explain()
    assert found.explain(full=True)
    _round_trip(found)
    if found.plan is not None and found.plan.keys() >= {operator.name for operator in network().operators}:
        _price(found.plan, network(), cluster())


def use_offload(path: Path) -> None:
    """Read an offloading instance, offload its networks without fused layers, and simulate that."""
    found = load_offload_instance(path)
    assert "\n" not in repr(found)
    assert offload_instance_from(json.loads(json.dumps(found.to_dict(), allow_nan=False))) == found
    solution = solve_best_cut(found)
    assert np.isfinite(solution.value_s)
    assert np.isclose(offload_timeline(found, solution.plan).makespan_s, solution.value_s, rtol=1e-12, atol=0)
    assert OffloadPlan.from_dict(solution.plan.to_dict()) == solution.plan


USES: Mapping[str, Callable[[Path], None]] = {
    "cluster": use_cluster,
    "graph": use_graph,
    "plan": use_plan,
    "solution": use_solution,
    "offload": use_offload,
}


def _use(solution: Solution, graph: Graph, devices: Cluster) -> None:
    """Whatever a person does with a solution."""
    assert np.isfinite(solution.latency_s)
    assert solution.explain()
    _shown(solution)
    _round_trip(solution)
    assert solution.plan is not None
    _price(solution.plan, graph, devices)


def _price(plan: Plan, graph: Graph, devices: Cluster) -> None:
    """The evaluator and the pricer agree."""
    evaluation = evaluate(graph, devices, plan)
    _shown(evaluation)
    assert Evaluation.from_dict(evaluation.to_dict()) == evaluation
    validate_plan(graph, devices, plan)
    batch = Pricer(graph, devices).price(PlanBatch.from_plans(graph, [plan], len(devices)))
    for one, other in (
        (batch.latency_s[0], evaluation.latency_s),
        (batch.transferred_bytes[0], evaluation.transferred_bytes),
        (batch.connections[0], evaluation.connections),
    ):
        assert np.isclose(one, other, rtol=1e-9, atol=0), (one, other)
    assert np.allclose(batch.memory_bytes[:, 0], evaluation.memory_bytes, rtol=1e-9, atol=0)


def _round_trip(solution: Solution) -> None:
    record = solution.to_dict()
    assert Solution.from_dict(record) == solution
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def _shown(value: Any) -> None:
    """On one line, and as HTML without a tag that is not the toolkit's."""
    text = repr(value)
    assert "\n" not in text
    assert len(text) <= 120, text
    assert "<script" not in value._repr_html_()
