"""The command line from outside: real processes, real Ray, what is printed and what is left."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from tests.terminal import Terminal
from tune_mlp.engines.choose import load_engine, must_compile
from tune_mlp.engines.compiled.cache import cache_folder
from tune_mlp.report.verify import verify

SEARCH = [sys.executable, "-m", "tune_mlp.search"]
QUICK = ["--space", "digits_quick", "--trials", "4", "--epochs", "2", "--concurrent", "1"]
"""One trial at a time, since the start of a worker takes longer than its trials."""
ROOT = Path(__file__).parents[1]


def environment(home: Path) -> dict[str, str]:
    """Return a newcomer's environment: an empty home and no data, but the kernels that these tests have compiled."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TUNE_MLP", "XDG_"))}
    if must_compile("compiled"):
        load_engine("compiled")
    return {**kept, "HOME": str(home), "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(cache_folder().parent)}


def search(
    arguments: list[str], cwd: Path, env: dict[str, str] | None = None, timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SEARCH, *arguments],
        cwd=cwd,
        env=env or environment(cwd),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@dataclass(frozen=True)
class Searched:
    """A search that has ended."""

    folder: Path
    done: subprocess.CompletedProcess[str]
    left: list[str]
    """The processes of the search that were still there some time later."""


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Searched:
    folder = tmp_path_factory.mktemp("searched")
    mark = f"TUNE_MLP_TEST_MARK={folder.name}-{time.time_ns()}"
    name, _, value = mark.partition("=")
    done = search([*QUICK, "--name", "first", "--csv", "table.csv"], folder, {**environment(folder), name: value})
    end = time.monotonic() + 20
    while (left := _marked(mark)) and time.monotonic() < end:
        time.sleep(0.2)
    return Searched(folder, done, left)


def test_a_search_prints_plain_lines_where_there_is_no_terminal_and_nothing_else(searched: Searched) -> None:
    done, folder = searched.done, searched.folder
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0].startswith("warning: asha stops nothing")
    assert lines[1].startswith("digits_quick: digits, 1,150 to train on and 288 to validate; random search, asha")
    assert [line[:5] for line in lines[2:6]] == ["[1/4]", "[2/4]", "[3/4]", "[4/4]"]
    assert "Best 4 of 4 trials" in done.stdout
    assert "On the test set, used once: trial" in done.stdout
    assert "tune-mlp export runs/first --to xlsx" in done.stdout
    assert "\x1b" not in done.stdout
    assert len(pd.read_csv(folder / "table.csv")) == 4
    assert sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")) == ["runs", "table.csv"]


def test_no_process_outlives_a_search(searched: Searched) -> None:
    assert searched.done.returncode == 0
    assert not searched.left


@pytest.mark.slow  # it compiles all kernels
def test_the_kernels_are_compiled_once_with_a_line_that_says_so(tmp_path: Path) -> None:
    """The home is empty at first; a second search finds the kernels there."""
    env = {name: value for name, value in environment(tmp_path).items() if name != "NUMBA_CACHE_DIR"}
    outputs = [search(QUICK, tmp_path, env).stdout for _ in range(2)]
    assert [output.count("compiled the kernels in") for output in outputs] == [1, 0]


def test_kernels_are_kept_elsewhere_where_the_home_cannot_be_written(tmp_path: Path) -> None:
    code = "from tune_mlp.engines.compiled.cache import cache_folder; print(cache_folder())"
    env = {
        **environment(tmp_path),
        "HOME": "/proc/nowhere",
        "TMPDIR": str(tmp_path),
        "NUMBA_CACHE_DIR": "/proc/nowhere",
    }
    found = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
    assert Path(found.strip()).parents[1] == tmp_path


def test_a_terminal_shows_a_live_view_that_leaves_only_the_result(tmp_path: Path) -> None:
    seen: list[list[str]] = []
    terminal = Terminal(columns=100, lines=30)
    command = [*SEARCH, "--space", "digits_quick", "--trials", "4", "--epochs", "8", "--concurrent", "1"]
    command += ["--set", "scheduler.median.grace_period=99"]  # each epoch is told
    command += ["--engine", "eager", "--set", "batch_size=4"]  # slow enough to be watched
    assert terminal.run(command, tmp_path, environment(tmp_path), seen.append) == 0
    live = [lines for lines in seen if any("/4" in line for line in lines)]
    assert live
    assert any(re.search(r"trial \d+ +epoch \d+/8 +val_accuracy 0\.\d+ +lr ", line) for lines in live for line in lines)
    assert any("best so far  best_val_accuracy" in line for lines in live for line in lines)
    assert not any("/4" in line for line in terminal.lines), "the live view is gone at the end"
    assert any("Best 4 of 4 trials" in line for line in terminal.lines)
    assert max(len(lines) for lines in live) < 30, "it fits the screen"


def search_until(said: str, folder: Path, *words: str) -> subprocess.Popen[str]:
    """Start a search, and return it when it has printed a line that begins so."""
    process = subprocess.Popen(
        [*SEARCH, *words],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert any(line.startswith(said) for line in process.stdout)
    return process


@pytest.mark.slow  # a signal to all of a search's processes is the quick test below
@pytest.mark.parametrize(
    ("number", "status"),
    [
        (signal.SIGINT, 130),
        (signal.SIGTERM, 143),
        (signal.SIGHUP, 129),
        (signal.SIGQUIT, 131),
    ],
)
def test_a_signal_ends_a_search_with_all_saved(number: int, status: int, tmp_path: Path) -> None:
    process = search_until("[10/", tmp_path, "--space", "digits_quick", "--trials", "3000", "--name", "cut")
    process.send_signal(number)
    said, complaint = process.communicate(timeout=60)
    assert process.returncode == status
    assert complaint.count("\n") == 1
    assert "interrupted; the" in complaint
    assert said.splitlines()[-1].startswith("best so far: trial ")
    assert len(pd.read_csv(tmp_path / "runs" / "cut" / "trials.csv")) >= 10
    assert verify(tmp_path / "runs" / "cut" / "report.html").facts["differ"] == 0


def test_a_hung_up_terminal_leaves_a_run_that_is_resumed(tmp_path: Path) -> None:
    """Its kernel sends SIGHUP to the whole group of processes."""
    process = subprocess.Popen(
        [*SEARCH, "--space", "digits_quick", "--trials", "3000", "--name", "cut"],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout
    assert any(line.startswith("[5/") for line in process.stdout)
    os.killpg(process.pid, signal.SIGHUP)
    said, complaint = process.communicate(timeout=60)
    assert (process.returncode, complaint.count("\n")) == (129, 1), complaint
    assert "interrupted; the" in complaint
    assert said.splitlines()[-1].startswith("best so far: trial ")
    assert len(pd.read_csv(tmp_path / "runs" / "cut" / "trials.csv")) >= 5


@pytest.mark.slow
def test_a_search_whose_hangups_are_ignored_goes_on(tmp_path: Path) -> None:
    """`nohup` starts a search like this."""
    process = subprocess.Popen(
        ["nohup", *SEARCH, *QUICK, "--name", "whole"],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert any(line.startswith("[1/") for line in process.stdout)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert len(pd.read_csv(tmp_path / "runs" / "whole" / "trials.csv")) == 4


@pytest.mark.parametrize(
    "ending",
    [
        "| head -1",
        *(
            pytest.param(end, marks=pytest.mark.slow)
            for end in ("<&- >&- 2>&-", "| true", ">&-", "> /dev/full", "> /dev/full 2>&1")
        ),
    ],
)
def test_a_search_needs_no_screen(ending: str, tmp_path: Path) -> None:
    command = f"set -o pipefail; {shlex.join([*SEARCH, *QUICK, '--name', 'unseen'])} {ending}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((tmp_path / "runs" / "unseen" / "run.json").read_text())["state"] == "finished"
    assert len(pd.read_csv(tmp_path / "runs" / "unseen" / "trials.csv")) == 4


def test_a_search_in_a_deleted_folder_says_so(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    command = f"rmdir ../gone; {shlex.join([*SEARCH, *QUICK, '--out', str(tmp_path / 'runs')])}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=tmp_path / "gone",
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "the working directory was deleted" in done.stderr


TWO_QUICK_THEN_SLOW = """\
data: {name: digits}
space: {width: {choice: [8, 16, 5000, 6000]}, depth: 3, batch_size: 1}
search: grid
epochs: 1
concurrent: 1
engine: eager
"""


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_a_second_signal_does_not_wait_for_the_epoch_and_loses_nothing(
    number: int, status: int, tmp_path: Path
) -> None:
    (tmp_path / "s.yaml").write_text(TWO_QUICK_THEN_SLOW)
    process = search_until("[2/", tmp_path, "--space", "s.yaml", "--name", "cut")
    while b'"trial":2' not in (tmp_path / "runs" / "cut" / "journal.jsonl").read_bytes():
        time.sleep(0.1)
    process.send_signal(number)
    for line in process.stdout:
        if "once more ends at once" in line:
            break
    process.send_signal(number)
    _, complaint = process.communicate(timeout=120)
    assert process.returncode == status
    assert complaint == "tune-mlp: interrupted; the 3 trials so far are saved: tune-mlp resume runs/cut\n"
    table = pd.read_csv(tmp_path / "runs" / "cut" / "trials.csv")
    assert list(table["epochs"]) == [1, 1, 0], "an epoch that takes minutes wasn't waited for"
    assert json.loads((tmp_path / "runs" / "cut" / "run.json").read_text())["state"] == "interrupted"


@pytest.mark.parametrize(
    ("number", "status"), [pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow), (signal.SIGTERM, 143)]
)
def test_a_signal_while_ray_starts_is_answered_in_one_line(number: int, status: int, tmp_path: Path) -> None:
    process = search_until("warning: asha stops nothing", tmp_path, *QUICK)  # the last line before Ray is started
    time.sleep(1)
    process.send_signal(number)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == status
    assert complaint.count("\n") == 1
    assert "interrupted" in complaint


@pytest.mark.slow
def test_two_quiet_searches_at_once_in_one_folder_print_the_best_row_only(tmp_path: Path) -> None:
    both = [
        subprocess.Popen(
            [*SEARCH, *QUICK, "--quiet"],
            cwd=tmp_path,
            env=environment(tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert outputs[0] == outputs[1]
    said, complaint = outputs[0]
    assert complaint == ""
    assert len(said.splitlines()) == 1, "the best row only"
    assert said.startswith("trial ")
    assert "best_val_accuracy 0." in said
    assert "lr 0." in said
    runs = sorted((tmp_path / "runs").iterdir())
    assert len(runs) == 2
    times = ["seconds", "train_seconds", "node"]
    tables = [pd.read_csv(run / "trials.csv").drop(columns=times) for run in runs]
    pd.testing.assert_frame_equal(*tables)


def test_without_mnist_and_internet_the_main_job_runs_on_its_stand_in_and_says_so(tmp_path: Path) -> None:
    done = search(["--space", "mnist_asha", "--trials", "2", "--epochs", "1", "--name", "offline"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "mnist was not found and can't be downloaded: digits STANDS IN for it" in done.stdout
    run = tmp_path / "runs" / "offline"
    assert '"stand_in_for": "mnist"' in (run / "run.json").read_text()
    assert set(pd.read_csv(run / "trials.csv")["data"]) == {"digits for mnist"}


def test_mnist_that_was_asked_for_by_name_is_never_replaced(tmp_path: Path) -> None:
    done = search(["--space", "mnist_asha", "--dataset", "mnist"], tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    for way in ("--data-dir", "TUNE_MLP_DATA", "internet"):
        assert way in done.stderr
    assert not (tmp_path / "runs").exists()


def _marked(mark: str) -> list[str]:
    """Return the processes whose environment holds the mark."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append((folder / "cmdline").read_text())
        except OSError:
            continue
    return found


@pytest.mark.slow  # the quick test of a driver that is killed joins one, too
def test_a_search_joins_a_running_ray(tmp_path: Path, local_ray: None) -> None:
    import ray

    address = ray.get_runtime_context().gcs_address
    env = {**environment(tmp_path), "HOME": os.environ["HOME"]}  # where the running Ray's token is
    done = search([*QUICK, "--address", address, "--name", "joined"], tmp_path, env)
    assert done.returncode == 0, done.stderr
    assert len(pd.read_csv(tmp_path / "runs" / "joined" / "trials.csv")) == 4
    assert ray.is_initialized()


def test_an_address_where_no_ray_runs_is_said_in_one_line(tmp_path: Path) -> None:
    done = search([*QUICK, "--address", "127.0.0.1:9"], tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "can't connect to Ray at '127.0.0.1:9'" in done.stderr
    assert not (tmp_path / "runs").exists()
