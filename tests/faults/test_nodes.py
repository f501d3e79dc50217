"""A head and two workers on this machine: the same table as on one node, each node's data sent once, and what becomes of a
study whose nodes are lost or stand still."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.nodes import CHUNK, COUNTS, QUICK_CHECKS, Node, Nodes, command, nodes
from tests.test_search import SEARCH, environment
from tune_mlp.results.journal import Ended, Event, Trained
from tune_mlp.results.journal_reader import read
from tune_mlp.results.results import Results

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds processes in /proc"),
]

STUDY = """\
data: {name: digits}
space:
  lr: {log: [1.0e-3, 1.0e-1]}
  batch_size: {choice: [1, 2]}
  depth: {int: [1, 2]}
  width: {choice: [16, 32]}
trials: 6
epochs: 12
engine: eager
scheduler: fifo
"""
WIDE = """\
data: {name: "parquet:wide.parquet", target: y}
space: {lr: {log: [1.0e-3, 1.0e-1]}, batch_size: 512, width: 8}
trials: 12
epochs: 3
engine: eager
scheduler: fifo
"""
ROWS, COLUMNS = 16_000, 500
VARYING = ["seconds", "train_seconds", "node"]


@contextlib.contextmanager
def started(cwd: Path, name: str, ray: Nodes | None) -> Iterator[subprocess.Popen[str]]:
    """Start the search in a process that ends with the test."""
    words = ["--space", "s.yaml", "--quiet", "--name", name, *(["--address", ray.address] if ray else [])]
    env = {**environment(cwd), **(ray.environment if ray else {}), "HOME": str(cwd)}
    with subprocess.Popen(
        [*SEARCH, *words], cwd=cwd, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def finish(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    assert errors == "", "a lost node is no page of Ray's on the screen"


def tables(run: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    results = Results.load(run)
    return results.trials.drop(columns=VARYING), results.epochs.drop(columns="seconds")


def assert_same(run: Path, other: Path) -> None:
    for table, expected in zip(tables(run), tables(other), strict=True):
        pd.testing.assert_frame_equal(table, expected, check_exact=True)


def test_three_nodes_give_the_table_that_one_gives_and_get_the_data_once_each(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(WIDE)
    made = np.random.default_rng(0).normal(size=(ROWS, COLUMNS)).astype(np.float32)
    table = pd.DataFrame(made, columns=[f"x{i}" for i in range(COLUMNS)])
    table.assign(y=(made[:, 0] > 0).astype(int)).to_parquet(tmp_path / "wide.parquet")
    with nodes(1, 1, 1, **COUNTS) as ray, started(tmp_path, "three", ray) as search:
        seen: set[int] = set()
        while search.poll() is None:
            seen |= {number for number, node in enumerate(ray.nodes) if node.workers}
            time.sleep(0.1)
        finish(search)
        time.sleep(2)  # several times the age that counts may have
        received = [node.chunks_received for node in ray.nodes]
    with started(tmp_path, "one", None) as search:
        finish(search)
    assert_same(tmp_path / "runs" / "three", tmp_path / "runs" / "one")
    assert len(pd.read_csv(tmp_path / "runs" / "three" / "trials.csv")) == 12
    data = made.nbytes / CHUNK
    print(f"pieces of {CHUNK} bytes that each node received: {received}; the data are {data:.0f}")
    assert seen == {0, 1, 2}, "all nodes trained"
    assert received[0] == 0, "the driver's own node has them"
    for other in received[1:]:
        assert data <= other < 1.2 * data, "once, though it trained several trials"


def events(run: Path) -> list[Event]:
    """Return the events that the run has recorded so far."""
    journal = run / "journal.jsonl"
    return read(journal) if journal.exists() and b"\n" in journal.read_bytes() else []


def rows(run: Path) -> dict[int, int]:
    """Return the epochs of each trial that the journal has so far."""
    found: dict[int, int] = {}
    for event in events(run):
        if isinstance(event, Trained):
            found[event.trial] = max(found.get(event.trial, 0), *(record.epoch for record in event.epochs))
    return found


def ended(run: Path) -> list[int]:
    return [event.trial for event in events(run) if isinstance(event, Ended)]


def wait_until_at_work(process: subprocess.Popen[str], run: Path, node: Node, trials: int) -> None:
    """Until so many trials have trained an epoch, and that node trains."""
    until = time.monotonic() + 120
    while len(rows(run)) < trials or not any("train" in command(pid) for pid in node.workers):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.05)


def each_epoch_once(run: Path) -> None:
    """Among what was written down: nothing was trained twice and written twice."""
    said = [
        (event.trial, record.epoch) for event in events(run) if isinstance(event, Trained) for record in event.epochs
    ]
    assert len(said) == len(set(said))
    assert sorted(ended(run)) == list(range(6))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the study without any fault."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "s.yaml").write_text(STUDY)
    with started(folder, "whole", None) as search:
        finish(search)
    return folder / "runs" / "whole"


def test_a_node_is_lost_and_its_trials_go_on_elsewhere(tmp_path: Path, whole: Path) -> None:
    (tmp_path / "s.yaml").write_text(STUDY)
    run = tmp_path / "runs" / "cut"
    with nodes(0, 1, 1, **QUICK_CHECKS) as ray, started(tmp_path, "cut", ray) as search:
        lost = ray.nodes[1]
        wait_until_at_work(search, run, lost, trials=2)
        lost.signal(signal.SIGKILL)
        finish(search)
    assert_same(run, whole)
    each_epoch_once(run)


def test_a_node_stands_still_and_comes_back_and_nothing_is_there_twice(tmp_path: Path, whole: Path) -> None:
    (tmp_path / "s.yaml").write_text(STUDY)
    run = tmp_path / "runs" / "cut"
    with nodes(0, 1, 1, **QUICK_CHECKS) as ray, started(tmp_path, "cut", ray) as search:
        frozen = ray.nodes[1]
        wait_until_at_work(search, run, frozen, trials=2)
        before = rows(run)
        at_work = before.keys() - ended(run)
        frozen.signal(signal.SIGSTOP)
        until = time.monotonic() + 150
        while any(rows(run)[trial] == before[trial] for trial in at_work):  # that node's is taken over by the other
            assert search.poll() is None, search.communicate()
            assert time.monotonic() < until
            time.sleep(0.1)
        frozen.signal(signal.SIGCONT)
        finish(search)
    assert_same(run, whole)
    each_epoch_once(run)
