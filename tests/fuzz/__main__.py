"""``python -m tests.fuzz``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # as pytest does, for ``support``

if __name__ == "__main__":  # a child process imports this module too
    from tests.fuzz.run import main

    sys.exit(main())
