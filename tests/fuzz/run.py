"""A campaign: many mutants of valid files are read and used, each under a limit of time and of memory.

The mutants run in child processes. A child that raises anything but an IopoptError, is silent for too long or dies is reported with the file.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from iopopt import IopoptError, UnitWarning
from tests.fuzz.files import KINDS, mutant
from tests.fuzz.uses import USES

_START_S = 120.0
"""How long a child may take to import everything."""

Task = tuple[str, int]
"""The kind and the number of a mutant."""

USED, REFUSED = "used", "refused"
"""The outcomes that are allowed."""


@dataclass(frozen=True)
class Trial:
    """What became of one mutant: ``used``, ``refused``, or what went wrong; and the seconds that it took."""

    task: Task
    outcome: str
    seconds: float

    @property
    def failed(self) -> bool:
        return self.outcome not in (USED, REFUSED)


def campaign(tasks: Sequence[Task], seed: int, folder: Path, limit_s: float = 10.0, most_bytes: int = 1 << 30) -> Iterator[Trial]:
    """Use every mutant; files that fail stay in ``folder``."""
    context = multiprocessing.get_context("spawn")  # a child is as fresh as a session of a person is
    left = list(tasks)
    while left:
        mine, theirs = context.Pipe(duplex=False)
        child = context.Process(target=_work, args=(theirs, left, seed, str(folder), most_bytes), daemon=True)
        child.start()
        theirs.close()
        done = 0
        for trial in _heard(mine, left, limit_s):
            done += 1
            yield trial
        child.kill()
        child.join()
        left = left[done:]


def _heard(pipe: Connection, tasks: Sequence[Task], limit_s: float) -> Iterator[Trial]:
    """What one child reports; the last trial is the one at which it was silent for too long or died, if it did."""
    patience = _START_S
    for task in (None, *tasks):
        start = time.perf_counter()
        try:
            found = pipe.recv() if pipe.poll(patience) else f"hangs: more than {patience:g} s"
        except EOFError:
            found = "the process died"
        if task is None:
            if found is not None:
                raise RuntimeError(f"a child did not start: {found}")
            patience = limit_s
            continue
        yield Trial(task, found, time.perf_counter() - start)
        if found.startswith(("hangs", "the process")):
            return


def _work(pipe: Connection, tasks: Sequence[Task], seed: int, folder: str, most_bytes: int) -> None:
    """The child: use each mutant, and send what became of it."""
    _limit_memory(most_bytes)
    pipe.send(None)
    for kind, number in tasks:
        made = mutant(kind, number, seed)
        path = Path(folder) / made.name
        path.write_bytes(made.content)
        outcome = outcome_of(kind, path)
        if outcome in (USED, REFUSED):
            path.unlink()
        pipe.send(outcome)


def outcome_of(kind: str, path: Path) -> str:
    """Use a file; warnings other than UnitWarning count as failures."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", UnitWarning)
        try:
            USES[kind](path)
        except IopoptError:
            return REFUSED
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            return f"{type(error).__name__}: {str(error)[:200]} ({Path(place.filename).name}:{place.lineno})"
    return USED


def _limit_memory(most_bytes: int) -> None:
    """Bound what this process may use beyond what it uses now, where the platform can."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError):  # neither Windows nor macOS has both
        return
    most = pages * resource.getpagesize() + most_bytes
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a campaign; returns 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=3000, help="mutants of each kind (default 3000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--limit", type=float, default=10.0, metavar="SECONDS", help="for one mutant (default 10)")
    parser.add_argument("--output", type=Path, help="folder for the files that fail (default: a new one)")
    options = parser.parse_args(arguments)
    folder = options.output or Path(tempfile.mkdtemp(prefix="iopopt-fuzz-"))
    folder.mkdir(parents=True, exist_ok=True)
    failed = 0
    for kind in options.kinds:
        outcomes: Counter[str] = Counter()
        slowest = Trial((kind, 0), USED, 0.0)
        for trial in campaign([(kind, number) for number in range(options.count)], options.seed, folder, options.limit):
            outcomes["failed" if trial.failed else trial.outcome] += 1
            slowest = max(slowest, trial, key=lambda one: one.seconds)
            if trial.failed:
                print(f"{kind} {trial.task[1]}: {trial.outcome}", flush=True)
        failed += outcomes["failed"]
        counts = ", ".join(f"{outcomes[outcome]} {outcome}" for outcome in (USED, REFUSED, "failed"))
        print(f"{kind}: {options.count} mutants: {counts}; the slowest, number {slowest.task[1]}, took {slowest.seconds:.1f} s", flush=True)
    print(f"files that fail are in {folder}" if failed else "nothing failed")
    return 1 if failed else 0
