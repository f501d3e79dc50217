"""A folder from a stranger is data: nothing in it runs, nothing outside it is written or removed, and what it asks for is bounded."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from tests.faults.folders import Canary, contents, left_behind, refused_by_resume
from tests.in_process import in_one_process
from tests.results.journals import as_line, drawn, ended, record, started, trained
from tests.snapshots import REPORTING, comparable, go_on, snapshots
from tests.studies import Memory
from tune_mlp import cli, search
from tune_mlp.console.run_export import ENDINGS
from tune_mlp.errors import RunError, RunFolderError, StudyError, TuneMlpError
from tune_mlp.results.journal_reader import read
from tune_mlp.results.results import Results
from tune_mlp.runs.journal_writer import Journal
from tune_mlp.space.files import read_file
from tune_mlp.study.study import Study
from tune_mlp.training import checkpoint
from tune_mlp.training.checkpoint import load_model

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # ray calls what Python deprecates


@pytest.fixture
def canary(tmp_path: Path) -> Canary:
    return Canary(tmp_path / "sang")


def test_the_canary_sings_when_it_is_unpickled(canary: Canary) -> None:
    import pickle

    pickle.loads(canary.song())
    assert canary.nest.exists()


def _as_torch_saves(canary: Canary) -> bytes:
    buffer = io.BytesIO()
    torch.save({"epoch": 2, "folds": canary}, buffer)
    return buffer.getvalue()


def _as_old_torch_saves(canary: Canary) -> bytes:
    buffer = io.BytesIO()
    torch.save({"epoch": 2, "folds": canary}, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def _in_a_zip(canary: Canary, compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr("archive/data.pkl", canary.song())
        archive.writestr("archive/version", "3\n")
    return buffer.getvalue()


def _in_numpy(canary: Canary) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([canary], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def _in_parquet(canary: Canary) -> bytes:
    """Write a Python extension type of pyarrow's, which ran code when the file was read (CVE-2023-47248)."""
    buffer = io.BytesIO()
    metadata = {
        "ARROW:extension:name": "arrow.py_extension_type",
        "ARROW:extension:metadata": canary.song(),
    }
    field = pa.field("loss", pa.float64(), metadata=metadata)
    schema = pa.schema([field], metadata={"pandas": canary.song()})
    pq.write_table(pa.table([pa.array([0.5])], schema=schema), buffer)
    return buffer.getvalue()


SONGS: dict[str, Callable[[Canary], bytes]] = {
    "pickle": Canary.song,
    "torch": _as_torch_saves,
    "old torch": _as_old_torch_saves,
    "zip": _in_a_zip,
    "packed zip": lambda canary: _in_a_zip(canary, zipfile.ZIP_DEFLATED),
    "numpy": _in_numpy,
    "parquet": _in_parquet,
    "yaml": lambda canary: f'data: !!python/object/apply:os.mknod ["{canary.nest}"]\n'.encode(),
}


@pytest.mark.parametrize("song", SONGS)
def test_no_file_of_a_run_is_unpickled(
    tmp_path: Path, canary: Canary, song: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pickle stands in place of each file in turn, and everything that reads a run reads it."""
    monkeypatch.chdir(tmp_path)
    content = SONGS[song](canary)
    run = left_behind(tmp_path)
    for name in ("best/model.pt", "best/trial.json", "steps.parquet", "trials.parquet", "epochs.parquet", "trials.csv"):
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_bytes(content)
    names = sorted(contents(run))
    said: list[str] = []
    for name in names:
        before = (run / name).read_bytes()
        (run / name).write_bytes(content)
        reads: list[Callable[[], object]] = [
            lambda: Results.load(run),
            lambda: Results.load(run).steps,
            lambda: load_model(run / "best"),
            lambda name=name: checkpoint.load(run / name),  # type: ignore[misc]
            lambda name=name: read_file(run / name),  # type: ignore[misc]
        ]
        for look in reads:
            try:
                look()
            except TuneMlpError as error:
                said.append(str(error))
        for command in (
            ["export", str(run), "--to", "csv", "--output", "-"],
            ["export", str(run), "--to", "csv", "--what", "steps", "--output", "-"],
        ):
            assert cli.main(command) in (0, 1, 2)
        assert search.main(["--space", f"{run}/{name}" if name.endswith("yaml") else f"./{name}", "--trials", "1"]) == 2
        if name in ("journal.jsonl", "study.yaml", "run.json"):
            refused_by_resume(run, capsys)
        capsys.readouterr()
        (run / name).write_bytes(before)
    assert len(names) > 8
    assert said
    assert not any("\n" in line for line in said)
    assert not canary.nest.exists()


@pytest.mark.usefixtures("local_ray")
def test_a_resume_goes_on_among_canaries_and_reads_nothing_of_rays(tmp_path: Path, canary: Canary) -> None:
    """Ray Tune unpickles what lies in its own folder; we have it begin with an empty one. Weights and states are lost
    with it, of trials under way and of the winner: they are trained anew, and come to the same."""
    with in_one_process():
        whole, folders = snapshots(tmp_path, every=2, concurrent=1, **REPORTING)
    under_way = next(folder for folder in folders if list((folder / "checkpoints").glob("state-*.pt")))
    for run, said in (
        (under_way, " begins anew: checkpoint is damaged"),
        (folders[-1], " was trained anew for its best"),
    ):
        for path in (run / "checkpoints").glob("*.pt"):
            path.write_bytes(_as_torch_saves(canary))
        _sing_in_rays_folder(run / "checkpoints" / "ray", canary)
        display = Memory()
        resumed = go_on(run, display=display)
        pd.testing.assert_frame_equal(comparable(resumed)[0], comparable(whole)[0], check_exact=True)
        assert any(said in line for line in display.lines), display.lines
        assert (run / "best" / "model.pt").read_bytes() == (tmp_path / "whole" / "best" / "model.pt").read_bytes()
        assert not canary.nest.exists()


def _sing_in_rays_folder(ray: Path, canary: Canary) -> None:
    """Write pickles in place of Ray's own files, those of other times, and those that a restore would look for."""
    (ray / "TrialActor_0").mkdir(parents=True)
    state = json.dumps(
        {"runner_data": {"_type": "CLOUDPICKLE_FALLBACK", "value": canary.song().hex()}, "trial_data": [], "stats": {}}
    )
    for stamp in ("2020-01-01_00-00-00", "2099-01-01_00-00-00"):
        (ray / f"experiment_state-{stamp}.json").write_text(state)
    for name in ("tuner.pkl", "trainable.pkl", "search_gen_state-x.json", ".validate_storage_marker"):
        (ray / name).write_bytes(canary.song())
    for name in ("params.pkl", "error.pkl", ".tune_metadata", "data.pkl"):
        (ray / "TrialActor_0" / name).write_bytes(canary.song())


def test_a_link_out_of_a_run_is_not_followed_by_a_resume(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "dear.txt").write_text("dear")
    for name in (
        "checkpoints",
        "best",
        "trials.csv",
        "run.json",
        "journal.jsonl",
        "checkpoints/ray",
        ".run.json.1.tmp",
    ):
        run = left_behind(tmp_path / name.replace("/", "-"))
        path = run / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        path.symlink_to(elsewhere if "." not in path.name else elsewhere / "dear.txt")
        assert f"{path}: is a link" in refused_by_resume(run, capsys)
        assert contents(elsewhere) == {"dear.txt": b"dear"}
    run = left_behind(tmp_path / "pipe")
    os.mkfifo(run / "checkpoints" / "state-00000.pt")
    assert "state-00000.pt: is neither a file nor a folder" in refused_by_resume(run, capsys)


def test_an_export_replaces_a_link_and_not_what_it_leads_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = left_behind(tmp_path)
    (tmp_path / "dear.txt").write_text("dear")
    (run / "trials.csv").symlink_to(tmp_path / "dear.txt")
    assert cli.main(["export", str(run), "--to", "csv"]) == 0
    assert (tmp_path / "dear.txt").read_text() == "dear"
    assert len(pd.read_csv(run / "trials.csv")) == 2


@pytest.mark.parametrize("name", ["../out", "/tmp/out", "a/b", "..", ".", "a\n", "", "a\0b", "x" * 65])
def test_a_runs_name_is_no_way_out(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert search.main(["--space", "digits_quick", "--out", "in/here", "--name", name]) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [-1, 10**9, 10**30, "../../x", 1.5, None, True, [0]])
def test_a_trials_number_is_a_small_one_since_files_are_named_by_it(tmp_path: Path, number: Any) -> None:
    for event in (drawn(0), ended(0), trained(0, record(1, 0.5, 0.5, 0.5, 0.5))):
        body = json.loads(as_line(event, 2)) | {"trial": number}
        body.pop("crc")
        path = tmp_path / "journal.jsonl"
        path.write_bytes(as_line(started()) + b"\n" + _sealed(body))
        with pytest.raises(RunFolderError, match=r"journal\.jsonl:2: .*trial"):
            read(path)


def _sealed(body: dict[str, Any]) -> bytes:
    """With the right checksum: a stranger can count, too."""
    import zlib

    text = json.dumps(body, separators=(",", ":")).encode()
    return text[:-1] + b',"crc":"%08x"}\n' % zlib.crc32(text)


def test_paths_that_a_manifest_or_a_draw_names_lead_nowhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = left_behind(tmp_path / "runs")
    facts = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(
        json.dumps(facts | {"name": "../../out", "study": "/etc/out", "command": ["rm", "-r"]})
    )
    bad = drawn(2, {"lr": "../../out", "../../out": 1, "width": "/etc/passwd"})
    with Journal.resume(run / "journal.jsonl") as journal:
        journal.append(bad)
    assert read(run / "journal.jsonl")[-1] == bad
    for kind in ENDINGS:
        assert cli.main(["export", str(run), "--to", kind]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs"]
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["cut"]
    capsys.readouterr()


TAGS = ["!!python/object:os.path {}", "!!python/name:os.system", "!!python/object/apply:os.system [ls]", "!custom 1"]


@pytest.mark.parametrize("tag", TAGS)
def test_a_tag_in_a_study_is_refused(tmp_path: Path, tag: str) -> None:
    (tmp_path / "study.yaml").write_text(f"data: {tag}\n")
    with pytest.raises(StudyError, match=r"study\.yaml:1: tags aren't allowed"):
        Study.load(tmp_path / "study.yaml")
    run = left_behind(tmp_path)
    (run / "study.yaml").write_text(f"data: {tag}\n")
    with pytest.raises(RunFolderError, match="tags aren't allowed"):
        Results.load(run)


def _bomb(size: int) -> str:
    """Return YAML in which each line has ten times the values of the line above."""
    levels = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    text = "\n".join(["a0: &a0 lol", *levels])
    return text + "\n# " + "x" * max(0, size - len(text)) + "\n"


BOMBS = {
    "aliases of ten megabytes": _bomb(10_000_000),
    "aliases of a kilobyte": _bomb(0),
    "brackets": "[" * 10_000_000,
    "nested": "a: " + "{a: " * 5000 + "1" + "}" * 5000,
    "merged": "a: &a {x: 1}\nb: {<<: *a}\n",
    "a long number": "trials: " + "9" * 150_000,
}


@pytest.mark.timeout(120)  # without the limits it takes hours
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_at_once_and_in_little_memory(
    tmp_path: Path, bomb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    import resource

    run = left_behind(tmp_path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name in ("study.yaml", "run.json"):
        kept = (run / name).read_bytes()
        (run / name).write_text(BOMBS[bomb])
        refused_by_resume(run, capsys)
        assert (
            search.main(["--space", str(run / "study.yaml"), "--trials", "1", "--name", "cut", "--out", str(tmp_path)])
            == 2
        )
        with pytest.raises(RunFolderError):
            Results.load(run)
        (run / name).write_bytes(kept)
    with (run / "journal.jsonl").open("ab") as file:
        file.write(BOMBS[bomb].replace("\n", " ").encode() + b"\n")
    assert "journal.jsonl:7: " in refused_by_resume(run, capsys)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000, "kilobytes"


def test_a_packed_checkpoint_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 1_000_000)
    unpacked: list[str] = []
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda self, name, *rest: unpacked.append(name))
    with pytest.raises(RunError, match="its directory isn't as it was written"):
        checkpoint.load(path)
    assert not unpacked


def test_a_function_that_a_folder_names_is_called_only_if_its_person_names_it_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "strange_data.py").write_text(
        "import pathlib\npathlib.Path('imported').touch()\n"
        "def make():\n    return [[float(i)] for i in range(40)], [i % 10 for i in range(40)]\n"
    )
    monkeypatch.chdir(tmp_path)
    run = left_behind(tmp_path / "runs", data={"name": "strange_data:make"})
    (tmp_path / "imported").unlink()
    sys.modules.pop("strange_data")
    before = contents(run)
    line = "is code to run: if you trust it, add --dataset strange_data:make"
    assert line in refused_by_resume(run, capsys)
    assert cli.main(["resume", str(run), "--dataset", "strange_data:other"]) == 2
    assert line in capsys.readouterr().err
    assert not (tmp_path / "imported").exists()
    assert contents(run) == before
    monkeypatch.setattr("tune_mlp.tuning.run.cluster_for", _no_ray)
    assert cli.main(["resume", str(run), "--dataset", "strange_data:make"]) == 1
    assert "as far as to Ray" in capsys.readouterr().err
    assert (tmp_path / "imported").exists()


def _no_ray(*args: Any) -> Any:
    raise RunError("as far as to Ray")
