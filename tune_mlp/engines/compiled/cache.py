"""Where compiled kernels are kept, and whether they are there already. Importing this imports no numba."""

from __future__ import annotations

import functools
import getpass
import hashlib
import os
import platform
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from platformdirs import user_cache_path


@functools.cache
def cache_folder() -> Path:
    """Return the folder that compiled kernels are kept in.

    It lies in $NUMBA_CACHE_DIR, in the user's cache folder, or in a temporary folder where the home can't be written. Its
    name follows from the kernels' sources: numba itself looks only at the file of the function that is called, and not at
    the files of the functions that went into it.
    """
    sources = hashlib.blake2b(digest_size=8)
    for path in sorted(Path(__file__).parent.glob("*.py")):
        sources.update(path.read_bytes())
    name = f"kernels-{sources.hexdigest()}"
    wanted = os.environ.get("NUMBA_CACHE_DIR")
    homes = [Path(wanted)] if wanted else []
    for home in (*homes, user_cache_path("tune-mlp"), Path(tempfile.gettempdir()) / f"tune-mlp-{_user()}"):
        folder = home / name
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not _is_ours(folder):
                continue  # compiled code is loaded from it, and somebody else can write it
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except (OSError, RuntimeError):  # RuntimeError: no home at all
            continue
    return Path(tempfile.mkdtemp(prefix="tune-mlp-"))


def _user() -> int | str:
    """Return the user's number, or the name on Windows, which has no numbers."""
    return os.getuid() if hasattr(os, "getuid") else getpass.getuser()


def _is_ours(folder: Path) -> bool:
    """True if the folder belongs to this user. On Windows the folders that are tried are always the user's own."""
    return not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()


def jit_is_disabled() -> bool:
    """True if $NUMBA_DISABLE_JIT switches numba's compiler off, by numba's own reading of it."""
    try:
        return int(os.environ.get("NUMBA_DISABLE_JIT", "0")) != 0
    except ValueError:
        return False


def is_compiled() -> bool:
    """True if all kernels are on disk, compiled for this machine and these versions."""
    return _mark().exists()


def note_compiled() -> None:
    """Note for later processes that all kernels are on disk."""
    _mark().touch()


def _mark() -> Path:
    """Return the path of an empty file that is named after all that a compiled kernel depends on beside its sources."""
    try:
        processor = [
            line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith(("model", "flags"))
        ]
    except OSError:
        processor = [platform.processor()]
    facts = repr((sys.version, metadata.version("numba"), metadata.version("llvmlite"), sorted(set(processor))))
    return cache_folder() / f"complete-{hashlib.blake2b(facts.encode(), digest_size=8).hexdigest()}"
