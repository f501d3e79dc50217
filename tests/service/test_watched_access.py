"""The file of users while the service runs: a change is noticed, and a file that is gone, damaged or half-written changes nothing."""

from __future__ import annotations

import logging
import threading
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.report.pages import a_reported_run
from tests.service.apps import client_of
from tests.service.services import eventually
from tune_mlp.service.access import ADMIN, LOCAL, add_user, remove_user
from tune_mlp.service.event_stream import stream
from tune_mlp.service.routes import events
from tune_mlp.service.watched_access import LOOK_SECONDS, WatchedAccess


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def move_on(self) -> None:
        self.now += LOOK_SECONDS


@pytest.fixture
def clock() -> Clock:
    return Clock()


def name_of(access: WatchedAccess, token: str) -> str | None:
    user = access.user_of(token)
    return None if user is None else user.name


def test_a_user_who_is_added_or_removed_is_noticed_after_a_second(tmp_path: Path, clock: Clock) -> None:
    users = tmp_path / "users"
    ada = add_user(users, "ada", admin=False)
    access = WatchedAccess(None, users, clock)
    bob = add_user(users, "bob", admin=True)
    clock.now += LOOK_SECONDS / 2
    assert name_of(access, bob) is None  # the file is looked at once a second
    clock.move_on()
    assert [name_of(access, token) for token in (ada, bob)] == ["ada", "bob"]
    remove_user(users, "ada")
    clock.move_on()
    assert [name_of(access, token) for token in (ada, bob)] == [None, "bob"]
    remove_user(users, "bob")
    clock.move_on()
    assert name_of(access, bob) is None
    assert access.needs_token  # the last user's end doesn't open the service
    assert access.user_of(None) is None


def test_the_admin_of_the_token_file_stays(tmp_path: Path, clock: Clock) -> None:
    access = WatchedAccess(tmp_path / "token", tmp_path / "users", clock)
    token = (tmp_path / "token").read_text().strip()
    ada = add_user(tmp_path / "users", "ada", admin=False)
    clock.move_on()
    assert access.user_of(token) == ADMIN
    assert name_of(access, ada) == "ada"


@pytest.mark.parametrize("fault", ["half-written", "damaged", "binary", "readable by others", "gone", "a folder"])
def test_a_file_that_isn_t_right_changes_nothing_and_is_told_of_once(
    tmp_path: Path, clock: Clock, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    users = tmp_path / "users"
    ada = add_user(users, "ada", admin=False)
    access = WatchedAccess(None, users, clock)
    whole = users.read_bytes()
    if fault == "half-written":
        users.write_bytes(whole + b"bob:user:0123")
    elif fault == "damaged":
        users.write_bytes(b"anybody\n")
    elif fault == "binary":
        users.write_bytes(b"\xff\xfe" + whole)
    elif fault == "readable by others":
        users.chmod(0o644)
    else:
        users.unlink()
        if fault == "a folder":
            users.mkdir(mode=0o700)
    with caplog.at_level(logging.WARNING, "tune_mlp.service"):
        for _ in range(5):
            clock.move_on()
            assert name_of(access, ada) == "ada"
            assert access.user_of(None) is None
    (line,) = caplog.messages
    assert "the users stay as they were" in line
    assert str(users) in line
    assert "\n" not in line
    if fault == "a folder":
        users.rmdir()
    users.write_bytes(whole)
    users.chmod(0o600)
    bob = add_user(users, "bob", admin=False)  # it is right again
    clock.move_on()
    assert [name_of(access, token) for token in (ada, bob)] == ["ada", "bob"]


def test_a_file_of_which_a_part_is_written_lets_nobody_else_in(tmp_path: Path, clock: Clock) -> None:
    users = tmp_path / "users"
    tokens = [add_user(users, f"user{number}", admin=number == 0) for number in range(3)]
    whole = users.read_bytes()
    access = WatchedAccess(None, users, clock)
    for size in range(len(whole) + 1):
        users.write_bytes(whole[:size])
        clock.move_on()
        assert access.needs_token
        for number, token in enumerate(tokens):
            user = access.user_of(token)
            assert user is None or (user.name, user.admin) == (f"user{number}", number == 0)
    assert [name_of(access, token) for token in tokens] == ["user0", "user1", "user2"]


def test_a_service_without_tokens_needs_them_once_it_has_a_user(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    access = WatchedAccess(None, tmp_path / "users", clock)
    assert access.user_of(None) == LOCAL
    clock.move_on()
    assert access.user_of(None) == LOCAL
    ada = add_user(tmp_path / "users", "ada", admin=False)
    with caplog.at_level(logging.WARNING, "tune_mlp.service"):
        clock.move_on()
        assert access.user_of(None) is None
    assert "needs a token from now on" in caplog.text
    assert name_of(access, ada) == "ada"


def test_a_running_service_notices_while_it_is_asked_by_many(tmp_path: Path) -> None:
    users = tmp_path / "own" / "users"
    ada = {"Authorization": f"Bearer {add_user(users, 'ada', admin=False)}"}
    with client_of(tmp_path / "root", WatchedAccess(None, users)) as client:
        stop, wrong = threading.Event(), []

        def ask() -> None:
            with httpx.Client(base_url=client.base_url, headers=ada, timeout=60) as asked:
                while not stop.is_set():
                    wrong.extend([status] if (status := asked.get("/api/me").status_code) != 200 else [])

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        bob = {"Authorization": f"Bearer {add_user(users, 'bob', admin=False)}"}
        eventually(lambda: client.get("/api/me", headers=bob).status_code == 200)
        stop.set()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert client.get("/api/openapi.json", headers=bob).json()["security"] == [{"token": []}]
        remove_user(users, "bob")
        eventually(lambda: client.get("/api/me", headers=bob).status_code == 401)


def test_the_stream_of_a_user_who_is_removed_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "stream", partial(stream, pause=0.1))
    users = tmp_path / "own" / "users"
    ada, bob = ({"Authorization": f"Bearer {add_user(users, name, admin=False)}"} for name in ("ada", "bob"))
    a_reported_run(tmp_path / "root" / "made", trials=4)
    with (
        client_of(tmp_path / "root", WatchedAccess(None, users)) as client,
        client.stream("GET", "/api/studies/made/events", headers=ada) as one,
        client.stream("GET", "/api/studies/made/events", headers=bob) as other,
    ):
        lines, others = one.iter_lines(), other.iter_lines()
        assert next(lines) == next(others) == "retry: 2000"
        remove_user(users, "ada")
        assert len([line for line, _ in zip(lines, range(1000), strict=False)]) < 1000
        assert next(line for line in others if line.startswith(":")) == ": still here"
        assert client.get("/api/studies/made/events", headers=ada).status_code == 401
