"""Reading files that somebody else may have written: only regular files of a limited size are opened.

Opening a pipe waits for a writer that may never come, and reading a device such as /dev/zero never ends. Both functions
raise OSError only, with a `strerror` that says in a few words what is wrong; each caller turns it into an error of its own
that names the file.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_regular(path: str | Path, limit: int) -> BinaryIO:
    """Open a regular file of at most `limit` bytes for reading; a link to one is followed."""
    try:
        _check(os.stat(path), limit)  # first, since opening some devices already does something
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    except ValueError as error:  # the name holds a zero byte, or a character that no file name can hold
        raise OSError(errno.EINVAL, f"not a file's name: {error}") from None
    try:
        _check(os.fstat(descriptor), limit)  # again, since another file may have taken its place
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: str | Path, limit: int) -> bytes:
    """Read a regular file of at most `limit` bytes."""
    with open_regular(path, limit) as file:
        content = file.read(limit + 1)  # a file may grow while it is read, and those in /proc say that they are empty
    if len(content) > limit:
        raise _too_large(limit)
    return content


def _check(found: os.stat_result, limit: int) -> None:
    kind = stat.S_IFMT(found.st_mode)
    if kind == stat.S_IFDIR:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if kind != stat.S_IFREG:
        raise OSError(errno.EINVAL, f"{KINDS.get(kind, 'something else')}, where a regular file is needed")
    if found.st_size > limit:
        raise _too_large(limit)


def _too_large(limit: int) -> OSError:
    return OSError(errno.EFBIG, f"larger than {in_bytes(limit)}, the most that is read of such a file")


def in_bytes(number: int) -> str:
    """Write a number of bytes in the largest unit that needs no fraction: `200 kB`."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if number >= size and number % size == 0:
            return f"{number // size} {unit}"
    return f"{number} bytes"


def user_id() -> int:
    """Return the number of the user who runs this process; 0 on Windows, where files have no such owner."""
    return os.getuid() if hasattr(os, "getuid") else 0
