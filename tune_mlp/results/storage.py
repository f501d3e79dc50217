"""Places: what all nodes of a run can write and read, a folder or an object store; a file is there whole or not at all."""

from __future__ import annotations

import os
import posixpath
import re
import shutil
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import datetime
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from tune_mlp.errors import RunError, StorageError, StoreError, UsageError, one_line

Data = bytes | memoryview
T = TypeVar("T")

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S*")
_SQUASHED = re.compile(r"(s3|gs|gcs|abfss?|hdfs|viewfs|file):/(?!/)")
PUBLIC = {"region", "scheme", "endpoint_override", "allow_bucket_creation", "tls_ca_file_path", "retry_limit_seconds"}
"""What of a URI's options may be shown and kept; any other may be a key."""

WHOLE_WRITES = ("s3", "gcs", "abfs")
"""Where a file appears when its writing has ended; elsewhere it is written aside and moved."""
CONNECT_SECONDS, ANSWER_SECONDS, ATTEMPTS = 3.0, 5.0, 3


class Storage(ABC):
    """A place for files by name, without folders."""

    @abstractmethod
    def write(self, name: str, data: Data) -> None:
        """Write a file; an old one is replaced at once."""

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """Read a file; None if there is none."""

    @abstractmethod
    def names(self, pattern: str) -> list[str]:
        """Return the sorted names of the files that match; `*` and `?` stand for any letters."""

    @abstractmethod
    def remove(self, pattern: str) -> None:
        """Remove the files with these names that exist."""

    @abstractmethod
    def clear(self) -> None:
        """Remove everything there, whoever wrote it."""


class FolderStorage(Storage):
    """Storage in a folder that every node sees at the same path."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    def write(self, name: str, data: Data) -> None:
        path = self.path / name
        aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
        try:
            with open(aside, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(aside, path)
        except OSError as error:
            raise StorageError(f"{path} can't be written: {error.strerror or error}") from error
        finally:
            aside.unlink(missing_ok=True)

    def read(self, name: str) -> bytes | None:
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RunError(f"{self.path / name} can't be read: {one_line(error)}") from error

    def names(self, pattern: str) -> list[str]:
        return sorted(path.name for path in self.path.glob(pattern) if path.is_file() and path.name[0] != ".")

    def remove(self, pattern: str) -> None:
        for name in self.names(pattern) if _is_wild(pattern) else [pattern]:
            (self.path / name).unlink(missing_ok=True)

    def clear(self) -> None:
        for left in self.path.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()


class NoStorage(Storage):
    """Storage that keeps nothing: a trial whose worker is lost begins anew."""

    def __str__(self) -> str:
        return "nowhere"

    def write(self, name: str, data: Data) -> None:
        pass

    def read(self, name: str) -> bytes | None:
        return None

    def names(self, pattern: str) -> list[str]:
        return []

    def remove(self, pattern: str) -> None:
        pass

    def clear(self) -> None:
        pass


class ObjectStore(Storage):
    """A folder on an object store or another file system that pyarrow or, with `fsspec+`, fsspec knows, by its URI.

    Whatever goes wrong there is a StoreError, whose text, like that of the store, has no credentials.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def __reduce__(self) -> tuple[type[ObjectStore], tuple[str]]:
        return ObjectStore, (self.uri,)  # each process connects for itself

    def __str__(self) -> str:
        return without_secrets(self.uri)

    def within(self, name: str) -> ObjectStore:
        """Return a folder inside this one."""
        path, mark, options = self.uri.partition("?")
        return ObjectStore(f"{path.rstrip('/')}/{name}{mark}{options}")

    @property
    def name(self) -> str:
        """The last part of its path."""
        return unquote(urlsplit(self.uri).path.rstrip("/").rpartition("/")[2])

    @cached_property
    def _connected(self) -> tuple[Any, str]:
        return self._told("be used", lambda: _connect(self.uri))

    @property
    def filesystem(self) -> Any:
        """The file system as a pyarrow object."""
        return self._connected[0]

    @property
    def path(self) -> str:
        """Return the path on the file system."""
        return self._connected[1]

    def write(self, name: str, data: Data) -> None:
        def written(path: str) -> None:
            with self.filesystem.open_output_stream(path, compression=None) as file:
                file.write(data)

        def whole(path: str) -> None:
            if self.filesystem.type_name in WHOLE_WRITES:
                return written(path)
            folder, last = posixpath.split(path)
            self.filesystem.create_dir(folder, recursive=True)
            aside = f"{folder}/.{last}.{uuid.uuid4().hex}.tmp"
            written(aside)
            return self.filesystem.move(aside, path)  # type: ignore[no-any-return]

        self._told("be written", lambda: whole(self._of(name)))

    def read(self, name: str) -> bytes | None:
        def whole() -> bytes | None:
            try:
                with self.filesystem.open_input_stream(self._of(name), compression=None) as file:
                    content: bytes = file.read()
                    return content
            except FileNotFoundError:
                return None

        return self._told("be read", whole)

    def names(self, pattern: str) -> list[str]:
        from pyarrow.fs import FileSelector

        selector = FileSelector(self.path, allow_not_found=True)
        found = self._told("be listed", lambda: self.filesystem.get_file_info(selector))
        names = (info.base_name for info in found if info.is_file)
        return sorted(name for name in names if name[:1] not in ("", ".") and fnmatchcase(name, pattern))

    def remove(self, pattern: str) -> None:
        def gone(name: str) -> None:
            try:
                self.filesystem.delete_file(self._of(name))
            except FileNotFoundError:
                return

        for name in self.names(pattern) if _is_wild(pattern) else [pattern]:
            self._told("be written", lambda name=name: gone(name))  # type: ignore[misc]

    def clear(self) -> None:
        self._told("be cleared", lambda: self.filesystem.delete_dir_contents(self.path, missing_dir_ok=True))

    def exists(self) -> bool:
        """True if anything is there."""
        from pyarrow.fs import FileType

        return self._told("be read", lambda: bool(self._info(self.path).type != FileType.NotFound))

    def written_at(self, name: str) -> datetime | None:
        """Return when a file was written, by the store's own clock; None if there is no such file or no such clock."""
        written: datetime | None = self._told("be read", lambda: self._info(self._of(name)).mtime)
        return written

    def _of(self, name: str) -> str:
        return f"{self.path.rstrip('/')}/{name}"

    def _info(self, path: str) -> Any:
        return self.filesystem.get_file_info([path])[0]

    def _told(self, what: str, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except (OSError, ValueError, NotImplementedError, ImportError) as error:  # pyarrow's derive from these
            text = one_line(error, 2000).replace(self.uri, str(self))
            raise StoreError(f"{self} can't {what}: {text[:300]}") from None


def _connect(uri: str) -> tuple[Any, str]:
    """Connect with time limits of our own if the file system takes any: an AWS client would wait 100 s for a server that hangs."""
    from pyarrow import fs

    if uri.startswith(("gs://", "gcs://")) and "retry_limit_seconds=" not in uri:  # else it tries for 15 minutes
        uri += f"{'&' if '?' in uri else '?'}retry_limit_seconds={ANSWER_SECONDS * ATTEMPTS:.0f}"
    filesystem, path = fs.FileSystem.from_uri(uri)
    if isinstance(filesystem, fs.S3FileSystem):
        _, (options,) = filesystem.__reduce__()  # what pickle would have; there is no other way to ask
        given = {name: value for name, value in options.items() if value not in (None, "") and name != "proxy_options"}
        limits = {
            "connect_timeout": CONNECT_SECONDS,
            "request_timeout": ANSWER_SECONDS,
            "retry_strategy": fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
            "allow_delayed_open": True,  # a small file is then one request, not three
        }
        filesystem = fs.S3FileSystem(**{**given, **limits})
    return filesystem, path


def _is_wild(pattern: str) -> bool:
    return "*" in pattern or "?" in pattern


def location(where: str | Path | ObjectStore) -> Path | ObjectStore:
    """Return what a path or a URI means."""
    if isinstance(where, ObjectStore):
        return where
    text = str(where)
    if _SQUASHED.match(text):
        raise UsageError(f"{text}: a URI has two slashes after its colon; give it as text, a Path drops one")
    if not _URI.match(text):
        return Path(where)
    parts = urlsplit(text)
    if parts.scheme.lower() != "file":
        return ObjectStore(text)
    if parts.netloc not in ("", "localhost"):
        raise UsageError(f"{text}: a file: URI is of this machine, file:///folder; it names {parts.netloc}")
    return Path(unquote(parts.path))


def inside(where: Path | ObjectStore, name: str) -> Path | ObjectStore:
    """Return a place inside a folder or a store."""
    return where.within(name) if isinstance(where, ObjectStore) else where / name


def without_secrets(text: str) -> str:
    """Return the text, its URIs without user, password and any option that isn't known to be harmless."""
    return _URI.sub(lambda found: _without_secrets(found[0]), text)


def _without_secrets(uri: str) -> str:
    address, mark, options = uri.partition("?")
    scheme, _, rest = address.partition("://")
    user, at, host = rest.rpartition("@")
    if at and ":" not in user and "/" in user:
        user, at, host = "", "", rest  # an @ in its path
    # In abfs://container@account the part before the @ is no user; a password always follows a colon.
    kept = f"{user.partition(':')[0]}@" if at and scheme.startswith("abfs") and not user.startswith(":") else ""
    shown = urlencode([(name, value) for name, value in parse_qsl(options) if name in PUBLIC], safe=":/")
    return f"{scheme}://{kept}{host}{mark if shown else ''}{shown}"
