"""Following a study over HTTP: deltas alone, resumed by an offset, ended with the server, and cheap however many look."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.report.pages import a_reported_run
from tests.service.apps import client_of, opened, submitted
from tests.service.servers import FREELY, serving
from tests.service.services import eventually, text
from tune_mlp.service.app_options import AppOptions
from tune_mlp.service.study_events import STUDY_EVENTS

TRIALS = 10


def told(lines: Iterator[str]) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Yield the name, the offset and the data of each event of a stream."""
    event: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            event[name] = value
        elif "event" in event:
            yield event["event"], int(event["id"]), json.loads(event["data"])
            event = {}


def follow(
    client: httpx.Client, name: str, until: str, number: int = 1, **asked: Any
) -> list[tuple[str, int, dict[str, Any]]]:
    """Return the events of a study until so many of a kind have come."""
    found = []
    with client.stream("GET", f"/api/studies/{name}/events", **asked) as answer:
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        for event in told(answer.iter_lines()):
            found.append(event)
            if sum(one[0] == until for one in found) == number:
                break
    return found


def test_a_study_is_followed_from_its_beginning_with_messages_that_are_typed(tmp_path: Path) -> None:
    with client_of(tmp_path) as client:
        submitted(client, {"study": text(trials=3), "name": "first"})
        eventually(lambda: client.get("/api/studies/first").json()["state"] == "running")
        events = follow(client, "first", "ended", 3, params={"offset": 0})
        for name, _, data in events:
            STUDY_EVENTS[name].model_validate(data)
        drawn = [data["trial"] for name, _, data in events if name == "trial"]
        ended = [data["trial"] for name, _, data in events if name == "ended"]
        assert sorted(drawn) == sorted(ended) == [0, 1, 2]
        offsets = [offset for _, offset, _ in events]
        assert offsets == sorted(offsets)


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("root")
    a_reported_run(root / "made", trials=TRIALS)
    return root / "made" / "journal.jsonl"


@pytest.fixture(scope="module")
def made(journal: Path) -> Iterator[httpx.Client]:
    with client_of(journal.parents[1]) as client:
        yield client


@pytest.mark.parametrize("way", ["offset", "Last-Event-ID", "both"])
def test_a_stream_that_was_cut_goes_on_where_it_was(made: httpx.Client, journal: Path, way: str) -> None:
    whole = follow(made, "made", "ended", TRIALS, params={"offset": 0})
    lines = journal.read_bytes().splitlines(keepends=True)
    at = sum(map(len, lines[: 1 + next(place for place, line in enumerate(lines) if b'"ended"' in line)]))
    asked: dict[str, Any] = {
        "offset": {"params": {"offset": at}},
        "Last-Event-ID": {"headers": {"Last-Event-ID": str(at)}},
        "both": {"params": {"offset": 0}, "headers": {"Last-Event-ID": str(at)}},  # as a browser that connects again
    }[way]
    rest = [(name, data) for name, _, data in follow(made, "made", "ended", TRIALS - 1, **asked) if name != "summary"]
    deltas = [(name, data) for name, _, data in whole if name != "summary"]
    first = next(place for place, (name, _) in enumerate(deltas) if name == "ended")
    assert rest == deltas[first + 1 :]


def test_without_an_offset_a_stream_begins_now(made: httpx.Client) -> None:
    assert [name for name, _, _ in follow(made, "made", "summary")] == ["summary"]


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("absent/events", {}, 404),
        ("made/events?offset=-1", {}, 422),
        ("made/events?offset=x", {}, 422),
        ("made/events", {"Last-Event-ID": "x"}, 422),
        ("made/events", {"Last-Event-ID": "9" * 16}, 422),
    ],
)
def test_a_stream_that_can_t_be_is_refused(made: httpx.Client, path: str, headers: dict[str, str], status: int) -> None:
    answer = made.get(f"/api/studies/{path}", headers=headers)
    assert answer.status_code == status
    assert answer.json()["error"]


def test_the_end_of_the_server_ends_open_streams_at_once(tmp_path: Path) -> None:
    a_reported_run(tmp_path / "made", trials=10)
    said: list[str] = []
    first = threading.Event()

    def read(url: str) -> None:
        with httpx.stream("GET", f"{url}/api/studies/made/events", timeout=60) as answer:
            for line in answer.iter_lines():
                said.append(line)
                first.set()

    with opened(tmp_path) as (app, _):
        with serving(app) as url:  # which waits for the server's end
            reader = threading.Thread(target=read, args=(url,))
            reader.start()
            assert first.wait(20)
        reader.join(20)
        assert not reader.is_alive()
    assert said


def test_a_reader_who_leaves_is_forgotten_and_200_need_no_thread(tmp_path: Path) -> None:
    a_reported_run(tmp_path / "made", trials=10)
    with opened(tmp_path) as (app, _), serving(app) as url:
        streams = app.state.ours.streams
        httpx.get(f"{url}/api/studies/made")
        with httpx.Client(base_url=url, limits=httpx.Limits(max_connections=None), timeout=60) as client:
            answers = [
                client.send(client.build_request("GET", "/api/studies/made/events"), stream=True) for _ in range(20)
            ]
            before = threading.active_count()
            answers += [
                client.send(client.build_request("GET", "/api/studies/made/events"), stream=True) for _ in range(180)
            ]
            assert all(answer.status_code == 200 for answer in answers)
            eventually(lambda: streams.open == 200)
            assert threading.active_count() - before < 40  # the pool that looks a study up, and none for a stream
            for answer in answers:
                answer.close()
            eventually(lambda: streams.open == 0)


def test_only_so_many_streams_are_open_at_once(tmp_path: Path) -> None:
    a_reported_run(tmp_path / "made", trials=3)
    options = AppOptions(most_streams=1, reads=FREELY.reads)
    with client_of(tmp_path, web=options) as client, client.stream("GET", "/api/studies/made/events") as answer:
        lines = answer.iter_lines()
        assert next(lines)
        refused = client.get("/api/studies/made/events")
        assert refused.status_code == 429
        assert refused.headers["Retry-After"]
