"""``python -m iopopt.executor``: the same as ``iopopt run``, for torchrun."""

from __future__ import annotations

import sys

from iopopt.executor.command import main

sys.exit(main())
