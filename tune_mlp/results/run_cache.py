"""Runs on an object store, and their folders on this machine: a copy to read, or the driver's own to work in."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import platformdirs

from tune_mlp.errors import RunFolderError
from tune_mlp.regular_files import user_id
from tune_mlp.results.outcomes import OUTCOMES
from tune_mlp.results.storage import FolderStorage, ObjectStore

JOURNAL = "journal.jsonl"
RUN_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
FOLLOWUPS = "followups"
KINDS = ("confirm", "regret")
"""The follow-ups that keep what they learn in the run's folder, each in a folder of its own."""
FILES = (
    "study.yaml",
    "run.json",
    "trials.csv",
    "trials.parquet",
    "epochs.parquet",
    "steps.parquet",
    "report.html",
    "best/model.pt",
    "best/trial.json",
    OUTCOMES,
    *(f"{FOLLOWUPS}/{kind}/{JOURNAL}" for kind in KINDS),
    JOURNAL,
)
"""What a run's folder holds to be read. No other name is fetched: a store's names are anybody's."""


def copied(store: ObjectStore) -> Path:
    """Copy a run's folder from the store to the user's cache folder, and return the copy."""
    folder = _home(platformdirs.user_cache_path("tune-mlp") / "runs", "copies") / _key(store)
    fetch(store, folder)
    return folder


def spool(store: ObjectStore) -> Path:
    """Return the folder in which the driver of a run on a store works. It is removed once the store has everything. It isn't in
    the cache folder, since it is the only copy while the store can't be reached."""
    return _home(platformdirs.user_state_path("tune-mlp") / "runs", "runs") / _key(store)


def fetch(store: ObjectStore, folder: Path) -> None:
    """Make a folder's files those of the store. The journal comes last, so that where it is, the rest is, too."""
    if (journal := store.read(JOURNAL)) is None:
        raise RunFolderError(f"no run at {store}: it has no {JOURNAL}")
    (folder / "best").mkdir(parents=True, exist_ok=True)
    here = FolderStorage(folder)
    for name in FILES:
        content = journal if name == JOURNAL else store.read(name)
        if content is None:
            here.remove(name)
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        here.write(name, content)


def _key(store: ObjectStore) -> Path:
    """Return a folder name for a run on a store. Runs of one name on two stores differ; credentials make no difference."""
    name = store.name if RUN_NAME.fullmatch(store.name) else "run"
    return Path(hashlib.blake2b(str(store).encode(), digest_size=8).hexdigest()) / name


def _home(wanted: Path, name: str) -> Path:
    """Return this folder, or a temporary one if the home folder is read-only."""
    folders: list[Any] = [wanted, Path(tempfile.gettempdir()) / f"tune-mlp-{user_id()}" / name]
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if folder.stat().st_uid == user_id() and os.access(folder, os.W_OK):
                return Path(folder)
        except OSError:
            continue
    raise RunFolderError(f"no folder for what goes to the store: {wanted} can't be made")
