"""The bound on several devices that share servers: never above a plan, and higher than that of each device alone where they share much."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from support.every_offload_plan import least_s, small_chains
from support.offloading import random_offload_instance, random_offload_plan, worked_instance

from iopopt.offload import joint_bound
from iopopt.offload.bounds import split_bounds
from iopopt.offload.instance import OffloadInstance, Server
from iopopt.offload.joint_bound import joint_bound_s
from iopopt.offload.plan import ClientPlan, OffloadPlan
from iopopt.offload.recursion import OffloadPricer
from iopopt.offload.space import OffloadSpace, even_starts


def bound_s(instance: OffloadInstance, space: OffloadSpace) -> float:
    pricer = OffloadPricer(instance)
    return joint_bound_s([split_bounds(pricer, space, client) for client in range(len(instance.clients))])


def even(instance: OffloadInstance, plan: OffloadPlan) -> OffloadPlan | None:
    """The same with even rows; None if it is outside the space, which has a single path only through the whole network."""
    pricer, clients = OffloadPricer(instance), []
    for stages, planned in zip(pricer.stages, plan.clients, strict=True):
        if len(planned.paths) == 1 and planned.fused < len(stages):
            return None
        starts = even_starts(stages.shape(planned.fused).height, len(planned.paths))
        paths = [replace(path, start=start, stop=stop) for path, start, stop in zip(planned.paths, starts, starts[1:], strict=False)]
        clients.append(ClientPlan(planned.fused, tuple(paths), planned.tail_server))
    return OffloadPlan(tuple(clients), plan.dispatch)


def test_no_plan_is_below_the_bound() -> None:
    rng, space, closest, checked = random.Random(1), OffloadSpace(most_paths=4), 0.0, 0
    for _ in range(60):
        instance = random_offload_instance(rng, small_chains(), clients=rng.choice([2, 3]))
        bound, pricer = bound_s(instance, space), OffloadPricer(instance)
        for _ in range(30):
            plan = even(instance, random_offload_plan(rng, instance, most_paths=4))
            if plan is not None:
                pricer.validate(plan)
                assert bound <= pricer.value_s(plan) * (1 + 1e-9)
                closest, checked = max(closest, bound / pricer.value_s(plan)), checked + 1
    assert checked > 300
    assert closest > 0.9  # so it could fail


def test_what_is_shared_counts() -> None:
    """All of two worked networks remote: 5 s each on the only worker; alone each would be done after 8 s, together not before 10 s."""
    (client,) = worked_instance().clients
    fast = replace(client, flops_per_s=1e-6, uplink=replace(client.uplink, bytes_per_s=1e9, delay_s=0.0))
    instance = OffloadInstance((fast, replace(fast, name="other")), (Server("server", 288.0),))
    space = OffloadSpace(paths=1)
    assert bound_s(instance, space) == pytest.approx(10, rel=1e-4)
    assert least_s(instance, space)[0] == pytest.approx(10, rel=1e-4)


def test_a_bound_twice_as_high_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check above would fail."""
    instance = random_offload_instance(random.Random(3), small_chains(), clients=2)
    truth, right = least_s(instance, OffloadSpace(most_paths=1))[0], bound_s(instance, OffloadSpace(most_paths=1))
    monkeypatch.setattr(joint_bound, "_TOLERANCE", -1.0)
    assert right <= truth < bound_s(instance, OffloadSpace(most_paths=1))


def test_uneven_rows_have_none() -> None:
    (client,) = worked_instance().clients
    instance = OffloadInstance((client, replace(client, name="other")), (Server("server", 288.0),))
    assert bound_s(instance, OffloadSpace(most_paths=2, row_steps=4)) == 0
