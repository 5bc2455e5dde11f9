"""Do the tests notice a mistake? Every mutant of a sample is put in place of its module, and the module's quick tests must fail.

One warm process has imported the libraries, but nothing of the package; each mutant is a forked child of it in which an import hook
hands out the mutated source. A child that fails, crashes or takes far too long has noticed.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import importlib.abc
import importlib.util
import math
import os
import resource
import signal
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from tests.mutation.mutants import Mutant, mutants_of, sampled
from tests.mutation.targets import CERTAIN, TARGETS, Target

ROOT = Path(__file__).resolve().parents[2]
EQUIVALENT = Path(__file__).parent / "equivalent.toml"
MOST_EQUIVALENT = 0.05
"""The part of all mutants that may be listed as equivalent."""

_WARM = ("numpy", "scipy.optimize", "scipy.sparse", "pandas", "pulp", "ortools.math_opt.python.mathopt", "pytest", "hypothesis")
_PYTEST = ("-x", "-q", "--no-header", "--tb=line", "-p", "no:cacheprovider")
_PATIENCE = 3.0
_GRACE_S = 10.0
_SLOWEST_MACHINE = 10.0
_MOST_BYTES = 8 << 30
_POLL_S = 0.02

Key = tuple[str, str, str, str, int]


@dataclass(frozen=True)
class Trial:
    """What became of one mutant: whether the tests noticed, and the seconds that took."""

    mutant: Mutant
    noticed: bool
    timed_out: bool
    seconds: float


class _Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads one module from another source than its file."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant, self._name = mutant, mutant.module.removesuffix(".py").replace("/", ".")

    def find_spec(self, fullname: str, path: object = None, target: ModuleType | None = None) -> ModuleSpec | None:
        return importlib.util.spec_from_loader(fullname, self, origin=self._mutant.module) if fullname == self._name else None

    def exec_module(self, module: ModuleType) -> None:
        module.__file__ = str(ROOT / self._mutant.module)
        exec(compile(self._mutant.source, module.__file__, "exec"), module.__dict__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the sample and print what was found; 1 if a mutant survives that is not listed, or too many are listed."""
    options = _options(arguments)
    os.chdir(ROOT)
    targets = [target for target in TARGETS if not options.only or any(part in target.module for part in options.only)]
    samples = {target.module: _sample(target, options.size, options.seed) for target in targets}
    if options.dry:
        for mutant in (mutant for module in samples.values() for mutant in module):
            print(_described(mutant))
        return 0
    equivalent = _listed()
    began = time.monotonic()
    _warm_up()
    limits = {target.module: _time_limit_s(target) for target in targets}
    jobs = [(mutant, target.tests, limits[target.module]) for target in targets for mutant in samples[target.module]]
    trials = list(_tried(jobs, options.jobs))
    return _report(targets, trials, equivalent, time.monotonic() - began)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description="Try mutants of the modules that prove optimality.")
    parser.add_argument("only", nargs="*", help="parts of the paths of modules; all of them if none is given")
    parser.add_argument("--size", type=int, help="how many mutants of each module, instead of the sizes of targets.py")
    parser.add_argument("--seed", type=int, default=0, help="which sample")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time")
    parser.add_argument("--dry", action="store_true", help="list the sample and try nothing")
    return parser.parse_args(arguments)


def _sample(target: Target, size: int | None, seed: int) -> list[Mutant]:
    return sampled(_all_mutants(target.module), target.size if size is None else size, seed, CERTAIN)


def _all_mutants(module: str) -> list[Mutant]:
    return mutants_of(module, (ROOT / module).read_text(encoding="utf-8"))


def _listed() -> dict[Key, str]:
    """The reasons of the mutants that no test can notice."""
    entries = tomllib.loads(EQUIVALENT.read_text(encoding="utf-8")).get("equivalent", [])
    return {(entry["module"], entry["function"], entry["line"], entry["change"], entry.get("number", 1)): entry["reason"] for entry in entries}


def _warm_up() -> None:
    """Import what every child needs, and nothing that may be mutated."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ[name] = "1"  # threads do not survive a fork
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for library in _WARM:
        importlib.import_module(library)
    assert not any(name.partition(".")[0] == "iopopt" for name in sys.modules)


def _time_limit_s(target: Target) -> float:
    """Several times the processor time that the tests take without a mutant; they must pass."""
    child = _forked(None, target.tests)
    _, status, used = os.wait4(child, 0)
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{' '.join(target.tests)} fail without a mutant of {target.module}")
    return _PATIENCE * (used.ru_utime + used.ru_stime) + _GRACE_S


def _forked(mutant: Mutant | None, tests: Sequence[str], limit_s: float | None = None) -> int:
    """A child, in a process group of its own, that runs the tests and ends with pytest's exit code, or after ``limit_s`` of processor time."""
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        os.setpgid(0, 0)
        resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
        if limit_s is not None:
            resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(limit_s), math.ceil(limit_s)))
        silent = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(silent, stream)
        if mutant is not None:
            sys.meta_path.insert(0, _Mutated(mutant))
        import pytest

        code = int(pytest.main([*_PYTEST, *tests]))
    finally:
        os._exit(code)


def _tried(jobs: Sequence[tuple[Mutant, Sequence[str], float]], at_once: int) -> Iterator[Trial]:
    """Every mutant's trial, as they end."""
    waiting, running = list(reversed(jobs)), dict[int, tuple[Mutant, float, float]]()
    while waiting or running:
        while waiting and len(running) < at_once:
            mutant, tests, limit_s = waiting.pop()
            running[_forked(mutant, tests, limit_s)] = mutant, time.monotonic(), limit_s
        time.sleep(_POLL_S)
        for child, (mutant, began, limit_s) in list(running.items()):
            ended, status = os.waitpid(child, os.WNOHANG)
            seconds = time.monotonic() - began
            asleep = not ended and seconds > _SLOWEST_MACHINE * limit_s
            if asleep:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
            if ended or asleep:
                del running[child]
                timed_out = asleep or os.waitstatus_to_exitcode(status) == -signal.SIGKILL
                noticed = timed_out or os.waitstatus_to_exitcode(status) != 0
                if not noticed:
                    print(f"survived ({seconds:.1f} s): {_described(mutant)}", flush=True)
                yield Trial(mutant, noticed, timed_out, seconds)


def _described(mutant: Mutant) -> str:
    return f"{mutant.module}, {mutant.function}, {mutant.line!r}: {mutant.before} -> {mutant.after} ({mutant.number})"


def _report(targets: Sequence[Target], trials: Sequence[Trial], equivalent: dict[Key, str], seconds: float) -> int:
    survivors = [trial.mutant for trial in trials if not trial.noticed]
    unlisted = [mutant for mutant in survivors if mutant.key not in equivalent]
    print(f"\n{'module':<42}{'of':>6}{'tried':>7}{'noticed':>9}{'too slow':>10}{'survived':>10}{'listed':>8}{'s each':>8}")
    for target in targets:
        of = [trial for trial in trials if trial.mutant.module == target.module]
        left = [trial for trial in of if not trial.noticed]
        listed = sum(trial.mutant.key in equivalent for trial in left)
        mean_s = sum(trial.seconds for trial in of) / max(1, len(of))
        counts = f"{len(_all_mutants(target.module)):>6}{len(of):>7}{len(of) - len(left):>9}{sum(trial.timed_out for trial in of):>10}"
        print(f"{target.module:<42}{counts}{len(left):>10}{listed:>8}{mean_s:>8.1f}")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds_used = f"{seconds:.0f} s, {used.ru_utime + used.ru_stime:.0f} s of the processor"
    print(f"{len(trials)} mutants, {len(survivors)} survived, {len(survivors) - len(unlisted)} of these are listed; {seconds_used}")
    stale = _stale(equivalent, targets)
    for mutant in unlisted:
        print(f"\n{_described(mutant)}\n{_difference(mutant)}")
    for key in stale:
        print(f"\nlisted as equivalent, but there is no such mutant: {key}")
    too_many = len(targets) == len(TARGETS) and len(survivors) - len(unlisted) > MOST_EQUIVALENT * len(trials)
    if too_many:
        print(f"\nmore than {MOST_EQUIVALENT:.0%} of the mutants are listed as equivalent")
    return int(bool(unlisted or stale or too_many))


def _stale(equivalent: dict[Key, str], targets: Sequence[Target]) -> list[Key]:
    """Listed mutants that the present source does not have."""
    modules = {target.module for target in targets}
    known = {mutant.key for module in modules for mutant in _all_mutants(module)}
    return [key for key in equivalent if key[0] in modules and key not in known]


def _difference(mutant: Mutant) -> str:
    """The lines that change, as a unified diff without context."""
    before, after = (ROOT / mutant.module).read_text(encoding="utf-8").splitlines(), mutant.source.decode().splitlines()
    return "\n".join(line for line in difflib.unified_diff(before, after, lineterm="", n=0) if not line.startswith(("---", "+++")))
