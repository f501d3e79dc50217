"""An audit derives every decision anew, whatever a run went through, and names the first thing that was changed."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.studies import study
from tests.tuning.played_runs import World, changed_line, play, play_on
from tune_mlp import cli
from tune_mlp.results.answer import Answer
from tune_mlp.results.journal import EVENTS, Decided, Drawn, Ended, Event, Resumed, Trained, WorkerLost
from tune_mlp.results.journal_reader import read
from tune_mlp.results.results import Results
from tune_mlp.study.study import BoundStudy, Study
from tune_mlp.tuning.audit import audit
from tune_mlp.tuning.claims import wrong_ends, wrong_winners
from tune_mlp.tuning.driven_again import parts_of, wrong_decision

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # ray calls what Python deprecates

SCHEDULERS: dict[str, Any] = {
    "asha": {"asha": {"grace_period": 1}},
    "promotion_asha": {"promotion_asha": {"reduction_factor": 2}},
    "pasha": {"pasha": {"reduction_factor": 2}},
    "top_k": {"top_k": {"after": 2, "keep": 4}},
    "hyperband": {"hyperband": {"reduction_factor": 2}},
    "median": {"median": {"grace_period": 2, "min_samples": 2}},
    "pbt": {"pbt": {"interval": 2}},
    "fifo": {"fifo": {}},
    "asha by several goals": {"asha": {"grace_period": 1}},
}
GOALS = {"asha by several goals": ["val_accuracy", "weights", "train_seconds"]}
WORDS = {
    "promotion_asha": {"continue", "pause", "promote", "stop"},
    "pasha": {"continue", "pause", "promote", "stop"},
    "top_k": {"pause", "promote", "stop"},
    "pbt": {"continue", "exploit"},
}
"""The decisions of each scheduler, where they aren't to go on or to stop."""
OLD = Path(__file__).parent.parent / "fixtures" / "run_format_1"


def eventful(folder: Path, scheduler: str) -> Path:
    """Play a run that is killed, resumed, extended, killed again and resumed, with bad trials and lost workers in it."""
    world = World(
        folder, diverge={3: 2}, fail={5: 4}, lose={(1, 1), (2, 2), (4, 9), (12, 2), (13, 9)}, lose_for_good={8}
    )
    settings = {"scheduler": SCHEDULERS[scheduler], "metrics": GOALS.get(scheduler, ())}
    play(world, study(trials=14, epochs=9, patience=5, **settings), kill_after=40)
    play_on(world, "+4", kill_after=50)
    return play_on(world)


@pytest.fixture(scope="module", params=SCHEDULERS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return eventful(tmp_path_factory.mktemp("runs") / request.param, request.param)


@pytest.fixture(scope="module")
def asha(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return eventful(tmp_path_factory.mktemp("one") / "asha", "asha")


def audited(folder: Path) -> Answer:
    return audit(Results.load(folder))


def of(folder: Path) -> tuple[BoundStudy, list[Event]]:
    return Study.load(folder / "study.yaml").bound("classification"), read(folder / "journal.jsonl")


def test_all_decisions_of_an_eventful_run_follow_from_its_journal(run: Path) -> None:
    events = read(run / "journal.jsonl")
    assert sum(isinstance(event, Resumed) for event in events) == 2
    assert any(isinstance(event, WorkerLost) for event in events)
    answer = audited(run)
    assert answer.facts["differ"] == 0
    assert answer.facts["trials"] == 18
    assert answer.table["check"].tolist() == ["decisions", "draws", "ends", "winner", "model", "tables", "files"]
    if run.name == "fifo":
        assert answer.facts["decisions"] == 0
        return
    words = {event.decision for event in events if isinstance(event, Decided)}
    assert words == WORDS.get(run.name, {"continue", "stop"})
    assert answer.facts["decisions"] > 15
    assert answer.sentence == f"All {answer.facts['decisions']} decisions on 18 trials follow from the journal."


def other(decided: Decided) -> Iterator[Decided]:
    """Yield the decision with each of its fields changed."""
    yield replace(decided, epoch=decided.epoch + 1)
    yield replace(decided, rung=decided.rung + "0")
    yield replace(decided, value=0.123 if decided.value is None else decided.value + 1e-6)
    yield replace(decided, cutoff=0.123 if decided.cutoff is None else decided.cutoff * 1.001)
    yield replace(decided, competed=decided.competed + 1)
    yield replace(decided, place=1 if decided.place is None else decided.place + 1)
    yield replace(decided, kept=1 if decided.kept is None else decided.kept + 1)
    yield replace(decided, decision="continue" if decided.decision != "continue" else "stop")


def test_each_field_of_each_decision_is_checked(run: Path) -> None:
    a_study, events = of(run)
    places = [place for place, event in enumerate(events) if isinstance(event, Decided)]
    for turn, place in enumerate(places[:: max(1, len(places) // 12)]):
        decided = events[place]
        assert isinstance(decided, Decided)
        changes = list(other(decided))
        changed = changes[turn % len(changes)]
        wrong = wrong_decision(a_study, [*events[:place], changed, *events[place + 1 :]])
        assert wrong is not None, changed
        assert wrong.trial == decided.trial, changed


def test_a_decision_that_is_missing_or_made_up_is_named(run: Path) -> None:
    a_study, events = of(run)
    places = [place for place, event in enumerate(events) if isinstance(event, Decided)]
    for place in places[:: max(1, len(places) // 4)]:
        wrong = wrong_decision(a_study, [*events[:place], *events[place + 1 :]])
        assert wrong is not None
        wrong = wrong_decision(a_study, [*events[: place + 1], events[place], *events[place + 1 :]])
        assert wrong is not None


def test_a_value_on_which_a_decision_rests_is_named(run: Path) -> None:
    """Each changed value makes some decision, or some file made from the journal, differ."""
    results = Results.load(run)
    events = results.events
    trained = [event for event in events if isinstance(event, Trained)]
    for event in (trained[3], trained[-2]):
        value = event.epochs[-1].metrics["val_accuracy"]
        line = b'"val_accuracy":' + json.dumps(value).encode()
        with changed_line(run / "journal.jsonl", line, b'"val_accuracy":0.123'):
            answer = audited(run)
        assert answer.facts["differ"] > 0
        assert answer.sentence.startswith("Trial ")


def test_a_changed_line_ends_the_command_with_status_1_and_names_trial_and_epoch(
    asha: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = asha
    assert cli.main(["audit", str(run)]) == 0
    assert capsys.readouterr().out.startswith("All ")
    stop = next(event for event in read(run / "journal.jsonl") if isinstance(event, Decided) and event.cutoff)
    cutoff = f'"cutoff":{json.dumps(stop.cutoff)}'.encode()
    with changed_line(run / "journal.jsonl", cutoff, b'"cutoff":0.0625'):
        assert cli.main(["audit", str(run), "--to", "json"]) == 1
        out, err = capsys.readouterr()
        said = json.loads(out)
    assert said["differ"] == 1
    assert said["rows"][0]["differ"] == 1
    assert said["sentence"].startswith(
        f"Trial {stop.trial}, epoch {stop.epoch}: the journal says cutoff 0.0625, and the"
    )
    assert f"the scheduler's code says cutoff {stop.cutoff}" in err
    assert err.count("\n") == 1


def test_what_makes_the_schedulers_code_raise_is_a_difference(tmp_path: Path) -> None:
    """Population-based training looks a dropout up that the space doesn't have."""
    a_study, events = of(eventful(tmp_path / "pbt", "pbt"))
    strange = [replace(e, params={**e.params, "dropout": 0.19}) if isinstance(e, Drawn) else e for e in events]
    wrong = wrong_decision(a_study, strange)
    assert wrong is not None
    assert (wrong.journal, wrong.derived) == ("what can't have come", "ValueError: tuple.index(x): x not in tuple")


def test_who_is_taken_over_is_drawn_from_the_studys_seed(tmp_path: Path) -> None:
    """Ray would draw it by Python's global chance."""
    donors = []
    for seed in (1, 2):
        random.seed(seed)
        folder = eventful(tmp_path / str(seed), "pbt")
        donors.append([event.donor for event in read(folder / "journal.jsonl") if isinstance(event, Decided)])
    assert donors[0] == donors[1]
    assert len({donor for donor in donors[0] if donor is not None}) > 1


def changed(
    folder: Path, kind: type[Any], pick: Any = lambda event: True, **fields: Any
) -> tuple[BoundStudy, list[Event]]:
    """Return a run's study and events, of which the first of its kind is changed."""
    a_study, events = of(folder)
    place = next(place for place, event in enumerate(events) if isinstance(event, kind) and pick(event))
    events[place] = replace(events[place], **fields)  # type: ignore[type-var]
    return a_study, events


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b'"lr":0.', b'"lr":0.9', "the study's seed gives lr"),
        (b'"batch_size":16', b'"batch_size":64', "the study's seed gives batch_size 16"),
        (b'"seed":1', b'"seed":2', "the study's seed gives seed 1"),
    ],
)
def test_a_draw_that_does_not_come_from_the_seed_is_named(asha: Path, old: bytes, new: bytes, said: str) -> None:
    lines = (asha / "journal.jsonl").read_bytes().splitlines()
    drawn = next(line for line in lines if b'"event":"drawn"' in line and old in line)
    prefix = drawn[: drawn.index(old) + len(old)]
    with changed_line(asha / "journal.jsonl", prefix, prefix.replace(old, new)):
        answer = audited(asha)
    assert said in " ".join(answer.table["first"])
    assert answer.table.set_index("check")["differ"]["draws"] == 1


@pytest.mark.parametrize(
    ("state", "fields", "said"),
    [
        ("diverged", {"state": "finished"}, "a figure of it isn't finite"),
        ("stopped", {"state": "diverged"}, "all its figures are finite"),
        ("stopped", {"state": "finished"}, "and its patience was not over"),
        ("finished", {"state": "stopped", "reason": "scheduler"}, "no decision stopped it"),
        ("failed", {"error": ""}, "there is no error"),
    ],
)
def test_an_end_that_does_not_agree_with_the_epochs_is_named(
    asha: Path, state: str, fields: dict[str, Any], said: str
) -> None:
    from tune_mlp.records import TrialState
    from tune_mlp.results.state import RunState

    if "state" in fields:
        fields = fields | {"state": TrialState(fields["state"])}
    a_study, events = changed(asha, Ended, lambda event: event.state == state, **fields)
    (wrong,) = wrong_ends(a_study, RunState.of(events))
    assert said in wrong.derived


def test_a_winner_that_does_not_rank_first_is_named(asha: Path) -> None:
    a_study, events = of(asha)
    assert list(wrong_winners(a_study, events)) == []
    a_study, events = changed(asha, EVENTS["tested"], trial=0)
    (wrong,) = wrong_winners(a_study, events)
    assert wrong.trial == 0
    assert "ranks first" in wrong.derived


def test_a_table_that_says_something_else_is_named(asha: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(asha, tmp_path / "run"))
    table = Results.load(run).epochs
    table.loc[4, "val_loss"] = 7.0
    table.to_parquet(run / "epochs.parquet")
    answer = audited(run)
    assert "epochs.parquet says val_loss 7.0" in answer.sentence
    assert answer.sentence.startswith(
        f"Trial {table['trial'][4]}, epoch {table['epoch'][4]}: the journal says val_loss"
    )


def test_files_that_are_gone_from_a_run_that_has_ended_are_named(
    asha: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(asha, tmp_path / "run"))
    (run / "trials.csv").unlink()
    assert audited(run).sentence == "One file that a finished run has isn't there: trials.csv."
    (run / "trials.parquet").unlink()
    (run / "epochs.parquet").unlink()
    shutil.rmtree(run / "best")
    assert cli.main(["audit", str(run)]) == 1
    gone = "trials.csv, trials.parquet, epochs.parquet, best/model.pt, best/trial.json"
    assert f"5 files that a finished run has aren't there: {gone}." in capsys.readouterr().err
    manifest = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(manifest | {"state": "interrupted"}))
    assert "3 files that an interrupted run has aren't there" in audited(run).sentence
    (run / "run.json").write_text(json.dumps(manifest | {"state": "running"}))
    assert audited(run).facts["differ"] == 0


def test_a_model_of_another_trial_is_named(asha: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(asha, tmp_path / "run"))
    best = Results.load(run).best
    assert best is not None
    file = run / "best" / "trial.json"
    metrics = {"val_accuracy": float(best["best_val_accuracy"])}
    said = {"trial": int(best["trial"]), "epoch": int(best["best_epoch"]), "metrics": metrics}
    for change, words in (
        ({}, ""),
        ({"trial": 0}, "best/ holds trial 0"),
        ({"epoch": said["epoch"] + 1}, f"best/ holds epoch {said['epoch'] + 1}"),
        ({"metrics": {"val_accuracy": 0.5}}, "best/ says val_accuracy 0.5"),
    ):
        file.write_text(json.dumps(said | change))
        answer = audited(run)
        assert words in answer.table.set_index("check")["first"]["model"]
        assert answer.facts["differ"] == (1 if change else 0)


def test_the_model_of_an_earlier_winner_is_not_held_against_a_run_that_goes_on(tmp_path: Path) -> None:
    world = World(tmp_path / "run")
    play(world, study(trials=4, epochs=3))
    (world.folder / "best" / "trial.json").write_text('{"trial": 9, "epoch": 1, "metrics": {}}')
    assert audited(world.folder).facts["differ"] == 1
    play_on(world, "+4", kill_after=6)
    assert audited(world.folder).facts["differ"] == 0


def test_a_journal_is_split_where_a_new_driver_went_on(asha: Path) -> None:
    a_study, events = of(asha)
    parts = parts_of(events, a_study.number_of_trials)
    assert [part.trials for part in parts] == [14, 18, 18]
    assert [event for part in parts for event in part.events] == events
    assert all(isinstance(part.events[0], Resumed) for part in parts[1:])


def test_a_run_under_way_is_audited_as_far_as_it_has_come(tmp_path: Path) -> None:
    world = World(tmp_path / "run")
    play(world, study(trials=8, epochs=9, scheduler=SCHEDULERS["asha"]), kill_after=33)
    answer = audited(world.folder)
    assert answer.facts["differ"] == 0
    assert answer.facts["decisions"] > 5


@pytest.mark.parametrize(
    ("kill_after", "said"),
    [
        (1, "The scheduler decided nothing; all that is said of 1 trial follows from the journal."),
        (3, "The one decision on 1 trial follows from the journal."),
    ],
)
def test_the_sentence_counts_one_and_none_in_words(tmp_path: Path, kill_after: int, said: str) -> None:
    world = World(tmp_path / "run", slots=1)
    play(world, study(trials=8, epochs=9, scheduler=SCHEDULERS["asha"]), kill_after)
    assert audited(world.folder).sentence == said


def test_what_cannot_be_audited_is_refused_in_one_line(
    asha: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(run: Path | str) -> str:
        assert cli.main(["audit", str(run)]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1
        return err

    def copied(name: str) -> Path:
        return Path(shutil.copytree(asha, tmp_path / name))

    assert "trials.csv is a table, which holds no decisions" in refused("trials.csv")
    assert "no run's folder nowhere" in refused("nowhere")
    (run := copied("alone")).joinpath("study.yaml").unlink()
    assert "an audit needs the study that the run is of" in refused(run)
    (run := copied("unsaid")).joinpath("run.json").unlink()
    assert "run.json isn't there: an audit needs what it says of the run" in refused(run)
    run = copied("edited")
    (run / "study.yaml").write_text((run / "study.yaml").read_text().replace("grace_period: 1", "grace_period: 2"))
    assert "was changed or damaged since the run wrote it" in refused(run)
    run = copied("earlier")
    manifest = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(manifest | {"resumed": [{"at": "then"}] * 3}))
    assert "an earlier version resumed it, and its journal doesn't say where" in refused(run)
    for name in ("hyperband", "pbt"):
        run = eventful(tmp_path / name, name)
        with changed_line(run / "journal.jsonl", b'"rebuilt":true', b'"rebuilt":false'):
            assert f"an earlier version resumed it, and began its {name} anew" in refused(run)
    run = copied("damaged")
    (run / "best" / "trial.json").write_text("{}")
    assert "can't be read as the description of a model" in refused(run)
    for name in ("trials.parquet", "epochs.parquet"):
        run = copied(f"damaged {name[:6]}")
        (run / name).write_bytes(b"PAR1" + bytes(90))
        assert f"{name}: isn't a table: " in refused(run)
    assert "format 1, which holds no decisions" in refused(OLD) or "was changed" in refused(OLD)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_hundreds_of_played_runs_that_went_wrong_are_derived(scheduler: str, tmp_path: Path) -> None:
    for seed in range(100):
        generator = np.random.default_rng(seed)
        draws = generator.random((4, 14))
        world = World(
            tmp_path / str(seed),
            slots=int(generator.integers(1, 6)),
            seed=seed,
            diverge={k: int(generator.integers(1, 9)) for k in range(14) if draws[0, k] < 0.08},
            fail={k: int(generator.integers(1, 9)) for k in range(14) if draws[1, k] < 0.08},
            lose={(k, int(generator.integers(1, 9))) for k in range(14) if draws[2, k] < 0.15},
            lose_for_good={k for k in range(14) if draws[3, k] < 0.04},
        )
        patience = int(generator.integers(3, 9)) if generator.random() < 0.6 else None
        play(
            world,
            study(trials=14, epochs=9, scheduler=SCHEDULERS[scheduler], patience=patience),
            int(generator.integers(1, 80)),
        )
        for trials, kill_after in (
            ("+4", int(generator.integers(1, 80))),
            (None, int(generator.integers(1, 80))),
            (None, None),
        ):
            answer = audited(play_on(world, trials, kill_after))
            assert answer.facts["differ"] == 0, (seed, answer.sentence)
