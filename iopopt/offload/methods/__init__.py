"""The offloading methods: one file and one registry line each, all with the signature ``(instance, *, ...) -> OffloadSolution``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from iopopt.errors import PluginError
from iopopt.network.records import short_repr
from iopopt.offload.instance import OffloadInstance, as_offload_instance
from iopopt.offload.methods.brute_force import solve_bf
from iopopt.offload.methods.cpsat import solve_cpsat
from iopopt.offload.methods.mw import solve_mw
from iopopt.offload.methods.nfl import solve_best_cut, solve_local, solve_remote
from iopopt.offload.methods.psomw import solve_psomw
from iopopt.offload.solution import OffloadSolution
from iopopt.registry import Registry

OFFLOAD_OPTIONS = ("space", "objective", "seed", "time_limit_s")
"""The options that mean the same for every method that has a parameter of that name."""


@dataclass(frozen=True)
class OffloadMethod:
    """The registry entry of a method.

    Attributes:
        solve: ``(instance, *, ...) -> OffloadSolution``.
        label: its name in tables.
        several_devices: whether it plans several devices that share servers.
    """

    solve: Callable[..., OffloadSolution]
    label: str
    summary: str = ""
    several_devices: bool = True

    @cached_property
    def takes(self) -> frozenset[str]:
        """The common options among the parameters of :attr:`solve`."""
        return frozenset(inspect.signature(self.solve).parameters) & frozenset(OFFLOAD_OPTIONS)


def _adapted(name: str, found: object) -> OffloadMethod:
    """The entry of an imported object: an OffloadMethod, or a function."""
    if isinstance(found, OffloadMethod):
        return found
    if not callable(found) or isinstance(found, type):
        raise PluginError(f"offloading method {name!r} is {short_repr(found)}; a function (instance, *, ...) -> OffloadSolution is expected")
    return OffloadMethod(found, label=name, summary=(inspect.getdoc(found) or "").partition("\n")[0])


OFFLOAD_METHODS = Registry[OffloadMethod](
    "offloading method",
    "iopopt.offload_methods",
    {
        "local": OffloadMethod(solve_local, "local", "everything on the device"),
        "remote": OffloadMethod(solve_remote, "remote", "everything on a server"),
        "best-cut": OffloadMethod(solve_best_cut, "best cut", "one path, cut at the best place"),
        "bf": OffloadMethod(solve_bf, "BF", "brute force with pruning: every split, cut and order of one device", several_devices=False),
        "cpsat": OffloadMethod(solve_cpsat, "CP-SAT", "the optimum by CP-SAT, in ticks, of one device or several"),
        "mw": OffloadMethod(solve_mw, "MW", "Minimizing Waiting: Johnson's order, earliest finish, local changes"),
        "psomw": OffloadMethod(solve_psomw, "PSOMW", "a particle swarm with Minimizing Waiting"),
    },
    _adapted,
)
"""Every offloading method by name."""


def solve_offload(instance: OffloadInstance, method: str = "psomw", **options: Any) -> OffloadSolution:
    """Run a method by name; options that it does not take are an error, as of any function.

    Raises:
        UnknownNameError: if there is no such method.
        OffloadError: if ``instance`` is no OffloadInstance.
    """
    return OFFLOAD_METHODS.find(method).solve(as_offload_instance(instance), **options)
