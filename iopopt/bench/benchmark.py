"""One benchmark from its checked input to its tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.text import Text

from iopopt.bench.instance import Instance
from iopopt.bench.notes import notes
from iopopt.bench.output import OutputDirectory
from iopopt.bench.run import Run, Settings, run_method, seeds_of
from iopopt.bench.table import instance_table
from iopopt.commands.tables import wide_enough
from iopopt.methods import METHODS
from iopopt.methods.objective import MEASURES


@dataclass
class Benchmark:
    """Methods on instances, and the runs so far.

    Attributes:
        seeds: how many runs each random method gets.
        explain: whether to explain the best plan of each instance.
        progress: where the lines about finished runs go.
    """

    instances: Sequence[Instance]
    methods: Sequence[str]
    settings: Settings
    seeds: int
    explain: bool
    progress: Console
    output: OutputDirectory | None
    runs: list[Run] = field(default_factory=list)

    def run(self) -> bool:
        """Run everything, and show the finished runs even after an error or Ctrl-C; False if the user interrupted it."""
        try:
            return all(self._run_instance(instance) for instance in self.instances)
        except KeyboardInterrupt:
            return False
        finally:
            self._show()

    def runs_of(self, instance: Instance) -> list[Run]:
        """The finished runs of an instance."""
        return [run for run in self.runs if run.instance is instance]

    def _run_instance(self, instance: Instance) -> bool:
        """Every method on one instance; False if the user interrupted one."""
        for method in self.methods:
            for seed in seeds_of(method, self.seeds):
                with self._announced(instance, method, seed) as finish:
                    run = run_method(instance, method, seed, self.settings)
                    self.runs.append(run)
                    finish(run)
                if self.output:
                    self.output.save_runs(self.runs)
                if run.solution.termination == "interrupted":
                    return False
        return True

    @contextmanager
    def _announced(self, instance: Instance, method: str, seed: int | None) -> Iterator[Callable[[Run], None]]:
        """A line while the method runs (on a terminal), and one when it has finished."""
        name = f"{instance.model} on {instance.cluster_name}: {METHODS.find(method).label}" + ("" if seed is None else f", seed {seed}")

        def finish(run: Run) -> None:
            solution = run.solution
            clock = "" if solution.timing == "bulk-synchronous" else " without barriers"
            other = "" if solution.objective == "latency" else f"{MEASURES[solution.objective].text(solution.value)} in "
            found = f"{other}{solution.latency_s * 1e3:.4g} ms{clock}" if solution.plan else (solution.reason or "no plan")
            seconds = solution.build_s + solution.solve_s
            self.progress.print(
                f"{name}: {found}, {solution.status.replace('_', ' ')}, {seconds:.2f} s", markup=False, highlight=False, soft_wrap=True
            )

        with self.progress.status(Text(f"{name} ...")):
            yield finish

    def _show(self) -> None:
        """Print a table for each instance, and the notes on it."""
        for instance in self.instances:
            runs = self.runs_of(instance)
            if runs:
                table = instance_table(runs)
                console = wide_enough(table)
                console.print(table)
                for note in [*notes(instance, runs), *self._explanation(runs)]:
                    console.print(note, markup=False, highlight=False, soft_wrap=True)
                console.print()

    def _explanation(self, runs: Sequence[Run]) -> Iterator[str]:
        fitting = [run for run in runs if run.fits]
        if self.explain and fitting:
            yield "\n" + min(fitting, key=lambda run: (run.latency_s, run.solution.bound_s is None)).solution.explain()
