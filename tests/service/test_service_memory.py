"""The service's memory, with a root of 1,000 studies and one study of 6,000 trials of 100 epochs."""

from __future__ import annotations

import json
import multiprocessing
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.results.journals import drawn, ended, record, started, trained
from tests.service.services import OPTIONS, eventually, launcher
from tune_mlp.results.journal import Event, to_line
from tune_mlp.service.studies import StudyFilter, StudyService, TableRequest

MOST_KILOBYTES = 500_000
STUDIES, TRIALS, EPOCHS = 1000, 6000, 100


def events(trials: int, epochs: int) -> Iterator[Event]:
    values = random.Random(0)
    yield started(epochs=epochs)
    for number in range(trials):
        yield drawn(
            number, {"lr": 10 ** values.uniform(-4, -1), "activation": values.choice(["relu", "tanh"]), "depth": 2}
        )
        top = values.uniform(0.5, 0.98)
        for epoch in range(1, epochs + 1):
            accuracy = top * (1 - 0.7 / epoch**0.7)
            yield trained(number, record(epoch, 1 - accuracy, accuracy, 1 - accuracy, accuracy))
        yield ended(number)


def write_run(folder: Path, trials: int, epochs: int) -> None:
    folder.mkdir(parents=True)
    with (folder / "journal.jsonl").open("wb") as file:
        file.writelines(
            to_line(event, number, 1.5e9 + number) for number, event in enumerate(events(trials, epochs), 1)
        )
    (folder / "run.json").write_text('{"state": "finished"}')
    (folder / "study.yaml").write_text(f"name: mnist_asha\ntrials: {trials}\n")


def looked_at(root: Path) -> None:
    """Look at everything, and write down how much memory that took; for a process of its own."""
    with StudyService(root, launcher(root), OPTIONS) as opened:
        every = StudyFilter(limit=2 * STUDIES)
        eventually(lambda: all(one.ended_trials for one in opened.list(every).studies), 1500)
        page = opened.trials("large", TableRequest(None, "best_val_accuracy", True, "lr<0.01 and activation==relu"))
        found = {
            "studies": opened.list(every).total,
            "epochs": opened.epochs("large").total,
            "curves": len(opened.followed("large").curves()),
            "filtered": page.total,
            "results": len(opened.results("large").trials),
        }
    lines = Path("/proc/self/status").read_text().splitlines()
    found["peak"] = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    (root / ".looked.json").write_text(json.dumps(found))


@pytest.mark.slow  # minutes, to write and to read 600,000 epochs
@pytest.mark.timeout(3000)
def test_a_large_root_and_a_large_study_take_less_than_500_megabytes(tmp_path: Path) -> None:
    write_run(tmp_path / "large", TRIALS, EPOCHS)
    write_run(tmp_path / "study-0", 20, 5)
    for number in range(1, STUDIES):
        shutil.copytree(tmp_path / "study-0", tmp_path / f"study-{number}")
    process = multiprocessing.get_context("spawn").Process(target=looked_at, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == 0
    found = json.loads((tmp_path / ".looked.json").read_text())
    assert found["peak"] < MOST_KILOBYTES
    assert found["studies"] == STUDIES + 1
    assert found["epochs"] == TRIALS * EPOCHS
    assert found["curves"] == found["results"] == TRIALS
    assert 0 < found["filtered"] < TRIALS
