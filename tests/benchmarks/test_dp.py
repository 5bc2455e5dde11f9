"""The benchmark of the dynamic program."""

import sys

import pytest

from benchmarks import dp


def test_it_quotes_the_worst(monkeypatch, capsys):
    """A row for each length of block with what was proven, and the largest excess in the end."""
    arguments = ["--model", "lenet5", "--cluster", "mcu-x2", "--longest-block", "1", "3", "--against-milp", "20"]
    monkeypatch.setattr(sys, "argv", ["dp", *arguments])
    dp.main()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert len(lines) == 1 + 2 + 1
    assert all("optimal" in line for line in lines[1:3])
    assert lines[-1].startswith("worst of 2 proven optima")


@pytest.mark.parametrize(("excess", "status", "text"), [(1.5, "optimal", "worst of 1 proven optima: 1.50 % above"), (9.0, "feasible", "no optimum")])
def test_only_proven_optima_count(excess, status, text):
    """An excess over a plan that is not proven to be optimal says nothing."""
    row = {"model": "m", "cluster": "c", "blocks": 1, "milp": status, "excess_%": excess}
    assert dp.worst([row, row | {"excess_%": float("nan")}]).startswith(text)
