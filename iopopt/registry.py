"""What users can add to: names of methods and of back ends.

An entry is built in, registered by a program, announced by an installed package (an entry point), or any object that can be imported, written
``package.module:name``.
"""

from __future__ import annotations

import importlib.metadata
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, Generic, TypeVar

from iopopt.errors import PluginError, UnknownNameError

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """Entries by name: the built-in ones first, in their order.

    Args:
        kind: what the entries are, for messages.
        group: the entry-point group under which installed packages announce theirs.
        built_in: entries, or where to import them from (``package.module:name``), which happens when one is asked for.
        adapt: makes an entry of an imported object; raises :class:`PluginError` if it cannot.
    """

    def __init__(self, kind: str, group: str, built_in: Mapping[str, T | str], adapt: Callable[[str, Any], T]) -> None:
        self._kind, self._group, self._adapt = kind, group, adapt
        self._built_in, self._registered = dict(built_in), dict[str, T]()

    def __getitem__(self, name: str) -> T:
        entry = self._entries[name]
        return self._imported(name, entry) if isinstance(entry, str) else entry

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, name: str) -> T:
        """The entry of a name, or the object that ``package.module:name`` imports.

        Raises:
            UnknownNameError: if nothing has that name; the message names the nearest.
            PluginError: if it cannot be imported, or is no entry of this kind.
        """
        known = isinstance(name, str) and name in self
        if not known and isinstance(name, str) and ":" in name:
            return self._imported(name, name)
        if not known:
            raise UnknownNameError(self._kind, name, self, hint="One of your own is written package.module:name.")
        return self[name]

    def register(self, name: str, entry: T) -> None:
        """Add an entry; a later one of the same name takes its place, except that of a built-in.

        Raises:
            PluginError: if the name is a built-in's, or holds a colon or a space.
        """
        if name in self._built_in:
            raise PluginError(f"{self._kind} {name!r} is built in; choose another name")
        if not name or not name.isprintable() or set(name) & set(":, "):
            raise PluginError(f"{self._kind} {name!r}: a name has no colon, comma or space")
        self._registered[name] = entry

    @property
    def _entries(self) -> dict[str, T | str]:
        return {**self._built_in, **self._announced, **self._registered}

    @cached_property
    def _announced(self) -> dict[str, T | str]:
        """Where to import the entries of installed packages from."""
        points = importlib.metadata.entry_points(group=self._group)
        taken = sorted(point.name for point in points if point.name in self._built_in)
        if taken:
            warnings.warn(f"entry points of {self._group} are ignored, because their names are built in: {', '.join(taken)}", stacklevel=2)
        return {point.name: point.value for point in points if point.name not in self._built_in}

    def _imported(self, name: str, place: str) -> T:
        try:
            found = importlib.metadata.EntryPoint(name, place, self._group).load()
        except Exception as error:  # whatever the module of another author raises when it is imported
            raise PluginError(
                f"{self._kind} {name!r}: {place!r} cannot be imported ({type(error).__name__}: {error}); package.module:name must name an object of "
                "a module on Python's path"
            ) from error
        return self._adapt(name, found)
