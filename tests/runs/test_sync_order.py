"""The store never has a journal that tells of more than the files beside it, whatever is written while it is brought there."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tune_mlp.runs.run_folder import CHECKPOINTS
from tune_mlp.runs.store_sync import StoreSync


def test_what_the_journal_on_the_store_tells_of_is_there(tmp_path: Path) -> None:
    """A trial ends, and so both files grow, after the first of them was brought."""
    (tmp_path / CHECKPOINTS).mkdir()
    names = ("journal.jsonl", "outcomes.jsonl")
    for name in names:
        (tmp_path / name).write_bytes(b"1")
    brought: dict[str, bytes] = {}

    def write(name: str, data: bytes) -> None:
        brought[name] = data
        if len(brought) == 1:
            for name in names:
                (tmp_path / name).write_bytes(b"12")

    store: Any = SimpleNamespace(write=write, within=lambda name: store)
    sync = StoreSync(tmp_path, store, SimpleNamespace(), lambda line, style="": None)  # type: ignore[arg-type]
    sync.bring_all()
    assert brought == {"journal.jsonl": b"1", "outcomes.jsonl": b"1"}
    sync.bring_all()
    assert brought == {"journal.jsonl": b"12", "outcomes.jsonl": b"12"}
