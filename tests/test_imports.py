"""Modules are imported ahead by one thread only, which whoever needs them waits for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tune_mlp.imports import import_ahead


def test_the_same_modules_are_imported_by_one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow_to_import.py").write_text(f"import time\nwhile not time.sleep(0.01):\n    if __import__('os').path.exists({str(tmp_path / 'go')!r}): break\n")  # fmt: skip
    monkeypatch.syspath_prepend(tmp_path)
    first, second = import_ahead("slow_to_import"), import_ahead("slow_to_import")
    assert first is second
    assert import_ahead("json") is not first
    (tmp_path / "go").touch()
    first.join(timeout=60)
    assert "slow_to_import" in sys.modules
    again = import_ahead("slow_to_import")
    assert again is not first
    again.join(timeout=60)
    del sys.modules["slow_to_import"]


def test_an_import_that_fails_ahead_is_left_to_whoever_needs_it() -> None:
    thread = import_ahead("no_module_of_this_name")
    thread.join(timeout=60)
    assert not thread.is_alive()
