"""What C code prints to standard output is discarded, and nothing else."""

import subprocess
import sys

SCRIPT = """
import ctypes
from iopopt.milp.quiet import discarded_output
libc = ctypes.CDLL(None)
libc.printf(b"c before\\n")
print("before")
with discarded_output():
    libc.printf(b"c within\\n")
print("after")
libc.printf(b"c after\\n")
"""


def test_only_what_c_prints_meanwhile_is_lost():
    """In a pipe, where C holds its output back, lines before and after it arrive; also where standard output is closed."""
    ended = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert sorted(ended.stdout.splitlines()) == ["after", "before", "c after", "c before"]
    closed = f"import os; os.close(1)\n{SCRIPT.replace('print(', 'str(')}"
    assert subprocess.run([sys.executable, "-c", closed], capture_output=True, text=True, check=False).returncode == 0
