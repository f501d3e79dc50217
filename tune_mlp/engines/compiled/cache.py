"""Where compiled kernels are kept, and whether they are there already; importing this imports no numba."""

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
    """In $NUMBA_CACHE_DIR, the user's cache folder, or a temporary one where the home is read-only. It is named after the
    sources, since numba looks only at the file of the function that is called, and after their folder, since numba also looks
    at the path: another checkout's kernels would count as there and be compiled again in each worker."""
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
                continue  # somebody else's: compiled code is loaded from it
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except (OSError, RuntimeError):  # RuntimeError: no home at all
            continue
    return Path(tempfile.mkdtemp(prefix="tune-mlp-"))


def is_compiled() -> bool:
    """Are all kernels on disk, for this machine and these versions?"""
    return _mark().exists()


def note_compiled() -> None:
    """Say so to the runs to come."""
    _mark().touch()


def _mark() -> Path:
    """An empty file, named after all that a compiled kernel depends on beside its sources."""
    try:
        processor = [
            line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith(("model", "flags"))
        ]
    except OSError:
        processor = [platform.processor()]
    facts = repr((sys.version, metadata.version("numba"), metadata.version("llvmlite"), sorted(set(processor))))
    return cache_folder() / f"complete-{hashlib.blake2b(facts.encode(), digest_size=8).hexdigest()}"
