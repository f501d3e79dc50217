"""The ledger: one SQLite file that remembers all that was asked for. What was accepted is on the disk, whole, or isn't there at all."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tune_mlp.errors import StorageError, one_line
from tune_mlp.service.faults import NoSpaceLeft

VERSION = 2
"""The version of the tables below."""
BUSY_SECONDS = 10.0
SCHEMA = """
CREATE TABLE studies (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    owner TEXT NOT NULL,
    space TEXT NOT NULL,
    description TEXT NOT NULL,
    dataset TEXT NOT NULL,
    text TEXT NOT NULL,
    trials INTEGER,
    cpus REAL NOT NULL,
    gpus REAL NOT NULL,
    submitted REAL,
    outcome TEXT,
    detail TEXT NOT NULL DEFAULT '',
    trashed REAL,
    trashed_by TEXT NOT NULL DEFAULT '',
    purged REAL
) STRICT;
CREATE UNIQUE INDEX live_names ON studies (name) WHERE trashed IS NULL;
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    study INTEGER NOT NULL REFERENCES studies (id),
    kind TEXT NOT NULL,
    arguments TEXT NOT NULL DEFAULT '{}',
    state TEXT NOT NULL,
    asked REAL NOT NULL,
    started REAL,
    ended REAL,
    token TEXT NOT NULL DEFAULT '',
    restarts INTEGER NOT NULL DEFAULT 0,
    stop_asked REAL,
    stops INTEGER NOT NULL DEFAULT 0,
    outcome TEXT,
    detail TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX jobs_by_study ON jobs (study);
CREATE INDEX jobs_by_state ON jobs (state);
CREATE TABLE requests (
    user TEXT NOT NULL,
    key TEXT NOT NULL,
    action TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    study INTEGER NOT NULL REFERENCES studies (id),
    at REAL NOT NULL,
    PRIMARY KEY (user, key)
) STRICT;
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    user TEXT NOT NULL,
    address TEXT NOT NULL,
    action TEXT NOT NULL,
    study TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE TABLE summaries (
    name TEXT PRIMARY KEY,
    stamp TEXT NOT NULL,
    facts TEXT NOT NULL,
    summary TEXT NOT NULL
) STRICT;
"""
FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
"""The codes of SQLite that say that nothing can be written."""


class Transaction:
    """What is read and written together."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def all(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        """Return all rows that a query finds."""
        return self._connection.execute(sql, values).fetchall()

    def one(self, sql: str, *values: Any) -> sqlite3.Row | None:
        """Return the first row that a query finds, or None."""
        row: sqlite3.Row | None = self._connection.execute(sql, values).fetchone()
        return row

    def insert(self, table: str, **values: Any) -> int:
        """Add a row, and return its number."""
        names = ", ".join(values)
        marks = ", ".join("?" for _ in values)
        cursor = self._connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(values.values()))
        return int(cursor.lastrowid or 0)

    def change(self, table: str, number: int, **values: Any) -> None:
        """Change a row."""
        parts = ", ".join(f"{name} = ?" for name in values)
        self._connection.execute(f"UPDATE {table} SET {parts} WHERE id = ?", (*values.values(), number))

    def execute(self, sql: str, *values: Any) -> None:
        """Carry out any other statement."""
        self._connection.execute(sql, values)


class Ledger:
    """The file. There is one writer at a time, and readers don't wait for it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writing, self._reading = threading.RLock(), threading.RLock()
        self._writer = _opened(path)
        try:
            with self._writing, _said(path):
                self._prepare()
            self._reader = _opened(path)
        except BaseException:
            self._writer.close()
            raise

    def close(self) -> None:
        """Close the file."""
        with self._writing, self._reading:
            self._reader.close()
            self._writer.close()

    @contextlib.contextmanager
    def writing(self) -> Iterator[Transaction]:
        """Change what the file says: all of it, or nothing if an error ends the block. When the block has ended, it is on the disk."""
        with self._writing, _said(self.path):
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield Transaction(self._writer)
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:  # SQLite has taken some back by itself, as where the disk is full
                    self._writer.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def reading(self) -> Iterator[Transaction]:
        """Read what the file says, all as of one moment."""
        with self._reading, _said(self.path):
            self._reader.execute("BEGIN")
            try:
                yield Transaction(self._reader)
            finally:
                self._reader.execute("ROLLBACK")

    def _prepare(self) -> None:
        (found,) = self._writer.execute("PRAGMA user_version").fetchone()
        if found == VERSION:
            return
        if found == 1:  # which had no column for studies that were removed for good
            added = "ALTER TABLE studies ADD COLUMN purged REAL"
            self._writer.executescript(f"BEGIN IMMEDIATE; {added}; PRAGMA user_version = {VERSION}; COMMIT;")
            return
        if found:
            raise StorageError(
                f"{self.path}: was written by another version of tune_mlp: its tables are version {found}, not {VERSION}"
            )
        self._writer.executescript(f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")


def _opened(path: Path) -> sqlite3.Connection:
    with _said(path):
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "trusted_schema = OFF"):
            connection.execute(f"PRAGMA {pragma}")
        return connection


@contextlib.contextmanager
def _said(path: Path) -> Iterator[None]:
    """Say in one line what SQLite objects to."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in FULL:
            raise NoSpaceLeft(f"{path.name} can't be written, so nothing of this was kept: {one_line(error)}") from None
        raise StorageError(f"{path}: {one_line(error)}") from None


def placeholders(values: Sequence[Any]) -> str:
    """Return the marks for a list of values in a query: `?, ?, ?`."""
    return ", ".join("?" for _ in values)
