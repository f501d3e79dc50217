"""A run on an object store: its driver works in a folder of its own machine, and a thread brings that to the store.

The journal is one file there, written anew: a lost machine costs what it said since the last time, some seconds. Workers
write to the store themselves.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Self

from tune_mlp.command_line import command_line
from tune_mlp.errors import LostRun, RunError, StoreError, one_line
from tune_mlp.records import Say
from tune_mlp.results.run_cache import JOURNAL
from tune_mlp.results.storage import Data, FolderStorage, ObjectStore, Storage
from tune_mlp.runs.run_folder import CHECKPOINTS
from tune_mlp.runs.store_lease import StoreLease

SECONDS = 2.0
SHARE = 9
"""Bringing things takes a tenth of the time at the most: a long journal is brought less often."""
AT_LEAST_EVERY = 60.0


class StoreSync:
    """Copies a run's folder to the store until it is closed. Then the store has all of it, or an error says where it is."""

    def __init__(self, folder: Path, store: ObjectStore, lease: StoreLease, say: Say) -> None:
        self._folder = folder
        self._store = store
        self._lease = lease
        self._say = say
        self._brought: dict[str, tuple[int, int]] = {}
        self._to_remove: deque[str] = deque()
        self._ending = threading.Event()
        self._warned = False
        self._lost: LostRun | None = None
        self._thread = threading.Thread(target=self._work, name="sync", daemon=True)

    def __enter__(self) -> Self:
        self.bring_all()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()
        try:
            if self._lost:
                raise self._lost
            self.bring_all()
            self._lease.give_back()
        except (StoreError, LostRun) as fault:
            raise RunError(
                f"{one_line(fault)}; all of the run lies in {self._folder}: {command_line('resume', self._store)} "
                "on this machine brings it there and goes on"
            ) from error
        shutil.rmtree(self._folder, ignore_errors=True)  # all of it is on the store
        with contextlib.suppress(OSError):
            self._folder.parent.rmdir()

    def bring_all(self) -> None:
        """Copy everything now, with what workers handed to the driver, and remove the latter here."""
        self._bring()
        kept = FolderStorage(self._folder / CHECKPOINTS)
        for name in kept.names("*"):
            self._store.within(CHECKPOINTS).write(name, kept.read(name) or b"")
            kept.remove(name)

    def remove_later(self, pattern: str) -> None:
        """Remove files that workers left, at the next copy to the store."""
        self._to_remove.append(pattern)

    def _work(self) -> None:
        wait = SECONDS
        while not self._ending.wait(wait):
            began = time.monotonic()
            try:
                self._lease.beat()
                self._bring()
                self._warned = False
            except LostRun as error:
                self._lost = error
                self._say(f"warning: {error}; this run goes on in {self._folder} alone", "yellow")
                return
            except (RunError, OSError) as error:  # OSError: a file here that has just been replaced
                if isinstance(error, StoreError) and not self._warned:
                    self._warned = True
                    self._say(f"warning: {one_line(error)}; tried again, {self._folder} has all of it", "yellow")
            wait = min(max(SECONDS, SHARE * (time.monotonic() - began)), AT_LEAST_EVERY)

    def _bring(self) -> None:
        changed: list[tuple[str, Path, tuple[int, int]]] = []
        journal = b""
        for name, path in self._files():
            status = path.stat()
            state = (status.st_mtime_ns, status.st_size)
            if self._brought.get(name) != state:
                changed.append((name, path, state))
                journal = path.read_bytes() if name == JOURNAL else journal
        for name, path, state in reversed(changed):
            self._store.write(name, journal if name == JOURNAL else path.read_bytes())
            self._brought[name] = state
        while self._to_remove:
            self._store.within(CHECKPOINTS).remove(self._to_remove[0])
            self._to_remove.popleft()

    def _files(self) -> list[tuple[str, Path]]:
        """Return the files to copy, the journal first. It is read first and written last: where the journal is, everything that it
        tells of is there, too, and everything that a resume needs."""
        found = []
        for path in self._folder.rglob("*"):
            parts = path.relative_to(self._folder).parts
            if parts[0] != CHECKPOINTS and not any(part.startswith(".") for part in parts) and path.is_file():
                found.append(("/".join(parts), path))
        return sorted(found, key=lambda file: (file[0] != JOURNAL, file[0]))


class HandedOver(Storage):
    """The files that workers left, as the driver sees them: those on the store, and those that workers handed over while the
    store couldn't be reached."""

    def __init__(self, folder: FolderStorage, store: ObjectStore, sync: StoreSync) -> None:
        self._folder, self._store, self._sync = folder, store, sync

    def __str__(self) -> str:
        return str(self._store)

    def write(self, name: str, data: Data) -> None:
        self._folder.write(name, data)

    def read(self, name: str) -> bytes | None:
        content = self._folder.read(name)
        return self._store.read(name) if content is None else content

    def names(self, pattern: str) -> list[str]:
        return sorted({*self._folder.names(pattern), *self._store.names(pattern)})

    def remove(self, pattern: str) -> None:
        self._folder.remove(pattern)
        self._sync.remove_later(pattern)  # the driver needn't wait for that

    def clear(self) -> None:
        self._folder.clear()
        with contextlib.suppress(StoreError):  # the sync will say so
            self._store.clear()
