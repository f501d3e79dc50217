"""The wheel that is built from this checkout works by itself."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_a_wheel_in_a_venv_of_its_own_runs_the_main_job_from_any_folder(tmp_path: Path) -> None:
    """This environment's dependencies are used; the package and its spaces come from the wheel alone."""
    dist = tmp_path / "dist"
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(dist), str(ROOT)]
    subprocess.run(build, check=True, cwd=tmp_path)
    (wheel,) = dist.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {"tune_mlp/search_spaces/mnist_asha.yaml", "tune_mlp/py.typed"} < set(names)
    assert {f"tune_mlp/report/assets/{name}" for name in ("page.js", "style.css", "vega.min.js")} < set(names)
    assert [name for name in names if name.endswith(".dist-info/licenses/LICENSE")]
    assert not any(name.startswith(("tests/", "docs/")) for name in names)

    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", str(wheel)], check=True, cwd=tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TUNE_MLP", "XDG_"))}
    env = {**kept, "HOME": str(elsewhere), "PYTHONPATH": sysconfig.get_path("purelib")}
    where = [python, "-c", "import tune_mlp; print(tune_mlp.__file__)"]
    found = subprocess.run(where, env=env, cwd=elsewhere, capture_output=True, text=True, check=True).stdout
    assert str(tmp_path / "venv") in found
    command = [
        python,
        "-m",
        "tune_mlp.search",
        "--space",
        "mnist_asha",
        "--trials",
        "2",
        "--epochs",
        "1",
        "--csv",
        "t.csv",
    ]
    done = subprocess.run(command, env=env, cwd=elsewhere, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(pd.read_csv(elsewhere / "t.csv")) == 2
    assert list(elsewhere.glob("runs/*/report.html"))
