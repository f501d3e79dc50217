"""A download, which arrives whole and with the right checksum, or leaves nothing behind."""

from __future__ import annotations

import hashlib
import http.client
import os
import sys
import tempfile
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from tune_mlp.errors import DataError, one_line

TIMEOUT = 10.0
"""The number of seconds without an answer after which the next mirror is tried."""
PIECE = 1 << 16


def download(urls: Sequence[str], target: Path, md5: str) -> str:
    """Download `target` from the first of `urls` that has it; return why each of them failed, or an empty text on success."""
    reasons = []
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for url in urls:
            # In the target's folder, so that the last step is a rename: another process sees the whole file or none.
            handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
            try:
                with os.fdopen(handle, "wb") as file:
                    reason = _fetch(url, file, md5)
                if not reason:
                    os.replace(name, target)
                    return ""
            finally:
                Path(name).unlink(missing_ok=True)
            reasons.append(f"{url}: {reason}")
    except OSError as error:
        raise DataError(f"{target}: can't be written: {one_line(error)}") from error
    return "; ".join(reasons)


def _fetch(url: str, file: IO[bytes], md5: str) -> str:
    """Write the content of a URL to the file; return what was wrong, or an empty text on success."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    digest, received = hashlib.md5(usedforsecurity=False), 0
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    try:
        response = urllib.request.urlopen(url, timeout=TIMEOUT)  # http(s) only: the addresses are torchvision's
    except (OSError, http.client.HTTPException) as error:
        return one_line(error)
    length = response.headers.get("Content-Length") or ""
    total = int(length) if length.isdecimal() else 0
    shown = Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
    with response, shown as progress:
        task = progress.add_task(url.rsplit("/", 1)[-1], total=total or None)
        while True:
            try:
                piece = response.read(PIECE)
            except (OSError, http.client.HTTPException) as error:
                return one_line(error)
            if not piece:
                break
            file.write(piece)
            digest.update(piece)
            received += len(piece)
            progress.update(task, completed=received)
    if received < total:
        return f"cut off after {received} of {total} bytes"
    if digest.hexdigest() != md5:
        return f"wrong MD5: expected {md5}, got {digest.hexdigest()}"
    return ""
