"""A confirmation trains the best configurations again from fresh seeds, goes on where it was left, and counts its looks."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from tests.in_process import Ended, InProcess
from tests.results.journals import write
from tests.s3 import Bucket
from tune_mlp import cli
from tune_mlp.console.board import Display
from tune_mlp.errors import RunFolderError
from tune_mlp.followup.confirm import best_configurations, confirm
from tune_mlp.insight.confirmation import COLUMNS
from tune_mlp.results.answer import Answer
from tune_mlp.results.journal import Drawn, Looked
from tune_mlp.results.journal_reader import read
from tune_mlp.results.results import Results
from tune_mlp.results.storage import ObjectStore
from tune_mlp.runs.journal_writer import Journal
from tune_mlp.seeds import fresh_seed
from tune_mlp.tuning import trainable
from tune_mlp.tuning.run import More, Request, resume_study

REQUEST = Request(command=("tune-mlp", "confirm", "runs/mine"))


def confirmed(folder: Path, top: int = 2, seeds: int = 2) -> Answer:
    return confirm(folder, top, seeds, REQUEST, Display())


def looks(folder: Path) -> list[Looked]:
    return [event for event in read(folder / "journal.jsonl") if isinstance(event, Looked)]


def test_the_best_are_trained_from_fresh_seeds_and_the_test_part_is_looked_at_once(folder: Path) -> None:
    run = Results.load(folder)
    answer = confirmed(folder)
    nets = Results.load(folder / "followups" / "confirm").trials
    top = list(run.ranked["trial"].head(2))
    wanted = {(trial, fresh_seed(0, repeat)) for trial in top for repeat in (0, 1)}
    assert set(zip(nets["again"], nets["seed"], strict=True)) == wanted
    assert list(nets["trial"]) == [*sorted(top), 4, 5]
    assert not set(nets["seed"]) & set(run.trials["seed"])
    assert (nets["best_epoch"] <= nets["epochs"]).all()
    table = answer.table.set_index("trial")
    assert set(table.index) == set(top)
    best = int(answer.facts["best"])
    its = nets[nets["again"] == best]
    assert table["mean"][best] == pytest.approx(its["best_val_accuracy"].mean(), rel=1e-12)
    assert table["searched"][best] == run.trials.set_index("trial")["best_val_accuracy"][best]
    assert its["test_accuracy"].notna().all()
    assert nets[nets["again"] != best]["test_accuracy"].isna().all()
    (look,) = looks(folder)
    assert (look.trial, look.nets, look.followup) == (best, 2, "confirm")
    assert look.metrics["test_accuracy"] == pytest.approx(its["test_accuracy"].mean(), rel=1e-12)
    assert look.metrics["test_accuracy_std"] == pytest.approx(its["test_accuracy"].std(), rel=1e-9)
    assert answer.facts["looks"] == 2
    assert "This run's test part was looked at 2 times in all" in " ".join(answer.notes)
    assert list((folder / "followups" / "confirm" / "checkpoints").iterdir()) == []


def test_what_was_trained_is_not_trained_again_and_no_look_is_taken_twice(folder: Path, in_process: InProcess) -> None:
    first = confirmed(folder)
    in_process.trained.clear()
    pd.testing.assert_frame_equal(confirmed(folder).table, first.table)
    assert in_process.trained == []
    assert len(looks(folder)) == 1
    more = confirmed(folder, top=3, seeds=2)
    nets = Results.load(folder / "followups" / "confirm").trials.set_index("trial")
    assert set(nets.loc[in_process.trained]["again"]) == {Results.load(folder).ranked["trial"][2]}
    assert len(more.table) == 3
    assert len(looks(folder)) == (1 if more.facts["best"] == first.facts["best"] else 2)


@pytest.mark.parametrize("results", [1, 8])
def test_a_confirmation_that_lost_its_driver_ends_as_the_undisturbed_one(
    folder: Path, tmp_path: Path, in_process: InProcess, monkeypatch: pytest.MonkeyPatch, results: int
) -> None:
    monkeypatch.setattr(trainable, "PATIENT_SECONDS", 0.0)  # a result after each epoch
    whole = Path(shutil.copytree(folder, tmp_path / "undisturbed"))
    expected = confirmed(whole)
    in_process.results_left = results
    with pytest.raises(Ended):
        confirmed(folder)
    ended = list(Results.load(folder / "followups" / "confirm").trials["state"])
    in_process.results_left = float("inf")
    pd.testing.assert_frame_equal(confirmed(folder).table, expected.table)
    assert ended.count("finished") == results // 3
    assert ended.count("stopped") == 4 - results // 3
    assert looks(folder) == looks(whole)


def test_a_run_with_a_confirmation_is_read_resumed_and_extended(folder: Path) -> None:
    before = Results.load(folder)
    none = before.confirmed
    confirmed(folder)
    after = Results.load(folder)
    pd.testing.assert_frame_equal(after.trials, before.trials)
    assert (before.looks, after.looks) == (1, 2)
    assert none.empty
    assert list(none.columns) == list(after.confirmed.columns) == list(COLUMNS)
    assert list(after.confirmed["trial"]) == list(Results.load(folder).confirmed["trial"])
    assert len(after.confirmed) == 2
    extended = resume_study(folder, More("+1"), Request(), Display())
    assert len(extended.trials) == 5
    pd.testing.assert_frame_equal(extended.trials.head(4).iloc[:, :12], before.trials.iloc[:, :12])
    assert len(extended.confirmed) == 2
    assert extended.looks >= 2


def test_a_run_that_another_driver_writes_is_refused(folder: Path) -> None:
    with Journal.resume(folder / "journal.jsonl"), pytest.raises(RunFolderError, match="another process is writing"):
        confirmed(folder)


def test_other_data_are_refused(folder: Path) -> None:
    manifest = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    manifest["dataset"]["fingerprint"] = "0"
    (folder / "run.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(RunFolderError, match="began with other data than digits is now"):
        confirmed(folder)


def test_a_run_on_an_object_store_is_refused() -> None:
    with pytest.raises(RunFolderError, match="must be one of this machine's"):
        confirm(ObjectStore("s3://bucket/run"), 1, 1, REQUEST, Display())


def test_what_was_confirmed_goes_with_a_run_that_is_copied_to_a_store(
    folder: Path, s3: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    here = confirmed(folder).to_frame()
    for path in folder.rglob("*"):
        if path.is_file():
            s3.store("confirmed/run").write(path.relative_to(folder).as_posix(), path.read_bytes())
    there = Results.load(s3.store("confirmed/run"))
    pd.testing.assert_frame_equal(there.confirmed, here)
    assert len(there.confirmed) == 2


def test_equal_configurations_are_confirmed_once(folder: Path) -> None:
    results = Results.load(folder)
    first, second = results.ranked["trial"].head(2)
    twins = replace(results, params={**results.params, second: results.params[first]})
    assert second not in best_configurations(twins, twins.ranked)
    assert len(best_configurations(twins, twins.ranked)) == 3


@pytest.mark.parametrize(
    ("words", "said"), [(["--top", "0"], "--top: must be 1 to 1000"), (["--seeds", "-1"], "--seeds: must be 1 to 1000")]
)
def test_a_wrong_request_is_answered_by_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert cli.main(["confirm", str(folder), *words]) == 2
    out, err = capsys.readouterr()
    assert said in err
    assert (out, err.count("\n")) == ("", 1)


def test_a_run_without_a_finite_metric_has_nothing_to_confirm(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = read(folder / "journal.jsonl")
    (folder / "journal.jsonl").unlink()
    write(folder / "journal.jsonl", [event for event in events[:2] if not isinstance(event, Drawn)][:1])
    assert cli.main(["confirm", str(folder)]) == 2
    assert "there is nothing to confirm" in capsys.readouterr().err


def test_the_word_prints_the_answer_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["confirm", str(folder), "--top", "1", "--seeds", "1", "--to", "json"]) == 0
    out, err = capsys.readouterr()
    answer = json.loads(out)
    assert answer["best"] == answer["rows"][0]["trial"]
    assert answer["test"]["test_accuracy"] > 0
    assert answer["looks"] == 2
    assert f"[1/1] trial {answer['best']} finished" in err
