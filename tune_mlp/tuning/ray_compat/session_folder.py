"""The folder of a Ray that is started here: short enough for its sockets, and removed at the end."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from tune_mlp.errors import RunError
from tune_mlp.regular_files import user_id

SOCKET_BYTES = 107
"""The longest path that Linux takes for a socket."""
INSIDE = len("/session_2026-11-25_15-00-07_816759_4194304/sockets/plasma_store.1")
SHORT = ("/tmp", "/var/tmp", "/dev/shm")  # where Ray's own default doesn't fit
OPEN_FILES = 256
"""The fewest open files with which a local Ray starts."""


@contextlib.contextmanager
def session_folder() -> Iterator[str | None]:
    """Give the folder in which Ray is to make its session's folder, or None for Ray's default, and remove that session at the
    end."""
    _check_open_files()
    chosen = _short_folder()
    root = Path(chosen or _default_folder())
    before = set(_own_sessions(root))
    try:
        yield chosen
    finally:
        for session in set(_own_sessions(root)) - before:
            shutil.rmtree(session, ignore_errors=True)
        latest = root / "session_latest"
        with contextlib.suppress(OSError):
            if latest.is_symlink() and not latest.exists():
                latest.unlink()


def _own_sessions(root: Path) -> list[Path]:
    """Return the sessions of this driver: Ray names them by the time and by the driver's process."""
    return list(root.glob(f"session_*_{os.getpid()}"))


def _default_folder() -> str:
    from ray._common.utils import get_default_ray_temp_dir

    return str(get_default_ray_temp_dir())


def _short_folder() -> str | None:
    """Return a folder for a machine whose TMPDIR or RAY_TMPDIR is too long."""
    if len(os.fsencode(_default_folder())) + INSIDE <= SOCKET_BYTES:
        return None
    for parent in SHORT:
        if os.access(parent, os.W_OK | os.X_OK):
            return f"{parent}/ray-{user_id()}"
    raise RunError(
        f"Ray's folder {_default_folder()} is too long for sockets, at most {SOCKET_BYTES - INSIDE} bytes fit; set RAY_TMPDIR "
        "to a shorter one"
    )


def _check_open_files() -> None:
    """Raise the soft limit on open files, as Ray does itself; refuse to start if the hard limit is too low."""
    if sys.platform == "win32":  # it has no such limit
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < OPEN_FILES:
        raise RunError(f"Ray needs {OPEN_FILES} open files or more, and this process may have {hard} (ulimit -Hn)")
    if soft != resource.RLIM_INFINITY and soft < OPEN_FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, hard))
