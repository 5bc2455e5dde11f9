"""The plans that methods search, and the cuts that are worth considering."""

from __future__ import annotations

import random
from typing import Any

import pytest
from support.offloading import random_offload_instance, worked_instance

from iopopt.errors import OffloadError
from iopopt.models import load_model
from iopopt.offload.plan import Path
from iopopt.offload.recursion import OffloadPricer
from iopopt.offload.space import OffloadSpace, Options, Split, even_starts
from iopopt.offload.stages import Stages


@pytest.mark.parametrize(
    ("figures", "message"),
    [
        ({"most_paths": 0}, "most_paths is 0; it must be a positive integer of at most 64"),
        ({"most_paths": 65}, "most_paths is 65"),
        ({"row_steps": 0}, "row_steps is 0"),
        ({"fused": 0}, "fused is 0; it must be a positive integer"),
        ({"paths": 1.5}, "paths is 1.5"),
    ],
)
def test_figures_out_of_range(figures: dict[str, Any], message: str) -> None:
    with pytest.raises(OffloadError, match=message):
        OffloadSpace(**figures)


@pytest.mark.parametrize(
    ("figures", "message"),
    [
        ({"fused": 4}, "device 'device': fused is 4; 'worked' has 3 stages"),
        ({"fused": 2, "paths": 5}, "5 paths do not have a row each of the 4 of stage 2 of 'worked'"),
        ({"fused": 3, "paths": 2}, "the first 3 stages of 'worked' cannot be split into several paths: 'fc'"),
        ({"paths": 5}, "'worked' cannot be split into 5 paths; at most 4 have a row"),
    ],
)
def test_a_block_longer_than_the_network_and_more_paths_than_rows(figures: dict[str, Any], message: str) -> None:
    with pytest.raises(OffloadError, match=message):
        OffloadSpace(**figures).check(worked_instance())


def test_splits() -> None:
    stages = Stages.of(worked_instance().clients[0].graph)
    assert OffloadSpace(most_paths=3).splits(stages) == [Split(3, 1), Split(1, 2), Split(1, 3), Split(2, 2), Split(2, 3)]
    assert OffloadSpace(fused=2).splits(stages) == [Split(2, 1), Split(2, 2), Split(2, 3), Split(2, 4)]
    assert OffloadSpace(paths=2).splits(stages) == [Split(1, 2), Split(2, 2)]
    assert OffloadSpace(fused=1, paths=4).splits(stages) == [Split(1, 4)]


def test_starts() -> None:
    stages = Stages.of(load_model("vgg16"))
    assert even_starts(14, 4) == (0, 4, 8, 11, 14)
    assert stages.shape(10).height == 14
    assert OffloadSpace().starts(stages, Split(10, 4)) == (0, 4, 8, 11, 14)
    assert OffloadSpace(row_steps=2).starts(stages, Split(10, 4)) == (0, 4, 7, 8, 11, 14)
    assert OffloadSpace(row_steps=1000).starts(stages, Split(10, 4)) == tuple(range(15))
    assert OffloadSpace(row_steps=1000).starts(stages, Split(16, 1)) == (0, 1)


def test_options_leave_out_only_what_another_option_replaces() -> None:
    rng, graphs = random.Random(7), [load_model("alexnet"), load_model("vgg11"), load_model("resnet18")]
    for _ in range(100):
        pricer = OffloadPricer(random_offload_instance(rng, graphs))
        stages, servers = pricer.stages[0], len(pricer.instance.servers)
        fused = rng.choice(stages.fusible)
        rows = stages.shape(fused).height
        start = rng.randrange(rows)
        stop = rng.randint(start + 1, rows)
        kept = Options(pricer).of(0, fused, start, stop)
        assert kept
        for cut in range(fused + 1):
            for server in range(servers):
                job = pricer.job(0, fused, Path(start, stop, cut, server))
                assert any(_replaces(option.job, job) for option in kept)
        for option in kept:
            others = [other.job for other in kept if other != option]
            assert not any(_replaces(other, option.job) and other.server == option.job.server for other in others)


def _replaces(job: Any, other: Any) -> bool:
    """Whether a job can take the place of another in any plan."""
    if job.server not in (None, other.server):
        return False
    figures = ((job.fetch_s, other.fetch_s), (job.upload_s, other.upload_s), (job.return_s, other.return_s))
    shorter = all(mine is None or (theirs is not None and mine <= theirs) for mine, theirs in figures)
    return shorter and job.device_s <= other.device_s and job.server_s <= other.server_s
