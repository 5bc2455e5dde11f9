"""``python -m iopopt.executor``: the same as ``iopopt run``, for torchrun."""

from __future__ import annotations

import sys

from iopopt.commands.command_line import ended
from iopopt.executor.command import main

sys.exit(ended(main))
