"""The console script ``iopopt``, and ``python -m iopopt``: the first word names the command."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from iopopt.bench.command import main as bench
from iopopt.commands.command_line import ended, print_error
from iopopt.commands.export import main as export
from iopopt.commands.export_model import main as export_model
from iopopt.commands.fit import main as fit
from iopopt.commands.glossary import main as glossary
from iopopt.commands.import_solution import main as import_solution
from iopopt.commands.pareto import main as pareto
from iopopt.commands.plot import main as plot
from iopopt.commands.show import main as show
from iopopt.errors import UnknownNameError
from iopopt.executor.command import main as run
from iopopt.offload.command import main as offload
from iopopt.version import __version__

COMMANDS: dict[str, tuple[Callable[[Sequence[str], str], int], str]] = {
    "bench": (bench, "compare methods on models and clusters"),
    "fit": (fit, "does a network fit, and at least how much memory or how many devices does it take"),
    "pareto": (pareto, "memory against latency, with proven bounds, as a table and a picture"),
    "offload": (offload, "compare ways of offloading a part of a network from devices to servers"),
    "show": (show, "show a network: operators, shapes, work, possible splits"),
    "glossary": (glossary, "explain the terms of the cost model"),
    "export": (export, "write a network as DOT or JSON"),
    "export-model": (export_model, "write the exact program as an LP or MPS file for another solver"),
    "import-solution": (import_solution, "read another solver's solution of it as a plan"),
    "plot": (plot, "draw a plan, or its timeline"),
    "run": (run, "run a plan on real processes, and compare measured with predicted time"),
}
"""Every command: its ``main(arguments, program)`` and what it does."""

_USAGE = "usage: iopopt COMMAND ...\n\n" + "\n".join(f"  {name:<15} {summary}" for name, (_, summary) in COMMANDS.items())


def main() -> int:
    """Run the command that the first argument names; returns the exit code."""
    return ended(lambda: _run(sys.argv[1:]))


def _run(words: Sequence[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(f"{_USAGE}\n\n'iopopt COMMAND --help' describes a command, 'iopopt glossary' explains the terms.")
        return 0 if words else 2
    if words[0] == "--version":
        print(__version__)
        return 0
    if words[0] not in COMMANDS:
        print_error(UnknownNameError("command", words[0], COMMANDS))
        return 2
    return COMMANDS[words[0]][0](words[1:], f"iopopt {words[0]}")


if __name__ == "__main__":
    sys.exit(main())
