"""``python -m benchmarks.testbed``."""

from __future__ import annotations

import sys

from benchmarks.testbed.command import main

sys.exit(main())
