"""``python -m iopopt.offload``."""

from __future__ import annotations

import sys

from iopopt.commands.command_line import ended
from iopopt.offload.command import main

sys.exit(ended(main))
