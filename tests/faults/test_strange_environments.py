"""Environments that a shell can leave a search in: each search runs, or says in one line why it can't."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from tests.test_search import QUICK, SEARCH, environment

LIMIT = 40
"""A limit on open files that Ray can't start with."""


def in_shell(command: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command of bash; the output may be no UTF-8."""
    env = {**environment(folder), **variables}
    return subprocess.run(["bash", "-c", command], cwd=folder, env=env, capture_output=True, timeout=120, check=False)


def trials(run: Path) -> int:
    assert json.loads((run / "run.json").read_text())["state"] == "finished"
    return len(pd.read_csv(run / "trials.csv"))


def test_too_few_open_files_are_said_at_once(tmp_path: Path) -> None:
    done = in_shell(f"ulimit -n {LIMIT}; {shlex.join([*SEARCH, *QUICK])}", tmp_path)
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1), done.stderr
    assert done.stderr == (
        b"tune-mlp: Ray needs 256 open files or more, and this process may have 40 (ulimit -Hn)\n"
    ), done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_a_soft_limit_on_open_files_is_raised(tmp_path: Path) -> None:
    done = in_shell(f"ulimit -Sn {LIMIT}; {shlex.join([*SEARCH, *QUICK, '--name', 'few'])}", tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert trials(tmp_path / "runs" / "few") == 4


@pytest.mark.parametrize("option", ["--out", "--csv"])
def test_a_name_that_is_not_utf_8_is_refused_at_once(option: str, tmp_path: Path) -> None:
    done = in_shell(f"{shlex.join([*SEARCH, *QUICK])} {option} $'o\\xff'", tmp_path)
    assert (done.returncode, done.stderr) == (
        2,
        b"tune-mlp: the argument 'o\\udcff' isn't UTF-8, as Ray needs it; choose another name\n",
    )
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith(".")]


def test_a_working_directory_whose_name_is_not_utf_8_is_refused_at_once(tmp_path: Path) -> None:
    done = in_shell(f"mkdir $'o\\xff'; cd $'o\\xff'; {shlex.join([*SEARCH, *QUICK])}", tmp_path)
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1), done.stderr
    assert b"isn't UTF-8" in done.stderr
    assert not list(os.scandir(os.fsencode(tmp_path) + b"/o\xff"))


@pytest.mark.slow
def test_a_home_that_is_no_folder_is_no_obstacle(tmp_path: Path) -> None:
    done = in_shell(shlex.join([*SEARCH, *QUICK, "--name", "homeless"]), tmp_path, HOME="/dev/null")
    assert (done.returncode, done.stderr) == (0, b"")
    assert trials(tmp_path / "runs" / "homeless") == 4


@pytest.mark.slow
def test_a_closed_standard_input_is_no_obstacle(tmp_path: Path) -> None:
    done = in_shell(f"{shlex.join([*SEARCH, *QUICK, '--name', 'deaf'])} <&-", tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert trials(tmp_path / "runs" / "deaf") == 4
