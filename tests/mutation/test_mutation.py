"""The tests of what proves optimality notice single mistakes in it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutation.mutants import mutants_of, sampled
from tests.mutation.targets import CERTAIN, TARGETS

ROOT = Path(__file__).resolve().parents[2]

SOURCE = '''"""A module."""


def least(values: list[int], limit: int) -> float:
    """The least of some values, or of a limit."""
    if not values:
        return limit  # nothing else
    found = min(values[1:]) + limit * 2
    print("not a message", f"{found + 1}")
    return found if found < limit and limit else 0.0
'''


def changes(source=SOURCE):
    """Before and after of every mutant."""
    return {(mutant.before, mutant.after) for mutant in mutants_of("module.py", source)}


def test_every_sort_of_mistake_is_made():
    """Guards, terms, comparisons, constants, slices, names, calls and returned values change; texts, annotations and comments do not."""
    found = changes()
    assert found >= {
        ("not values", "True"),
        ("not values", "False"),
        ("not values", "(values)"),
        ("min", "max"),
        ("values[1:]", "values[:-1]"),
        ("limit * 2", "(limit / 2)"),
        ("2", "3"),
        ("found < limit", "found <= limit"),
        ("found < limit and limit", "((found < limit) or (limit))"),
        ('print("not a message", f"{found + 1}")', "pass"),
        ("return limit", "return 2 * (limit)"),
    }
    assert ("min(values[1:]) + limit * 2", "(min(values[1:]))") in found
    assert not any("message" in before and before.startswith('"') for before, _ in found)
    assert not any(before in ("int", "float") for before, _ in found)


def test_every_mutant_is_a_program_of_its_own():
    """Each mutant of every module compiles, differs from the module and from all others, and says which line it changed."""
    for target in TARGETS:
        source = (ROOT / target.module).read_text(encoding="utf-8")
        mutants = mutants_of(target.module, source)
        assert len(mutants) >= target.size
        assert len({mutant.key for mutant in mutants}) == len(mutants)
        for mutant in mutants:
            assert mutant.line in source
            assert mutant.source != source.encode()
        for mutant in sampled(mutants, 20, 0):
            compile(mutant.source, target.module, "exec")


def test_samples_do_not_change_with_other_lines():
    """A line more elsewhere leaves the sample as it was; another seed does not."""
    mutants = mutants_of("module.py", SOURCE)
    longer = mutants_of("module.py", SOURCE.replace("    if not values:", "    del limit.name\n    if not values:"))
    assert [mutant.key for mutant in sampled(longer, 12, 0)] == [mutant.key for mutant in sampled(mutants, 12, 0)]
    assert [mutant.key for mutant in sampled(mutants, 12, 1)] != [mutant.key for mutant in sampled(mutants, 12, 0)]


def test_the_mistakes_that_are_tried_in_any_case_can_be_made():
    """Each of them is a mutant of the present source, and in the sample of its module whatever the seed."""
    for mistake in CERTAIN:
        (target,) = [target for target in TARGETS if target.module == mistake.module]
        mutants = mutants_of(mistake.module, (ROOT / mistake.module).read_text(encoding="utf-8"))
        for seed in range(3):
            assert tuple(mistake) in {mutant.key[:4] for mutant in sampled(mutants, target.size, seed, CERTAIN)}, mistake


def test_enough_mutants_are_tried():
    """Two hundred or more, of every module of the program but what talks to solvers and their files, and none without tests that are there."""
    assert sum(target.size for target in TARGETS) >= 200
    modules = {target.module for target in TARGETS}
    without_mathematics = {"__init__", "process", "worker", "quiet", "solver_files", "export", "labels", "model_files", "solution_files"}
    assert {str(path.relative_to(ROOT)) for path in (ROOT / "iopopt/milp").glob("*.py") if path.stem not in without_mathematics} <= modules
    assert all(Path(ROOT, test.partition("::")[0]).is_file() for target in TARGETS for test in target.tests)


@pytest.mark.slow
def test_mutants_are_noticed():
    """Of more than two hundred mutants none survives that is not listed as equivalent, and few are listed."""
    done = subprocess.run([sys.executable, "-m", "tests.mutation"], cwd=ROOT, capture_output=True, text=True, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
