"""The command ``iopopt glossary``: the terms of the cost model and of offloading, from the pages that state them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

from iopopt.commands.command_line import command_parser

OK = 0
_HEADING = "## Glossary"
_PAGES = "cost_model.md", "offloading.md"


def glossary() -> str:
    """The glossaries of the statements as plain text, one after another."""
    return "\n\n".join(map(_of_page, _PAGES))


def _of_page(name: str) -> str:
    page = resources.files("iopopt").joinpath(name).read_text(encoding="utf-8")
    return page.partition(f"{_HEADING}\n")[2].partition("\n## ")[0].replace("**", "").strip()


def main(arguments: Sequence[str] | None = None, program: str = "iopopt glossary") -> int:
    """Print the glossary; returns the exit code."""
    command_parser(program, "Explain the terms of the cost model and of offloading.", "").parse_args(arguments)
    print(glossary())
    return OK
