"""Signing in: a token becomes a cookie that scripts can't read and other sites can't send, and a user has only their own studies."""

from __future__ import annotations

from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path

import httpx
import pytest

from tests.service.apps import TOKENS, USERS, bearer, client_of, submitted
from tests.service.services import text
from tune_mlp.service.app_options import AppOptions, Rate
from tune_mlp.service.routes.session import own_path


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with client_of(tmp_path_factory.mktemp("root"), USERS, concurrent_studies=1) as asked:
        yield asked


def sign_in(client: httpx.Client, token: str, following: str = "") -> httpx.Response:
    return client.post("/login", data={"token": token, "next": following})


def test_a_right_token_becomes_a_cookie_that_only_this_site_s_requests_have(client: httpx.Client) -> None:
    answer = sign_in(client, TOKENS["ada"], "/studies/a?sort=lr")
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/studies/a?sort=lr"
    cookies = SimpleCookie(answer.headers["Set-Cookie"])
    (cookie,) = cookies.values()
    assert cookie.value == TOKENS["ada"]
    assert cookie["httponly"]
    assert cookie["samesite"].lower() == "strict"
    assert cookie["path"] == "/"
    assert not cookie["domain"]
    assert client.get("/api/me", headers={"Cookie": f"{cookie.key}={cookie.value}"}).json() == {
        "name": "ada",
        "admin": False,
    }
    client.cookies.clear()
    noted = client.get("/api/audit", headers=bearer("root")).json()[0]
    assert (noted["user"], noted["action"], noted["address"]) == ("ada", "sign in", "127.0.0.1")
    assert client.get("/api/me").status_code == 401
    out = client.post("/logout", headers=bearer("ada"))
    assert out.status_code == 303
    assert "Max-Age=0" in out.headers["Set-Cookie"]


def test_behind_https_the_cookie_goes_over_https_alone_whatever_a_request_says_of_itself(tmp_path: Path) -> None:
    said = {"X-Forwarded-Proto": "https", "Forwarded": "proto=https"}
    for behind_https in (True, False):
        options = AppOptions(behind_https=behind_https)
        with client_of(tmp_path / str(behind_https), USERS, options) as client:
            for headers in ({}, said):
                answer = client.post("/login", data={"token": TOKENS["ada"]}, headers=headers)
                (cookie,) = SimpleCookie(answer.headers["Set-Cookie"]).values()
                assert bool(cookie["secure"]) is behind_https
                client.cookies.clear()
            (forgotten,) = SimpleCookie(client.post("/logout", headers=bearer("ada")).headers["Set-Cookie"]).values()
            assert bool(forgotten["secure"]) is behind_https


def test_a_wrong_token_leads_back_to_the_login_without_a_cookie(client: httpx.Client) -> None:
    for token in ("wrong", "", "ünknown", "a" * 10_000):
        answer = sign_in(client, token, "/new")
        assert answer.status_code == 303
        assert answer.headers["Location"] == "/login?wrong=1&next=%2Fnew"
        assert "Set-Cookie" not in answer.headers


def test_a_form_that_is_none_is_refused(client: httpx.Client) -> None:
    for form in (b"&" * 5000, b"token=a&" * 5000, b"token=\xff"):
        answer = client.post("/login", content=form, headers={"Content-Type": "application/x-www-form-urlencoded"})
        assert answer.status_code == 422, form[:20]


@pytest.mark.parametrize(
    "wanted",
    [
        "",
        "//evil.example",
        "/\\evil.example",
        "http://evil.example",
        "javascript:alert(1)",
        "/a\r\nSet-Cookie: x=y",
        "\\/evil",
        " /a",
        "/ä",
    ],
)
def test_a_login_leads_to_no_other_site(client: httpx.Client, wanted: str) -> None:
    assert sign_in(client, TOKENS["ada"], wanted).headers["Location"] == "/"
    client.cookies.clear()
    assert own_path(wanted) == "/"


def test_guessing_tokens_is_slowed_down(tmp_path: Path) -> None:
    with client_of(tmp_path, USERS, AppOptions(failures=Rate(3, 0.001))) as client:
        assert [sign_in(client, "wrong").status_code for _ in range(5)] == [303, 303, 303, 429, 429]
        assert sign_in(client, TOKENS["ada"]).status_code == 303


def test_each_route_but_health_needs_a_token(client: httpx.Client) -> None:
    client.cookies.clear()
    schema = client.get("/api/openapi.json", headers=bearer("ada")).json()
    assert client.get("/api/openapi.json").status_code == 401
    asked = [(method, path) for path, item in schema["paths"].items() for method in item]
    assert len(asked) > 30
    for method, path in asked:
        answer = client.request(
            method, path.replace("{name}", "a").replace("{number}", "0").replace("{chart}", "rungs")
        )
        assert answer.status_code == (200 if path == "/api/health" else 401), path
        wrong = client.request(
            method, path.replace("{name}", "a"), headers={"Authorization": f"Bearer {TOKENS['ada'][:-1]}b"}
        )
        assert wrong.status_code == (200 if path == "/api/health" else 401), path
    assert client.get("/docs").status_code == 303


def test_only_its_owner_or_an_admin_changes_a_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUICK_SECONDS", "30")
    with client_of(tmp_path, USERS, concurrent_studies=1) as client:
        submitted(client, {"study": text(trials=100), "name": "hers"}, **bearer("ada"))
        submitted(client, {"study": text(trials=100), "name": "later"}, **bearer("ada"))
        assert client.get("/api/studies/hers", headers=bearer("bob")).json()["owner"] == "ada"
        changes = [
            ("POST", "stop", None),
            ("POST", "resume", None),
            ("POST", "extend", {"trials": 1}),
            ("POST", "confirm", {}),
            ("POST", "replay", {"trials": [0]}),
            ("DELETE", "", None),
        ]
        for method, word, body in changes:
            for name in ("hers", "later"):
                answer = client.request(
                    method, f"/api/studies/{name}/{word}".rstrip("/"), json=body, headers=bearer("bob")
                )
                assert answer.status_code in (403, 422) if word == "replay" else answer.status_code == 403, (
                    word,
                    answer.text,
                )
        assert client.get("/api/studies/hers", headers=bearer("ada")).json()["state"] in ("queued", "running")
        assert client.get("/api/audit", headers=bearer("ada")).status_code == 403
        assert client.post("/api/studies/later/stop", headers=bearer("root")).json()["state"] == "stopped"
        assert client.delete("/api/studies/later", headers=bearer("ada")).status_code == 200
        assert client.post("/api/studies/later/restore", headers=bearer("bob")).status_code == 403
        assert client.post("/api/studies/hers/stop", headers=bearer("ada")).status_code == 200
        lines = client.get("/api/audit", headers=bearer("root")).json()
        done = [(line["user"], line["action"], line["study"]) for line in reversed(lines)]
        assert done == [
            ("ada", "submit", "hers"),
            ("ada", "submit", "later"),
            ("root", "stop", "later"),
            ("ada", "delete", "later"),
            ("ada", "stop", "hers"),
        ]


def test_the_same_key_of_two_users_is_two_requests(tmp_path: Path) -> None:
    with client_of(tmp_path, USERS, concurrent_studies=1) as client:
        body = {"study": text(trials=1)}
        keyed = {"Idempotency-Key": "same"}
        names = [submitted(client, body, **bearer(user), **keyed)["name"] for user in ("ada", "bob", "ada")]
        assert names[0] == names[2] != names[1]
