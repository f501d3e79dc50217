"""Ctrl-C in the first second of a command, while it imports its modules: one line and status 130, as later."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

IMPORTED = """\
print("importing", flush=True)
input()
raise SystemExit(7)
"""
"""A module that is being imported until a line comes."""
WAYS = {
    "python -m tune_mlp": ["-m", "tune_mlp", "spaces"],
    "python -m tune_mlp.search": ["-m", "tune_mlp.search", "--help"],
    "the console script": ["-c", "import sys; from tune_mlp.__main__ import command; sys.exit(command())"],
}
IGNORING = "import signal, os, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
"""Begins a program for which Ctrl-C is ignored, as `nohup` does."""


def begin(folder: Path, words: list[str]) -> subprocess.Popen[str]:
    """Begin a command, and return when it is in the middle of its imports."""
    (folder / "argparse.py").write_text(IMPORTED)
    process = subprocess.Popen(
        [sys.executable, *words],
        env={**os.environ, "PYTHONPATH": str(folder)},
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "importing\n"
    return process


@pytest.mark.parametrize("way", WAYS)
def test_an_interruption_while_modules_are_imported_is_one_line(tmp_path: Path, way: str) -> None:
    process = begin(tmp_path, ["-P", *WAYS[way]])
    process.send_signal(signal.SIGINT)
    said, complaint = process.communicate(timeout=30)
    assert (process.returncode, said, complaint) == (130, "", "tune-mlp: interrupted\n")


def test_an_interruption_that_is_ignored_stays_so(tmp_path: Path) -> None:
    process = begin(tmp_path, ["-c", IGNORING, "-P", *WAYS["python -m tune_mlp"]])
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate("\n", timeout=30)
    assert process.returncode == 7, complaint
    assert "interrupted" not in complaint


def test_the_console_script_is_the_command_that_answers_early() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {"tune-mlp": "tune_mlp.__main__:command"}
