"""All ways into the commands answer alike: help, version, a wrong word, Ctrl-C, and a reader that leaves."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import iopopt
from iopopt.commands.command_line import ended

SCRIPT = ["-c", "import sys; from iopopt.__main__ import main; sys.exit(main())"]
WAYS = {
    "python -m iopopt": ["-m", "iopopt"],
    "iopopt": SCRIPT,
    "iopopt bench": [*SCRIPT, "bench"],
    "python -m iopopt.bench": ["-m", "iopopt.bench"],
    "iopopt run": [*SCRIPT, "run"],
    "python -m iopopt.executor": ["-m", "iopopt.executor"],
    "iopopt show": [*SCRIPT, "show"],
    "iopopt export": [*SCRIPT, "export"],
    "iopopt glossary": [*SCRIPT, "glossary"],
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_in_answers_alike(way: str) -> None:
    """Help and version go to the standard output with code 0, a wrong word to the standard error with code 2, none with a traceback."""
    answers = {}
    for word in ("--help", "--version", "--nonsense"):
        done = subprocess.run([sys.executable, *WAYS[way], word], capture_output=True, text=True, timeout=60, check=False)
        answers[word] = done.returncode, done.stdout, done.stderr
    assert (answers["--help"][0], answers["--help"][2]) == (0, "")
    assert answers["--help"][1].startswith("usage: ")
    assert answers["--version"] == (0, f"{iopopt.__version__}\n", "")
    assert answers["--nonsense"][:2] == (2, "")
    assert "error: " in answers["--nonsense"][2]
    assert "Traceback" not in answers["--nonsense"][2]


@pytest.mark.parametrize("way", WAYS)
def test_a_reader_that_leaves_early_is_no_error(way: str) -> None:
    """As with ``| head``: the pipe is closed before anything is read, and nothing is said about it."""
    reader, writer = os.pipe()
    os.close(reader)
    buffered = {
        name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"
    }  # without a buffer argparse itself swallows the error
    with open(writer, "wb") as closed:
        done = subprocess.run([sys.executable, *WAYS[way], "--help"], stdout=closed, stderr=subprocess.PIPE, env=buffered, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, b"")


def test_ctrl_c_is_an_exit_code() -> None:
    """A command that does not deal with it itself ends with 130, like one that does."""

    def interrupted() -> int:
        raise KeyboardInterrupt

    assert ended(interrupted) == 130
    assert ended(lambda: 3) == 3
