"""A trial goes on from the state that it left, or from that of the trial which it took over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tune_mlp.records import EpochRecord
from tune_mlp.results.storage import FolderStorage
from tune_mlp.tuning.trial_files import SOURCE, TrialFiles, shared_file, state_file


class Net:
    """A trainer that knows its epoch and whether its best epoch was forgotten."""

    def __init__(self, epoch: int = 0) -> None:
        self.epoch = epoch
        self.forgot = False

    def state(self) -> dict[str, Any]:
        return {"epoch": self.epoch}

    def load_state(self, state: dict[str, Any]) -> None:
        self.epoch = state["epoch"]

    def forget_best(self) -> None:
        self.forgot = True


def config(trial: int, lr: float, source: list[int] | None = None) -> dict[str, Any]:
    return {"trial": trial, "seed": 1, "params": {"lr": lr}} | ({SOURCE: source} if source else {})


def files(folder: Path, *settings: Any) -> Any:
    return TrialFiles(FolderStorage(folder), config(*settings))


RECORD = EpochRecord(4, 0, {"val_loss": 0.5}, 3, 0.1, 0.1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Leave the states of two trials at epoch 4, of which one is shared and went on to epoch 6."""
    files(tmp_path, 0, 0.1).keep_state(Net(4), [RECORD], shared=True)
    files(tmp_path, 0, 0.1).keep_state(Net(6), [RECORD])
    files(tmp_path, 1, 0.2).keep_state(Net(4), [RECORD])
    assert sorted(path.name for path in tmp_path.iterdir()) == [shared_file(0, 4), state_file(0), state_file(1)]
    return tmp_path


def test_a_trial_that_took_another_over_goes_on_from_where_that_was_compared(folder: Path) -> None:
    heir, net = files(folder, 1, 0.3, [0, 4]), Net()
    assert heir.load_state(net) == []
    assert (net.epoch, net.forgot, heir.note) == (4, True, "")


def test_once_it_has_a_state_of_its_own_it_goes_on_from_that(folder: Path) -> None:
    files(folder, 1, 0.3, [0, 4]).keep_state(Net(5), [RECORD])
    heir, net = files(folder, 1, 0.3, [0, 4]), Net()
    assert heir.load_state(net) == [RECORD]
    assert (net.epoch, net.forgot, heir.note) == (5, False, "")
    again, net = files(folder, 1, 0.3, [0, 6]), Net()  # it takes the same trial over for the second time
    again.load_state(net)
    assert (net.epoch, again.note) == (
        0,
        f"trial 1 begins anew: {folder}/{shared_file(0, 6)}, which it took over, isn't there",
    )


@pytest.mark.parametrize("content", [b"damaged", None])
def test_a_state_that_cannot_be_taken_over_is_said(folder: Path, content: bytes | None) -> None:
    path = folder / shared_file(0, 4)
    path.write_bytes(content) if content else path.unlink()
    heir, net = files(folder, 1, 0.3, [0, 4]), Net()
    assert heir.load_state(net) == []
    assert net.epoch == 0
    assert heir.note.startswith("trial 1 begins anew: ")
    assert path.name in heir.note
