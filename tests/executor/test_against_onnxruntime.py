"""Plans that run give what ONNX Runtime gives for the whole network: an implementation that shares nothing with this one.

Networks of the zoo are written as ONNX for it; the light models of the onnx package are read from ONNX with their own weights made random.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import pytest
from support.edge_payload import assert_payload
from support.onnx_files import light_models, randomise, run, save
from support.random_branches import random_branched_graph, random_branched_plan
from support.to_onnx import to_onnx
from support.whole_run import Array, relative_error

from iopopt import METHODS, ZOO, Cluster, Graph, Plan, execute, load_cluster, load_model, solve
from iopopt.methods.pso import SwarmSettings
from iopopt.models import load_weights
from iopopt.network.epilogue import Mixing
from iopopt.network.weights import Weights, random_input, random_weights

WITHIN = 1e-4
"""Largest error relative to the largest output."""

OPTIONS = {"pso": {"settings": SwarmSettings(20, 20, 1), "time_limit_s": 20.0}, "milp": {"time_limit_s": 10.0, "gap": 0.02}}


class Case(NamedTuple):
    """A network with everything that its runs need, and what ONNX Runtime makes of the input."""

    graph: Graph
    cluster: Cluster
    weights: Weights
    inputs: Array
    expected: Array


def zoo_case(name: str, size: int | None = None) -> Case:
    """A network of the zoo with random weights."""
    graph = load_model(name, input_size=size)
    weights, inputs = random_weights(graph), random_input(graph)
    return _case(graph, weights, inputs, run(to_onnx(graph, weights), inputs[None]))


def light_case(name: str, directory: Path) -> Case:
    """A light model with random weights, up to the logits."""
    model = without_softmax(randomise(onnx.load(light_models()[name]), seed=1))
    path = save(model, directory / f"{name}.onnx")
    graph, weights = load_model(path), load_weights(path)
    inputs = random_input(graph)
    return _case(graph, weights, inputs, run(path, inputs[None]))


def without_softmax(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model up to the logits: a softmax makes errors small."""
    last = model.graph.node[-1]
    if last.op_type == "Softmax":
        model.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info(last.input[0], onnx.TensorProto.FLOAT, None))
        del model.graph.node[-1]
    return model


def _case(graph: Graph, weights: Weights, inputs: Array, expected: Array) -> Case:
    expected = expected.reshape(graph.output.out_shape)
    assert np.ptp(expected) > 1e-3 * np.abs(expected).max()  # an output that is the same everywhere would hide errors
    tier = "mcu" if graph.macs < 5_000_000 else "edge"
    return Case(graph, load_cluster(f"{tier}-x3", graph), weights, inputs, expected)


def plans_of_methods(case: Case) -> Iterator[tuple[str, Plan]]:
    """A plan from every method that takes networks of real size."""
    for name, info in METHODS.items():
        if not info.tiny_only:
            plan = solve(case.graph, case.cluster, name, **OPTIONS.get(name, {})).plan
            assert plan is not None
            yield name, plan


def random_plans(case: Case, count: int) -> Iterator[tuple[str, Plan]]:
    """Random plans, of arbitrary participants and of one team."""
    rng = random.Random(case.graph.name)
    for number in range(count):
        team = (0, 1, 2) if number % 2 else None
        yield f"random {number}", random_branched_plan(rng, case.graph, len(case.cluster), team=team)


def assert_runs(case: Case, name: str, plan: Plan) -> None:
    """The plan gives the expected output and moves the bytes that the model counts; with fused blocks, no more than these."""
    execution = execute(case.graph, case.cluster, plan, case.weights, case.inputs, timeout_s=300)
    assert relative_error(execution.outputs, case.expected) < WITHIN, (case.graph.name, name)
    if plan.blocks:
        assert execution.transferred_bytes <= execution.evaluation.transferred_bytes
    else:
        assert_payload(case.graph, case.cluster, plan, execution)


@pytest.mark.slow
@pytest.mark.parametrize("name", ZOO)
def test_zoo(name: str) -> None:
    """Every network of the zoo at its published size: plans of every method, and random ones."""
    case = zoo_case(name)
    for label, plan in [*plans_of_methods(case), *random_plans(case, 4)]:
        assert_runs(case, label, plan)


@pytest.mark.slow
@pytest.mark.parametrize("name", light_models())
def test_light_models(name: str, tmp_path: Path) -> None:
    """Every light model, its weights from the file: plans of every method, and random ones."""
    case = light_case(name, tmp_path)
    for label, plan in [*plans_of_methods(case), *random_plans(case, 4)]:
        assert_runs(case, label, plan)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "squeezenet1_1"])
def test_small_images(name: str) -> None:
    """Networks of the zoo on small images: plans of every quick method, and random ones."""
    case = zoo_case(name, 64)
    quick = [(label, solve(case.graph, case.cluster, label).plan) for label in ("oc", "coedge", "greedy", "dp", "aofl", "deepthings")]
    for label, plan in [*quick, *random_plans(case, 2)]:
        assert plan is not None
        assert_runs(case, label, plan)


def test_shufflenet(tmp_path: Path) -> None:
    """A light model with grouped convolutions, shuffles, sums and concatenations, its weights from the file."""
    case = light_case("shufflenet", tmp_path)
    plan = solve(case.graph, case.cluster, "dp").plan
    assert plan is not None
    for label, chosen in [("dp", plan), *random_plans(case, 2)]:
        assert_runs(case, label, chosen)


def test_random_branches() -> None:
    """Small random graphs of every kind of operator, random plans: 150 that ONNX Runtime takes (it refuses even sizes of lrn)."""
    rng, ran = random.Random(5), 0
    while ran < 150:
        graph = random_branched_graph(rng)
        if any(isinstance(step, Mixing) and step.function == "lrn" and step.parameters[0] % 2 == 0 for op in graph.operators for step in op.epilogue):
            continue
        weights, inputs = random_weights(graph, ran), random_input(graph, ran)
        expected = run(to_onnx(graph, weights), inputs[None]).reshape(graph.output.out_shape)
        cluster = load_cluster(rng.choice(["mcu-x2", "mcu-x3", "mcu-x4"]), graph)
        plan = random_branched_plan(rng, graph, len(cluster))
        execution = execute(graph, cluster, plan, weights, inputs)
        assert relative_error(execution.outputs, expected) < WITHIN
        assert_payload(graph, cluster, plan, execution)
        ran += 1
