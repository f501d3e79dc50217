"""The database that an export goes to: an SQLite file, written whole or not at all if it is new, or another one by its address."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Engine, event
from sqlalchemy.exc import SQLAlchemyError

from tune_mlp.errors import StorageError, UsageError, one_line
from tune_mlp.results.export import write_aside
from tune_mlp.results.storage import without_secrets

SQLITE = "sqlite:///"
BESIDE = ("-journal", "-wal", "-shm")
"""The endings of the files that SQLite keeps beside a database while it is written."""


class Database(NamedTuple):
    """A database to write to."""

    url: str
    new: bool = False
    """True of an SQLite file that nobody else knows yet."""

    def hurry(self, engine: Engine) -> None:
        """Let the system choose when a new file reaches the disk, since nothing is lost if it doesn't."""
        if self.new:
            event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
            engine.dispose()  # the connections that are open already


def write_database(output: str, table: str, write: Callable[[Database], None]) -> None:
    """Call `write` with the database. `table` is one that every database of the tool has.

    A new SQLite file is written under another name and then moved. Every refusal begins with the place.
    """
    place = without_secrets(output)
    try:
        if "://" in output and not output.startswith("sqlite:"):
            write(Database(output))
            return
        path = _path(output)
        if not path.exists():
            write_aside(path, lambda aside: _write_new(aside, write))
            return
        _check(path, table)
        write(Database(f"{SQLITE}{path}"))
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise StorageError(f"--output {place}: can't be written: {one_line(error, limit=200)}") from None
    except ModuleNotFoundError as error:  # the driver of another database
        raise UsageError(f"--output {place}: {error}") from None
    except (UsageError, StorageError) as error:
        raise type(error)(f"--output {place}: {error}") from None


def _path(output: str) -> Path:
    """Return the path of an SQLite file."""
    text = output.removeprefix(SQLITE)
    if text.startswith("sqlite:") or not text or "?" in text:
        raise UsageError(f"name a file, as {SQLITE}study.db")
    path = Path(text)
    if not path.absolute().parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}")
    return path


def _write_new(aside: Path, write: Callable[[Database], None]) -> None:
    try:
        aside.touch(exist_ok=False)  # a folder that can't be written is found before the work begins
        write(Database(f"{SQLITE}{aside}", new=True))
        with aside.open("rb") as file:
            os.fsync(file.fileno())
    finally:
        for ending in BESIDE:
            aside.with_name(aside.name + ending).unlink(missing_ok=True)


def _check(path: Path, table: str) -> None:
    """Refuse a file that isn't a database of the tool."""
    if not path.is_file():
        raise UsageError("is there, and is no file")
    if not os.access(path, os.W_OK):
        raise StorageError("can't be written: it is read-only")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.DatabaseError as error:
        raise UsageError(f"is no SQLite database: {error}") from None
    if tables and table not in tables:
        raise UsageError("is a database of something else; name another file")
