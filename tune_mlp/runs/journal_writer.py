"""The journal's one writer: appends whole lines, puts them on disk, and keeps every other process from writing."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tune_mlp.errors import RunFolderError, StorageError
from tune_mlp.regular_files import read_regular
from tune_mlp.results.journal import Ended, Event, Looked, Started, Tested, to_line
from tune_mlp.results.journal_reader import MOST_BYTES, parse_lines
from tune_mlp.results.state import RunState
from tune_mlp.runs.lease import Lease, refused

try:
    import fcntl
except ImportError:  # Windows has no such locks, and the lease must do
    fcntl = None  # type: ignore[assignment]  # the module is missing there

ON_DISK = (Started, Ended, Tested, Looked)
"""Events that something is shown or deleted on the strength of: with them all lines so far are put on disk, so that not
even a loss of power takes them back."""


class Journal:
    """The one writer of a journal. While it is open, every other writer is refused."""

    def __init__(self, path: Path, descriptor: int, size: int, lines: int, lease: Lease) -> None:
        self.path = path
        self._descriptor = descriptor
        self._size = size
        self._lines = lines
        self.state = RunState()
        """What the journal says so far; the epochs of trials that have ended are left out."""
        self._lease = lease

    @classmethod
    def create(cls, path: str | Path) -> Self:
        """Create a new journal; refuse if the file exists."""
        path = Path(path)
        descriptor = _open(path, os.O_CREAT | os.O_EXCL)
        return cls(path, descriptor, 0, 0, _leased(path, descriptor))

    @classmethod
    def resume(cls, path: str | Path) -> Self:
        """Open the journal of an interrupted writer. An incomplete last line is removed."""
        path = Path(path)
        with contextlib.suppress(OSError):  # opening a pipe would wait; what else is wrong is said by _open
            if not path.is_file() and path.exists():
                raise RunFolderError(f"{path}: can't open the journal: it isn't a regular file")
        descriptor = _open(path, 0)
        lease = _leased(path, descriptor)
        try:
            content = read_regular(path, MOST_BYTES)
            lines = parse_lines(content, path)
            size = content.rfind(b"\n") + 1
            os.ftruncate(descriptor, size)
        except BaseException as error:
            lease.release()
            os.close(descriptor)
            if isinstance(error, OSError):
                raise StorageError(f"{path}: can't go on with the journal: {error.strerror or error}") from None
            raise
        journal = cls(path, descriptor, size, len(lines), lease)
        for line in lines:
            journal._apply(line.event)
        return journal

    def append(self, event: Event) -> None:
        """Write a whole line; if that fails, write nothing."""
        if self._descriptor >= 0:
            self.check()
        line = to_line(event, self._lines + 1, time.time())
        try:
            written = 0
            while written < len(line):  # once, but for a disk that fills up
                written += os.write(self._descriptor, line[written:])
            if isinstance(event, ON_DISK):
                _put_on_disk(self._descriptor)
            self._size += len(line)
            self._lines += 1
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            if isinstance(error, OSError):
                raise StorageError(f"{self.path}: can't write the journal: {error.strerror or error}") from None
            raise

        self._apply(event)

    def _apply(self, event: Event) -> None:
        self.state.apply(event)
        if isinstance(event, Ended):
            self.state.forget_epochs(event.trial)

    def check(self) -> None:
        """Raise an error if another process has taken the run; see `lease`."""
        self._lease.check()

    def close(self) -> None:
        """Flush everything to disk and release the run. A second call does nothing."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            try:
                with contextlib.suppress(OSError):
                    _put_on_disk(descriptor)
                self._lease.release()
            finally:
                os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _put_on_disk(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # not every file system knows it
            raise


def _leased(path: Path, descriptor: int) -> Lease:
    try:
        return Lease.take(path)
    except BaseException:
        os.close(descriptor)
        raise


def _open(path: Path, extra: int) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | getattr(os, "O_BINARY", 0) | extra, 0o666)
    except FileExistsError:
        raise RunFolderError(f"{path}: there is a journal already") from None
    except OSError as error:
        raise RunFolderError(f"{path}: can't open the journal: {error.strerror or error}") from None
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise refused(path) from None
        except OSError:
            pass  # a network file system without locks: the lease must do
    return descriptor
