"""What a person can ask of the studies of a service, and what comes of it."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from tests.results.journals import a_study, lines_of, started, trial, write
from tests.service.services import (
    ADA,
    ADMIN,
    BOB,
    at_rest,
    begun,
    drivers,
    eventually,
    service,
    submission,
)
from tune_mlp.errors import StudyError, UsageError
from tune_mlp.results.results import Results
from tune_mlp.service import followers
from tune_mlp.service.faults import Conflict, NotAllowed, Refused, TooMany, UnknownStudy
from tune_mlp.service.followed import FollowedRun
from tune_mlp.service.messages import Confirmation, Extension, StudyState, Submission
from tune_mlp.service.studies import StudyFilter, TableRequest

LONG = 3000
"""Trials that take longer than any test."""


def test_a_study_is_submitted_run_and_listed(tmp_path: Path) -> None:
    with service(tmp_path) as opened:
        accepted = opened.submit(ADA, submission("one"))
        assert accepted.state in (StudyState.QUEUED, StudyState.RUNNING)  # it begins at once where nothing else runs
        assert (accepted.owner, accepted.trials) == ("ada", 3)
        done = at_rest(opened, "one")
        assert (done.state, done.ended_trials, done.states, done.epochs_trained) == (
            StudyState.FINISHED,
            3,
            {"finished": 3},
            9,
        )
        assert done.best is not None
        assert (done.best.trial, done.best.value) == (2, pytest.approx(0.5302))
        assert done.best.low is not None
        assert done.best.low < done.best.value < (done.best.high or 0)
        assert done.started is not None
        assert done.ended is not None
        assert opened.list().studies == (done,)
        assert "trials: 3" in opened.study_text("one")
        assert len(opened.results("one").trials) == 3


def test_a_study_without_a_name_gets_its_own_and_the_time(tmp_path: Path) -> None:
    with service(tmp_path, concurrent_studies=1) as opened:
        names = [opened.submit(ADA, submission()).name for _ in range(4)]
        assert len(set(names)) == 4
        assert all(name.startswith("small-2") and len(name) <= 64 for name in names)


def test_a_request_that_comes_again_while_it_is_being_accepted_gives_the_same_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with service(tmp_path, concurrent_studies=0) as opened:
        assert opened.list().total == 0
        again: list[str] = []
        moved_on = opened._moved_on

        def ask_again_first(name: str) -> None:
            if not again:
                again.append("asked")
                again.append(opened.submit(ADA, submission(), "k").name)
            moved_on(name)

        monkeypatch.setattr(opened, "_moved_on", ask_again_first)
        accepted = opened.submit(ADA, submission(), "k")
        assert again[1:] == [accepted.name]
        assert opened.list().total == 1


def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    with service(tmp_path) as opened:
        opened.submit(ADA, submission("one"))
        for name in ("one", "theirs"):
            with pytest.raises(Conflict, match="already"):
                opened.submit(BOB, submission(name))
        for name in ("../one", "a/b", ".hidden", "x" * 65, "a\0b", ""):
            with pytest.raises(UnknownStudy):
                opened.get(name)


def test_a_study_waits_its_turn_and_is_taken_out_of_the_queue(tmp_path: Path) -> None:
    with service(tmp_path, concurrent_studies=1) as opened:
        opened.submit(ADA, submission("first", LONG))
        eventually(lambda: opened.get("first").ended_trials)
        opened.submit(ADA, submission("second"))
        third = opened.submit(BOB, submission("third"))
        assert (third.position, opened.get("second").position) == (1, 2), "bob has nothing at work"
        assert "waits for one of the 1 studies" in third.detail
        stopped = opened.stop(BOB, "third")
        assert (stopped.state, stopped.detail) == (StudyState.STOPPED, "was taken out of the queue")
        assert opened.get("second").position == 1
        opened.stop(ADA, "first")
        assert at_rest(opened, "second").state is StudyState.FINISHED
        assert opened.resume(BOB, "third").state in (StudyState.QUEUED, StudyState.RUNNING)
        assert at_rest(opened, "third").state is StudyState.FINISHED
        assert begun(tmp_path) == [("first", "search"), ("second", "search"), ("third", "search")]


def test_a_study_is_stopped_and_goes_on_without_losing_a_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUICK_SECONDS", "0.2")
    with service(tmp_path) as opened:
        opened.submit(ADA, submission("one", 60))
        eventually(lambda: opened.get("one").ended_trials > 3)
        assert opened.stop(ADA, "one").state is StudyState.STOPPING
        opened.stop(ADA, "one")  # once more, which changes nothing
        stopped = at_rest(opened, "one")
        assert stopped.state is StudyState.STOPPED
        assert 3 < stopped.ended_trials < 60
        before = Results.load(tmp_path / "one").trials
        monkeypatch.setenv("QUICK_SECONDS", "0.01")
        opened.resume(ADA, "one")
        done = at_rest(opened, "one")
        assert (done.state, done.ended_trials, done.job) == (StudyState.FINISHED, 60, "resume")
        after = Results.load(tmp_path / "one").trials
        ended = before[before["state"] == "finished"]
        assert after.head(len(ended) - 1).equals(ended.head(len(ended) - 1))


def test_a_study_is_extended_by_so_many_trials_once(tmp_path: Path) -> None:
    with service(tmp_path) as opened:
        opened.submit(ADA, submission("one"))
        at_rest(opened, "one")
        for _ in range(3):
            opened.extend(ADA, "one", Extension(trials=4), key="more")
        done = at_rest(opened, "one")
        assert (done.ended_trials, done.trials) == (7, 7)
        with pytest.raises(Conflict, match="extend adds"):
            opened.resume(ADA, "one")
        with pytest.raises(Refused, match="time_budget"):
            opened.extend(ADA, "one", Extension(trials=4, time_budget="soon"))


def test_a_study_is_confirmed_and_replayed_beside_its_own_state(tmp_path: Path) -> None:
    with service(tmp_path) as opened:
        opened.submit(ADA, submission("one"))
        at_rest(opened, "one")
        assert opened.confirm(ADA, "one", Confirmation(top=2, seeds=3)).job == "confirm"
        done = at_rest(opened, "one")
        assert (done.state, done.job) == (StudyState.FINISHED, "confirm")
        assert '{"word": "confirm", "run": "one"}' in opened.log("one")
        opened.replay(ADA, "one", [2, 0])
        at_rest(opened, "one")
        assert begun(tmp_path) == [("one", "search"), ("one", "confirm"), ("one", "replay")]
        for trials in ([], [-1], [3], list(range(101))):
            with pytest.raises(Refused):
                opened.replay(ADA, "one", trials)


def test_the_front_of_a_study_with_several_goals_is_confirmed(tmp_path: Path) -> None:
    with service(tmp_path) as opened:
        opened.submit(ADA, submission("one"))
        opened.submit(ADA, submission("two", more="metrics: [val_accuracy, val_loss]\n"))
        assert at_rest(opened, "one").goals == ()
        assert at_rest(opened, "two").goals == ("val_accuracy", "val_loss")
        with pytest.raises(Conflict, match="one has one goal, whose front"):
            opened.confirm(ADA, "one", Confirmation(front=True))
        opened.confirm(ADA, "two", Confirmation(front=True), key="k")
        at_rest(opened, "two")
        assert '"front": true' in opened.log("two")
        with pytest.raises(Conflict):  # the same key for another request
            opened.confirm(ADA, "two", Confirmation(), key="k")


def test_a_study_that_runs_is_neither_extended_nor_deleted(tmp_path: Path) -> None:
    with service(tmp_path) as opened:
        opened.submit(ADA, submission("one", LONG))
        eventually(lambda: opened.get("one").state is StudyState.RUNNING)
        for change in (
            lambda: opened.extend(ADA, "one", Extension(trials=1)),
            lambda: opened.resume(ADA, "one"),
            lambda: opened.delete(ADA, "one"),
            lambda: opened.confirm(ADA, "one", Confirmation()),
        ):
            with pytest.raises(Conflict):
                change()
        opened.stop(ADA, "one")
        at_rest(opened, "one")
        with pytest.raises(Conflict, match="one doesn't run: it is stopped"):
            opened.stop(ADA, "one")


def test_a_study_is_deleted_to_the_trash_and_comes_back_whole(tmp_path: Path) -> None:
    with service(tmp_path) as opened:
        opened.submit(ADA, submission("one"), "k")
        before = at_rest(opened, "one")
        assert opened.delete(ADA, "one", "d") == before
        assert opened.delete(ADA, "one", "d").name == "one", "the same key deletes once"
        assert opened.list().total == 0
        assert not (tmp_path / "one").exists()
        assert [(one.name, one.owner, one.by) for one in opened.trashed()] == [("one", "ada", "ada")]
        with pytest.raises(UnknownStudy):
            opened.get("one")
        assert "deleted" in opened.submit(ADA, submission("one"), "k").detail, "the same key never begins it again"
        assert opened.restore(ADA, "one") == before
        assert opened.trashed() == []
        assert begun(tmp_path) == [("one", "search")]


@pytest.mark.parametrize("look", ["one journal", "the whole root"])
def test_a_look_that_began_before_a_deletion_doesnt_bring_the_study_back(
    look: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with service(tmp_path) as opened:
        opened.submit(ADA, submission("one"))
        at_rest(opened, "one")
        opened._followers.end()
        looked = []

        def read_before_and_told_after(folder: Path) -> bool:
            if not looked:
                looked.append(folder)
                opened.delete(ADA, "one")
            return True

        monkeypatch.setattr(followers, "writer_lives", read_before_and_told_after)
        if look == "one journal":
            opened._followers.read_on("one")
        else:
            opened._followers._over.clear()
            opened._followers._scan()
        assert looked
        assert opened.list().total == 0
        with pytest.raises(UnknownStudy):
            opened.get("one")


def test_a_study_isnt_restored_over_another_one(tmp_path: Path) -> None:
    with service(tmp_path) as opened:
        opened.submit(ADA, submission("one"))
        at_rest(opened, "one")
        opened.delete(ADA, "one")
        opened.submit(BOB, submission("one", 4))
        at_rest(opened, "one")
        with pytest.raises(Conflict, match="already"):
            opened.restore(ADA, "one")
        assert opened.get("one").trials == 4


def test_only_the_owner_and_an_admin_change_a_study(tmp_path: Path) -> None:
    with service(tmp_path) as opened:
        opened.submit(ADA, submission("one", LONG))
        eventually(lambda: opened.get("one").state is StudyState.RUNNING)
        with pytest.raises(NotAllowed, match="ada's"):
            opened.stop(BOB, "one")
        opened.stop(ADMIN, "one")
        at_rest(opened, "one")
        for change in (
            lambda: opened.resume(BOB, "one"),
            lambda: opened.extend(BOB, "one", Extension(trials=1)),
            lambda: opened.delete(BOB, "one"),
        ):
            with pytest.raises(NotAllowed):
                change()
        opened.delete(ADA, "one")
        with pytest.raises(NotAllowed):
            opened.restore(BOB, "one")
        lines = [(line.user, line.action, line.study) for line in opened.audit()]
        assert lines == [("ada", "delete", "one"), ("root", "stop", "one"), ("ada", "submit", "one")]
        assert opened.audit()[-1].address == "127.0.0.1"


def test_a_run_that_was_made_without_the_service_is_listed_and_an_admins_to_change(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    write(tmp_path / "made" / "journal.jsonl", a_study())
    (tmp_path / "not_a_run").mkdir()
    with service(tmp_path) as opened:
        found = eventually(lambda: one if (one := opened.get("made")).ended_trials else None)
        assert (found.owner, found.state, found.ended_trials) == ("", StudyState.INTERRUPTED, 4)
        assert [one.name for one in opened.list().studies] == ["made"]
        assert len(opened.trials("made").frame) == 4
        with pytest.raises(NotAllowed, match="made without the service"):
            opened.delete(ADA, "made")
        opened.delete(ADMIN, "made")
        assert opened.list().total == 0
        opened.restore(ADMIN, "made")
        assert opened.get("made").ended_trials == 4
        shutil.rmtree(tmp_path / "made")
        eventually(lambda: opened.list().studies[0].ended_trials == 0)


def test_a_driver_that_refuses_the_study_says_why(tmp_path: Path) -> None:
    with service(tmp_path) as opened:
        opened.submit(ADA, submission("one", more="description: refuse\n"))
        done = at_rest(opened, "one")
        assert (done.state, done.detail) == (StudyState.FAILED, "quick: this study is refused")


def test_limits_of_the_queue_are_kept(tmp_path: Path) -> None:
    with service(tmp_path, concurrent_studies=0, queued_per_user=2, longest_queue=3, cpus_per_user=4.0) as opened:
        opened.submit(ADA, submission("a"))
        opened.submit(ADA, submission("b"))
        with pytest.raises(TooMany, match="2 studies of yours"):
            opened.submit(ADA, submission("c"))
        opened.submit(BOB, submission("c"))
        with pytest.raises(TooMany, match="3 studies wait"):
            opened.submit(BOB, submission("d"))
        with pytest.raises(TooMany, match="4 CPU cores"):
            opened.submit(BOB, submission("d", more="resources: {cpu: 3}\nconcurrent: 2\n"))


def test_a_root_has_one_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tune_mlp.service.root_folder.LOCK_SECONDS", 0.2)
    with service(tmp_path), pytest.raises(UsageError, match="another service"), service(tmp_path):
        pass


def test_a_study_that_cant_be_run_is_refused_with_line_and_path(tmp_path: Path) -> None:
    with service(tmp_path) as opened:
        with pytest.raises(StudyError, match=r"study:3 space\.lr"):
            opened.submit(ADA, Submission(study="data: {name: digits}\nspace:\n  lr: {log: [1, 0.1]}\n"))
        assert opened.validate(submission()).trials == 3
        assert opened.list().total == 0
        assert opened.audit() == []


def test_the_list_is_searched_filtered_sorted_and_cut(tmp_path: Path) -> None:
    with service(tmp_path, concurrent_studies=0) as opened:
        for number in range(5):
            opened.submit(ADA if number % 2 else BOB, submission(f"s{number}", 10 - number))
        opened.stop(ADA, "s1")

        def names(**which: object) -> list[str]:
            return [one.name for one in opened.list(StudyFilter(**which)).studies]  # type: ignore[arg-type]

        assert names() == ["s4", "s3", "s2", "s1", "s0"]
        assert names(sort="trials", descending=False) == ["s4", "s3", "s2", "s1", "s0"]
        assert names(sort="name", descending=False, offset=1, limit=2) == ["s1", "s2"]
        assert names(owner="ada", sort="name", descending=False) == ["s1", "s3"]
        assert names(state=StudyState.STOPPED) == ["s1"]
        assert names(search="S2") == ["s2"]
        assert names(search="nothing") == []
        assert opened.list(StudyFilter(limit=2)).total == 5


def test_the_tables_equal_those_of_the_runs_folder(tmp_path: Path) -> None:
    with service(tmp_path) as opened:
        opened.submit(ADA, submission("one", 5))
        at_rest(opened, "one")
        whole = Results.load(tmp_path / "one")
        every = TableRequest(limit=None)
        assert opened.trials("one", every).frame.equals(whole.trials)
        assert opened.epochs("one", every).frame.equals(whole.epochs)
        page = opened.trials("one", TableRequest(["trial", "lr"], "lr", True, "lr<0.004 and width==16", 0, 1))
        assert (page.total, list(page.frame.columns), list(page.frame["trial"])) == (2, ["trial", "lr"], [2])
    assert not drivers(tmp_path)


def test_a_run_whose_last_line_is_torn_is_listed_with_all_that_is_whole(tmp_path: Path) -> None:
    (tmp_path / "torn").mkdir()
    path = write(tmp_path / "torn" / "journal.jsonl", a_study())
    path.write_bytes(path.read_bytes() + b'{"event":"dra')
    with service(tmp_path) as opened:
        eventually(lambda: opened.get("torn").ended_trials == 4)


def test_a_service_that_ends_doesnt_wait_for_a_long_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tune_mlp.service.followed.CHUNK", 100)
    read = FollowedRun._read_part

    def slowly(run: FollowedRun) -> bool:
        time.sleep(0.05)
        return read(run)

    monkeypatch.setattr(FollowedRun, "_read_part", slowly)
    (tmp_path / "long").mkdir()
    lines = lines_of([started(), *(event for number in range(1000) for event in trial(number, 0.5))])
    (tmp_path / "long" / "journal.jsonl").write_bytes(b"".join(lines))  # takes minutes to be read like this
    with service(tmp_path) as opened:
        eventually(lambda: opened._followers._used)
    known = opened._standings.run("long")
    assert known is not None
    assert not known.summary.ended, "it was left unread"
