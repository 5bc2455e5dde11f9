"""Registries: four ways to name an entry, and an error that helps for everything else."""

from __future__ import annotations

from pathlib import Path

import pytest

from iopopt.errors import PluginError, UnknownNameError
from iopopt.registry import Registry


def registry(**built_in: object) -> Registry[object]:
    """Names for anything but None."""

    def adapt(name: str, found: object) -> object:
        if found is None:
            raise PluginError(f"thing {name!r} is None")
        return found

    return Registry("thing", "iopopt.things_of_the_test", built_in, adapt)


def announce(folder: Path, points: str) -> None:
    """An installed package that has these entry points."""
    record = folder / "things-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: things\nVersion: 1.0\n")
    (record / "entry_points.txt").write_text(f"[iopopt.things_of_the_test]\n{points}\n")


def test_built_in_entries_keep_their_order() -> None:
    things = registry(b=2, a=1)
    assert list(things) == ["b", "a"]
    assert (things["a"], things.find("b"), len(things)) == (1, 2, 2)


def test_a_built_in_entry_is_imported_when_it_is_asked_for() -> None:
    things = registry(tau="math:tau", lost="no_such_module:thing")
    assert list(things) == ["tau", "lost"]
    assert things["tau"] == pytest.approx(6.283185)
    with pytest.raises(PluginError, match="ModuleNotFoundError"):
        things.find("lost")


def test_importable_objects_need_no_name() -> None:
    assert registry().find("pathlib:Path.home") == Path.home


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module:f", "thing 'no_such_module:f': 'no_such_module:f' cannot be imported .ModuleNotFoundError"),
        ("math:no_such_name", "AttributeError"),
        ("not a module:f", "cannot be imported"),
        (":", "cannot be imported"),
    ],
)
def test_what_cannot_be_imported(name: str, message: str) -> None:
    with pytest.raises(PluginError, match=message):
        registry().find(name)


def test_a_module_that_raises_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "breaks_on_import.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PluginError, match="ZeroDivisionError: division by zero"):
        registry().find("breaks_on_import:f")


def test_objects_are_adapted() -> None:
    """What is imported may be refused."""
    with pytest.raises(PluginError, match=r"thing 'math:__spec__.submodule_search_locations' is None"):
        registry().find("math:__spec__.submodule_search_locations")


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown thing 'greedi'. Did you mean 'greedy'\? Known: greedy. One of your own is written package"):
        registry(greedy=1).find("greedi")


def test_registered_entries() -> None:
    things = registry(a=1)
    things.register("mine", 2)
    things.register("mine", 3)
    assert (list(things), things.find("mine")) == (["a", "mine"], 3)


@pytest.mark.parametrize(
    ("name", "message"), [("a", "'a' is built in"), ("x:y", "no colon"), ("x y", "no colon"), ("", "no colon"), ("x,y", "comma")]
)
def test_names_that_cannot_be_registered(name: str, message: str) -> None:
    with pytest.raises(PluginError, match=message):
        registry(a=1).register(name, 2)


def test_installed_packages_announce_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    announce(tmp_path, "tau = math:tau\nlost = no_such_module:f")
    monkeypatch.syspath_prepend(tmp_path)
    things = registry(a=1)
    assert list(things) == ["a", "tau", "lost"]
    assert things.find("tau") == pytest.approx(6.283185)
    with pytest.raises(PluginError, match="no_such_module:f"):
        things.find("lost")


def test_a_built_in_keeps_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    announce(tmp_path, "a = math:tau")
    monkeypatch.syspath_prepend(tmp_path)
    things = registry(a=1)
    with pytest.warns(UserWarning, match="ignored, because their names are built in: a"):
        assert things.find("a") == 1
