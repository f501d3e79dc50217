"""The files that a trial leaves for its next worker and for the winner's choice: its state, its best weights, its step losses."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tune_mlp.errors import RunError, StoreError
from tune_mlp.records import EpochRecord
from tune_mlp.results.outcomes import Outcomes, to_line
from tune_mlp.results.storage import Storage

if TYPE_CHECKING:  # torch takes two seconds to import, and the driver can do without until the end
    from tune_mlp.training.trainer import Trainer


SOURCE = "source"
"""The key of a trial's config that holds whose state, after which epoch, the trial took over, if it did."""


def weights_file(trial: int, epoch: int) -> str:
    """Return the name of the file with the weights of a trial's best epoch.

    A worker that was thought lost may come back with its node. It is at an older epoch, so it overwrites nothing that counts.
    """
    return f"best-{trial:05d}-{epoch:06d}.pt"


def weights_files(trial: int) -> str:
    """Return a glob for a trial's weights files. Sorted, the last one is the best, unless a worker came back as said above."""
    return f"best-{trial:05d}-*.pt"


def state_file(trial: int) -> str:
    """Return the name of the file that an unfinished trial resumes from."""
    return f"state-{trial:05d}.pt"


def shared_file(trial: int, epoch: int) -> str:
    """Return the name of the file with a trial's state after an epoch, which other trials may take over."""
    return f"shared-{trial:05d}-{epoch:06d}.pt"


def steps_file(trial: int, epoch: int) -> str:
    """Return the name of the file with the losses of an epoch's steps."""
    return f"steps-{trial:05d}-{epoch:06d}.pt"


def step_files(trial: int) -> str:
    """Return a glob for a trial's step-loss files."""
    return f"steps-{trial:05d}-*.pt"


def outcomes_left(files: Storage, trial: int) -> bytes:
    """Return the outcomes of the best epoch of a trial's state as a line; empty where there are none, or no state can be read."""
    with contextlib.suppress(
        RunError, AttributeError, KeyError, TypeError, ValueError
    ):  # it needn't be a state of ours
        if (content := files.read(state_file(trial))) is not None:
            from tune_mlp.training import checkpoint

            state = checkpoint.unpacked(content, state_file(trial)).get("trainer", {})
            if (values := state.get("best_outcomes")) is not None:
                return to_line(trial, Outcomes(state["best_epoch"], values.numpy()))
    return b""


class TrialFiles:
    """Writes the files of one trial to the run's storage. If that can't be reached, it keeps them for the driver to write."""

    def __init__(self, kept: Storage, config: Mapping[str, Any]) -> None:
        """`config` holds the trial's number, seed and parameters."""
        self._kept = kept
        self._trial: int = config["trial"]
        self._settings = _settings(config)
        self._best_epoch: int | None = None
        """The epoch of the weights that were written last."""
        self._unreachable = False
        self._in_hand: dict[str, bytes] = {}
        self.note = ""
        """Why the trial doesn't go on from its state, if there is one that can't be used."""

    def load_state(self, trainer: Trainer) -> list[EpochRecord]:
        """Put a trainer where the trial was left when it was set aside, or its worker or the driver was lost, and return its epochs
        until there. A trial that took another over, and has no state of its own since, goes on from the other's.

        If no state can be used, the trainer stays at its beginning, and `note` says why.
        """
        left = self._read(state_file(self._trial))
        if left is not None and left.get("config") == self._settings:
            trainer.load_state(left["trainer"])
            return [EpochRecord(**record) for record in left["records"]]
        source = self._settings.get(SOURCE)
        if source is None:
            if left is not None:
                where = f"{self._kept}/{state_file(self._trial)}"
                self.note = f"trial {self._trial} begins anew: {where} is of another trial or of other settings"
            return []
        left = self._read(shared_file(*source))
        theirs = left.get("config") if left else None
        if left and isinstance(theirs, dict) and theirs.get("trial") == source[0]:
            self.note = ""
            trainer.load_state(left["trainer"])
            trainer.forget_best()
        elif not self.note:
            where = f"{self._kept}/{shared_file(*source)}"
            self.note = f"trial {self._trial} begins anew: {where}, which it took over, isn't there"
        return []

    def _read(self, name: str) -> dict[str, Any] | None:
        """Return what a file holds; None where there is no such file, or it can't be read, which `note` says then."""
        from tune_mlp.training import checkpoint

        try:
            content = self._kept.read(name)
            return None if content is None else checkpoint.unpacked(content, f"{self._kept}/{name}")
        except RunError as error:
            self._unreachable = isinstance(error, StoreError)
            self.note = f"trial {self._trial} begins anew: {error}"
            return None

    def keep_state(self, trainer: Trainer, records: list[EpochRecord], shared: bool = False) -> None:
        """Write the trainer's state with all epochs so far, since the journal may lack the last ones; a `shared` one also for others
        to take over."""
        from tune_mlp.training import checkpoint

        left = {"config": self._settings, "trainer": trainer.state(), "records": [asdict(record) for record in records]}
        content = checkpoint.packed(left)
        self._write(state_file(self._trial), content)
        if shared:
            self._write(shared_file(self._trial, trainer.epoch), content)

    def keep_best(self, trainer: Trainer) -> None:
        """Write the best weights if they have changed, and remove older ones."""
        from tune_mlp.training import checkpoint

        if trainer.best_epoch is None or trainer.best_epoch == self._best_epoch or trainer.diverged:
            return
        newest = weights_file(self._trial, trainer.best_epoch)
        self._write(newest, checkpoint.packed({"epoch": trainer.best_epoch, "folds": trainer.best_weights()}))
        self._best_epoch = trainer.best_epoch
        if not self._unreachable:
            with contextlib.suppress(StoreError):  # they go when the trial has ended
                for name in self._kept.names(weights_files(self._trial)):
                    if name < newest:
                        self._kept.remove(name)

    def keep_step_losses(self, trainer: Trainer) -> None:
        """Write one file for each epoch, so that an epoch that is trained again after a crash replaces its own."""
        import torch

        from tune_mlp.training import checkpoint

        by_epoch: dict[int, list[Any]] = {}
        for step in trainer.take_step_losses():
            by_epoch.setdefault(step.epoch, []).append(torch.from_numpy(step.losses))
        for epoch, losses in by_epoch.items():
            self._write(steps_file(self._trial, epoch), checkpoint.packed({"epoch": epoch, "runs": losses}))

    def take_in_hand(self) -> dict[str, bytes]:
        """Return the files that couldn't be written, by name; the caller takes them over."""
        taken, self._in_hand = self._in_hand, {}
        return taken

    def _write(self, name: str, content: bytes) -> None:
        """Write a file, or keep it in hand. A trial that began to keep files in hand goes on with that: of two files of one
        name nobody could tell which is the newer."""
        if not self._unreachable:
            try:
                return self._kept.write(name, content)
            except StoreError:
                self._unreachable = True
        self._in_hand[name] = content
        return None


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a trial's number, seed and settings, and whom it took over, as a checkpoint gives them back."""
    params = {path: list(value) if isinstance(value, tuple) else value for path, value in config["params"].items()}
    source = {SOURCE: config[SOURCE]} if SOURCE in config else {}
    return {"trial": config["trial"], "seed": config["seed"], "params": params, **source}
