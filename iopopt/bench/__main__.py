"""``python -m iopopt.bench``."""

from __future__ import annotations

import sys

from iopopt.bench.command import main

sys.exit(main())
