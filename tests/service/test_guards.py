"""The guards: a foreign Host, another origin, a body without end, too many requests, and a wrong token get no further."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
from fastapi import FastAPI
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from tune_mlp.service.access import Access, digest_of
from tune_mlp.service.app_options import Rate
from tune_mlp.service.fault_answers import answer_faults
from tune_mlp.service.guards.body_guard import BodyGuard
from tune_mlp.service.guards.host_guard import HostGuard, is_loopback, name_in
from tune_mlp.service.guards.origin_guard import OriginGuard
from tune_mlp.service.guards.rates import MOST_BUCKETS, Buckets, RateGuard
from tune_mlp.service.guards.response_headers import FRAMED, ResponseHeaders
from tune_mlp.service.guards.sign_in import SignInGuard
from tune_mlp.service.users import User

ADA = User("ada")
TOKEN = "a" * 43


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the body, and with the user whom a guard found."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    user = scope.get("state", {}).get("user")
    await PlainTextResponse(body, headers={"user": str(user and user.name)})(scope, receive, send)


APPLICATION = FastAPI()
"""The application whose guards are asked. It answers faults as JSON alone; `test_refused_pages.py` asks the real one."""
answer_faults(APPLICATION, lambda request, status, fault: None)


def inside(app: ASGIApp) -> ASGIApp:
    """Return a guard that stands inside the application."""

    async def asked(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "app": APPLICATION}, receive, send)

    return asked


def ask(
    app: ASGIApp, method: str = "GET", url: str = "http://localhost:8642/api/x", **options: object
) -> httpx.Response:
    async def go() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(inside(app))) as client:
            return await client.request(method, url, **options)  # type: ignore[arg-type]

    return asyncio.run(go())


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8642", "127.0.0.1:1", "[::1]:8642", "LOCALHOST.", "127.8.8.8"]
)
def test_this_machine_s_own_names_are_let_through(host: str) -> None:
    assert ask(HostGuard(echo, "127.0.0.1"), headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "10.0.0.7",
        "",
        "localhost:80:80",
        "localhost@evil.example",
        "127.0.0.1.evil.example",
        "[::1",
        "0x7f.1",
    ],
)
def test_a_foreign_host_is_refused(host: str) -> None:
    answer = ask(HostGuard(echo, "127.0.0.1"), headers={"Host": host})
    assert answer.status_code == 403
    assert "Host" in answer.json()["error"]


def test_a_service_on_the_network_is_reached_by_digits_and_by_the_names_it_was_given() -> None:
    app = HostGuard(echo, "0.0.0.0", ["tune.example.org"])
    found = {
        host: ask(app, headers={"Host": host}).status_code
        for host in ("10.1.2.3:8642", "TUNE.example.org", "evil.example")
    }
    assert found == {"10.1.2.3:8642": 200, "TUNE.example.org": 200, "evil.example": 403}


def test_loopback_is_told_from_other_addresses() -> None:
    assert [is_loopback(host) for host in ("localhost", "127.0.0.2", "::1", "0.0.0.0", "10.0.0.1", "example.org")] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]
    assert name_in("[::1]:80") == "::1"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:9999"},
        {"Origin": "http://localhost.evil.example:8642"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://evil.example"},
    ],
)
@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT", "PATCH"])
def test_a_change_from_another_origin_is_refused(method: str, headers: dict[str, str]) -> None:
    assert ask(OriginGuard(echo), method, headers=headers).status_code == 403


@pytest.mark.parametrize(
    "headers", [{}, {"Origin": "http://localhost:8642"}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}]
)
def test_a_change_from_an_own_page_or_a_program_is_let_through(headers: dict[str, str]) -> None:
    assert ask(OriginGuard(echo), "POST", headers=headers).status_code == 200


def test_reading_is_let_through_from_anywhere() -> None:
    assert ask(OriginGuard(echo), headers={"Origin": "http://evil.example"}).status_code == 200


def test_a_body_within_its_limits_arrives_whole() -> None:
    content = bytes(range(256)) * 4
    assert ask(BodyGuard(echo, 1024, 5), "POST", content=content).content == content


def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_read() -> None:
    assert ask(BodyGuard(echo, 10, 5), "POST", content=b"x" * 11).status_code == 413


def test_a_chunked_body_is_counted_as_it_comes() -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 100
            yield b"x" * 100

    answer = ask(BodyGuard(echo, 1000, 5), "POST", content=endless())
    assert answer.status_code == 413
    assert sent <= 1200


def test_a_slow_body_is_refused_in_time() -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.Event().wait()

    assert ask(BodyGuard(echo, 1000, 0.05), "POST", content=slow()).status_code == 408


def test_a_bucket_fills_up_again_with_time() -> None:
    now = [0.0]
    buckets = Buckets(Rate(2, 0.5), lambda: now[0])
    assert [buckets.take("ada") for _ in range(3)] == [0, 0, 2]
    assert buckets.take("bob") == 0
    now[0] = 1
    assert buckets.take("ada") == 1
    now[0] = 2
    assert buckets.take("ada") == 0
    now[0] = 1000
    assert [buckets.take("ada") for _ in range(3)] == [0, 0, 2]


def test_only_so_many_buckets_are_kept() -> None:
    buckets = Buckets(Rate(1, 0.001), lambda: 0)
    assert buckets.take("first") == 0
    for number in range(MOST_BUCKETS):
        buckets.take(str(number))
    assert buckets.take("first") == 0  # it was forgotten


def test_one_request_too_many_is_told_when_to_come_again() -> None:
    app = SignInGuard(RateGuard(echo, Rate(1, 0.1), Rate(1, 0.1)), Access(), Buckets(Rate(1, 1)))

    async def go() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(inside(app)), base_url="http://localhost") as client:
            return [await client.get("/"), await client.get("/"), await client.post("/"), await client.post("/")]

    first, second, change, other = asyncio.run(go())
    assert [answer.status_code for answer in (first, second, change, other)] == [200, 429, 200, 429]
    assert 1 <= int(second.headers["Retry-After"]) <= 10


def test_a_token_says_who_it_is() -> None:
    access = Access({digest_of(TOKEN): ADA, digest_of("b" * 43): User("bob", admin=True)})
    app = SignInGuard(echo, access, Buckets(Rate(100, 1)))
    assert ask(app, headers={"Authorization": f"Bearer {TOKEN}"}).headers["user"] == "ada"
    assert ask(app, headers={"Authorization": f"bearer {'b' * 43}"}).headers["user"] == "bob"
    assert ask(app, headers={"Cookie": f"tune_mlp_8642={TOKEN}"}).headers["user"] == "ada"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer wrong", "Cookie": f"tune_mlp_8642={TOKEN}"},
        {"Authorization": f"Bearer {digest_of(TOKEN)}"},
        {"Cookie": f"other={TOKEN}"},
        {"Cookie": "tune_mlp_8642=ünknown".encode()},
    ],
)
def test_without_a_right_token_nothing_is_answered(headers: dict[str, str]) -> None:
    answer = ask(SignInGuard(echo, Access({digest_of(TOKEN): ADA}), Buckets(Rate(100, 1))), headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_wrong_tokens_are_counted_and_the_right_one_still_answers() -> None:
    app = SignInGuard(echo, Access({digest_of(TOKEN): ADA}), Buckets(Rate(2, 0.001)))
    wrong = {"Authorization": "Bearer wrong"}
    assert [ask(app, headers=wrong).status_code for _ in range(3)] == [401, 401, 429]
    assert ask(app, headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_a_page_without_a_user_leads_to_the_login_and_back() -> None:
    app = SignInGuard(echo, Access({digest_of(TOKEN): ADA}), Buckets(Rate(100, 1)))
    answer = ask(app, url="http://localhost/studies/a?sort=lr&x=/b")
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/login?next=%2Fstudies%2Fa%3Fsort%3Dlr%26x%3D%2Fb"
    assert [
        ask(app, url=f"http://localhost{path}").status_code for path in ("/login", "/static/a.css", "/api/health")
    ] == [200] * 3
    assert [
        ask(app, url=f"http://localhost{path}").status_code for path in ("/staticx", "/login/x", "/api/health/x")
    ] == [303, 303, 401]


def test_without_users_everybody_on_this_machine_is_its_admin() -> None:
    assert ask(SignInGuard(echo, Access(), Buckets(Rate(1, 1)))).headers["user"] == "local"
    assert Access().user_of(None) == replace(Access().user_of("anything"))


def test_every_response_tells_the_browser_what_the_page_may_do() -> None:
    headers = ask(ResponseHeaders(echo)).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Cache-Control"] == "no-store"


def test_a_response_may_bring_a_policy_that_lets_own_pages_frame_it() -> None:
    async def framed(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("", headers={"Content-Security-Policy": FRAMED})(scope, receive, send)

    headers = ask(ResponseHeaders(framed)).headers
    assert headers["Content-Security-Policy"] == FRAMED
    assert "X-Frame-Options" not in headers
