"""Records of speed come from clean commits, and a section replaces the one of its title alone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from benchmarks import bench, machine, tables
from benchmarks.tables import Table


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clean checkout with records and one other file."""
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / machine.RECORDS).write_text(tables.HEAD)
    (tmp_path / "code.py").write_text("x = 1\n")
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "first"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    monkeypatch.setattr(tables, "RECORDS", tmp_path / machine.RECORDS)
    monkeypatch.setattr(machine, "busy", lambda: 0.0)
    monkeypatch.setattr(bench, "threadpool_limits", lambda _: None)  # which would outlive the test
    monkeypatch.setattr("torch.set_num_threads", lambda _: None)
    monkeypatch.setattr(bench, "parts", lambda *_: {"peers": lambda: [Table("Title", ["a", "b"], [["1", "2"]])]})
    return tmp_path


def test_records_are_written_from_a_clean_commit(checkout: Path) -> None:
    bench.main(["--only", "peers"])
    bench.main(["--only", "peers"])  # the records are changed by now, and these changes don't count
    text = (checkout / machine.RECORDS).read_text()
    assert text.count("## Title") == 1
    assert "| 1 | 2 |" in text
    assert "with changes" not in text


@pytest.mark.parametrize("name", ["code.py", "new.py"])
def test_a_changed_or_new_file_is_a_refusal_before_anything_is_measured(
    checkout: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout / name).write_text("x = 2\n")
    measured: list[None] = []
    monkeypatch.setattr(bench, "parts", lambda *_: {"peers": lambda: measured.append(None) or []})
    with pytest.raises(SystemExit) as refusal:
        bench.main(["--only", "peers"])
    assert refusal.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.endswith(f"records are written from a clean commit, and {name} changed; commit, or give --no-write")
    assert not measured
    bench.main(["--only", "peers", "--no-write"])
    assert measured
    assert (checkout / machine.RECORDS).read_text() == tables.HEAD


def test_the_short_form_only_prints(checkout: Path) -> None:
    (checkout / "code.py").write_text("x = 2\n")
    bench.main(["--quick", "--only", "peers"])
    assert (checkout / machine.RECORDS).read_text() == tables.HEAD
    assert machine.commit().endswith(" with changes")
