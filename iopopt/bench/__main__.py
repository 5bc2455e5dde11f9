"""``python -m iopopt.bench``."""

from __future__ import annotations

import sys

from iopopt.bench.command import main
from iopopt.commands.command_line import ended

sys.exit(ended(main))
