"""Solvers in this process that print.

HiGHS prints a line to standard output, whatever its options say, where it solves the continuous part of an incumbent again. It comes from C, so it
would appear in the middle of what a program prints or pipes.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_STDOUT = 1


@contextmanager
def discarded_output() -> Iterator[None]:
    """Discard what C code prints to standard output; other threads had better not print meanwhile."""
    try:
        saved = os.dup(_STDOUT)
    except OSError:  # a program without standard output
        yield
        return
    if sys.stdout is not None:
        sys.stdout.flush()
    _flush_c()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, _STDOUT)
    try:
        yield
    finally:
        _flush_c()
        os.dup2(saved, _STDOUT)
        os.close(saved)
        os.close(nowhere)


def _flush_c() -> None:
    """Write out what C code has printed and still holds."""
    with suppress(OSError, AttributeError, TypeError):  # Windows has no handle of this kind; a line may slip through there
        ctypes.CDLL(None).fflush(None)
