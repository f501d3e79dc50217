"""Where a run lies: a folder that all nodes see, or an object store to which the driver's own folder is copied."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tune_mlp.command_line import command_line
from tune_mlp.errors import RunFolderError, StoreError, one_line, require_utf8
from tune_mlp.records import Say
from tune_mlp.results.run_cache import JOURNAL, fetch, spool
from tune_mlp.results.storage import FolderStorage, ObjectStore, Storage
from tune_mlp.runs import run_folder
from tune_mlp.runs.journal_writer import Journal
from tune_mlp.runs.run_folder import CHECKPOINTS
from tune_mlp.runs.store_lease import StoreLease
from tune_mlp.runs.store_sync import HandedOver, StoreSync

PATIENCE_SECONDS = 15.0
"""A store that says nothing for so long is refused, before any work is done."""


@dataclass(frozen=True)
class RunLocation:
    """A run that exists and that this driver may write."""

    where: Path | ObjectStore
    """The run as a user names it."""
    folder: Path
    """What the driver writes."""
    shared: Storage
    """The storage for the files that workers leave."""
    files: Storage
    """The same files, as the driver reads them."""
    brought: bool = False
    """True if data on this machine was missing from the store, and was copied there."""


def check(out: Path | ObjectStore, name: str | None) -> None:
    """Refuse a place that can't be written, or where the name is taken, before any work is done."""
    require_utf8("the folder", str(out))
    if isinstance(out, Path):
        return run_folder.check_place(out, name)
    run_folder.check_name(name)

    def tried() -> bool:
        probe = f".probe-{os.urandom(8).hex()}"
        out.write(probe, b"tune-mlp")
        if out.read(probe) != b"tune-mlp":
            raise StoreError(f"{out} doesn't give back what was written")
        out.remove(probe)
        return name is not None and out.within(name).exists()

    if _soon(out, tried):
        raise RunFolderError(f"{out.within(str(name))} exists already; choose another --name")
    return None


@contextlib.contextmanager
def new_run(out: Path | ObjectStore, name: str | None, study: str, say: Say) -> Iterator[RunLocation]:
    """Make the folder of a new run. A name that is taken is refused, on a store, too."""
    if isinstance(out, Path):
        yield _here(run_folder.create(out, name, study))
        return
    store = next(store for given in run_folder.names(name, study) if not (store := out.within(given)).exists() or name)
    folder = spool(store)
    if store.exists():
        raise RunFolderError(f"{store} exists already; choose another --name or --out")
    if folder.exists():
        raise RunFolderError(
            f"{folder} has a run that never came to {store}: {command_line('resume', store)} goes on with it; "
            "or choose another --name"
        )
    lease = StoreLease(store, folder)
    lease.take()
    (folder / CHECKPOINTS).mkdir(parents=True)
    with StoreSync(folder, store, lease, say) as sync:
        yield _there(store, folder, sync)


@contextlib.contextmanager
def old_run(where: Path | ObjectStore, say: Say) -> Iterator[RunLocation]:
    """Open a run that goes on. If this machine has newer files of it than the store, they are brought to the store first."""
    if isinstance(where, Path):
        run_folder.check_own(where)
        yield _here(where)
        return
    store, folder = where, spool(where)
    _soon(store, store.exists)
    if (folder / JOURNAL).exists():
        Journal.resume(folder / JOURNAL).close()  # refused while a driver of this machine is at work on it
    lease = StoreLease(store, folder)
    lease.take()
    try:
        ahead = _agree(store, folder)
    except BaseException:
        with contextlib.suppress(StoreError):
            lease.give_back()
        raise
    with StoreSync(folder, store, lease, say) as sync:
        store.within(f"{CHECKPOINTS}/{run_folder.RAY}").clear()  # as `tidy` does: a later Ray would read and run them
        if ahead:
            say(f"brought to {store} what only {folder} had")
        yield replace(_there(store, folder, sync), brought=ahead)


def _agree(store: ObjectStore, folder: Path) -> bool:
    """Make the local folder the newest known state of the run: of two journals the longer counts, if it continues the other.
    True if the folder was ahead of the store."""
    here, there = (_whole(place.read(JOURNAL)) for place in (FolderStorage(folder), store))
    if not here or (there.startswith(here) and there != here):
        shutil.rmtree(folder, ignore_errors=True)
        fetch(store, folder)
    elif not here.startswith(there):
        raise RunFolderError(
            f"{store} and {folder} have gone on differently from the same run; remove the folder to go on with the store's"
        )
    (folder / CHECKPOINTS).mkdir(exist_ok=True)
    return here.startswith(there) and bool(here)


def _whole(journal: bytes | None) -> bytes:
    """Return the content without an incomplete last line."""
    return (journal or b"")[: (journal or b"").rfind(b"\n") + 1]


def _here(folder: Path) -> RunLocation:
    kept = FolderStorage(folder.resolve() / CHECKPOINTS)
    return RunLocation(folder, folder, kept, kept)


def _there(store: ObjectStore, folder: Path, sync: StoreSync) -> RunLocation:
    kept = store.within(CHECKPOINTS)
    return RunLocation(store, folder, kept, HandedOver(FolderStorage(folder / CHECKPOINTS), kept, sync))


def _soon(store: ObjectStore, ask: Callable[[], bool]) -> bool:
    """Return the answer of a store. A store that can't be used, or doesn't answer in time, is refused as a mistake in the
    request."""
    said: list[bool | Exception] = []

    def asked() -> None:
        try:
            said.append(ask())
        except Exception as error:  # noqa: BLE001  # raised below, in the thread that waits
            said.append(error)

    thread = threading.Thread(target=asked, daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    if not said:
        raise RunFolderError(f"{store} can't be reached: no answer in {PATIENCE_SECONDS:.0f} s")
    if isinstance(said[0], StoreError):
        raise RunFolderError(one_line(said[0])) from None
    if isinstance(said[0], Exception):
        raise said[0]
    return said[0]
