"""The root: the folder that holds all runs, the service's own files in .service/, and deleted studies in .trash/."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from tune_mlp.errors import StorageError, UsageError
from tune_mlp.regular_files import open_regular
from tune_mlp.results.journal_reader import MOST_BYTES
from tune_mlp.results.run_cache import JOURNAL
from tune_mlp.runs.run_folder import write_text
from tune_mlp.service.faults import UnknownStudy
from tune_mlp.service.messages import NAME_PATTERN

try:
    import fcntl
except ImportError:  # Windows, where the service doesn't run; its modules can be imported there all the same
    fcntl = None  # type: ignore[assignment]  # the module is missing there

LOCK_SECONDS = 5.0
"""A process that was just being begun by a service that was killed may hold its lock for a moment."""
MOST_NAME = 64


class RootFolder:
    """The paths below a root. Each name is checked, and no link leads out of the root."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.own = self.path / ".service"
        self.trash = self.path / ".trash"
        self.studies = self.own / "studies"
        """The study files that drivers read."""
        self.drivers = self.own / "drivers"
        self.ledger = self.own / "service.sqlite"
        self._lock = -1

    def take(self) -> None:
        """Make the folders, and hold the root for this service: another one on the same root is refused."""
        try:
            for folder in (self.path, self.own, self.trash, self.studies, self.drivers):
                folder.mkdir(parents=True, exist_ok=True)
            self.own.chmod(0o700)  # study texts and what users asked for are for the service alone
            self.path = self.path.resolve()
            descriptor = os.open(self.own / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise UsageError(f"--root {error.filename or self.path}: {error.strerror or error}") from None
        end = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    os.close(descriptor)
                    raise UsageError(f"--root {self.path}: another service has this root already") from None
                time.sleep(0.05)
        self._lock = descriptor

    def give_back(self) -> None:
        """Let another service have the root."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def run(self, name: str) -> Path:
        """Return the folder of a study's run, which may not be there yet. A link is no run's folder."""
        if not re.fullmatch(NAME_PATTERN, name):
            raise UnknownStudy(f"no study is named {name!r:.80}")
        folder = self.path / name
        if folder.is_symlink():
            raise UnknownStudy(f"{name} is a link, not a study's folder")
        return folder

    def names(self) -> list[str]:
        """Return the names of all folders that may be runs."""
        with os.scandir(self.path) as entries:
            return [
                entry.name
                for entry in entries
                if re.fullmatch(NAME_PATTERN, entry.name) and entry.is_dir(follow_symlinks=False)
            ]

    def stamp(self, name: str) -> str:
        """Return a text that changes whenever a run's journal, manifest or study does; empty if the folder holds no run."""
        parts = [_facts(self.path / name / file) for file in (JOURNAL, "run.json", "study.yaml")]
        return " ".join(parts) if parts[0] or parts[1] else ""

    def size(self, name: str) -> int:
        """Return the bytes of a run's journal; 0 if there is none."""
        try:
            return os.stat(self.path / name / JOURNAL, follow_symlinks=False).st_size
        except OSError:
            return 0

    def can_go_on(self, name: str) -> bool:
        """Say whether a run has something to go on with: a manifest, and a journal with a first line."""
        folder = self.run(name)
        try:
            with open_regular(folder / JOURNAL, MOST_BYTES) as file:
                return b"\n" in file.read(1_000_000) and (folder / "run.json").is_file()
        except OSError:
            return False

    def free_name(self, study: str, taken: set[str]) -> str:
        """Return a name for a new run: the study's and the time, with a number where that is taken."""
        stamp = time.strftime("-%Y%m%d-%H%M%S")
        attempt = 1
        while True:
            ending = stamp if attempt == 1 else f"{stamp}-{attempt}"
            name = study[: MOST_NAME - len(ending)] + ending
            if name not in taken and not os.path.lexists(self.path / name):
                return name
            attempt += 1

    def write_study(self, name: str, text: str) -> Path:
        """Write the study file that a driver reads, whole or not at all."""
        path = self.studies / f"{name}.yaml"
        write_text(path, text)
        return path

    def set_aside(self, name: str) -> None:
        """Move what a driver left that was killed before it had anything to go on with: a folder without a journal's first line.

        It is kept among the service's own files, since nothing here can be sure that it is a driver's."""
        folder = self.run(name)
        if folder.exists():
            move(folder, self.own / f"left-{name}-{os.urandom(4).hex()}")

    def trashed(self, study: int) -> Path:
        """Return where a study's folder lies while it is in the trash."""
        return self.trash / str(study)


def move(old: Path, new: Path) -> None:
    """Rename a folder; nothing may have the new name."""
    if os.path.lexists(new):
        raise StorageError(f"{old}: can't be moved: {new} exists already")
    try:
        os.rename(old, new)
    except OSError as error:
        raise StorageError(f"{old}: can't be moved: {error.strerror or error}") from None


def _facts(path: Path) -> str:
    try:
        facts = os.stat(path, follow_symlinks=False)
    except OSError:
        return ""
    return f"{facts.st_ino}:{facts.st_size}:{facts.st_mtime_ns}"
