"""The recursion: worked cases of ``offloading.md``, the simulator, and monotony."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from support.offloading import random_offload_instance, random_offload_plan, worked_instance

from iopopt.models import load_model
from iopopt.network.builder import GraphBuilder
from iopopt.network.graph import Graph
from iopopt.offload.instance import Client, Link, OffloadInstance, Server
from iopopt.offload.methods.nfl import solve_best_cut, solve_local, solve_remote
from iopopt.offload.plan import ClientPlan, OffloadPlan, Path
from iopopt.offload.recursion import OffloadPricer, offload_latency_s
from iopopt.offload.timeline import offload_timeline

FIRST_ORDER = OffloadPlan((ClientPlan(2, (Path(2, 4, 0), Path(0, 2, 2))),))
SECOND_ORDER = OffloadPlan((ClientPlan(2, (Path(0, 2, 2), Path(2, 4, 0))),))


class TestWorkedCases:
    @pytest.mark.parametrize(("cut", "seconds"), [(0, 8), (1, 12), (2, 12), (3, 12.125)])
    def test_no_fused_layers(self, cut: int, seconds: float) -> None:
        plan = OffloadPlan((ClientPlan(3, (Path(0, 1, cut),)),))
        assert offload_latency_s(worked_instance(), plan) == pytest.approx(seconds, rel=1e-12)

    def test_methods_without_fused_layers(self) -> None:
        found = [solve(worked_instance()).value_s for solve in (solve_best_cut, solve_local, solve_remote)]
        assert found == pytest.approx([8, 12.125, 8], rel=1e-12)

    def test_two_paths_in_both_orders(self) -> None:
        assert offload_latency_s(worked_instance(), FIRST_ORDER) == pytest.approx(8, rel=1e-12)
        assert offload_latency_s(worked_instance(), SECOND_ORDER) == pytest.approx(13.5, rel=1e-12)

    def test_the_device_needs_the_result(self) -> None:
        assert offload_latency_s(worked_instance(result_at="device"), FIRST_ORDER) == pytest.approx(10.125, rel=1e-12)

    def test_the_input_is_at_the_server(self) -> None:
        instance = worked_instance(input_at="server", result_at="device")
        assert offload_latency_s(instance, FIRST_ORDER) == pytest.approx(13.125, rel=1e-12)

    def test_without_a_tail_each_path_returns(self) -> None:
        assert offload_latency_s(worked_instance(tail=False, result_at="device"), FIRST_ORDER) == pytest.approx(7.5, rel=1e-12)

    @pytest.mark.parametrize(("workers", "ends"), [(1, (8, 13)), (2, (8, 8))])
    def test_two_devices(self, workers: int, ends: tuple[float, float]) -> None:
        (client,) = worked_instance().clients
        instance = OffloadInstance((client, replace(client, name="other")), (Server("server", 288.0, workers),))
        plan = solve_remote(instance).plan
        assert OffloadPricer(instance).ends_s(plan) == pytest.approx(ends, rel=1e-12)
        assert offload_latency_s(instance, plan, "mean") == pytest.approx(sum(ends) / 2, rel=1e-12)

    def test_papers_recursion_word_for_word(self) -> None:
        """One device and one server with Q workers, the result stays there: the recursion as the reconstruction states it."""
        rng = random.Random(5)
        graphs = [load_model("alexnet"), load_model("vgg11")]
        for _ in range(200):
            instance = random_offload_instance(rng, graphs)
            client, server = replace(instance.clients[0], input_at="device", result_at="server"), instance.servers[0]
            instance = replace(instance, clients=(client,), servers=(server,))
            plan = random_offload_plan(rng, instance)
            assert offload_latency_s(instance, plan) == pytest.approx(_by_the_text(instance, plan), rel=1e-12)


def _by_the_text(instance: OffloadInstance, plan: OffloadPlan) -> float:
    pricer, (client,), (server,), (planned,) = OffloadPricer(instance), instance.clients, instance.servers, plan.clients
    t_device = t_up = 0.0
    t_server, latest = [0.0] * server.workers, 0.0
    for path in planned.paths:
        flops, elements = pricer.load(0, planned.fused, path.start, path.stop)
        t_device += sum(flops[: path.cut]) / client.flops_per_s
        t_up = max(t_up, t_device) + client.uplink.delay_s + 4 * elements[path.cut] / client.uplink.bytes_per_s
        q = t_server.index(min(t_server))
        t_server[q] = max(t_server[q], t_up) + sum(flops[path.cut :]) / server.flops_per_s
        latest = max(latest, t_server[q])
    stages = pricer.stages[0]
    tail = sum(client.graph.operators[member].flops for run in stages.runs[planned.fused :] for member in run)
    return latest + tail / server.flops_per_s


@pytest.fixture(scope="module")
def graphs() -> list[Graph]:
    return [load_model(name) for name in ("lenet5", "alexnet", "vgg11", "mobilenet_v2", "yolov2", "resnet18")]


class TestSimulator:
    @pytest.mark.parametrize("plans", [300, pytest.param(2000, marks=pytest.mark.slow)])
    def test_says_the_same_on_random_plans(self, plans: int, graphs: list[Graph]) -> None:
        rng = random.Random(1)
        for _ in range(plans):
            instance = random_offload_instance(rng, graphs, clients=rng.choice([1, 1, 2, 3]))
            plan = random_offload_plan(rng, instance)
            assert offload_timeline(instance, plan).outputs_s == pytest.approx(OffloadPricer(instance).ends_s(plan), rel=1e-12)

    def test_uploads_follow_each_other_and_workers_are_free_first(self, graphs: list[Graph]) -> None:
        rng = random.Random(2)
        for _ in range(100):
            instance = random_offload_instance(rng, graphs)
            timeline = offload_timeline(instance, random_offload_plan(rng, instance))
            uploads = [span for span in timeline.spans if span.what == "upload"]
            assert all(before.end_s <= after.start_s for before, after in pairwise(uploads))
            for number in range(len(timeline.cluster)):
                tasks = [span for span in timeline.spans if span.device == number and not span.is_transfer]
                assert all(before.end_s <= after.start_s for before, after in pairwise(tasks))
            assert sum(span.duration_s for span in timeline.critical_path) == pytest.approx(timeline.makespan_s, rel=1e-9)


class TestMonotony:
    """What pruning of cuts and rounding down rest on."""

    def test_nothing_is_later_where_durations_shrink(self, graphs: list[Graph]) -> None:
        rng = random.Random(3)
        for _ in range(300):
            instance = random_offload_instance(rng, graphs, clients=rng.choice([1, 2]))
            plan = random_offload_plan(rng, instance)
            slow, fast = OffloadPricer(instance), OffloadPricer(instance)
            for number, client in enumerate(plan.clients):
                for path in client.paths:
                    job = slow.job(number, client.fused, path)
                    shorter = {key: getattr(job, key) * rng.random() for key in ("device_s", "server_s")}
                    fast._jobs[number, client.fused, path] = job._replace(**shorter)
            for before, after in zip(slow.ends_s(plan), fast.ends_s(plan), strict=True):
                assert after <= before * (1 + 1e-12)


class TestCeiling:
    def test_no_plan_is_faster_than_the_best_cut_by_more_than_the_workers_and_two(self) -> None:
        """Shown with VGG16, whose paths need at least their share of the rows everywhere."""
        rng, graph, largest = random.Random(4), load_model("vgg16"), 0.0
        for _ in range(300):
            client = Client("device", graph, 10 ** rng.uniform(8, 10), Link(10 ** rng.uniform(5, 8), 10 ** rng.uniform(-4, -2)))
            instance = OffloadInstance((client,), (Server("server", client.flops_per_s * 10 ** rng.uniform(-1, 2), rng.choice([1, 1, 2, 4])),))
            plan = random_offload_plan(rng, instance)
            gain = solve_best_cut(instance).value_s / offload_latency_s(instance, plan)
            largest = max(largest, gain / (instance.servers[0].workers + 2))
        assert 1 / 8 < largest <= 1

    def test_three_can_be_approached(self) -> None:
        """Equal work on device, uplink and worker, many paths: the plan takes little more than a third of the best cut."""
        builder = GraphBuilder("even", (1, 1200, 1))
        builder.conv(1, 1, name="conv1").conv(1, 1, name="conv2")
        client = Client("device", builder.build(), 2.0, Link(4.0))  # a row takes a second of each
        instance = OffloadInstance((client,), (Server("server", 2.0),))
        starts = range(0, 1200, 20)
        plan = OffloadPlan((ClientPlan(2, tuple(Path(start, start + 20, 1) for start in starts)),))
        gain = solve_best_cut(instance).value_s / offload_latency_s(instance, plan)
        assert gain == pytest.approx(3 * 1200 / 1240)
