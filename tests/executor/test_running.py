"""Without PyTorch, whatever runs a plan says how to get its CPU build."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from iopopt import MissingExtraError, execute, execute_offload
from iopopt.executor.command import BAD_INPUT, main
from iopopt.executor.running import INSTALL_TORCH, require_torch


def test_a_missing_torch_is_answered_with_its_cpu_build(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The error and the command name the command that installs it."""
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError) as missing:
        require_torch()
    assert INSTALL_TORCH in str(missing.value)
    assert "https://download.pytorch.org/whl/cpu" in INSTALL_TORCH
    assert main(["--model", "lenet5"]) == BAD_INPUT
    assert INSTALL_TORCH in capsys.readouterr().err


@pytest.mark.parametrize(("run", "arguments"), [(execute, 5), (execute_offload, 4)])
def test_running_needs_it(run: Callable[..., object], arguments: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both entry points say so before they look at anything else."""
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match="running plans needs PyTorch"):
        run(*[None] * arguments)


def test_help_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Who reads the help first finds it there."""
    with pytest.raises(SystemExit):
        main(["--help"])
    assert INSTALL_TORCH in capsys.readouterr().out
