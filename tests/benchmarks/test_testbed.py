"""The emulated testbed: its pure parts always, a real one where the machine allows it (slow)."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the extra 'run' is not installed")

from benchmarks.testbed import command, requirements
from benchmarks.testbed.account import PARTS, account_frame, times_of
from benchmarks.testbed.layout import Names, Node, cores_of, leftovers, network_commands, nominal_cluster, parse_node, shape_command, start_command
from benchmarks.testbed.plans import Candidate, calibration_plans, candidates, of_methods, random_plan, spread, within
from benchmarks.testbed.quota import Group, Hierarchy, find_hierarchy
from benchmarks.testbed.report import Row, frame, gain, median_error, rank_correlation, summary
from benchmarks.testbed.session import Testbed, standing_namespaces
from iopopt import Graph, Placement, Plan, execute, load_cluster, load_model, random_input, random_weights, solve_oc
from iopopt.errors import FileFormatError
from iopopt.plan.plan import validate_plan

NODES = (Node(0.25, 40e6), Node(0.5, 80e6))


def test_node_is_a_share_and_megabits() -> None:
    """0.25:50 is a quarter of a core and 50 Mbit/s."""
    assert parse_node("0.25:50") == Node(0.25, 50e6)


@pytest.mark.parametrize("text", ["", "0.25", "0:50", "1.5:50", "0.5:0", "a:b", "0.5:50:1", "-0.5:50"])
def test_other_nodes_are_refused(text: str) -> None:
    """The message shows what is expected."""
    with pytest.raises(FileFormatError, match="CPU:MBIT is expected"):
        parse_node(text)


def test_nominal_cluster_has_bytes_a_second() -> None:
    """40 Mbit/s are 5 MB/s; speeds are in the ratio of the shares."""
    first, second = nominal_cluster(NODES).devices
    assert first.bandwidth_bytes_per_s == 5e6
    assert second.flops_per_s == 2 * first.flops_per_s


def test_names_are_unique_prefixed_and_known_as_leftovers() -> None:
    """All that a testbed creates is found again by its prefix, and nothing else."""
    names = Names("ab12cd")
    mine = [names.hub, names.node(0), names.node(1)]
    assert len({*mine, Names("000000").hub}) == 4
    assert leftovers(["docker0", *mine, "my-iopopt-tb-x"]) == mine


def test_interfaces_fit_the_kernel_and_are_limited_in_both_directions() -> None:
    """Interface names have at most 15 characters, the host has none of them, and each link has a queue at either end."""
    commands = network_commands(Names("ab12cd"), NODES)
    assert all(len(Names.port(j)) <= 15 for j in range(100))
    assert all(words[:3] == ["ip", "netns", "add"] or words[1] in ("-n", "netns") for words in commands)
    shaped = [(words[2], words[6]) for words in commands if words[0] == "tc"]
    hub = "iopopt-tb-ab12cd-hub"
    assert shaped == [("iopopt-tb-ab12cd-0", "eth0"), (hub, "port0"), ("iopopt-tb-ab12cd-1", "eth0"), (hub, "port1")]


def test_rate_limit_states_rate_bucket_and_queue() -> None:
    """40 Mbit/s: a bucket of 2 ms (10 kB), a queue of one second (5 MB) beyond it."""
    assert shape_command("ns", "eth0", 40e6)[8:] == ["tbf", "rate", "40000000bit", "burst", "10000", "limit", "5010000"]


def test_a_process_enters_its_group_before_its_namespace_and_dies_with_its_parent() -> None:
    """The first thing that runs is the entry into the control group."""
    words = start_command(Names("t"), 1, 3, "/groups/cgroup.procs", ["program", "--option"])
    assert words[:2] == ["sh", "-c"]
    assert words[2].startswith('echo $$ > "$0"')
    assert words[3:7] == ["/groups/cgroup.procs", "taskset", "-c", "3"]
    assert words[7:] == ["setpriv", "--pdeathsig", "KILL", "nsenter", "--net=/run/netns/iopopt-tb-t-1", "program", "--option"]


def test_cores_are_shared_evenly() -> None:
    """0.45 has a core of its own, 0.2 and 0.3 share the other."""
    assert cores_of((Node(0.2, 1.0), Node(0.3, 1.0), Node(0.45, 1.0)), [4, 6]) == [6, 6, 4]


def test_version_1_hierarchy_is_found() -> None:
    """The one with the option cpu, not cpuset or cpuacct."""
    mounts = "cgroup /c/cpuset cgroup rw,cpuset 0 0\ncgroup /c/cpu cgroup rw,cpu,cpuacct 0 0\ncgroup2 /c/unified cgroup2 rw 0 0\n"
    assert find_hierarchy(mounts) == Hierarchy(Path("/c/cpu"), 1)


@pytest.mark.parametrize(("controllers", "found"), [("cpuset cpu io\n", True), ("cpuset io\n", False)])
def test_version_2_hierarchy_needs_the_cpu_controller(tmp_path: Path, controllers: str, found: bool) -> None:
    """It counts only if groups below the root have the controller."""
    (tmp_path / "cgroup.subtree_control").write_text(controllers)
    assert find_hierarchy(f"cgroup2 {tmp_path} cgroup2 rw 0 0\n") == (Hierarchy(tmp_path, 2) if found else None)


def test_quota_is_written_as_each_version_has_it(tmp_path: Path) -> None:
    """A quarter of a core is 2500 of 10000 microseconds."""
    Group(tmp_path, 1).limit(0.25)
    Group(tmp_path, 2).limit(0.25)
    assert (tmp_path / "cpu.cfs_quota_us").read_text() == "2500"
    assert (tmp_path / "cpu.max").read_text() == "2500 10000"
    Group(tmp_path, 1).limit(None)
    Group(tmp_path, 2).limit(None)
    assert (tmp_path / "cpu.cfs_quota_us").read_text() == "-1"
    assert (tmp_path / "cpu.max").read_text() == "max 10000"


def test_report_of_made_up_runs() -> None:
    """Medians 1.0, 2.0, 4.0 against 1.1, 3.0, 2.0: one swap of neighbours among three gives Spearman 0.5; errors +10 %, +50 %, -50 %."""
    rows = [Row("a", False, 1.1, (0.9, 1.0, 9.0)), Row("b", False, 3.0, (2.0,)), Row("c", False, 2.0, (4.0, 4.0))]
    overlapped = [Row("a", True, 0.88, (0.7,)), Row("b", True, 2.1, (2.0,)), Row("c", True, 1.8, (3.0,))]
    assert rank_correlation(rows) == pytest.approx(0.5)
    assert median_error(rows) == pytest.approx(0.5)
    assert rows[0].relative_error == pytest.approx(0.1)
    assert rows[0].variation == pytest.approx(8.1)
    assert gain(rows[0], overlapped[0]) == pytest.approx((0.2, 0.3))
    assert summary(list(zip(rows, overlapped, strict=True))).splitlines() == [
        "equation (6), run with barriers: Spearman's rank correlation 0.500, median relative error 50.0%, 3 plans.",
        "events, run with overlap: Spearman's rank correlation 0.500, median relative error 25.7%, 3 plans.",
        "Overlap promises 20.0% and gains 25.0% in the median; the largest gain is 30.0%.",
        "The fastest run with overlap (a) takes 30.0% less than the fastest one with barriers.",
    ]
    assert len(frame(rows)) == 6


def test_methods_may_be_asked_for_by_name(trio_graph: Graph) -> None:
    """Their plans in the order asked for, with both prices."""
    cluster = nominal_cluster(NODES)
    found = of_methods(trio_graph, cluster, ["greedy", "oc"])
    assert [candidate.label for candidate in found] == ["greedy", "oc"]
    assert found[1].bulk_s == solve_oc(trio_graph, cluster).latency_s


def test_spread_drops_the_later_of_the_nearest_two(trio_graph: Graph) -> None:
    """Of 1.0, 1.01, 2.0 and 4.0 seconds the 1.01 goes."""
    plan = Plan.of(trio_graph, [Placement.whole(0)] * 3)
    found = [Candidate(str(price), plan, price, 1.0) for price in (1.0, 2.0, 1.01, 4.0)]
    assert [candidate.bulk_s for candidate in spread(found, 3)] == [1.0, 2.0, 4.0]
    by_events = [Candidate(str(price), plan, 1.0, price) for price in (1.0, 2.0, 1.01, 4.0)]
    assert [candidate.events_s for candidate in spread(by_events, 3)] == [1.0, 2.0, 4.0]


def test_plans_that_are_too_slow_by_either_clock_are_left_out(trio_graph: Graph) -> None:
    """Twice as slow is allowed, more is not."""
    plan = Plan.of(trio_graph, [Placement.whole(0)] * 3)
    found = [Candidate("a", plan, 1.0, 0.5), Candidate("b", plan, 2.0, 1.0), Candidate("c", plan, 2.1, 0.5), Candidate("d", plan, 1.0, 1.1)]
    assert [candidate.label for candidate in within(found, 2.0)] == ["a", "b"]


def test_plans_are_valid_and_unlike(trio_graph: Graph) -> None:
    """Each plan belongs to graph and cluster, and none comes twice."""
    cluster = nominal_cluster((*NODES, Node(0.3, 60e6)))
    plans = [*calibration_plans(trio_graph, cluster)]
    assert len(set(plans)) == len(plans) >= 4
    found = [candidate.plan for candidate in candidates(trio_graph, cluster, seed=1)]
    assert len(set(found)) == len(found) >= 5
    for plan in [*plans, *found]:
        validate_plan(trio_graph, cluster, plan)


def test_the_account_adds_up() -> None:
    """A real run: predicted time and all parts of the difference are the measured time; parts are those of the mean run."""
    graph = load_model("lenet5")
    cluster = load_cluster("mcu-x3", graph)
    plan = solve_oc(graph, cluster).plan
    assert plan is not None
    execution = execute(graph, cluster, plan, random_weights(graph), random_input(graph))
    account = times_of(graph, execution)
    assert account["predicted"] + sum(account[part] for part in PARTS) == pytest.approx(account["measured"])
    assert account["measured"] == execution.elapsed_s
    assert min(account["stragglers"], account["barriers"]) >= 0
    records = [{"account": account}, {"account": {key: 2 * value for key, value in account.items()}}]
    frame = account_frame(records)
    assert list(frame["part"]) == ["equation (6)", *PARTS.values()]
    assert frame["of measured"].sum() == pytest.approx(1)


def test_random_plan_follows_its_seed(trio_graph: Graph) -> None:
    """The same seed gives the same plan."""
    assert random_plan(trio_graph, 3, 7) == random_plan(trio_graph, 3, 7)


def test_skipping_says_why_and_may_have_a_code(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without root: one line, exit code 0 or the one asked for."""
    monkeypatch.setattr(requirements.os, "geteuid", lambda: 1000)
    assert command.main([]) == 0
    assert capsys.readouterr().out == "testbed skipped: it needs root (namespaces, traffic control, processor quotas)\n"
    assert command.main(["--skip-code", "77"]) == 77


def test_another_system_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Where there are no namespaces, one line says that Linux is needed."""
    monkeypatch.setattr(requirements.sys, "platform", "win32")
    assert command.main([]) == 0
    said = "testbed skipped: it needs Linux (network namespaces, traffic control, control groups), and this is win32\n"
    assert capsys.readouterr().out == said


def test_a_missing_tool_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One line says which program of which package is missing."""
    monkeypatch.setattr(requirements.os, "geteuid", lambda: 0)
    monkeypatch.setattr(requirements.shutil, "which", lambda tool: None if tool == "tc" else tool)
    assert command.main([]) == 0
    assert capsys.readouterr().out == "testbed skipped: it needs tc (iproute2)\n"


_RECEIVE = """
import socket, time
server = socket.create_server(("0.0.0.0", 5000))
print("ready", flush=True)
peer, _ = server.accept()
got, start = len(peer.recv(1)), time.perf_counter()
while block := peer.recv(1 << 16):
    got += len(block)
print(got / (time.perf_counter() - start), flush=True)
"""

_SEND = """
import socket, sys
with socket.create_connection((sys.argv[1], 5000)) as peer:
    peer.sendall(bytes(6_000_000))
"""


def _rate_bytes_per_s(testbed: Testbed, source: int, target: int) -> float:
    receiver = testbed.start(target, [sys.executable, "-c", _RECEIVE])
    assert receiver.stdout is not None
    assert receiver.stdout.readline() == "ready\n"
    testbed.start(source, [sys.executable, "-c", _SEND, testbed.names.address(target)])
    return float(receiver.stdout.readline())


@pytest.mark.slow
def test_rate_and_quota_hold_and_nothing_stays_behind() -> None:
    """The slower of two links limits either direction (40 Mbit/s are 5 MB/s, less about 5 % headers); a quota of 0.5 gives half the time."""
    reason = requirements.why_not(needs_torch=False)
    if reason:
        pytest.skip(reason)
    with Testbed(NODES) as testbed:
        names = testbed.names
        rates = [_rate_bytes_per_s(testbed, 0, 1), _rate_bytes_per_s(testbed, 1, 0)]
        testbed.limit(on=True)
        spin = "import time; end = time.time() + 2\nwhile time.time() < end: pass\nprint(time.process_time())"
        process = testbed.start(1, [sys.executable, "-c", spin])
        assert process.stdout is not None
        busy_s = float(process.stdout.readline())
    assert rates == pytest.approx([5e6, 5e6], rel=0.2)
    assert busy_s == pytest.approx(0.5 * 2, rel=0.3)
    _assert_gone(names)


@pytest.mark.slow
def test_what_a_killed_testbed_leaves_can_be_cleaned() -> None:
    """After SIGKILL its processes are gone at once, names of groups and namespaces after take-down by another hand."""
    reason = requirements.why_not(needs_torch=False)
    if reason:
        pytest.skip(reason)
    program = (
        "import sys, time\nfrom benchmarks.testbed.layout import Node\nfrom benchmarks.testbed.session import Testbed\n"
        "with Testbed((Node(0.5, 1e7),)) as testbed:\n"
        "    process = testbed.start(0, [sys.executable, '-c', 'import time; print(1, flush=True); time.sleep(600)'])\n"
        "    process.stdout.readline()\n    print(testbed.names.token, flush=True)\n    time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])
    assert parent.stdout is not None
    names = Names(parent.stdout.readline().strip())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    hierarchy = requirements.cpu_hierarchy()
    assert hierarchy is not None
    group = hierarchy.group(names.node(0))
    deadline = time.monotonic() + 5
    while group.processes.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert group.processes.read_text() == ""
    group.remove()  # by hand and by name: --clean would also end a testbed that someone else runs
    for name in (names.hub, names.node(0)):
        subprocess.run(["ip", "netns", "del", name], check=True)
    _assert_gone(names)


def _assert_gone(names: Names) -> None:
    hierarchy = requirements.cpu_hierarchy()
    assert hierarchy is not None
    assert not [name for name in standing_namespaces() if names.token in name]
    assert not [group for group in hierarchy.leftover_groups() if names.token in group.path.name]
