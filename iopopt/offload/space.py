"""The plans from which methods choose: how many stages are fused, into how many paths, with which rows, and where each path is worth cutting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from iopopt.errors import OffloadError
from iopopt.network.records import is_integer, short_repr
from iopopt.offload.instance import OffloadInstance
from iopopt.offload.plan import Path
from iopopt.offload.recursion import Job, OffloadPricer
from iopopt.offload.stages import Stages
from iopopt.plan.shares import even_shares

MOST_PATHS = 64


class Split(NamedTuple):
    """(m, n): how many stages are fused, and into how many paths."""

    fused: int
    paths: int


class Option(NamedTuple):
    """A path with its cut and its server, and how long it takes where."""

    path: Path
    job: Job


@dataclass(frozen=True)
class OffloadSpace:
    """Which plans are searched.

    Attributes:
        most_paths: the largest n.
        row_steps: None splits the rows evenly; a number lets paths begin at any of so many even steps as well, so that they are uneven.
        fused, paths: the only m, and the only n; None for any.

    Raises:
        OffloadError: if a number is out of range.
    """

    most_paths: int = 8
    row_steps: int | None = None
    fused: int | None = None
    paths: int | None = None

    def __post_init__(self) -> None:
        limits = {"most_paths": MOST_PATHS, "row_steps": 10_000, "fused": None, "paths": MOST_PATHS}
        for key, most in limits.items():
            value = getattr(self, key)
            if value is None and key != "most_paths":
                continue
            if not is_integer(value) or value < 1 or (most is not None and value > most):
                upper = "" if most is None else f" of at most {most}"
                raise OffloadError(f"{key} is {short_repr(value)}; it must be a positive integer{upper}")

    @property
    def name(self) -> str:
        """As results say it."""
        paths = f"up to {self.most_paths} paths" if self.paths is None else f"{self.paths} path" + "s" * (self.paths > 1)
        fused = "" if self.fused is None else f" through {self.fused} stage" + "s" * (self.fused > 1)
        rows = "even rows" if self.row_steps is None else f"rows even or in {self.row_steps} steps"
        return f"{paths}{fused}, {rows}"

    def check(self, instance: OffloadInstance) -> None:
        """Whether every device has a plan in this space.

        Raises:
            OffloadError: if the given m is longer than a network, or the given n does not go with it; the message says what does.
        """
        for client in instance.clients:
            stages = Stages.of(client.graph)
            if self.fused is not None and self.fused > len(stages):
                found = f"fused is {self.fused}; {client.graph.name!r} has {len(stages)} stages, and no more can be fused"
                raise OffloadError(f"device {short_repr(client.name)}: {found}")
            if not self.splits(stages):
                raise OffloadError(f"device {short_repr(client.name)}: {self._unsplit(stages)}")

    def _unsplit(self, stages: Stages) -> str:
        """Why there is no split."""
        name = stages.graph.name
        if self.fused is None:
            most = max(stages.shape(fused).height for fused in stages.fusible) if stages.fusible else 1
            return f"{name!r} cannot be split into {self.paths} paths; at most {most} have a row of their own"
        if fault := stages.fault(self.fused):
            return f"the first {self.fused} stages of {name!r} cannot be split into several paths: {fault}"
        return f"{self.paths} paths do not have a row each of the {stages.shape(self.fused).height} of stage {self.fused} of {name!r}"

    def splits(self, stages: Stages) -> list[Split]:
        """Every (m, n) for a network: one path through the whole network, which holds every single cut, and several paths through what can be fused.

        With the only n = 1, or the only m, one path through fewer stages too.
        """
        found = [Split(len(stages) if self.fused is None else self.fused, 1)] if self.paths in (None, 1) else []
        several = range(2, self.most_paths + 1) if self.paths is None else range(max(2, self.paths), self.paths + 1)
        fusible = [fused for fused in stages.fusible if self.fused in (None, fused)]
        return found + [Split(fused, paths) for fused in fusible for paths in several if paths <= stages.shape(fused).height]

    def starts(self, stages: Stages, split: Split) -> tuple[int, ...]:
        """The rows at which a path may begin, and the last of them where the last path ends."""
        rows = stages.shape(split.fused).height
        even = even_starts(rows, split.paths)
        steps = 0 if self.row_steps is None or split.paths == 1 else min(self.row_steps, rows)
        return tuple(sorted({*even, *(rows * step // steps for step in range(steps))}))


def even_starts(rows: int, paths: int) -> tuple[int, ...]:
    """Where paths of even rows begin, and where the last ends."""
    return tuple(accumulate(even_shares(rows, paths), initial=0))


class Options:
    """For each path the cuts, and servers, that are worth considering: none is slower than another everywhere.

    A plan never becomes slower where a job takes less time somewhere, so an optimal plan is among these.
    """

    def __init__(self, pricer: OffloadPricer) -> None:
        self._pricer = pricer
        self._found: dict[tuple[int, int, int, int], tuple[Option, ...]] = {}

    def of(self, client: int, fused: int, start: int, stop: int) -> tuple[Option, ...]:
        """The options of a path of a device, the earliest cut first."""
        key = client, fused, start, stop
        if key not in self._found:
            self._found[key] = self._options(*key)
        return self._found[key]

    def _options(self, client: int, fused: int, start: int, stop: int) -> tuple[Option, ...]:
        servers = range(len(self._pricer.instance.servers))
        paths = [Path(start, stop, cut, server) for cut in range(fused + 1) for server in (servers if cut < fused else servers[:1])]
        options = [Option(path, self._pricer.job(client, fused, path)) for path in paths]
        return tuple(option for number, option in enumerate(options) if not _dominated(option.job, number, options))


def _dominated(job: Job, number: int, options: Sequence[Option]) -> bool:
    """Whether another option is nowhere slower, and the first of those that are equal."""
    for other, option in enumerate(options):
        if other == number or option.job.server not in (job.server, None) or not _nowhere_slower(option.job, job):
            continue
        if other < number or option.job.server != job.server or not _nowhere_slower(job, option.job):
            return True
    return False


def _nowhere_slower(job: Job, other: Job) -> bool:
    return (
        job.device_s <= other.device_s
        and job.server_s <= other.server_s
        and all(
            mine is None or (theirs is not None and mine <= theirs)
            for mine, theirs in ((job.fetch_s, other.fetch_s), (job.upload_s, other.upload_s), (job.return_s, other.return_s))
        )
    )
