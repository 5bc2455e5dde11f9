"""The command ``iopopt glossary``: the terms of the cost model, from ``cost_model.md``."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

from iopopt.commands.command_line import command_parser

OK = 0
_HEADING = "## Glossary"


def glossary() -> str:
    """The glossary of ``cost_model.md`` as plain text."""
    page = resources.files("iopopt").joinpath("cost_model.md").read_text(encoding="utf-8")
    return page.partition(f"{_HEADING}\n")[2].partition("\n## ")[0].replace("**", "").strip()


def main(arguments: Sequence[str] | None = None, program: str = "iopopt glossary") -> int:
    """Print the glossary; returns the exit code."""
    command_parser(program, "Explain the terms of the cost model.", "").parse_args(arguments)
    print(glossary())
    return OK
