"""The client against a real service with quick drivers: what is submitted, followed, changed and read arrives whole, and once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

from tests.service.cutting_proxy import cutting
from tests.service.servers import FREELY, serving
from tests.service.services import service, text
from tune_mlp import Client, Study
from tune_mlp.errors import StudyError
from tune_mlp.results.results import Results
from tune_mlp.service.access import Access, digest_of
from tune_mlp.service.app import make_app
from tune_mlp.service.connection import ServiceUnreachable
from tune_mlp.service.faults import Conflict, NotAllowed, UnknownStudy
from tune_mlp.service.messages import StudyState, StudySummary
from tune_mlp.service.studies import StudyService
from tune_mlp.service.study_events import EpochsTrained, TrialDrawn, TrialEnded
from tune_mlp.service.users import User


class Served(NamedTuple):
    """A service and a client that talks to it."""

    client: Client
    opened: StudyService
    root: Path


@contextlib.contextmanager
def served(root: Path) -> Iterator[Served]:
    with service(root) as opened, serving(make_app(opened, Access(), FREELY)) as url, Client(url) as client:
        yield Served(client, opened, root)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service with a study that has finished."""
    with served(tmp_path_factory.mktemp("root")) as found:
        found.client.submit(text(trials=4), name="first")
        assert found.client.wait("first").state is StudyState.FINISHED
        yield found


def test_a_study_may_be_a_study_a_file_a_dict_a_text_or_a_shipped_name(one: Served, tmp_path: Path) -> None:
    (tmp_path / "Mine!.yaml").write_text("data: {name: digits}\nspace: {width: 8}\ntrials: 1\nepochs: 1\n")
    found = {}
    for kind, study in {
        "study": Study.from_text(text()),
        "path": tmp_path / "Mine!.yaml",
        "file": str(tmp_path / "Mine!.yaml"),
        "dict": {"data": {"name": "digits"}, "space": {"width": 8}, "trials": 2, "epochs": 1},
        "text": text(trials=2),
        "shipped": "digits_quick",
    }.items():
        submitted = one.client.submit(study, ["trials=1"], name=f"a-{kind}")
        assert submitted.trials == 1
        found[kind] = submitted.space
    assert found["path"] == found["file"] == "Mine", "a file's study is named after it, as in a search"
    assert found["shipped"] == "digits_quick"
    assert found["text"] == found["study"] == "small"
    for kind in found:
        assert one.client.wait(f"a-{kind}").state is StudyState.FINISHED


def test_the_events_of_a_study_are_all_there_in_order(one: Served) -> None:
    events = list(one.client.follow("first"))
    drawn = [event.trial for event in events if isinstance(event, TrialDrawn)]
    ended = [event.trial for event in events if isinstance(event, TrialEnded)]
    epochs = [
        (event.trial, epoch.epoch) for event in events if isinstance(event, EpochsTrained) for epoch in event.epochs
    ]
    assert drawn == ended == [0, 1, 2, 3]
    assert epochs == [(trial, epoch) for trial in drawn for epoch in (1, 2, 3)]
    assert isinstance(events[-1], StudySummary)
    assert events[-1].state is StudyState.FINISHED
    assert events[-1] == one.client.get("first")


def test_no_event_is_missing_where_the_connection_is_lost_again_and_again(one: Served) -> None:
    """An event may come twice then, and says the same."""
    whole = list(one.client.follow("first"))
    with cutting(one.client.url, after=2500) as proxy, Client(proxy.url) as client:
        found = list(client.follow("first"))
    assert proxy.cuts >= 1
    assert [event for event in found if event not in whole and not isinstance(event, StudySummary)] == []
    assert [event for event in whole if event not in found and not isinstance(event, StudySummary)] == []


@pytest.mark.parametrize("swallowed", [1, 3])
def test_a_submission_whose_answer_is_lost_is_accepted_once(one: Served, swallowed: int) -> None:
    before = one.client.list(limit=1).total
    with cutting(one.client.url, swallow=swallowed) as proxy, Client(proxy.url) as client:
        submitted = client.submit(text(trials=1))
    assert proxy.cuts == swallowed
    assert one.client.list(limit=1).total == before + 1
    assert one.client.wait(submitted.name).state is StudyState.FINISHED


def test_a_follower_goes_on_over_a_restart_of_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUICK_SECONDS", "0.3")
    port = 0
    with contextlib.ExitStack() as closing, service(tmp_path) as opened:
        with serving(make_app(opened, Access(), FREELY)) as url:
            port = int(url.rpartition(":")[2])
            client = closing.enter_context(Client(url))
            client.submit(text(trials=8), name="long")
            events = client.follow("long")
            begun = [next(events) for _ in range(4)]
        with serving(make_app(opened, Access(), FREELY), port):
            rest = list(events)
    ended = {event.trial for event in (*begun, *rest) if isinstance(event, TrialEnded)}
    assert ended == set(range(8))
    assert rest[-1].state is StudyState.FINISHED


def test_the_tables_are_those_of_the_runs_folder(one: Served) -> None:
    here, folder = one.client.results("first"), Results.load(one.root / "first")
    pd.testing.assert_frame_equal(one.client.trials("first"), folder.trials, check_exact=True)
    pd.testing.assert_frame_equal(one.client.epochs("first"), folder.epochs, check_exact=True)
    assert (here.metric, here.mode, here.params) == (folder.metric, folder.mode, folder.params)
    assert list(here.ranked["trial"]) == list(folder.ranked["trial"])
    assert here.source == f"{one.client.url}/studies/first"


def test_a_part_of_a_table_is_chosen_by_the_server(one: Served) -> None:
    whole = one.client.trials("first")
    part = one.client.trials("first", columns=["trial", "lr"], sort="lr", descending=True, filter="trial>=1")
    assert list(part.columns) == ["trial", "lr"]
    expected = whole[whole["trial"] >= 1].sort_values("lr", ascending=False)["trial"]
    assert list(part["trial"]) == list(expected)


def test_a_study_is_stopped_resumed_extended_deleted_and_restored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUICK_SECONDS", "0.5")
    with served(tmp_path) as found:
        client = found.client
        client.submit(text(trials=6), name="one")
        next(event for event in client.follow("one") if isinstance(event, TrialEnded))
        with pytest.raises(Conflict):
            client.delete("one")
        assert client.stop("one").state in (StudyState.STOPPING, StudyState.STOPPED)
        stopped = client.wait("one")
        assert stopped.state is StudyState.STOPPED
        assert 1 <= stopped.ended_trials < 6
        monkeypatch.setenv("QUICK_SECONDS", "0.01")
        client.resume("one")
        assert client.wait("one").ended_trials == 6
        client.extend("one", 2)
        assert client.wait("one").ended_trials == 8
        assert len(client.trials("one")) == 8
        client.delete("one")
        with pytest.raises(UnknownStudy):
            client.get("one")
        client.restore("one")
        assert len(client.trials("one")) == 8
        assert Study.from_text(client.study_text("one")).number_of_trials == 8


def test_a_mistake_in_a_study_names_its_line(one: Served, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("data: {name: digits}\nspace:\n  lr: {log: [1.0, 0.1]}\n")
    for ask in (one.client.submit, one.client.validate):
        with pytest.raises(StudyError, match=r"^mine\.yaml:3 space\.lr"):
            ask(tmp_path / "mine.yaml")


def test_a_forecast_is_made_and_nothing_is_run(one: Served) -> None:
    before = one.client.list().total
    forecast = one.client.validate(text(trials=7), ["epochs=2"])
    assert forecast.trials == 7
    assert Study.from_text(forecast.study).epochs == 2
    assert one.client.list().total == before


def test_two_studies_are_compared(one: Served) -> None:
    one.client.submit(text(trials=2, more="seed: 5\n"), name="other")
    one.client.wait("other")
    compared = one.client.compare("first", "other")
    assert [study.summary.name for study in compared.studies] == ["first", "other"]
    assert {setting.path for setting in compared.settings} == {"trials", "seed"}


def test_a_file_that_is_downloaded_is_there_whole_or_not_at_all(one: Served, tmp_path: Path) -> None:
    (one.root / "first" / "best").mkdir(exist_ok=True)
    (one.root / "first" / "best" / "model.pt").write_bytes(bytes(range(256)) * 1000)
    file = one.client.download_model("first", tmp_path / "best.pt")
    assert file.read_bytes() == bytes(range(256)) * 1000
    with (
        cutting(one.client.url, after=100_000) as proxy,
        Client(proxy.url) as client,
        pytest.raises(ServiceUnreachable, match="no service answers"),
    ):
        client.download_model("first", tmp_path / "cut.pt")
    with pytest.raises(UnknownStudy):
        one.client.download_model("nowhere", tmp_path / "none.pt")
    assert [path.name for path in tmp_path.iterdir()] == ["best.pt"]


def test_a_token_says_who_one_is_and_a_wrong_one_is_refused(tmp_path: Path) -> None:
    access = Access({digest_of("t" * 30): User("ada")})
    with service(tmp_path) as opened, serving(make_app(opened, access, FREELY)) as url:
        with Client(url, "t" * 30) as ada:
            assert ada.me().name == "ada"
            assert ada.submit(text(trials=1), name="hers").owner == "ada"
            ada.wait("hers")
        for token in (None, "wrong" * 6):
            with Client(url, token) as stranger, pytest.raises(NotAllowed, match="token"):
                stranger.list()
