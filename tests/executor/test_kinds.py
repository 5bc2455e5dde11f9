"""Every kind of operator and every step, under every split of it and of what it reads: the output is the whole network's."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping

import pytest
from support.edge_payload import assert_payload
from support.random_branches import ACTIVATIONS
from support.whole_run import WITHIN, relative_error, whole_run

from iopopt import Cluster, Device, Graph, GraphBuilder, Operator, Placement, Plan
from iopopt.executor.threads import execute
from iopopt.network.epilogue import EpilogueStep, Mixing, Normalisation, Pool
from iopopt.network.graph import Edge
from iopopt.network.shapes import Shape, Window
from iopopt.network.weights import random_input, random_weights

CLUSTER = Cluster(tuple(Device(f"d{j}", 1e6, 1e9, 1e6) for j in range(3)))
TEAM = (0, 1, 2)

Reader = Callable[[GraphBuilder], GraphBuilder]
"""Appends an operator to a builder that has tensors to read: a and b, 6x8x6, and g, 6x1x1."""


def _pool(function: str, rows: Window, columns: Window) -> Reader:
    return lambda net: net.at("a").operator("pool", 6, rows=rows, columns=columns, function=function)


KINDS: Mapping[str, tuple[str, Reader]] = {
    "conv": ("a", lambda net: net.at("a").operator("conv", 5, rows=Window(3, 1, 1, 1), columns=Window(5, 2, 2, 0))),
    "dilated conv": ("a", lambda net: net.at("a").operator("conv", 5, rows=Window(3, 2, 1, 2, 2), columns=Window(2, 1, 1, 0, 3))),
    "grouped conv": ("a", lambda net: net.at("a").conv(9, 3, padding=1, groups=3)),
    "depthwise conv": ("a", lambda net: net.at("a").conv(12, 3, stride=2, padding=1, groups=6)),
    "fc": ("a", lambda net: net.at("a").fc(5)),
    "max pool": ("a", _pool("max", Window(3, 2, 1, 1), Window(2, 2))),
    "dilated max pool": ("a", _pool("max", Window(2, 1, 0, 0, 3), Window(2, 1, 0, 0, 2))),
    "average pool": ("a", _pool("average", Window(3, 1, 1, 2), Window(3, 2, 1, 1))),
    "dilated average pool": ("a", _pool("average", Window(2, 1, 1, 0, 2), Window(2, 1, 0, 0, 2))),
    "average pool over what lies inside": ("a", _pool("average_inside", Window(3, 1, 1, 1), Window(3, 2, 0, 1))),
    "global average pool": ("a", lambda net: net.at("a").global_average_pool()),
    "elementwise": ("a", lambda net: net.at("a").operator("elementwise", 6, epilogue=(ACTIVATIONS[0],))),
    "add": ("ab", lambda net: net.add("a", "b")),
    "add three": ("ab", lambda net: net.add("a", "b", "a")),
    "add twice the same": ("a", lambda net: net.add("a", "a")),
    "add a gate": ("ag", lambda net: net.add("a", "g")),
    "mul": ("ab", lambda net: net.mul("b", "a")),
    "mul by a gate": ("ag", lambda net: net.mul("a", "g")),
    "concat": ("ab", lambda net: net.concat("a", "b")),
    "concat twice the same": ("ab", lambda net: net.concat("a", "b", "a")),
    "slice": ("a", lambda net: net.at("a").slice(2, 5)),
    "upsample": ("a", lambda net: net.at("a").upsample((3, 2))),
    "upsample columns": ("a", lambda net: net.at("a").upsample((1, 2))),
    "upsample linearly": ("a", lambda net: net.at("a").upsample((2, 3), linear=True)),
    "upsample by 3 linearly": ("a", lambda net: net.at("a").upsample((3, 1), linear=True)),
    "space to depth": ("a", lambda net: net.at("a").space_to_depth(2)),
}

"""The tensors that an operator reads, and the operator."""

STEPS: Mapping[str, tuple[EpilogueStep, ...]] = {
    **{step.function: (step,) for step in ACTIVATIONS},
    **{function: (Normalisation(function),) for function in ("batch", "scale", "shift")},
    "two normalisations": (Normalisation(), ACTIVATIONS[4], Normalisation("scale"), Normalisation("shift")),
    "max pool": (Pool("max", Window(3, 2, 1, 1), Window(2, 1)), ACTIVATIONS[1]),
    "average pool": (Normalisation(), Pool("average", Window(3, 1, 1, 1), Window())),
    "average inside": (Pool("average_inside", Window(3, 1, 1, 1), Window(2, 1, 1, 0)), ACTIVATIONS[4]),
    "lrn": (Mixing("lrn", (3.0, 0.5, 0.75, 1.0)),),
    "lrn of even size": (ACTIVATIONS[1], Mixing("lrn", (4.0, 0.5, 0.75, 2.0))),
    "softmax behind a pool": (Pool("max", Window(2, 2), Window()), Mixing("softmax")),
    "shuffle": (Normalisation(), Mixing("shuffle", (3.0,))),
}


POOLED = {name for name, steps in STEPS.items() if any(isinstance(step, Pool) for step in steps)}
UPSAMPLING = "upsample linearly"
BARE = ("add", "mul by a gate", "concat", "slice", "max pool", "space to depth", "elementwise", UPSAMPLING)
"""Operators without a kernel; behind an upsampling a pool is an operator of its own."""


def _graph(tensors: str, reader: Reader, steps: tuple[EpilogueStep, ...] = (), *, last: bool = False) -> Graph:
    """Convolutions of a 3x8x6 input that end with ``steps``, the operator that reads them, and, unless it is the ``last``, one more."""
    net = GraphBuilder("kinds", (3, 8, 6))
    for name in tensors:
        windows = (Window(8), Window(6)) if name == "g" else (Window(3, 1, 1, 1), Window(3, 1, 1, 1))
        net.at("input").operator("conv", 6, name=name, rows=windows[0], columns=windows[1], epilogue=steps)
        assert net.tip == name
    reader(net)
    return net.build() if last else net.conv(4, 1).build()


def _splits(operator: Operator) -> Iterator[Placement]:
    """Whole, and every dimension cut evenly (as far as its units allow), unevenly, and with an empty share."""
    yield Placement.whole(2)
    for dim in operator.splittable_dims:
        unit = operator.granularity(dim)
        units = operator.size(dim) // unit
        for reduce in ("direct", "two_phase") if dim == "IC" else ("direct",):
            for shares in {((units + 2) // 3, (units + 1) // 3, units // 3), (units - 1, 0, 1), (0, units // 2, units - units // 2)}:
                yield Placement.split(dim, TEAM, [unit * share for share in shares], reduce)


def _assert_runs(graph: Graph, plans: Iterator[list[Placement]], cluster: Cluster = CLUSTER) -> int:
    """Run every plan; returns how many there are."""
    weights, inputs = random_weights(graph, 1), random_input(graph, 1)
    reference, count = whole_run(graph, weights, inputs), 0
    for count, placements in enumerate(plans, 1):  # noqa: B007
        plan = Plan.of(graph, placements)
        execution = execute(graph, cluster, plan, weights, inputs)
        assert relative_error(execution.outputs, reference) < WITHIN, plan
        assert_payload(graph, cluster, plan, execution)
    return count


@pytest.mark.parametrize("name", KINDS)
def test_kind_under_every_split(name: str) -> None:
    """Whatever the split of the operator and of the tensors that it reads, be they finished or partial sums, the output is right."""
    tensors, reader = KINDS[name]
    graph = _graph(tensors, reader)
    first, operator = graph.operators[0], graph.operators[len(tensors)]
    befores = [Placement.whole(1), *(split for split in _splits(first) if 0 not in split.shares)]
    gate = [split for split in (Placement.split("OC", TEAM, (2, 2, 2)),) if tensors[-1] == "g"]
    after = Placement.split("OC", TEAM, (2, 1, 1))

    def plans() -> Iterator[list[Placement]]:
        for before in befores:
            for split in _splits(operator):
                yield [*([before] * (len(tensors) - len(gate))), *gate, split, after]

    assert _assert_runs(graph, plans()) >= 20


@pytest.mark.parametrize("name", [name for name, (tensors, _) in KINDS.items() if "g" not in tensors])
def test_kind_that_reads_the_input(name: str) -> None:
    """An operator that reads the graph's input, however often, gets it from the source or has it."""
    tensors, reader = KINDS[name]
    operator = _graph(tensors, reader, last=True).output
    graph = Graph("input", Shape(6, 8, 6), (operator,), (Edge("input", operator.name),) * len(operator.in_shapes))
    for source in (None, 1):
        assert _assert_runs(graph, ([split] for split in _splits(operator)), dataclasses.replace(CLUSTER, source=source)) >= 3


@pytest.mark.parametrize("steps", STEPS)
def test_steps_behind_a_kernel(steps: str) -> None:
    """Every step of an epilogue, under every split of its operator and some of its reader: whoever must run it does."""
    tensors, reader = KINDS["add"]
    graph = _graph(tensors, reader, STEPS[steps])
    first, _, joined, _ = graph.operators
    readers = [Placement.whole(0), Placement.split("OC", TEAM, (2, 2, 2)), Placement.split("H", TEAM, (joined.out_shape.height - 2, 1, 1))]

    def plans() -> Iterator[list[Placement]]:
        for split in _splits(first):
            for other in readers:
                yield [split, Placement.split("OC", TEAM, (2, 2, 2)), other, Placement.whole(1)]

    assert _assert_runs(graph, plans()) >= 30


@pytest.mark.parametrize(("kind", "steps"), [(kind, steps) for kind in BARE for steps in STEPS if kind != UPSAMPLING or steps not in POOLED])
def test_steps_behind_any_kind(kind: str, steps: str) -> None:
    """Steps behind operators without a kernel, under every split."""
    tensors, reader = KINDS[kind]
    bare = _graph(tensors, reader, last=True)
    operator = dataclasses.replace(bare.output, epilogue=(*bare.output.epilogue, *STEPS[steps]))
    graph = dataclasses.replace(bare, operators=(*bare.operators[:-1], operator))
    before = [Placement.split("OC", TEAM, (2, 2, 2))] * len(tensors)
    assert _assert_runs(graph, ([*before, split] for split in _splits(operator))) >= 7


def test_every_device_of_a_team_may_differ() -> None:
    """The inputs of one operator may come from other devices than its own, each by another rule."""
    graph = _graph(*KINDS["concat twice the same"])
    placements = [
        [Placement.split("IC", (0, 1), (2, 1)), Placement.split("H", (1, 2), (3, 5)), Placement.split("H", (0, 2), (4, 4)), Placement.whole(1)],
        [Placement.split("IC", (1, 2), (0, 3), "two_phase"), Placement.whole(2), Placement.split("OC", TEAM, (9, 0, 9)), Placement.whole(0)],
        [Placement.split("OC", TEAM, (3, 2, 1)), Placement.split("IC", TEAM, (1, 1, 1)), Placement.whole(2), Placement.split("IC", (0, 1), (9, 9))],
    ]
    assert _assert_runs(graph, iter(placements)) == 3
