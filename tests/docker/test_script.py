"""`ray submit` copies search.py alone to the head and runs it as a script: it works as one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pandas as pd

PACKAGE = Path(__file__).parents[2] / "tune_mlp"


def run(script: Path, cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "RAY_ADDRESS"}}
    command = [sys.executable, str(script), *words]
    return subprocess.run(command, cwd=cwd, env=kept, capture_output=True, text=True, check=False)


def test_no_module_of_ours_hides_another_where_a_script_finds_it_first() -> None:
    """`python tune_mlp/search.py` puts tune_mlp/ before everything else on the path."""
    ours = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    others = set(sys.stdlib_module_names) | set(metadata.packages_distributions())
    assert ours & (others - {"__init__", "__main__"}) == set()


def test_the_main_job_runs_as_a_script_from_an_empty_folder(tmp_path: Path) -> None:
    words = "--space digits_quick --trials 1 --epochs 1 --name first --csv t.csv --engine eager --quiet"
    done = run(PACKAGE / "search.py", tmp_path, *words.split())
    assert done.returncode == 0, done.stderr
    assert len(pd.read_csv(tmp_path / "t.csv")) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs", "t.csv"]


def test_the_main_jobs_file_alone_is_enough_where_the_package_is_installed(tmp_path: Path) -> None:
    copied = shutil.copy(PACKAGE / "search.py", tmp_path)
    done = run(Path(copied), tmp_path, "--space", "digits_quick", "--trials", "0")
    assert done.returncode == 2
    assert len(done.stderr.strip().split("\n")) == 1, done.stderr
    assert "trials" in done.stderr
