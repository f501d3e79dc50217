"""A followed run: what it knows equals what the whole journal says, and its stream loses and doubles nothing."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.results.journals import a_study, decided, drawn, ended, lines_of, record, started, trained, trial, winner
from tune_mlp.results.journal import Event, Trained, to_line
from tune_mlp.results.journal_reader import read_lines
from tune_mlp.results.results import Results
from tune_mlp.results.state import RunState
from tune_mlp.results.tables import tables_of
from tune_mlp.runs.run_folder import finish
from tune_mlp.service.faults import Refused
from tune_mlp.service.followed import FollowedRun
from tune_mlp.service.kept_results import KeptResults, results_of_tables
from tune_mlp.service.messages import StudyState, StudySummary
from tune_mlp.service.run_summaries import RunSummary
from tune_mlp.service.stream import StreamEvent
from tune_mlp.service.study_events import STUDY_EVENTS


def followed(folder: Path) -> FollowedRun:
    folder.mkdir(exist_ok=True)

    def summary() -> StudySummary:
        found = run.run_summary()
        return StudySummary(
            name="one", space="s", state=StudyState.RUNNING, job="search", owner="ada", offset=found.offset
        )

    run = FollowedRun("one", folder, summary)
    return run


def journal(folder: Path) -> Path:
    return folder / "journal.jsonl"


def folds_and_seeds() -> list[Event]:
    """Return the events of a study of two seeds and three folds, of which some epochs are torn and some are trained again."""

    def epoch(number: int, value: float, only: int = 6) -> list[Any]:
        records = [
            record(number, value, value, value, value + fold / 100 + seed / 10, fold=fold, repeat=seed)
            for seed in range(2)
            for fold in range(3)
        ]
        return records[:only]

    return [
        started(),
        drawn(0, {"lr": 0.1}),
        trained(0, *epoch(1, 0.5), *epoch(2, 0.6)),
        drawn(1, {"lr": 0.2, "depth": 3}),
        trained(1, *epoch(1, 0.7), *epoch(2, 0.9, only=4)),
        trained(0, *epoch(2, 0.55), *epoch(3, 0.65)),
        ended(0),
        trained(1, *epoch(2, 0.8)),
        decided(1, 2),
        ended(1, "stopped"),
        winner(1, {"test_loss": 0.5, "test_accuracy": 0.75}),
    ]


def resumed_after_its_end() -> list[Event]:
    """Return the events of a study one of whose trials goes on after it had ended."""
    return [
        started(),
        *trial(0, 0.5, 0.6),
        *trial(1, 0.7),
        drawn(0, {"lr": 0.5}),
        trained(0, record(3, 0.1, 0.9, 0.1, 0.9)),
        ended(0),
        drawn(2),
        trained(2, record(1, 1.0, 0.1, float("nan"), float("nan"))),
    ]


STUDIES = {"a study": a_study, "folds": folds_and_seeds, "ended twice": resumed_after_its_end}


@pytest.mark.parametrize("study", STUDIES)
def test_its_tables_and_summary_equal_those_of_the_whole_journal_however_it_grows(study: str, tmp_path: Path) -> None:
    lines = lines_of(STUDIES[study]())
    run, pieces = followed(tmp_path), random.Random(study)
    with journal(tmp_path).open("wb", buffering=0) as file:
        content = b"".join(lines)
        while content:
            size = pieces.randint(1, 400)
            file.write(content[:size])
            content = content[size:]
            run.catch_up(wait=pieces.random() < 0.5)
    while run.catch_up():
        pass
    whole = Results.load(tmp_path)
    assert run.trials()[1].equals(whole.trials)
    assert run.epochs()[1].equals(whole.epochs)
    assert list(run.trials()[1].dtypes) == list(whole.trials.dtypes)
    assert list(run.epochs()[1].dtypes) == list(whole.epochs.dtypes)
    assert run.offset == journal(tmp_path).stat().st_size
    state = RunState.of(whole.events)
    epochs = sum(max(one.epochs, default=0) for one in state.trials.values())
    expected = RunSummary.of(state, epochs, run.offset, 1.5e9, 1.5e9)
    assert run.run_summary() == expected
    assert RunSummary.from_json(expected.to_json()) == expected


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_a_random_journal_gives_the_same_tables(data: st.DataObject) -> None:
    events: list[Event] = [started()]
    numbers = data.draw(st.lists(st.sampled_from(range(4)), min_size=1, max_size=25))
    last: dict[int, int] = {}
    for number in numbers:
        if number not in last:
            events.append(drawn(number, {"lr": 0.1 * (number + 1)}))
            last[number] = 0
        epoch = data.draw(st.integers(1, last[number] + 1))
        last[number] = epoch
        events.append(trained(number, record(epoch, 1.0, 0.5, 1.0, data.draw(st.floats(0, 1)))))
        if data.draw(st.booleans()):
            events.append(ended(number, data.draw(st.sampled_from(["finished", "stopped", "diverged", "failed"]))))
    run = FollowedRun("one", Path("/nowhere"), lambda: pytest.fail("not needed"))
    for event in events:
        run._take(event)
    trials, epochs = tables_of(state := RunState.of(events))
    assert run._trials_table().equals(trials)
    assert run._epochs_table().equals(epochs)
    assert run.run_summary().best_trial == state.best


def test_a_curve_is_that_of_the_whole_epochs(tmp_path: Path) -> None:
    run = followed(tmp_path)
    journal(tmp_path).write_bytes(b"".join(lines_of(folds_and_seeds())))
    run.catch_up()
    state = RunState.of(folds_and_seeds())
    for curve in run.curves():
        whole = state.whole_epochs(curve.trial)
        assert list(curve.epochs) == list(whole)
        np.testing.assert_allclose(curve.values, [metrics["val_accuracy"] for metrics in whole.values()])
    assert [curve.state for curve in run.curves()] == ["finished", "stopped"]
    assert [curve.trial for curve in run.curves(most=1)] == [1], "the best"
    assert run.curve(0, "train_loss").values[-1] == pytest.approx(0.65)
    with pytest.raises(Refused, match="metric: must be one of"):
        run.curves("loss")


def test_a_damaged_journal_is_said_and_one_that_is_put_back_is_read(tmp_path: Path) -> None:
    run, lines = followed(tmp_path), lines_of(a_study())
    journal(tmp_path).write_bytes(b"".join([*lines[:3], lines[3].replace(b'"n":4', b'"n":5'), *lines[4:]]))
    run.catch_up()
    assert "journal.jsonl:4" in run.run_summary().fault
    aside = tmp_path / "aside"
    aside.write_bytes(b"".join(lines))
    aside.replace(journal(tmp_path))
    run.catch_up()
    assert not run.run_summary().fault
    assert len(run.trials()[1]) == 4


# The stream.


def run_async(job: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(job(), 30))


async def collected(run: FollowedRun, offset: int | None, count: int = -1, end: int = -1) -> list[StreamEvent]:
    """Return the next events of a stream that aren't summaries: so many, or up to the end of a trial."""
    found: list[StreamEvent] = []
    stream = run.events(offset)
    try:
        async for events in stream:
            for event in events:
                STUDY_EVENTS[event.name].model_validate_json(event.data)
                if event.name != "summary":
                    found.append(event)
                if len(found) == count or (event.name == "ended" and json.loads(event.data)["trial"] == end):
                    return found
    finally:
        await stream.aclose()
    return found


def told(events: Sequence[StreamEvent]) -> list[tuple[str, int, int]]:
    """Return what events say, each epoch by itself: its name, the trial, and the epoch."""
    found = []
    for name, data in ((event.name, json.loads(event.data)) for event in events):
        epochs = [one["epoch"] for one in data["epochs"]] if name == "epochs" else [0]
        found += [(name, data["trial"], epoch) for epoch in epochs]
    return found


KINDS = (("trial", 0), ("epochs", 1), ("epochs", 2), ("ended", 0))


def test_all_readers_get_all_deltas_whenever_they_come(tmp_path: Path) -> None:
    lines = lines_of([started(), *(event for n in range(20) for event in trial(n, 0.5, 0.6 + n / 100))])
    run = followed(tmp_path)
    journal(tmp_path).write_bytes(b"".join(lines[:30]))
    run.catch_up()

    async def job() -> None:
        early = asyncio.create_task(collected(run, 0, end=19))
        now = asyncio.create_task(collected(run, None, end=19))
        await asyncio.sleep(0.05)
        for line in lines[30:]:
            with journal(tmp_path).open("ab") as file:
                file.write(line)
            await asyncio.to_thread(run.catch_up)
        everything = [(kind, n, epoch) for n in range(20) for kind, epoch in KINDS]
        assert told(await early) == everything
        assert told(await collected(run, 0, end=19)) == everything
        assert told(await now) == everything[29:], "the first line tells of no trial"

    run_async(job)


def test_a_stream_that_is_cut_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = [started(), *(event for n in range(8) for event in trial(n, 0.5, 0.6))]
    lines = lines_of(events)
    monkeypatch.setattr("tune_mlp.service.run_stream.BEHIND", 1500)  # a few lines
    run = followed(tmp_path)
    journal(tmp_path).write_bytes(b"".join(lines))
    run.catch_up()

    async def job() -> None:
        whole = await collected(run, 0, end=7)
        assert told(whole) == [(kind, n, epoch) for n in range(8) for kind, epoch in KINDS]
        assert len({event.offset for event in whole}) > 3
        for cut in range(len(whole) - 1):
            rest = told(await collected(run, whole[cut].offset, end=7))
            missed = told(whole[cut + 1 :])
            assert rest[-len(missed) :] == missed, "nothing is lost, and what comes twice comes first"

    run_async(job)


def test_a_reader_who_is_far_behind_gets_what_was_missed_from_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tune_mlp.service.stream.MOST_KEPT", 500)
    monkeypatch.setattr("tune_mlp.service.run_stream.BEHIND", 1000)
    lines = lines_of([started(), *(event for n in range(30) for event in trial(n, 0.5))])
    run = followed(tmp_path)
    with journal(tmp_path).open("ab", buffering=0) as file:
        for line in lines:
            file.write(line)
            run.catch_up()

    async def job() -> None:
        found = told(await collected(run, 0, end=29))
        assert found == [(kind, n, epoch) for n in range(30) for kind, epoch in KINDS if epoch < 2]

    run_async(job)


def test_the_epochs_of_one_look_come_in_one_event_a_trial(tmp_path: Path) -> None:
    epochs = [trained(n, record(e, 1.0, 0.5, 1.0, 0.5)) for e in range(1, 6) for n in range(2)]
    journal(tmp_path).write_bytes(b"".join(lines_of([started(), drawn(0), drawn(1), *epochs])))
    run = followed(tmp_path)
    run.catch_up()

    async def job() -> None:
        found = await collected(run, 0, 4)
        assert [event.name for event in found] == ["trial", "trial", "epochs", "epochs"]
        assert [one["epoch"] for one in json.loads(found[2].data)["epochs"]] == [1, 2, 3, 4, 5]
        assert [event.offset for event in found] == [0, 0, 0, run.offset]

    run_async(job)


def test_an_offset_within_a_line_is_refused_and_one_beyond_the_end_begins_anew(tmp_path: Path) -> None:
    journal(tmp_path).write_bytes(b"".join(lines_of(a_study())))
    run = followed(tmp_path)
    run.catch_up()

    async def job() -> None:
        with pytest.raises(Refused, match="no line of the journal begins at 7"):
            await collected(run, 7, 1)
        assert (await collected(run, 10**9, 1))[0].name == "trial"

    run_async(job)


def test_a_stream_says_that_the_study_is_gone_and_keeps_no_reader(tmp_path: Path) -> None:
    journal(tmp_path).write_bytes(b"".join(lines_of(a_study())))
    run = followed(tmp_path)
    run.catch_up()

    async def job() -> None:
        async def names() -> list[str]:
            return [event.name async for events in run.events() for event in events]

        reader = asyncio.create_task(names())
        while not run.watched:
            await asyncio.sleep(0.01)
        run.end()
        assert await reader == ["summary", "gone"]
        assert not run.watched

    run_async(job)


def test_values_that_arent_finite_are_null_in_a_stream(tmp_path: Path) -> None:
    bad = record(1, float("nan"), 0.5, float("inf"), float("-inf"))
    journal(tmp_path).write_bytes(
        b"".join(lines_of([started(), drawn(0), trained(0, bad), replace(decided(0, 1), value=float("nan"))]))
    )
    run = followed(tmp_path)
    run.catch_up()

    async def job() -> None:
        _, epochs, choice = await collected(run, 0, 3)
        assert json.loads(epochs.data)["epochs"][0]["metrics"]["val_loss"] is None
        assert json.loads(epochs.data)["best"] is None
        assert json.loads(choice.data)["value"] is None

    run_async(job)


@pytest.mark.parametrize("study", ["a study", "folds"])
def test_the_tables_of_a_run_that_has_ended_tell_all_that_its_journal_does(study: str, tmp_path: Path) -> None:
    journal(tmp_path).write_bytes(b"".join(lines_of(STUDIES[study]())))
    read = followed(tmp_path)
    read.catch_up()
    finish(tmp_path, None)
    quick = followed(tmp_path)
    quick.catch_up()
    assert quick._written is not None
    assert read._written is None
    assert quick.offset == read.offset
    for name in ("trials", "epochs"):
        pd.testing.assert_frame_equal(getattr(quick, name)()[1], getattr(read, name)()[1])
    assert quick.run_summary() == replace(read.run_summary(), epochs=quick.run_summary().epochs)
    assert quick.params() == read.params()
    for ours, theirs in zip(quick.curves("val_loss"), read.curves("val_loss"), strict=True):
        assert (ours.trial, ours.params, ours.state) == (theirs.trial, theirs.params, theirs.state)
        np.testing.assert_array_equal(ours.epochs, theirs.epochs)
        np.testing.assert_allclose(ours.values, theirs.values)
    assert [curve.trial for curve in quick.curves(most=1)] == [curve.trial for curve in read.curves(most=1)]

    async def job() -> None:
        assert told(await collected(quick, 0, 3)) == told(await collected(read, 0, 3))

    run_async(job)
    with journal(tmp_path).open("ab") as file:  # it goes on
        file.write(to_line(drawn(9), len(read_lines(journal(tmp_path))) + 1, 1.5e9))
    for run in (quick, read, late := followed(tmp_path)):
        run.catch_up()
    for run in (quick, late):
        assert run._written is None, "the tables are older than the journal"
        assert run.run_summary() == read.run_summary()


@pytest.mark.parametrize("study", STUDIES)
def test_the_results_of_a_long_study_lack_only_the_lines_of_epochs(
    study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal(tmp_path).write_bytes(b"".join(lines_of(STUDIES[study]())))
    run = followed(tmp_path)
    run.catch_up()
    whole = Results.load(tmp_path)
    monkeypatch.setattr("tune_mlp.service.kept_results.LARGE_JOURNAL", 0)
    kept = KeptResults()
    found = kept.of(tmp_path, "stamp", lambda: results_of_tables(tmp_path, run))
    for name in ("trials", "epochs", "changes"):
        pd.testing.assert_frame_equal(getattr(found, name), getattr(whole, name))
    assert (found.params, found.looks, found.metric) == (whole.params, whole.looks, whole.metric)
    assert found.lines == tuple(line for line in whole.lines if not isinstance(line.event, Trained))
    assert kept.of(tmp_path, "stamp", lambda: pytest.fail("they are kept")) is found
