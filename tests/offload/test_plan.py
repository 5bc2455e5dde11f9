"""Offloading plans: records, and what is wrong with them."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest
from support.offloading import random_offload_instance, random_offload_plan, worked_instance

from iopopt.errors import FileFormatError, OffloadError, PlanError
from iopopt.models import load_model
from iopopt.offload.plan import ClientPlan, OffloadPlan, Path
from iopopt.offload.recursion import offload_latency_s
from iopopt.offload.timeline import offload_timeline

PATHS = (Path(0, 2, 1), Path(2, 4, 1))


def test_record_of_random_plans() -> None:
    rng, graphs = random.Random(1), [load_model("alexnet"), load_model("resnet18")]
    for _ in range(50):
        plan = random_offload_plan(rng, random_offload_instance(rng, graphs, clients=2))
        assert OffloadPlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dispatch": ["a"]}, "'dispatch'"),
        ({"clients": {}}, "'clients'"),
        ({"more": 1}, "'more'"),
        ({"clients": [{"fused": 2, "paths": [{"start": 0}], "tail_server": 0}]}, r"clients\[0\]: paths\[0\]"),
        ({"clients": [{"fused": "2", "paths": [], "tail_server": 0}]}, "'fused'"),
    ],
)
def test_bad_records(change: dict[str, Any], message: str) -> None:
    record = OffloadPlan((ClientPlan(2, PATHS),)).to_dict()
    with pytest.raises(FileFormatError, match=message):
        OffloadPlan.from_dict({**record, **change}, "plan.json")


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (OffloadPlan(()), "for 0 devices; the instance has 1"),
        (OffloadPlan((ClientPlan(4, PATHS),)), "4 stages are fused; 'worked' has 3"),
        (OffloadPlan((ClientPlan(0, PATHS),)), "0 stages are fused"),
        (OffloadPlan((ClientPlan(2, ()),)), "0 paths"),
        (OffloadPlan((ClientPlan(2, (Path(0, 2, 1),) * 5),)), "5 paths for the 4 rows"),
        (OffloadPlan((ClientPlan(2, (Path(0, 2, 1), Path(3, 4, 1))),)), r"rows \[3, 4\); rows from 2 on are due"),
        (OffloadPlan((ClientPlan(2, (Path(0, 2, 1), Path(0, 2, 1))),)), "cover each row once"),
        (OffloadPlan((ClientPlan(2, (Path(0, 2, 1), Path(2, 2, 1))),)), r"rows \[2, 2\)"),
        (OffloadPlan((ClientPlan(2, (Path(0, 2, 1), Path(2, 3, 1))),)), "end at row 3 of 4"),
        (OffloadPlan((ClientPlan(2, (Path(0, 2, 3), Path(2, 4, 1))),)), "cut after 3 stages; 0 to 2"),
        (OffloadPlan((ClientPlan(2, (Path(0, 2, 1, 1), Path(2, 4, 1))),)), "no server 1"),
        (OffloadPlan((ClientPlan(2, PATHS, -1),)), "no server -1"),
        (OffloadPlan((ClientPlan(2, PATHS),), (0, 0)), "device 0 3 times"),
        (OffloadPlan((ClientPlan(2, PATHS),), (0, 0, 1)), "device 0 3 times"),
    ],
)
def test_what_is_wrong_with_a_plan(plan: OffloadPlan, message: str) -> None:
    for priced in (offload_latency_s, offload_timeline):
        with pytest.raises(PlanError, match=message):
            priced(worked_instance(), plan)


def test_fully_connected_layers_are_not_split() -> None:
    instance = worked_instance()
    client = replace(instance.clients[0], graph=load_model("alexnet"))
    with pytest.raises(PlanError, match=r"cannot be split into 2 paths: .*'fc1'"):
        offload_latency_s(replace(instance, clients=(client,)), OffloadPlan((ClientPlan(6, (Path(0, 1, 0), Path(1, 2, 0))),)))


def test_dispatch_may_be_left_out_only_with_one_device() -> None:
    instance = worked_instance()
    plan = ClientPlan(2, PATHS)
    assert offload_latency_s(instance, OffloadPlan((plan,))) == offload_latency_s(instance, OffloadPlan((plan,), (0, 0, 0)))
    two = replace(instance, clients=(*instance.clients, replace(instance.clients[0], name="other")))
    with pytest.raises(PlanError, match="device 0 3 times, device 1 3 times"):
        offload_latency_s(two, OffloadPlan((plan, plan)))


def test_what_is_no_instance_or_no_plan() -> None:
    with pytest.raises(OffloadError, match=r"instance: found 'office.yaml' \(a str\); an OffloadInstance is expected"):
        offload_latency_s("office.yaml", OffloadPlan(()))  # type: ignore[arg-type]
    for priced in (offload_latency_s, offload_timeline):
        with pytest.raises(PlanError, match="plan: found None; an OffloadPlan is expected"):
            priced(worked_instance(), None)  # type: ignore[arg-type]
