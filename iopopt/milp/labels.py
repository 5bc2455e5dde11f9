"""Names of variables and rows in LP and MPS files, legal in those of HiGHS, SCIP, CBC, CPLEX and Gurobi.

A name is its family and, in parentheses, the labels of what it is of: ``x(conv3,OC)``, ``n(conv3,H,pi)``. Labels consist of letters, digits, dots
and underscores, so that names are as distinct as the labels are. Names begin with the letters of a family other than e, and are no numbers.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping

from iopopt.cost.instance import Instance
from iopopt.milp.arcs import Name, Node

_LONGEST_OPERATOR, _LONGEST_DEVICE = 18, 10
"""Characters of a label: the longest name then has no more than the 100 that CBC reads in an LP file."""

_RESERVED = ("H", "IC", "OC", "team")
"""What stands where a device may stand too."""


class Labels:
    """The labels of the operators and devices of an instance.

    They depend on the instance alone, so that a solution of one file can be read with the program of another.

    Attributes:
        operators: label by name, also of source and sink.
        devices: labels by index.
    """

    def __init__(self, instance: Instance) -> None:
        self.operators = distinct_labels((unit.name for unit in instance.units), _LONGEST_OPERATOR)
        devices = [device.name for device in instance.cluster.devices]
        labels = distinct_labels(devices, _LONGEST_DEVICE, _RESERVED)
        self.devices = tuple(labels[name] for name in devices)

    def name(self, name: Name) -> str:
        """The name of a variable or a row in a file."""
        family, *parts = name
        return f"{_plain(str(family))}({','.join(map(self._label, parts))})"

    def _label(self, part: str | int | Node) -> str:
        if isinstance(part, int):
            return self.devices[part]
        if isinstance(part, str):
            return self.operators.get(part) or _plain(part)
        if part.dim is not None:
            return part.dim
        assert part.device is not None
        return self.devices[part.device]


def distinct_labels(names: Iterable[str], longest: int, reserved: Iterable[str] = ()) -> Mapping[str, str]:
    """A label of at most ``longest`` characters for each name; a name that is one already keeps it.

    Of a long name the end is kept, which is where names of a hierarchy differ. Labels that would be the same get a number after a tilde.
    """
    names = list(dict.fromkeys(names))
    labels = {name: name for name in names if name and name == _plain(name) and len(name) <= longest and name not in reserved}
    taken = {*labels, *reserved}
    for name in names:
        if name not in labels:
            labels[name] = next(label for label in _candidates(_plain(name).strip("_"), longest) if label not in taken)
            taken.add(labels[name])
    return labels


def _candidates(plain: str, longest: int) -> Iterable[str]:
    if plain:
        yield plain[-longest:]
    for number in itertools.count(2 if plain else 1):
        suffix = f"~{number}"
        yield plain[len(plain) - min(len(plain), longest - len(suffix)) :] + suffix


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.]", "_", text)
