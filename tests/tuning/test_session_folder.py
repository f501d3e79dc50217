"""The folder of a Ray that is started here: its name is short enough for sockets, and nothing of it is left."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from tune_mlp.errors import RunError
from tune_mlp.tuning.ray_compat import session_folder as module
from tune_mlp.tuning.ray_compat.session_folder import INSIDE, SOCKET_BYTES, session_folder


@pytest.mark.parametrize("variable", ["TMPDIR", "RAY_TMPDIR"])
def test_a_long_temporary_folder_is_replaced_by_a_short_one(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("a" * 100)
    long.mkdir()
    monkeypatch.setenv(variable, str(long))
    monkeypatch.setattr(tempfile, "tempdir", None)  # Python keeps the first answer
    with session_folder() as chosen:
        assert chosen
        assert len(chosen) + INSIDE <= SOCKET_BYTES


def test_where_no_short_folder_can_be_written_the_line_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", "/tmp/" + "a" * 100)
    monkeypatch.setattr(module, "SHORT", ("/nowhere",))
    with (
        pytest.raises(RunError, match=r"too long for sockets, at most .* set RAY_TMPDIR to a shorter one"),
        session_folder(),
    ):
        pass


def test_the_sessions_of_this_process_are_removed_and_others_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as root:
        monkeypatch.setattr(module, "_default_folder", lambda: root)
        for name in ("session_1_1", f"session_1_{os.getpid()}"):
            (Path(root) / name).mkdir()
        with session_folder() as chosen:
            assert chosen is None
            (Path(root) / f"session_2_{os.getpid()}").mkdir()
            (Path(root) / "session_latest").symlink_to(Path(root) / f"session_2_{os.getpid()}")
        assert sorted(path.name for path in Path(root).iterdir()) == sorted(["session_1_1", f"session_1_{os.getpid()}"])
