"""The command ``iopopt glossary``."""

from __future__ import annotations

import pytest

from iopopt import Solution
from iopopt.commands.glossary import glossary, main
from iopopt.schedule.rounds import TransferKind


def test_the_glossary_is_printed_as_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    """Every way of handing a tensor on has its line, without markup."""
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert printed.strip() == glossary()
    assert "**" not in printed
    for kind in TransferKind:
        assert any(line.lower().startswith(f"{kind}") for line in printed.splitlines()), kind
    for term in ("participant", "stage", "path", "cut", "tail", "dispatch"):
        assert any(line.startswith(f"{term}:") for line in printed.splitlines()), term


def test_an_explanation_points_to_the_glossary(trio_solution: Solution) -> None:
    """The last line of an explanation says where its words are explained."""
    assert trio_solution.explain().splitlines()[-1] == "Terms: see 'iopopt glossary'."
