"""The child process that runs a back end: ``python -m iopopt.milp.worker BACKEND DIRECTORY``.

It reads ``request.npz`` from the directory, prints the points of its trajectory, a line of JSON each, and writes ``outcome.npz``. The parent
may kill it at any time.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

from iopopt.milp.backends import load_backend
from iopopt.milp.solver_files import read_request, write_outcome
from iopopt.processes import end_with_parent


def main(backend: str, directory: Path) -> None:
    """Run one request."""
    program, options = read_request(directory)
    write_outcome(directory, load_backend(backend)(program, options, lambda progress: print(json.dumps(progress), flush=True)))


if __name__ == "__main__":
    threading.Thread(target=end_with_parent, daemon=True).start()
    main(sys.argv[1], Path(sys.argv[2]))
