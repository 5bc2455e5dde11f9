"""Damaged files end in a clear error or are sound enough to be used; and the campaign notices if not."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from iopopt import ClusterError
from tests.fuzz import run
from tests.fuzz.files import KINDS, mutant, originals, written
from tests.fuzz.run import REFUSED, USED, campaign, outcome_of
from tests.fuzz.uses import USES


def test_a_short_campaign(tmp_path: Path) -> None:
    """Some hundred mutants of every kind, in a child process with a limit of time and memory: used or refused, nothing else."""
    tasks = [(kind, number) for kind in KINDS for number in range(60)]
    trials = list(campaign(tasks, 11, tmp_path, limit_s=60))
    assert [trial.task for trial in trials] == tasks
    assert [trial for trial in trials if trial.failed] == []
    assert list(tmp_path.iterdir()) == []
    for kind in KINDS:
        outcomes = Counter(trial.outcome for trial in trials if trial.task[0] == kind)
        assert min(outcomes[USED], outcomes[REFUSED]) >= 5, (kind, outcomes)


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_names_a_mutant(kind: str) -> None:
    """The same seed and number give the same file; others give others."""
    assert mutant(kind, 3, 1) == mutant(kind, 3, 1)
    assert len({mutant(kind, number, seed).content for number in range(20) for seed in (1, 2)}) > 30


@pytest.mark.parametrize("kind", KINDS)
def test_originals_are_sound(kind: str, tmp_path: Path) -> None:
    """What is mutated can be read and used before it is."""
    for record in originals(kind):
        for suffix in ("json", "yaml") if kind == "cluster" else ("json",):
            path = tmp_path / f"{kind}.{suffix}"
            path.write_text(written(record, suffix), encoding="utf-8")
            assert outcome_of(kind, path) == USED


def _raise(error: Exception) -> Callable[[Path], None]:
    def use(path: Path) -> None:
        raise error

    return use


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(ClusterError("no"), REFUSED), (ValueError("no"), "ValueError: no"), (MemoryError(), "MemoryError"), (RecursionError("x"), "RecursionError")],
)
def test_only_the_toolkits_errors_are_refusals(error: Exception, outcome: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any other exception is a failure, named with its place."""
    monkeypatch.setattr(run, "USES", {"plan": _raise(error)})
    assert outcome_of("plan", tmp_path / "plan.json").startswith(outcome)


def _hang(path: Path) -> None:
    time.sleep(60)


def _die(path: Path) -> None:
    os._exit(3)


def _eat(path: Path) -> None:
    assert bytearray(4 << 30)


def _forked(monkeypatch: pytest.MonkeyPatch, use: Callable[[Path], None]) -> None:
    """Children that inherit this process, with another use of plans in it."""
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    get = run.multiprocessing.get_context
    monkeypatch.setattr(run.multiprocessing, "get_context", lambda _: get("fork"))
    monkeypatch.setattr(run, "USES", {**USES, "plan": use})


@pytest.mark.parametrize(
    ("use", "outcome"),
    [(_hang, "hangs: more than 3 s"), (_die, "the process died"), (_eat, "MemoryError"), (_raise(KeyError("x")), "KeyError")],
)
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_failures_are_found(use: Any, outcome: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file at which the toolkit hangs, dies, or eats memory is reported and kept; the campaign goes on with the next."""
    if use is _eat and not Path("/proc/self/statm").exists():
        pytest.skip("memory cannot be limited here")
    _forked(monkeypatch, use)
    trials = list(campaign([("plan", 0), ("solution", 0)], 1, tmp_path, limit_s=3))
    assert [trial.task for trial in trials] == [("plan", 0), ("solution", 0)]
    assert trials[0].outcome.startswith(outcome)
    assert [path.name for path in tmp_path.iterdir()] == ["plan-0.json"]
    assert not trials[1].failed


def test_the_command_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command says for each kind how many mutants were used, refused and failed."""
    assert run.main(["--count", "5", "--kinds", "plan", "--output", str(tmp_path)]) == 0
    assert "plan: 5 mutants: " in capsys.readouterr().out
