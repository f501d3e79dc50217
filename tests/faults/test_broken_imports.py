"""A package that the workers can't import is named once, in full and early, and nothing is called a success."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("module", "raises", "engine", "said"),
    [
        pytest.param(
            "torch",
            "raise RuntimeError('this torch is broken')",
            "eager",
            "RuntimeError: this torch is broken",
            marks=pytest.mark.slow,
        ),
        ("torch", "raise SystemExit(3)", "eager", "SystemExit: 3"),
        pytest.param(
            "numba",
            "raise ImportError('this numba is broken')",
            "compiled",
            "this numba is broken",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_broken_import_is_said_once_and_the_search_has_failed(
    tmp_path: Path, module: str, raises: str, engine: str, said: str
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / f"{module}.py").write_text(raises)
    words = ("--space", "digits_quick", "--trials", "2", "--epochs", "1", "--engine", engine, "--quiet")
    done = subprocess.run(
        [sys.executable, "-m", "tune_mlp.search", *words, "--name", "broken"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(broken)},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("tune-mlp: ")
    assert said in line
