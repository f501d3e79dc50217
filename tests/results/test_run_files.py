"""A run's folder may come from anybody: each of its files is regular and of a limited size, and run.json is checked once."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tune_mlp import Results, cli
from tune_mlp.errors import RunFolderError, UsageError
from tune_mlp.results.journal_reader import read
from tune_mlp.results.run_files import MANIFEST, read_manifest
from tune_mlp.results.state import JournalFollower
from tune_mlp.runs.run_folder import check_writable

OLD_RUN = Path(__file__).parents[1] / "fixtures" / "run_format_1"
WRONG = (None, True, 5, 0.5, "text", [], [None], {}, {"x": None})


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return a finished run."""
    return Path(shutil.copytree(OLD_RUN, tmp_path / "run"))


def refusal(capsys: pytest.CaptureFixture[str], *command: object) -> str:
    """Return the one line with which a command ends with status 2."""
    assert cli.main([str(word) for word in command]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    return line


def places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Yield each place in a manifest, from its members to the items of its lists."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place, *(inner for name, member in members for inner in places(member, (*place, name)))]


def with_value(manifest: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    copy = json.loads(json.dumps(manifest))
    owner = copy
    for name in place[:-1]:
        owner = owner[name]
    owner[place[-1]] = value
    return copy


def types_of(place: tuple[Any, ...]) -> Any:
    expected: Any = MANIFEST
    for name in place:
        expected = expected[0] if isinstance(expected, list) else expected.get(name, expected.get("*"))
    kind = dict if isinstance(expected, dict) else list if isinstance(expected, list) else expected
    return kind if isinstance(kind, tuple) else (kind,)


def test_every_member_of_a_manifest_is_checked_at_its_place(run: Path) -> None:
    path = run / "run.json"
    manifest = json.loads(path.read_text()) | {"resumed": [{"at": "t", "command": ["c"], "versions": {"ray": "2"}}]}
    tried = 0
    for place in places(manifest)[1:]:
        for value in WRONG:
            if type(value) in types_of(place):
                continue
            path.write_text(json.dumps(with_value(manifest, place, value)))
            named = "".join(f"[{name}]" if isinstance(name, int) else f".{name}" for name in place).removeprefix(".")
            with pytest.raises(RunFolderError) as error:
                read_manifest(path)
            assert str(error.value).startswith(f"{path}: {named}: must be "), value
            tried += 1
    assert tried > 300


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"engine": {}}, "engine.name is missing"),
        ({"engine": {"name": 5}}, "engine.name: must be text, got 5"),
        ({"engine": {"name": None}}, "engine.name: must be text, got None"),
        ({"engine": {"name": "exec"}}, "engine.name: must be eager or compiled, got 'exec'"),
        ({"resumed": 5}, "resumed: must be a list, got 5"),
        ({"dataset": {}}, "dataset.fingerprint is missing"),
        ({"study_sha256": "0"}, "study_sha256: must be a list, got '0'"),
        ({"state": None}, "state: must be text, got None"),
    ],
)
def test_a_resume_says_what_is_wrong_with_a_manifest_and_leaves_it(
    run: Path, change: dict[str, Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.dumps(json.loads((run / "run.json").read_text()) | change)
    (run / "run.json").write_text(content)
    assert said in refusal(capsys, "resume", run, "--trials", "+1")
    assert (run / "run.json").read_text() == content


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("put", [pipe, device, folder])
@pytest.mark.parametrize("name", ["journal.jsonl", "study.yaml", "run.json"])
def test_only_regular_files_of_a_run_are_read(
    run: Path, name: str, put: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    (run / name).unlink()
    put(run / name)
    with pytest.raises(RunFolderError, match=name):
        Results.load(run)
    assert name in refusal(capsys, "export", run, "--to", "csv", "--output", "-")
    assert name in refusal(capsys, "resume", run, "--trials", "+1")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("put", [pipe, device, folder])
def test_only_regular_files_are_read_as_steps_and_followed_as_a_journal(run: Path, put: Callable[[Path], None]) -> None:
    put(run / "steps.parquet")
    with pytest.raises(RunFolderError, match="steps"):
        _ = Results.load(run).steps
    put(run / "followed.jsonl")
    with pytest.raises(RunFolderError, match="followed"):
        JournalFollower(run / "followed.jsonl").follow()
    with pytest.raises(RunFolderError, match="followed"):
        read(run / "followed.jsonl")


def test_files_beyond_their_limit_are_refused_unread(run: Path) -> None:
    for name in ("study.yaml", "run.json"):
        (run / name).unlink()
        with (run / name).open("wb") as file:
            file.truncate(10**12)  # with nothing in it, it takes no room
        with pytest.raises(RunFolderError, match=f"{name}: can't be read: larger than 1 MB"):
            Results.load(run)
        shutil.copy(OLD_RUN / name, run / name)
    with (run / "journal.jsonl").open("ab") as file:
        file.truncate(10**12)
    with pytest.raises(RunFolderError, match=r"journal.jsonl: can't read the journal: larger than 4 GB"):
        Results.load(run)


@pytest.mark.parametrize(
    ("csv", "said"),
    [
        ("/proc/t.csv", "can't be written"),
        ("/dev/null", "isn't a regular file"),
        (".", "is a folder"),
        ("nowhere/t.csv", "there is no folder nowhere"),
    ],
)
def test_a_table_that_cannot_be_written_is_refused_before_any_work(csv: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_writable(Path(csv))


def test_a_table_that_can_be_written_leaves_nothing_behind_before(tmp_path: Path) -> None:
    check_writable(tmp_path / "t.csv")
    assert list(tmp_path.iterdir()) == []
