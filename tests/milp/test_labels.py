"""Names in files: legal, distinct, and readable where the names of the network are."""

import itertools
import re

import pytest

from iopopt import Cluster, Device, GraphBuilder, load_cluster, load_model
from iopopt.cost.instance import Instance
from iopopt.milp.arcs import split, whole
from iopopt.milp.formulation import Formulation
from iopopt.milp.labels import Labels, distinct_labels

LEGAL = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*\([A-Za-z0-9_.,~]*\)")


def test_legal_names_stay():
    """Letters, digits, dots and underscores, up to the length allowed."""
    names = ["conv1", "layer1.0.conv2", "e10", "1e5", "_", "a" * 18]
    assert dict(distinct_labels(names, 18)) == {name: name for name in names}


def test_other_names_get_distinct_labels():
    """Any two names differ in their labels, whatever they hold, and the labels depend on the order alone."""
    names = ["a b", "a_b", "a/b", "a/b ", "a b~2", "", " ", "Größe", "Grüße", "日本", "x" * 40, "y" + "x" * 40, "[1]", "a:b^*", "H", "team", "~1"]
    for longest in (4, 10, 18):
        labels = distinct_labels(names, longest, ["H", "team"])
        assert len({*labels.values(), "H", "team"}) == len(names) + 2
        assert all(re.fullmatch(r"[A-Za-z0-9_.]*(~\d+)?", label) and 0 < len(label) <= longest for label in labels.values())
        assert labels == distinct_labels(names, longest, ["H", "team"])
    assert distinct_labels(names, 18)["a_b"] == "a_b"
    assert distinct_labels(["/features/features.12/conv/Conv"], 18) == {"/features/features.12/conv/Conv": "tures.12_conv_Conv"}


def odd_instance() -> Instance:
    """Operators and devices with names that no solver's file takes, and names that occur otherwise in names of variables."""
    net = GraphBuilder("odd", (4, 8, 8)).conv(4, 3, padding=1, name="+3e5 x >= [free]").conv(4, 3, padding=1, name="source")
    net.conv(4, 1, name="to").conv(4, 1, name="a" * 300).add("a" * 300, "to", name="OC").fc(3, name="two-phase all-gather")
    devices = (Device("H", 1e6, 1e5, 1e6), Device("team", 1e6, 4e3, 1e6), Device("my device: the \N{GREEK SMALL LETTER PI}", 2e6, 4e3, 1e6))
    return Instance(net.build(), Cluster(devices, source=1, connections="round"))


def instances():
    yield odd_instance()
    for model, cluster in (("lenet5", "mcu-x3-tight-0.4"), ("googlenet", "edge-x2-tight-0.5"), ("mobilenet_v2", "slow-link-x3")):
        graph = load_model(model)
        yield Instance(graph, load_cluster(cluster, graph))


@pytest.mark.parametrize("instance", list(instances()), ids=lambda instance: instance.graph.name)
def test_variables_and_rows_have_distinct_legal_names(instance):
    """Of all variables and rows, in at most the 100 characters that CBC reads."""
    program = Formulation(instance, range(len(instance.cluster)), 1.0).program
    labels = Labels(instance)
    for names in (program.names, program.row_names):
        written = [labels.name(name) for name in names]
        assert len(set(written)) == len(written)
        assert max(map(len, written)) <= 100
        assert all(LEGAL.fullmatch(name) for name in written)
        assert not any(re.match(r"[eE]\d", name) for name in written)  # would read as an exponent


def test_names_say_what_they_are_of():
    """Operators, nodes and devices by name; a device stands for the operator whole on it."""
    graph = GraphBuilder("two", (3, 8, 8)).conv(4, 3, name="conv3").fc(5).build()
    labels = Labels(Instance(graph, Cluster((Device("pi", 1.0, 1e6, 1.0), Device("nano", 1.0, 1e6, 1.0)))))
    shown = {
        ("x", "conv3", split("OC")): "x(conv3,OC)",
        ("x", "conv3", whole(0)): "x(conv3,pi)",
        ("n", "conv3", split("H"), 0): "n(conv3,H,pi)",
        ("eq3-5", "conv3", split("H")): "eq3_5(conv3,H)",
        ("y", "conv3", "fc1", split("IC"), whole(1), "two-phase all-gather"): "y(conv3,fc1,IC,nano,two_phase_all_gather)",
        ("A", 1): "A(nano)",
    }
    assert {name: labels.name(name) for name in shown} == shown


def test_labels_do_not_depend_on_what_is_left_out():
    """A pruned program has the names of the whole one."""
    instance = odd_instance()
    names = set(Formulation(instance, (0, 1, 2), 1.0).program.names)
    nodes = [[whole(0), split("OC")]] * 3 + [[whole(1)]] + [[whole(2)]] * 2
    fewer = Formulation(instance, (0, 1, 2), 1.0, nodes=nodes).program.names
    assert set(fewer) < names
    assert all(a != b for a, b in itertools.pairwise(fewer))
