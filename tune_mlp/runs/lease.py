"""A lease: one process at a time may write a run, on a shared file system too; its holder is named, and the dead hold nothing.

The file beside the journal says who holds it and is touched every few seconds. It counts while its process lives, where
that can be seen from here; from another machine, while it was touched within the last minute by the file system's own clock.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

from tune_mlp.errors import LostRun, RunFolderError, StorageError

BEAT_SECONDS = 10.0
LEASE_SECONDS = 60.0
"""A holder that wasn't heard of for so long is gone, or is to find out that it has lost its lease."""
MOST_BYTES = 2000


@dataclass(frozen=True)
class Holder:
    """The process that holds a lease."""

    host: str
    machine: str
    """Process numbers mean the same where this is the same: one boot, one container."""
    pid: int
    since: str
    """When the process started: its number may be given to another one later."""
    journal: int
    """The journal's inode: in a copied folder the lease means nothing."""
    token: str

    @property
    def lives(self) -> bool:
        return self.since != "" and self.since == _start_of(self.pid)


class Lease:
    """A lease on a journal, held from `take` to `release`."""

    def __init__(self, path: Path, holder: Holder, descriptor: int) -> None:
        self._path, self._holder, self._descriptor = path, holder, descriptor
        self._over = threading.Event()
        self._beating = threading.Thread(target=self._beat, name="lease", daemon=True)
        self._beating.start()

    @classmethod
    def take(cls, journal: Path) -> Lease:
        """Take the lease of an existing journal; refuse while another process holds it."""
        path = lease_file(journal)
        holder = Holder(
            socket.gethostname(),
            _machine(),
            os.getpid(),
            _start_of(os.getpid()),
            journal.stat().st_ino,
            secrets.token_hex(8),
        )
        try:
            with contextlib.suppress(FileNotFoundError):  # its holder has let go of it just now
                _clear(path, journal, holder)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)  # one of several wins, on NFS too
            try:
                os.write(descriptor, json.dumps(asdict(holder)).encode())
                os.fsync(descriptor)  # a network file system shows it to other machines
            except BaseException:
                os.close(descriptor)
                path.unlink(missing_ok=True)
                raise
        except FileExistsError:
            raise refused(journal) from None
        except OSError as error:
            raise StorageError(f"{path}: can't be written: {error.strerror or error}") from None
        return cls(path, holder, descriptor)

    def check(self) -> None:
        """Raise an error if the lease is no longer ours: a process that was stopped for a minute may find that another has gone
        on."""
        now = read_holder(self._path)
        if not self._path.parent.exists():
            raise LostRun(f"{self._path.parent}: this run's folder was deleted while the run was at work")
        if now is None or now.token != self._holder.token:
            taken = f"; process {now.pid} on {now.host} goes on with it" if now else ""
            raise LostRun(f"{self._path}: this run's lease is no longer ours{taken}; nothing more is written here")

    def release(self) -> None:
        self._over.set()
        self._beating.join()
        os.close(self._descriptor)
        with contextlib.suppress(LostRun, OSError):
            self.check()
            self._path.unlink()

    def _beat(self) -> None:
        while not self._over.wait(BEAT_SECONDS):
            with contextlib.suppress(OSError):
                os.utime(self._descriptor if os.utime in os.supports_fd else self._path)


def lease_file(journal: Path) -> Path:
    return journal.with_name(f".{journal.name}.lease")


def read_holder(path: Path) -> Holder | None:
    """Return who holds the lease, or None if there is no lease or an unreadable one."""
    try:
        with path.open("rb") as file:
            facts = json.loads(file.read(MOST_BYTES))
        return Holder(**{name: kind(facts[name]) for name, kind in _KINDS.items()})
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


_KINDS = {"host": str, "machine": str, "pid": int, "since": str, "journal": int, "token": str}


def refused(journal: Path, more: str = "") -> RunFolderError:
    """Return the error for a journal that another process writes."""
    holder = read_holder(lease_file(journal))
    who = f": process {holder.pid} on {holder.host}" if holder else ""
    return RunFolderError(f"{journal}: another process is writing this journal{who}{more}")


def _clear(path: Path, journal: Path, taker: Holder) -> None:
    """Remove a lease that no longer counts; refuse if it counts."""
    if not path.exists():
        return
    holder = read_holder(path)
    if holder is None or (holder.journal == taker.journal and holder.machine != taker.machine):
        silent = _silence(path, taker.token)
        if abs(silent) < LEASE_SECONDS:
            raise refused(journal, f"; if it is gone, the run is free in {LEASE_SECONDS - silent:.0f} s")
    elif holder.journal == taker.journal and holder.lives:
        raise refused(journal)
    aside = path.with_name(f"{path.name}.{taker.token}")
    os.rename(path, aside)  # one of several moves the stale one; the others find nothing, or the new one
    if read_holder(aside) != holder:
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)  # another was faster, and this is its own
        aside.unlink()
        raise refused(journal)
    aside.unlink()


def _silence(path: Path, token: str) -> float:
    """Return the seconds since the lease was touched, by the file system's clock: the clocks of machines may differ."""
    probe = path.with_name(f"{path.name}.{token}.now")
    try:
        probe.touch(exist_ok=False)
        return probe.stat().st_mtime - path.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def _start_of(pid: int) -> str:
    """Return when a process started, as text; empty if there is no such process. Without /proc it can't be known, and the
    journal's lock must be enough."""
    try:
        # The second field, the program's name, may hold anything; the state is the third, the start the 22nd.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        return ""
