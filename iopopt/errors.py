"""The exceptions that iopopt raises deliberately, all with one base class.

Catch :class:`IopoptError` at the top level of a program: its message is complete (what was found, what is allowed, how to fix it) and
needs no traceback. Catch a subclass if the program can handle that one cause.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class IopoptError(Exception):
    """Base of every error that bad input or a failed solve raises."""


class GraphError(IopoptError, ValueError):
    """A network is not well formed, or too small for what was asked of it."""


class ClusterError(IopoptError, ValueError):
    """A device or cluster is not well formed."""


class PlanError(IopoptError, ValueError):
    """A plan breaks equations (2) to (5), or belongs to another graph or cluster."""


class ServiceError(IopoptError, ValueError):
    """A channel, a candidate or a request for service reliability is not well formed."""


class OffloadError(IopoptError, ValueError):
    """An offloading instance, or what was asked of it, is not well formed."""


class FileFormatError(IopoptError, ValueError):
    """A file cannot be read as what it should hold; the message names the file and the key."""


class UnknownNameError(IopoptError, LookupError):
    """A model, cluster, method or back end of that name does not exist."""

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        known = sorted(known)
        near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
        meant = f" Did you mean {near[0]!r}?" if near else ""
        super().__init__(f"unknown {kind} {name!r}.{meant} Known: {', '.join(known)}." + (f" {hint}" if hint else ""))


class PluginError(IopoptError, ImportError):
    """A method or back end of the user's cannot be loaded or is not one; the message says what is expected."""


class UnsupportedError(IopoptError, ValueError):
    """The input is sound, but this part of the toolkit does not handle it; the message says which part would."""


class InstanceTooLargeError(IopoptError, ValueError):
    """An exhaustive method was asked for more plans than it enumerates."""


class SolverError(IopoptError, RuntimeError):
    """A back end failed, is missing, or returned something that the evaluator does not confirm."""


class MissingExtraError(IopoptError, ImportError):
    """An optional dependency is not installed; the message says how to get it."""


class ExecutionError(IopoptError, RuntimeError):
    """A plan could not be run to its end: a worker failed, or a message did not arrive in time."""
