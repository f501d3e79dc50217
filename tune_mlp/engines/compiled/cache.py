"""Where compiled kernels are kept, and whether they are there already. Importing this imports no numba."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from platformdirs import user_cache_path

from tune_mlp.regular_files import user_id


@functools.cache
def cache_folder() -> Path:
    """Return the folder that compiled kernels are kept in.

    It lies in $NUMBA_CACHE_DIR, in the user's cache folder, or in a temporary folder where the home can't be written. It is
    named after the kernels' sources, since numba looks only at the file of the function that is called, and after the
    sources' folder, since numba also looks at the path: another checkout's kernels would count as compiled, and each worker
    would compile them again.
    """
    sources = hashlib.blake2b(str(Path(__file__).parent).encode(), digest_size=8)
    for path in sorted(Path(__file__).parent.glob("*.py")):
        sources.update(path.read_bytes())
    name = f"kernels-{sources.hexdigest()}"
    wanted = os.environ.get("NUMBA_CACHE_DIR")
    homes = [Path(wanted)] if wanted else []
    for home in (*homes, user_cache_path("tune-mlp"), Path(tempfile.gettempdir()) / f"tune-mlp-{user_id()}"):
        folder = home / name
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if folder.stat().st_uid != user_id():
                continue  # compiled code is loaded from it, and somebody else can write it
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except (OSError, RuntimeError):  # RuntimeError: no home at all
            continue
    return Path(tempfile.mkdtemp(prefix="tune-mlp-"))


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
