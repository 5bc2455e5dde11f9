"""What is of the wrong type is named, with what would mend it, wherever it is given."""

from __future__ import annotations

from typing import Any

import pytest

import iopopt
from iopopt import METHODS, Cluster, ClusterError, Device, Graph, GraphError, IopoptError, OffloadError, Placement, Plan, PlanBatch, PlanError, Pricer
from iopopt.cost.instance import Instance

SOLVERS = [getattr(iopopt, name) for name in iopopt.__all__ if name.startswith("solve_") and name != "solve_offload"]
DEVICES = [Device("a", 1e9, 1e9, 1e6), Device("b", 1e9, 1e9, 1e6)]


def test_every_method_is_tried() -> None:
    """The public functions that take a graph and a cluster are the methods of the registry."""
    assert {solver.__name__ for solver in SOLVERS} == {method.solve.__name__ for method in METHODS.values()}
    assert len(SOLVERS) == len(METHODS)


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: solver.__name__)
@pytest.mark.parametrize("wrong", ["alexnet", None, {"schema_version": 1}, DEVICES], ids=["name", "none", "record", "devices"])
def test_no_graph(solver: Any, wrong: Any) -> None:
    """A name, a record or nothing in the place of a graph is refused with what makes one."""
    with pytest.raises(GraphError, match=r"graph: found .*; a Graph is expected .*(load_model|Graph\.from_dict)"):
        solver(wrong, DEVICES)


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: solver.__name__)
@pytest.mark.parametrize("wrong", ["edge-x3", None, {"schema_version": 1}, 3, ["edge-x3"], []])
def test_no_cluster(solver: Any, wrong: Any, trio_graph: Graph) -> None:
    """So is what is neither a cluster nor devices."""
    with pytest.raises(ClusterError, match="cluster: "):
        solver(trio_graph, wrong)


@pytest.mark.parametrize("wrong", ["offices.yaml", None, {"schema_version": 1}, DEVICES], ids=["name", "none", "record", "devices"])
def test_no_offloading_instance(wrong: Any) -> None:
    """Offloading takes one instance in the place of a graph and a cluster."""
    with pytest.raises(OffloadError, match=r"instance: found .*; an OffloadInstance is expected \(iopopt.load_offload_instance reads one\)"):
        iopopt.solve_offload(wrong)


def test_the_message_names_what_was_found() -> None:
    """The value, its type, and the call that mends it."""
    with pytest.raises(GraphError, match=r"graph: found 'alexnet' \(a str\); a Graph is expected \(load_model\('alexnet'\) makes one\)"):
        iopopt.solve_dp("alexnet", DEVICES)  # type: ignore[arg-type]
    with pytest.raises(GraphError, match=r"graph: found \{'a': 1\} \(a dict\); .*\(Graph\.from_dict makes one of a record\)"):
        iopopt.solve_dp({"a": 1}, DEVICES)  # type: ignore[arg-type]
    with pytest.raises(ClusterError, match=r"'edge-x3' \(a str\) is neither a Cluster nor a sequence of Device \(load_cluster reads one by name"):
        iopopt.solve_dp(iopopt.load_model("lenet5"), "edge-x3")  # type: ignore[arg-type]


CALLS: dict[str, Any] = {
    "evaluate a name": lambda graph, plan: iopopt.evaluate("x", DEVICES, plan),
    "evaluate on nothing": lambda graph, plan: iopopt.evaluate(graph, None, plan),
    "evaluate no plan": lambda graph, plan: iopopt.evaluate(graph, DEVICES, "x"),
    "evaluate a record": lambda graph, plan: iopopt.evaluate(graph, DEVICES, plan.to_dict()),
    "evaluate a mapping": lambda graph, plan: iopopt.evaluate(graph, DEVICES, dict(plan)),
    "evaluate a solution": lambda graph, plan: iopopt.evaluate(graph, DEVICES, iopopt.solve_single(graph, DEVICES)),
    "instance of a name": lambda graph, plan: Instance.of("x", DEVICES),
    "instance on a name": lambda graph, plan: Instance.of(graph, "x"),
    "pricer of a name": lambda graph, plan: Pricer("x", DEVICES),
    "pricer on a name": lambda graph, plan: Pricer(graph, "x"),
    "price a plan": lambda graph, plan: Pricer(graph, DEVICES).price(plan),
    "batch of a plan": lambda graph, plan: PlanBatch.from_plans(graph, plan, 2),
    "batch of names": lambda graph, plan: PlanBatch.from_plans(graph, ["x"], 2),
    "batch of nothing": lambda graph, plan: PlanBatch.from_plans(graph, [], 2),
    "batch for a name": lambda graph, plan: PlanBatch.from_plans("x", [plan], 2),
    "plan of a name": lambda graph, plan: Plan.of("x", [Placement.whole(0)]),
    "plan of a number": lambda graph, plan: Plan.of(graph, 3),
    "plan of a name's letters": lambda graph, plan: Plan.of(graph, "abc"),
    "weights of a name": lambda graph, plan: iopopt.random_weights("x"),
    "input of a name": lambda graph, plan: iopopt.random_input("x"),
    "solve a name": lambda graph, plan: iopopt.solve("x", DEVICES, "single"),
    "load a record": lambda graph, plan: iopopt.load_model(graph.to_dict()),
    "load a graph": lambda graph, plan: iopopt.load_model(graph),
    "load a cluster's record": lambda graph, plan: iopopt.load_cluster(Cluster(tuple(DEVICES)).to_dict()),
    "load for a name": lambda graph, plan: iopopt.load_cluster("edge-x3", "alexnet"),
    "cluster of a name": lambda graph, plan: Cluster("ab"),
    "cluster of a number": lambda graph, plan: Cluster(3),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_wrong_types(call: Any, trio_graph: Graph, trio_plan: Plan) -> None:
    """Whatever is given in the place of something else, the error is the toolkit's and says what is expected."""
    with pytest.raises(IopoptError) as caught:
        call(trio_graph, trio_plan)
    assert isinstance(caught.value, (GraphError, ClusterError, PlanError))
    assert len(str(caught.value)) < 400


EXECUTIONS: dict[str, Any] = {
    "a name": lambda graph, plan: iopopt.execute("x", DEVICES, plan, {}, None),
    "on a name": lambda graph, plan: iopopt.execute(graph, "x", plan, {}, None),
    "no plan": lambda graph, plan: iopopt.execute(graph, DEVICES, "x", {}, None),
}


@pytest.mark.parametrize("call", EXECUTIONS.values(), ids=EXECUTIONS)
def test_wrong_executions(call: Any, trio_graph: Graph, trio_plan: Plan) -> None:
    """Running a plan checks what it is given in the same way."""
    pytest.importorskip("torch")
    with pytest.raises(IopoptError, match=r"^(graph|cluster|plan): "):
        call(trio_graph, trio_plan)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gap": "a"}, "gap is 'a'"),
        ({"gap": None}, "gap is None"),
        ({"gap": float("nan")}, "gap is nan"),
        ({"backend": 5}, "unknown back end 5"),
        ({"backend": ["highs"]}, "unknown back end"),
        ({"without": 5}, "unknown idea of the program '5'"),
        ({"without": [["pruning"]]}, "unknown idea of the program"),
        ({"seed": "0"}, "seed is '0'"),
        ({"threads": 1.5}, "threads is 1.5"),
    ],
)
def test_settings_of_the_exact_method(options: dict[str, Any], message: str) -> None:
    """A setting of a wrong type is named with what is allowed."""
    graph = iopopt.load_model("lenet5")
    with pytest.raises(IopoptError) as refused:
        iopopt.solve_milp(graph, iopopt.load_cluster("mcu-x2", graph), **options)
    assert message in str(refused.value)
