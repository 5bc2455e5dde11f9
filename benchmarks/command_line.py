"""How every module of this package ends as a command."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NoReturn

from iopopt import IopoptError
from iopopt.commands.command_line import ended, print_error

_OK, _BAD_INPUT = 0, 2


def run(main: Callable[[], None]) -> NoReturn:
    """Run a benchmark and end the process: 0, the exit code that it chose, or 2 and one line on standard error for bad input."""
    sys.exit(ended(lambda: _exit_code(main)))


def _exit_code(main: Callable[[], None]) -> int:
    try:
        main()
    except IopoptError as error:
        print_error(error)
        return _BAD_INPUT
    return _OK
