"""The writer of outcomes.jsonl: the process that writes the run's journal appends a line for each trial that ends."""

from __future__ import annotations

import os
from pathlib import Path

from tune_mlp.errors import StorageError


class OutcomesWriter:
    """Appends lines to a run's outcomes. An incomplete last line, which a killed process left, is removed first."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._size: int | None = None

    def append(self, line: bytes) -> None:
        """Write a line. One that couldn't be written whole is left out by readers, and the next one replaces it."""
        try:
            if self._size is None:
                self._size = _whole_lines(self.path)
            with self.path.open("r+b" if self.path.exists() else "wb") as file:
                file.truncate(self._size)
                file.seek(self._size)
                file.write(line)
            self._size += len(line)
        except OSError as error:
            raise StorageError(f"{self.path}: can't write the outcomes: {error.strerror or error}") from None


def _whole_lines(path: Path) -> int:
    """Return the size of a file's whole lines."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            while end > 0:
                begin = max(0, end - 2**16)
                file.seek(begin)
                if (newline := file.read(end - begin).rfind(b"\n")) >= 0:
                    return begin + newline + 1
                end = begin
    except FileNotFoundError:
        pass
    return 0
