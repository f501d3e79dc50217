"""Refusals of the guards: a browser that asked for a page gets a page, and everybody else JSON, with the same status and headers."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.service.apps import USERS, bearer, client_of
from tests.service.servers import FREELY
from tune_mlp.service.app_options import AppOptions, Rate
from tune_mlp.service.guards.head_guard import MOST_HEAD_BYTES
from tune_mlp.service.safety_headers import HEADERS

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
LIMITS = replace(FREELY, most_body_bytes=1000, body_seconds=0.3)
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
REFUSED: dict[str, tuple[int, str, str, dict[str, str], bytes]] = {
    "host": (403, "GET", "/login", {"Host": "<b>evil</b>.example"}, b""),
    "origin": (403, "POST", "/login", {"Origin": "http://evil.example", **FORM}, b"token=x"),
    "head": (431, "GET", "/login", {"X-Long": "x" * (MOST_HEAD_BYTES + 1)}, b""),
    "sign in": (401, "POST", "/studies/a/stop", FORM, b"key=x"),
    "body": (413, "POST", "/login", FORM, b"x" * 1001),
}
"""For each guard a request that it refuses: the status, and the request."""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with client_of(tmp_path_factory.mktemp("root"), USERS, LIMITS) as asked:
        yield asked


def same_headers(page: httpx.Response, fault: httpx.Response) -> None:
    """What tells of the content may differ; what tells a browser or a program what to do may not."""
    own = {"content-type", "content-length", "date", "cache-control", "vary"}
    assert {name: value for name, value in page.headers.items() if name not in own} == {
        name: value for name, value in fault.headers.items() if name not in own
    }
    assert page.headers.items() >= {(name.lower(), value) for name, value in HEADERS.items()}


@pytest.mark.parametrize("guard", REFUSED)
def test_a_refusal_is_a_page_for_a_browser_and_json_for_a_program(client: httpx.Client, guard: str) -> None:
    status, method, path, headers, body = REFUSED[guard]
    fault = client.request(method, path, headers=headers, content=body)
    page = client.request(method, path, headers={**headers, **BROWSER}, content=body)
    part = client.request(method, path, headers={**headers, **BROWSER, "HX-Request": "true"}, content=body)
    assert [fault.status_code, page.status_code, part.status_code] == [status] * 3
    assert fault.json()["error"]
    assert part.json() == fault.json()
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "<main" in page.text
    assert "<b>evil" not in page.text
    same_headers(page, fault)
    if guard == "sign in":
        assert page.headers["WWW-Authenticate"] == "Bearer"
    if guard == "body":
        assert page.headers["Connection"] == "close"


@pytest.mark.parametrize("path", ["/api/me", "/api/studies/a"])
def test_below_the_api_a_refusal_is_json_for_a_browser_too(client: httpx.Client, path: str) -> None:
    answer = client.get(path, headers=BROWSER)
    assert answer.status_code == 401
    assert answer.json()["error"]


def test_a_slow_body_s_refusal_is_a_page(client: httpx.Client) -> None:
    parts = urlsplit(str(client.base_url))
    with socket.create_connection((parts.hostname, parts.port)) as slow:
        slow.settimeout(20)
        slow.sendall(b"POST /login HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\nContent-Length: 9\r\n\r\ntok")
        said = b""
        while more := slow.recv(10_000):
            said += more
    assert said.startswith(b"HTTP/1.1 408 ")
    assert b"text/html" in said
    assert b"didn&#39;t arrive" in said


def test_one_request_too_many_is_a_page_that_says_when_to_come_again(tmp_path: Path) -> None:
    with client_of(tmp_path, USERS, AppOptions(reads=Rate(2, 0.01))) as client:
        answers = [client.get("/", headers={**BROWSER, **bearer("ada")}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert "text/html" in answers[2].headers["Content-Type"]
    assert 1 <= int(answers[2].headers["Retry-After"]) <= 100
    assert f"try again in {answers[2].headers['Retry-After']} s" in answers[2].text
