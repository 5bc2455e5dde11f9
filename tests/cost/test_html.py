"""HTML of evaluations."""

from __future__ import annotations

from dataclasses import replace

from support.markup import cells, read_html

from iopopt import Cluster, Device, Evaluation, Graph, Plan, evaluate


def test_an_evaluation_is_a_table(trio_evaluation: Evaluation) -> None:
    """The latency, then each operator, the sink and the total, then the memory of each device."""
    found = cells(trio_evaluation._repr_html_())
    assert found[0] == f"{trio_evaluation.latency_s * 1e3:.4g} ms"
    start = found.index("b")
    cost = trio_evaluation.operators[1]
    assert found[start + 1 : start + 3] == ["OC 2/2/2 on 0/1/2", "+".join(cost.cases)]
    assert found[start + 3 : start + 5] == [f"{cost.communication_s * 1e3:.4g}", f"{cost.compute_s * 1e3:.4g}"]
    total = found.index("total")
    assert found[total + 3 : total + 5] == [f"{trio_evaluation.transferred_bytes:,.0f}", str(trio_evaluation.connections)]
    assert found[found.index("d1") + 1] == "0.000459"


def test_broken_limits_and_names(trio_graph: Graph, trio_plan: Plan) -> None:
    """A device over its limit says so; a device named as a tag is only text."""
    devices = [Device(f"<script>{j}", 100.0, 300, 10.0) for j in range(3)]
    tags, texts = read_html(evaluate(trio_graph, Cluster(tuple(devices)), trio_plan)._repr_html_())
    assert "over the limit" in texts
    assert "<script>1" in texts
    assert "script" not in {tag for tag, _ in tags}


def test_one_line(trio_evaluation: Evaluation) -> None:
    """On one line: the latency, its parts, and whether the memory suffices."""
    assert repr(trio_evaluation).startswith(f"Evaluation({trio_evaluation.latency_s * 1e3:.4g} ms: ")
    assert repr(trio_evaluation).endswith("3 operators; fits the memory)")
    assert repr(replace(trio_evaluation, violations=(None,))).endswith("breaks 1 memory limit)")  # type: ignore[arg-type]
