"""Figures: their files, and what is said without Matplotlib."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from iopopt import FileFormatError, MissingExtraError, Placement, Plan
from iopopt.pictures import FORMATS, draw_plan, save_figure
from iopopt.pictures.figures import figure_of, new_column

BEGINNINGS = {".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}
PLAN = Plan((("a", Placement.split("H", (0, 1), (1, 2))),))


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_suffix_says_the_format(suffix: str, tmp_path: Path) -> None:
    """Each format, in capitals too; the same picture gives the same bytes, without a date."""
    for name in (f"one{suffix}", f"two{suffix.upper()}"):
        save_figure(figure_of(draw_plan(PLAN)), tmp_path / name)
    one, two = (tmp_path / f"one{suffix}").read_bytes(), (tmp_path / f"two{suffix.upper()}").read_bytes()
    assert one.startswith(BEGINNINGS[suffix])
    assert one == two


@pytest.mark.parametrize("name", ["a.gif", "a", "a.json", ".png"])
def test_other_suffixes_are_refused(name: str, tmp_path: Path) -> None:
    """The message names those that are known."""
    with pytest.raises(FileFormatError, match=r"suffix '.*' is unknown; known are .png, .pdf, .svg"):
        save_figure(figure_of(draw_plan(PLAN)), tmp_path / name)


@pytest.mark.parametrize("name", ["missing/a.png", "a\0.svg", "folder.pdf"])
def test_what_cannot_be_written(name: str, tmp_path: Path) -> None:
    """The file is named."""
    (tmp_path / "folder.pdf").mkdir()
    with pytest.raises(FileFormatError, match="cannot be written"):
        save_figure(figure_of(draw_plan(PLAN)), tmp_path / name)


def test_a_column_shares_its_axis() -> None:
    """One below the other, as tall as asked."""
    upper, lower = new_column([1.0, 3.0], width=5.0)
    assert tuple(figure_of(upper).get_size_inches()) == (5.0, 4.0)
    upper.set_xlim(2, 3)
    assert lower.get_xlim() == (2, 3)
    figure_of(upper).draw_without_rendering()
    assert upper.get_position().y0 > lower.get_position().y1


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says how to get it."""
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "matplotlib" else found(name, *more))
    with pytest.raises(MissingExtraError, match=r"needs matplotlib: pip install 'iopopt\[figures\]'"):
        draw_plan(PLAN)
