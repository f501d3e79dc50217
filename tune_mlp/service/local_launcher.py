"""The local launcher: each study has a driver process of its own on this machine, which outlives the service.

A driver is found again by a lock, not by its process number, which another process may have later. The lock lies on a file that is
named after the driver's token. It is taken before the driver is begun and is inherited by it, so it is held exactly as long as the
driver lives, whatever happens to the service. A shell writes the driver's number into the file before it becomes the driver, and its
exit status behind it.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tune_mlp.errors import StorageError, clipped
from tune_mlp.regular_files import open_regular
from tune_mlp.service.launcher import DriverOrder, DriverReport, DriverState

try:
    import fcntl
except ImportError:  # Windows, where the service doesn't run; its modules can be imported there all the same
    fcntl = None  # type: ignore[assignment]  # the module is missing there

# The inner shell becomes the driver, so that a signal reaches it; the outer one waits, and writes the status.
SHELL = """sh -c 'echo "pid $$" >> "$0" && exec "$@"' "$0" "$@"; echo "status $?" >> "$0" """
KILLED = (4, 6, 7, 8, 9, 11)
"""The numbers of SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGKILL and SIGSEGV on Linux, the signals after which a driver has saved nothing by itself: it was lost."""
LOCK = 3
"""The lock's descriptor in a driver, the first one behind its input and outputs."""
PROGRAM = (sys.executable, "-P", "-m", "tune_mlp")
MOST_BYTES = 1_000_000_000
"""The largest file that is read for its end."""
LOCKS = "driver"
SAID = ("err", "out")
"""The endings of a driver's files."""


class LocalLauncher:
    """Begins drivers on this machine. `folder` is for the launcher alone: locks, and what drivers say."""

    def __init__(self, folder: Path, program: Sequence[str] = PROGRAM) -> None:
        self.folder, self.program = folder.absolute(), tuple(program)
        self._children: dict[str, int] = {}

    def launch(self, order: DriverOrder) -> None:
        """Begin a driver, unless this token's was begun."""
        path = self._lock_file(order.token)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StorageError(f"{path}: can't be written: {error.strerror or error}") from None
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return  # its driver is at work, or is just beginning
            if os.fstat(descriptor).st_size:
                return  # its driver was here, and has ended
            self._begin(order, descriptor)
        finally:
            os.close(descriptor)

    def report(self, token: str) -> DriverReport:
        """Say where a driver stands."""
        self._reap(token)
        content, held = self._look(token)
        if content is None or (not held and not content):
            return DriverReport(DriverState.ABSENT)
        pid, status = _number("pid", content), _number("status", content)
        if held:
            return DriverReport(DriverState.STARTING if pid is None else DriverState.RUNNING)
        if status is None:
            return DriverReport(DriverState.LOST, detail="its process ended without a word")
        if status - 128 in KILLED:
            return DriverReport(DriverState.LOST, status, f"its process was ended by {_signal_name(status - 128)}")
        return DriverReport(DriverState.ENDED, status, self._last_line(token))

    def stop(self, token: str, firmly: bool) -> None:
        """Ask a driver to save and end: by SIGINT, and firmly by SIGTERM."""
        content, held = self._look(token)
        pid = _number("pid", content or b"")
        if not held or pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(pid)
            try:
                if self._look(token)[1]:  # the lock is still held, so the number is still the driver's, or free
                    signal.pidfd_send_signal(handle, signal.SIGTERM if firmly else signal.SIGINT)
            finally:
                os.close(handle)

    def log(self, token: str, most_bytes: int = 20_000) -> str:
        """Return the end of what a driver said: its standard output, then its standard error."""
        return "".join(_end(self._said_file(token, kind), most_bytes) for kind in reversed(SAID))

    def answer(self, token: str, most_bytes: int = 10_000_000) -> str:
        """Return what a driver wrote to its standard output."""
        return _end(self._said_file(token, "out"), most_bytes)

    def kept(self) -> dict[str, float]:
        """Return the tokens of all drivers that have files here, each with the time at which one of them changed last."""
        found: dict[str, float] = {}
        for path in self.folder.glob("*.*"):
            if path.suffix[1:] in (LOCKS, *SAID):
                with contextlib.suppress(OSError):
                    found[path.stem] = max(found.get(path.stem, 0.0), path.stat().st_mtime)
        return found

    def forget(self, token: str) -> None:
        """Remove the files of a driver that ended."""
        for path in (*(self._said_file(token, kind) for kind in SAID), self._lock_file(token)):
            path.unlink(missing_ok=True)

    def _begin(self, order: DriverOrder, descriptor: int) -> None:
        outputs: list[int] = []
        try:
            for kind in SAID:
                path = self._said_file(order.token, kind)
                outputs.append(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
            words = ["/bin/sh", "-c", SHELL, str(self._lock_file(order.token)), *self.program, *order.words]
            # Not by subprocess, whose processes belong to the one who began them: this one stays when the service ends.
            self._children[order.token] = os.posix_spawn(
                words[0],
                words,
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, outputs[1], 1),
                    (os.POSIX_SPAWN_DUP2, outputs[0], 2),
                    (os.POSIX_SPAWN_DUP2, descriptor, LOCK),
                ],
                setsid=True,
                setsigmask=(),
                setsigdef=(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE),
            )
        except OSError as error:
            raise StorageError(f"the study's process can't be begun: {error.strerror or error}") from None
        finally:
            for output in outputs:
                os.close(output)

    def _reap(self, token: str) -> None:
        """Let a driver that has ended go, which would be a zombie until the service ends."""
        if token in self._children:
            try:
                over, _ = os.waitpid(self._children[token], os.WNOHANG)
            except ChildProcessError:
                over = self._children[token]
            if over:
                del self._children[token]

    def _look(self, token: str) -> tuple[bytes | None, bool]:
        """Return what a driver's file says, and whether its lock is held."""
        try:
            with open_regular(self._lock_file(token), 1000) as file:
                held = not _locked(file.fileno())
                return file.read(), held
        except OSError:
            return None, False

    def _last_line(self, token: str) -> str:
        """Return the last line that a driver wrote to its standard error, or else to its standard output."""
        for kind in SAID:
            lines = [line for line in _end(self._said_file(token, kind), 4000).splitlines() if line.strip()]
            if lines:
                return clipped(lines[-1].strip(), 500)
        return ""

    def _lock_file(self, token: str) -> Path:
        return self.folder / f"{token}.{LOCKS}"

    def _said_file(self, token: str, kind: str) -> Path:
        return self.folder / f"{token}.{kind}"


def _locked(descriptor: int) -> bool:
    """Try to take the lock, which the descriptor's end gives back."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _number(word: str, content: bytes) -> int | None:
    found = re.search(rb"^%b (\d{1,10})$" % word.encode(), content, re.MULTILINE)
    return int(found[1]) if found else None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _end(path: Path, most_bytes: int) -> str:
    try:
        with open_regular(path, MOST_BYTES) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - most_bytes))
            return file.read(most_bytes).decode("utf-8", "replace")
    except OSError:
        return ""
