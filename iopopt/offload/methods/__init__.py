"""The offloading methods: one file and one registry line each, all with the signature ``(instance, *, ...) -> OffloadSolution``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from iopopt.cluster.units import warn_of
from iopopt.errors import PluginError, UnsupportedError
from iopopt.network.records import short_repr
from iopopt.offload.instance import OffloadInstance, as_offload_instance
from iopopt.offload.methods.brute_force import solve_bf
from iopopt.offload.methods.cpsat import solve_cpsat
from iopopt.offload.methods.mw import solve_mw
from iopopt.offload.methods.nfl import solve_best_cut, solve_local, solve_remote
from iopopt.offload.methods.psomw import solve_psomw
from iopopt.offload.recursion import checked_objective
from iopopt.offload.solution import OffloadSolution, checked_offload_solution
from iopopt.offload.units import doubts
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
    """Find an offloading plan with a method; ``options`` are passed to it.

    Most take ``space`` (:class:`iopopt.OffloadSpace`: how many stages are fused, how many paths, uneven rows), ``objective`` (``"makespan"`` or
    ``"mean"``) and ``time_limit_s``; ``psomw`` also ``seed``, ``cpsat`` also ``resolution_s``, ``warm_start`` and ``threads``.

    Warns:
        UnitWarning: if a figure looks as if it were in another unit.

    Raises:
        UnknownNameError: if there is no such method.
        OffloadError: if ``instance`` is no OffloadInstance, there is no such objective, or the method does not plan several devices.
        UnsupportedError: if the method does not take one of the options.
        SolverError: if what it returns is not what the recursion says of it.
    """
    entry = OFFLOAD_METHODS.find(method)
    warn_of(list(doubts(as_offload_instance(instance))))
    taken = inspect.signature(entry.solve).parameters
    if refused := sorted(set(options) - set(taken)):
        allowed = ", ".join(name for name in taken if name != "instance")
        raise UnsupportedError(f"method {method!r} does not take {', '.join(refused)}; its options are {allowed}")
    if "objective" in options:
        checked_objective(options["objective"])
    return checked_offload_solution(instance, entry.solve(instance, **options))
