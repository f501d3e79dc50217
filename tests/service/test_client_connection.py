"""The client's connection: nothing is doubled or missed when it is lost, and each fault is one line."""

from __future__ import annotations

import contextlib
import json
import socket
from pathlib import Path

import httpx
import pytest

from tests.service.answers import client, lost, message, ok, stream, summary
from tune_mlp.errors import RunError, StudyError, TuneMlpError, UsageError
from tune_mlp.service.client import Client
from tune_mlp.service.connection import Connection, ServiceUnreachable
from tune_mlp.service.faults import (
    Conflict,
    NoSpaceLeft,
    NotAllowed,
    Refused,
    ServiceFault,
    TooMany,
    UnknownStudy,
)
from tune_mlp.service.messages import Fault, StudyState
from tune_mlp.service.study_events import StudyGone, TrialDrawn, TrialEnded


def test_a_submission_whose_answer_is_lost_is_sent_again_with_the_same_key() -> None:
    asked, answers = client(lost(), httpx.ReadTimeout("slow"), ok(summary(), 201))
    assert asked.submit("digits_quick").name == "first"
    keys = answers.headers("Idempotency-Key")
    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert keys[0]


def test_each_submission_has_a_key_of_its_own_unless_one_is_given() -> None:
    asked, answers = client(*(ok(summary(), 201) for _ in range(3)))
    asked.submit("digits_quick")
    asked.submit("digits_quick")
    asked.submit("digits_quick", key="mine")
    first, second, third = answers.headers("Idempotency-Key")
    assert first != second
    assert third == "mine"


@pytest.mark.parametrize("word", ["stop", "resume", "confirm", "delete", "restore"])
def test_each_change_has_a_key(word: str) -> None:
    asked, answers = client(lost(), ok(summary()))
    getattr(asked, word)("first")
    first, second = answers.headers("Idempotency-Key")
    assert first == second
    assert first


def test_patience_ends_with_one_line() -> None:
    asked, answers = client(*(lost() for _ in range(20)), patience=0.2)
    with pytest.raises(ServiceUnreachable, match=r"^no service answers at http://service\.example: connection reset"):
        asked.get("first")
    assert len(answers.requests) == 3, "after 0 s, 0.1 s and 0.3 s"


def test_a_service_that_was_never_there_is_said_at_once_in_one_line() -> None:
    with contextlib.closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        asked = Client(f"http://127.0.0.1:{unused.getsockname()[1]}", patience=1000.0)
        with pytest.raises(ServiceUnreachable, match=r"no service answers at http://127\.0\.0\.1:\d+: .*refused"):
            asked.list()
        with pytest.raises(ServiceUnreachable):
            next(asked.follow("first"))


def test_a_service_that_was_there_is_waited_for_while_it_restarts() -> None:
    asked, answers = client(ok(summary()), httpx.ConnectError("refused"), ok(summary()))
    asked.get("first")
    assert asked.get("first").name == "first"
    assert len(answers.requests) == 3


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ServiceFault),
        (401, NotAllowed),
        (403, NotAllowed),
        (404, UnknownStudy),
        (409, Conflict),
        (413, ServiceFault),
        (422, Refused),
        (429, TooMany),
        (500, RunError),
        (507, NoSpaceLeft),
    ],
)
def test_a_fault_of_the_server_is_an_error_with_the_servers_line(status: int, kind: type[TuneMlpError]) -> None:
    asked, _ = client(ok(Fault(error="this can't be done"), status))
    with pytest.raises(TuneMlpError, match=r"^this can't be done$") as raised:
        asked.submit("digits_quick")
    assert type(raised.value) is kind


def test_a_fault_in_a_study_names_the_line_of_the_text_or_of_the_file_that_was_sent(tmp_path: Path) -> None:
    fault = ok(Fault(error="low must be below high", line=3, path="space.lr"), 422)
    text = "data: {name: digits}\nspace:\n  lr: {log: [1, 0.1]}\n"
    (tmp_path / "mine.yaml").write_text(text)
    asked, answers = client(*[fault] * 4)
    with pytest.raises(StudyError, match=r"^line 3 space\.lr: low must be below high$"):
        asked.submit(text)
    for study in (tmp_path / "mine.yaml", str(tmp_path / "mine.yaml")):
        with pytest.raises(StudyError, match=r"^mine\.yaml:3 space\.lr: low must be below high$"):
            asked.submit(study)
    with pytest.raises(StudyError, match=r"^mine\.yaml:3 space\.lr"):
        asked.validate(tmp_path / "mine.yaml")
    assert {json.loads(request.content)["study"] for request in answers.requests} == {text}


def test_another_server_than_ours_is_said() -> None:
    asked, _ = client(httpx.Response(404, text="<h1>Not here</h1>"), httpx.Response(200, text="<h1>Hello</h1>"))
    with pytest.raises(UnknownStudy, match="answered 404 Not Found: is it a tune-mlp service"):
        asked.get("first")
    with pytest.raises(ServiceFault, match="isn't a StudySummary: is it a tune-mlp service of version"):
        asked.get("first")
    other, _ = client(httpx.Response(200, text="<h1>Hello</h1>"))
    with pytest.raises(ServiceFault, match="is no stream of events"):
        next(other.follow("first"))


def test_a_stream_that_is_lost_goes_on_after_its_last_message() -> None:
    drawn = {"trial": 0, "params": {"lr": 0.01}}
    ended = {"trial": 0, "state": "finished", "error": "", "best": 0.9}
    done = summary(state=StudyState.FINISHED).model_dump_json()
    asked, answers = client(
        stream(message("trial", drawn, 100), lost=lost),
        httpx.ConnectError("refused"),
        stream(": still here\n\n", message("ended", ended, 200), message("summary", done, 250)),
    )
    events = list(asked.follow("first"))
    assert [type(event) for event in events[:2]] == [TrialDrawn, TrialEnded]
    assert events[2] == summary(state=StudyState.FINISHED)
    assert len(events) == 3
    assert answers.headers("Last-Event-ID") == ["0", "100", "100"]


def test_a_stream_that_the_server_closes_goes_on_until_the_study_is_at_rest() -> None:
    running, done = (summary(state=state).model_dump_json() for state in (StudyState.RUNNING, StudyState.STOPPED))
    asked, answers = client(stream(message("summary", running, 1)), stream(message("summary", done, 2), lost=lost))
    assert [event.state for event in asked.follow("first")] == ["running", "stopped"]
    assert answers.headers("Last-Event-ID") == ["0", "1"]


def test_a_summary_that_knows_of_more_than_has_come_is_not_the_last() -> None:
    ended = {"trial": 0, "state": "finished", "error": "", "best": 0.9}
    done = summary(state=StudyState.FINISHED, offset=200).model_dump_json()
    asked, _ = client(stream(message("summary", done, 0), message("ended", ended, 200), message("summary", done, 200)))
    assert [type(event).__name__ for event in asked.follow("first")] == ["StudySummary", "TrialEnded", "StudySummary"]


def test_a_stream_ends_where_its_study_is_gone() -> None:
    asked, _ = client(stream(message("gone", {"name": "first"}, 9), lost=lost))
    assert list(asked.follow("first")) == [StudyGone(name="first")]


def test_a_server_that_closes_every_stream_at_once_is_given_up() -> None:
    asked, _ = client(*(stream() for _ in range(20)), patience=0.2)
    with pytest.raises(ServiceUnreachable, match="closes every stream at once"):
        next(asked.follow("first"))


def test_an_event_of_a_newer_service_is_left_out() -> None:
    asked, _ = client(stream(message("news", {}, 1), message("gone", {"name": "first"}, 2)))
    assert len(list(asked.follow("first"))) == 1


@pytest.mark.parametrize("url", ["", "ftp://here", "http://", "http://:80", "file:///etc/passwd"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="the service's address must be like"):
        Client(url)


def test_an_address_needs_no_scheme() -> None:
    assert Client("127.0.0.1:8642/").url == "http://127.0.0.1:8642"
    assert Client("https://host/below/").url == "https://host/below"


@pytest.mark.parametrize("token", ["", " ", "two\nlines", "ä"])
def test_a_token_that_no_header_can_hold_is_refused(token: str) -> None:
    with pytest.raises(UsageError, match="the token must be"):
        Client("http://127.0.0.1", token)


def test_the_token_is_sent_and_shown_nowhere() -> None:
    asked, answers = client(ok(summary()), token="secret")
    asked.get("first")
    assert answers.headers("Authorization") == ["Bearer secret"]
    assert "secret" not in repr(asked)


def test_loopback_is_never_asked_for_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    local, remote = (Connection(url, None, 1.0, None) for url in ("http://127.0.0.1:2", "http://far.example"))
    assert [bool(one._client._mounts) for one in (local, remote)] == [False, True]


@pytest.mark.parametrize("name", ["", "../etc", "a/b", "x" * 65, "a b", "ä", "a\n"])
def test_a_name_that_no_study_can_have_is_refused_before_anything_is_sent(name: str) -> None:
    asked, answers = client()
    with pytest.raises(UsageError, match="no study can have the name"):
        asked.stop(name)
    assert answers.requests == []
