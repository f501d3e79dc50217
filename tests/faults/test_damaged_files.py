"""A file that is damaged or cut off anywhere is refused in one line that names it: nothing is loaded with other values, and no run begins anew in silence."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from tests.faults.folders import (
    contents,
    flipped,
    kilobytes,
    left_behind,
    refused_by_resume,
    weights,
    write_journal,
)
from tune_mlp.data.mnist import FILES
from tune_mlp.data.sources import load_dataset
from tune_mlp.data_settings import DataSettings
from tune_mlp.errors import DataError, RunError, RunFolderError
from tune_mlp.results.journal_reader import read
from tune_mlp.runs.journal_writer import Journal
from tune_mlp.training import checkpoint

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # ray calls what Python deprecates


def test_a_byte_changed_in_any_kilobyte_of_a_journal_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    content = write_journal(path, 160)
    assert len(content) > 100_000
    for number, at in enumerate(kilobytes(content)):
        path.write_bytes(flipped(content, at))
        line = content.count(b"\n", 0, at) + 1
        with pytest.raises(RunFolderError, match=rf"journal\.jsonl:{line}: ") as error:
            read(path)
        assert "\n" not in str(error.value)
        if number % 10 == 0:  # a lease takes milliseconds
            with pytest.raises(RunFolderError, match=rf"journal\.jsonl:{line}: "):
                Journal.resume(path)
        assert path.read_bytes() == flipped(content, at), "what can't be read is left as it is"


def test_a_journal_cut_in_any_kilobyte_goes_on_after_its_last_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    content = write_journal(path, 150)
    whole = read(path)
    for number, cut in enumerate(kilobytes(content)):
        path.write_bytes(content[:cut])
        lines = content[:cut].count(b"\n")
        if not lines:
            with pytest.raises(RunFolderError, match="the journal is empty"):
                Journal.resume(path)
            continue
        assert read(path) == whole[:lines]
        if number % 10:
            continue  # it takes milliseconds to put a line on disk
        with Journal.resume(path) as journal:
            journal.append(whole[lines])
        assert read(path) == whole[: lines + 1]


@pytest.mark.parametrize("content", [b"", b"\0" * 5000], ids=["emptied", "zeros"])
def test_an_emptied_journal_is_refused_and_no_run_begins_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    run = left_behind(tmp_path)
    (run / "journal.jsonl").write_bytes(content)
    before = contents(run)
    assert "journal.jsonl: the journal is empty" in refused_by_resume(run, capsys)
    assert contents(run) == before


def test_a_checkpoint_damaged_anywhere_is_refused_or_holds_what_it_held(tmp_path: Path) -> None:
    """A byte of each kilobyte is damaged, and each byte of the archive's headers, pickle and directory."""
    path, state = tmp_path / "state.pt", weights(3)
    checkpoint.save(path, state)
    content = path.read_bytes()
    assert len(content) > 10 * 1024
    places = {*kilobytes(content), *range(0, 1024, 3), *range(len(content) - 2048, len(content), 3)}
    said: list[str] = []
    for at in sorted(places):
        path.write_bytes(flipped(content, at))
        try:
            found = checkpoint.load(path)
        except RunError as error:
            said.append(str(error))
        else:
            assert found["epoch"] == 3
            for name, tensor in state["folds"][0].items():
                assert torch.equal(found["folds"][0][name], tensor), f"byte {at}"
    assert len(said) > len(places) / 3
    assert all("state.pt" in line and "\n" not in line for line in said)


def test_a_checkpoint_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    checkpoint.save(path, weights(3))
    content = path.read_bytes()
    for cut in (*range(0, len(content), 512), *range(len(content) - 64, len(content))):
        path.write_bytes(content[:cut])
        with pytest.raises(RunError, match=r"checkpoint is damaged: .*state\.pt"):
            checkpoint.load(path)


def test_a_study_changed_anywhere_is_refused_at_resume_and_nothing_is_touched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where it still is a valid study: another digit would be another study."""
    run = left_behind(tmp_path)
    path = run / "study.yaml"
    content = path.read_bytes()
    damaged = [flipped(content, at) for at in range(0, len(content), 29)]
    damaged += [content[:cut] for cut in range(0, len(content), 101)] + [content.replace(b"epochs: 3", b"epochs: 4")]
    for text in damaged:
        path.write_bytes(text)
        before = contents(run)
        assert "study.yaml: was changed or damaged since the run wrote it" in refused_by_resume(run, capsys)
        assert contents(run) == before
    path.unlink()
    assert "study.yaml: can't be read: No such file" in refused_by_resume(run, capsys)


def test_a_manifest_cut_anywhere_is_refused_at_resume(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = left_behind(tmp_path)
    path = run / "run.json"
    content = path.read_bytes()
    for cut in range(0, len(content.rstrip()), 97):
        path.write_bytes(content[:cut])
        assert "run.json: " in refused_by_resume(run, capsys)
    facts = json.loads(content)
    for name in ("dataset", "engine", "study_sha256", "state"):
        path.write_text(json.dumps(facts | {name: None}))
        assert f"run.json: {name}: must be " in refused_by_resume(run, capsys)
        path.write_text(json.dumps({key: fact for key, fact in facts.items() if key != name}))
        assert f"run.json: isn't a run's manifest: {name}" in refused_by_resume(run, capsys)
    path.write_text(json.dumps(facts | {"engine": {"name": "egaer"}}))
    assert "engine.name: must be eager or compiled, got 'egaer'" in refused_by_resume(run, capsys)


TABLE = "x,y,kind\n" + "".join(f"{i / 7:.6f},{i % 13 / 3:.6f},{'ab'[i % 2]}\n" for i in range(400))


def _csv(folder: Path) -> Path:
    path = folder / "table.csv"
    path.write_text(TABLE)
    return path


def _parquet(folder: Path) -> Path:
    path = folder / "table.parquet"
    pd.read_csv(_csv(folder)).to_parquet(path)
    return path


@pytest.mark.parametrize(("kind", "make"), [("csv", _csv), ("parquet", _parquet)])
def test_a_table_damaged_in_any_kilobyte_is_refused_or_seen_to_be_another(tmp_path: Path, kind: str, make: Any) -> None:
    """A resume compares the data's fingerprint; a damaged table with the same fingerprint must hold the same numbers."""
    path = make(tmp_path)
    settings = DataSettings(name=f"{kind}:{path}", target="kind")
    before = load_dataset(settings).fingerprint()
    content = path.read_bytes()
    said: list[str] = []
    for at in {*kilobytes(content), *range(0, len(content), 211)}:
        for damaged in (flipped(content, at), content[:at]):
            path.write_bytes(damaged)
            try:
                now = load_dataset(settings)
            except DataError as error:
                said.append(str(error))
                continue
            if now.fingerprint() != before:
                said.append("began with other data")
            else:  # in what isn't data: a statistic, a name of a writer
                path.write_bytes(content)
                pd.testing.assert_frame_equal(
                    pd.DataFrame(now.x), pd.DataFrame(load_dataset(settings).x), check_exact=True
                )
    assert len(said) > 20
    assert not any("\n" in line for line in said)


def test_a_run_whose_data_were_changed_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = _csv(tmp_path)
    run = left_behind(tmp_path, data={"name": f"csv:{table}", "target": "kind"})
    table.write_text(TABLE.replace("1.000000", "1.000001", 1))
    before = contents(run)
    assert "began with other data than csv:" in refused_by_resume(run, capsys)
    assert contents(run) == before


def test_a_picture_file_damaged_in_any_kilobyte_is_refused_or_seen_to_be_another(tmp_path: Path) -> None:
    """Fashion-MNIST's files in small, plain and as archives: MNIST's own have their published checksums."""
    folder = tmp_path / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    images = (2051).to_bytes(4, "big") + (20).to_bytes(4, "big") + (28).to_bytes(4, "big") * 2
    labels = (2049).to_bytes(4, "big") + (20).to_bytes(4, "big")
    whole = {
        name: (images + bytes(i * 7 % 251 for i in range(20 * 784)))
        if "images" in name
        else (labels + bytes(i % 10 for i in range(20)))
        for name in FILES
    }
    for name, content in whole.items():
        (folder / name).write_bytes(content)
    settings = DataSettings(name="fashion_mnist")
    before = load_dataset(settings, tmp_path).fingerprint()
    for name, content in whole.items():
        for at in {*kilobytes(content), *range(0, 28, 3)}:
            for damaged in (flipped(content, at), content[:at]):
                (folder / name).write_bytes(damaged)
                assert _seen(settings, tmp_path, before), (name, at)
        (folder / name).unlink()
        archive = gzip.compress(content, mtime=0)
        for at in range(
            10, len(archive), 1 + len(archive) // 40
        ):  # before come its date and system: nobody looks there
            for damaged in (flipped(archive, at), archive[:at]):
                (folder / f"{name}.gz").write_bytes(damaged)
                assert _seen(settings, tmp_path, before), (name, at)
        (folder / f"{name}.gz").unlink()
        (folder / name).write_bytes(content)


def _seen(settings: DataSettings, folder: Path, before: str) -> bool:
    try:
        return load_dataset(settings, folder, allow_download=False).fingerprint() != before
    except DataError as error:
        return "\n" not in str(error)
