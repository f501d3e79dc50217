"""Attacks over HTTP: each is answered with 4xx in one line, and nothing is written outside the root or run."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest

from tests.report.pages import EVIL, a_reported_run
from tests.service.apps import client_of
from tests.service.servers import UNLIMITED
from tests.service.services import text
from tune_mlp.service.app_options import AppOptions

SECRET = "the secret of this machine"
SMALL = AppOptions(reads=UNLIMITED, changes=UNLIMITED, failures=UNLIMITED, most_body_bytes=300_000, body_seconds=0.5)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a root of runs, a data folder, and a secret outside of both."""
    folder = tmp_path_factory.mktemp("place")
    a_reported_run(folder / "root" / "made", trials=10)
    (folder / "data").mkdir()
    (folder / "secret").mkdir()
    (folder / "secret" / "study.yaml").write_text(f"name: {SECRET}\n")
    (folder / "secret" / "secret.csv").write_text(f"a,b\n1,{SECRET}\n" * 50)
    a_reported_run(folder / "secret" / "run", trials=3)
    (folder / "root" / "linked").symlink_to(folder / "secret" / "run")
    (folder / "data" / "linked.csv").symlink_to(folder / "secret" / "secret.csv")
    run = folder / "root" / "made"
    (run / "report.html").symlink_to(folder / "secret" / "study.yaml")
    (run / "best").mkdir()
    (run / "best" / "model.pt").symlink_to(folder / "secret" / "study.yaml")
    return folder


@pytest.fixture(scope="module")
def client(place: Path) -> Iterator[httpx.Client]:
    with client_of(place / "root", web=SMALL, data_dir=place / "data", concurrent_studies=1) as asked:
        yield asked


@pytest.fixture(autouse=True)
def _nothing_is_written_outside(place: Path) -> Iterator[None]:
    before = outside(place)
    yield
    assert outside(place) == before


def outside(place: Path) -> list[tuple[str, int, int]]:
    """Return the files of a place that aren't the service's or a run's, with their sizes and times."""
    found = [path for path in place.rglob("*") if ".service" not in path.parts]
    return sorted((str(path), path.lstat().st_size, path.lstat().st_mtime_ns) for path in found if not path.is_dir())


def send_raw(client: httpx.Client, target: str, method: str = "GET", head: str = "", body: bytes = b"") -> bytes:
    """Send a request whose target no client library mends, and return all of the answer."""
    url = urlsplit(str(client.base_url))
    assert url.hostname
    with socket.create_connection((url.hostname, url.port), timeout=10) as connection:
        connection.sendall(
            f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{head}\r\n".encode() + body
        )
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer


NAMES = [
    "..",
    "../secret",
    "..%2fsecret%2frun",
    "%2e%2e",
    "%2e%2e%2fsecret%2frun",
    "..%5csecret",
    "%252e%252e%252fsecret",
    "....//secret",
    "made%00",
    "made%00.csv",
    "made%2f..%2f..%2fsecret%2frun",
    "made/../../secret/run",
    "%2fetc%2fpasswd",
    "linked",
    ".service",
    ".trash",
    "a" * 300,
    "%c0%ae%c0%ae",
    "made%0a",
    "-made",
    "m%C3%A4de",
    "~root",
    "*",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "rest", ["", "/study", "/trials", "/trials.csv", "/report", "/best/model.pt", "/events", "/log"]
)
def test_no_name_leads_out_of_the_root(client: httpx.Client, name: str, rest: str) -> None:
    answer = send_raw(client, f"/api/studies/{name}{rest}")
    assert answer.split()[1].startswith(b"4"), answer[:300]
    assert SECRET.encode() not in answer
    assert b"root:" not in answer


@pytest.mark.parametrize("name", NAMES)
def test_no_change_reaches_out_of_the_root(client: httpx.Client, name: str) -> None:
    for method, word in (("POST", "/stop"), ("POST", "/resume"), ("POST", "/restore"), ("DELETE", "")):
        answer = send_raw(client, f"/api/studies/{name}{word}", method, "Content-Length: 0\r\n")
        assert answer.split()[1].startswith(b"4"), answer[:300]


@pytest.mark.parametrize(
    "name", ["..", "../x", "a/b", ".hidden", "a\x00b", "a" * 65, "", "a\n", "ä", "C:\\x", "linked"]
)
def test_no_study_is_submitted_under_a_name_that_leads_elsewhere(client: httpx.Client, name: str) -> None:
    answer = client.post("/api/studies", json={"study": text(), "name": name})
    assert answer.status_code in (409, 422), answer.text


def test_links_out_of_a_run_s_folder_are_not_followed(client: httpx.Client) -> None:
    assert client.get("/api/studies/made/best/model.pt").status_code == 404
    report = client.get("/api/studies/made/report")
    assert report.status_code == 200  # drawn anew, in place of what the link leads to
    assert SECRET not in report.text


def test_static_files_lead_to_no_other_file(client: httpx.Client) -> None:
    for path in (
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/messages.py",
        "/static//etc/passwd",
        "/static/%00",
    ):
        answer = send_raw(client, path)
        assert answer.split()[1].startswith(b"4"), answer[:300]


CODE = 'name: x\ndata: {{name: "{}"}}\nspace: {{lr: {{log: [0.001, 0.1]}}}}\ntrials: 1\nepochs: 1\n'


@pytest.mark.parametrize(
    "data",
    [
        "os:getcwd",
        "tests.service.canary:data",
        "package.module:function",
        "csv:/etc/passwd",
        "csv:../secret/secret.csv",
        "csv:linked.csv",
        "csv:data/../../secret/secret.csv",
        "csv:~/secret.csv",
        "csv:file:///etc/passwd",
        "csv:http://169.254.169.254/latest/meta-data",
        "csv:s3://bucket/table.csv",
        "parquet:/etc/passwd",
        "csv:/dev/zero",
    ],
)
@pytest.mark.parametrize("path", ["/api/studies", "/api/studies/validate"])
def test_no_study_names_code_or_a_file_outside_the_data_folder(client: httpx.Client, path: str, data: str) -> None:
    answer = client.post(path, json={"study": CODE.format(data)})
    assert answer.status_code == 422, answer.text
    assert SECRET not in answer.text
    assert "root:" not in answer.text
    changed = client.post(path, json={"study": "digits_quick", "changes": [f"data.name={data}"]})
    assert changed.status_code == 422, changed.text


@pytest.mark.parametrize(
    "change", ["out=/tmp/elsewhere", "--out=/tmp/elsewhere", "name=../../x", "csv=/tmp/x.csv", "data.data_dir=/etc"]
)
def test_no_study_is_written_elsewhere(client: httpx.Client, change: str) -> None:
    answer = client.post("/api/studies", json={"study": "digits_quick", "changes": [change]})
    assert answer.status_code == 422, answer.text
    assert client.post("/api/studies", json={"study": text(), "out": "/tmp"}).status_code == 422


BOMB = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 8)}]\n" for n in range(12)
)


@pytest.mark.parametrize(
    "study",
    [
        BOMB,
        "!!python/object/apply:os.system ['true']",
        "data: !!python/name:os.system\n",
        "[" * 10_000,
        "a:\n" + "".join(f"{' ' * n}a:\n" for n in range(1, 400)),
        "{" * 5000 + "}" * 5000,
        "trials: " + "9" * 5000,
        "name: \x00",
        "- " * 10_000,
        "/etc/passwd",
        "../secret/study.yaml",
        "",
        " ",
        "%TAG ! tag:evil,2000:",
        "<<: {trials: 1}",
        'description: "\\ud800"',
        'description: "\\U00110000"',
    ],
)
def test_no_yaml_runs_code_or_grows(client: httpx.Client, study: str) -> None:
    answer = client.post("/api/studies/validate", json={"study": study})
    assert answer.status_code == 422, answer.text[:300]
    assert "\n" not in answer.json()["error"]
    assert SECRET not in answer.text


@pytest.mark.parametrize(
    "condition",
    [
        "__import__('os').system('true')",
        "@pd",
        "lr.__class__ == 1",
        "lr<0.1; import os",
        "`lr`<1",
        "lr<(1)",
        "a\x00<1",
        "lr < 1 and " * 50,
    ],
)
def test_a_filter_runs_no_code(client: httpx.Client, condition: str) -> None:
    for table in ("trials", "trials.csv", "epochs"):
        answer = client.get(f"/api/studies/made/{table}", params={"filter": condition})
        assert answer.status_code == 422, answer.text[:300]


def test_text_that_looks_like_markup_comes_back_as_data(client: httpx.Client) -> None:
    for path in (f"/api/studies/{quote(EVIL, safe='')}", "/api/studies/validate"):
        method, body = ("GET", None) if "validate" not in path else ("POST", {"study": f"name: {EVIL!r}\n"})
        answer = client.request(method, path, json=body)
        assert 400 <= answer.status_code < 500
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_another_site_s_page_changes_nothing(client: httpx.Client, headers: dict[str, str]) -> None:
    before = client.get("/api/studies").json()["total"]
    answer = client.post("/api/studies", json={"study": text(trials=1), "name": "forged"}, headers=headers)
    assert answer.status_code == 403
    for simple in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        sent = client.post("/api/studies", content=b'{"study": "digits_quick"}', headers={"Content-Type": simple})
        assert 400 <= sent.status_code < 500
    assert client.get("/api/studies").json()["total"] == before


def test_no_other_site_is_let_in_by_a_header(client: httpx.Client) -> None:
    answer = client.get("/api/studies", headers={"Origin": "http://evil.example"})
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert (
        client.options(
            "/api/studies", headers={"Origin": "http://evil.example", "Access-Control-Request-Method": "DELETE"}
        ).status_code
        == 405
    )


def test_large_bodies_are_refused_whatever_they_say_of_themselves(client: httpx.Client) -> None:
    assert client.post("/api/studies", json={"study": "x" * 400_000}).status_code == 413

    def chunks() -> Iterator[bytes]:
        for _ in range(40):
            yield b"x" * 10_000

    assert (
        client.post("/api/studies", content=chunks(), headers={"Content-Type": "application/json"}).status_code == 413
    )
    assert client.post("/api/studies", json={"study": "x" * 256_001}).status_code == 422
    assert client.post("/api/studies", json={"study": {"a": ["x"] * 10_000}}).status_code == 422


def test_a_slow_body_is_given_up(client: httpx.Client) -> None:
    head = "Content-Type: application/json\r\nContent-Length: 100\r\n"
    answer = send_raw(client, "/api/studies", "POST", head, b"{")
    assert answer.split()[1] == b"408"


@pytest.mark.parametrize(
    "head",
    [
        "X: " + "x" * 100_000 + "\r\n",
        "".join(f"X{n}: y\r\n" for n in range(20_000)),
        "X : y\r\n",
        "X\x00: y\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        f"Content-Length: {'9' * 5000}\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Host: localhost\r\n",
    ],
)
def test_strange_heads_are_refused(client: httpx.Client, head: str) -> None:
    try:
        answer = send_raw(client, "/api/health", head=head)
    except (ConnectionResetError, BrokenPipeError):
        return  # it was closed before all of it was sent
    check_refusal(answer)


@pytest.mark.parametrize(
    "chunks", [b"-2\r\n{}\r\n", b"0x2\r\n{}\r\n", b"zz\r\n", b"2\r\n{}xx0\r\n", b"", b"2\r\n{}\r\n0\r\nX : y\r\n\r\n"]
)
def test_damaged_chunks_are_refused(client: httpx.Client, chunks: bytes) -> None:
    head = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
    check_refusal(send_raw(client, "/api/studies/validate", "POST", head, chunks))


def check_refusal(answer: bytes) -> None:
    """Check that an answer is one fault with the headers of every other answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split()[1].startswith(b"4"), answer[:200]
    assert b"content-type: application/json" in head.lower()
    assert b"content-security-policy" in head.lower()
    assert json.loads(body).keys() == {"error", "line", "path"}


def test_a_deep_or_damaged_json_body_is_refused(client: httpx.Client) -> None:
    json_type = {"Content-Type": "application/json"}
    for body in (
        b"[" * 100_000,
        b"\xff\xfe",
        b'{"study": "\xff"}',
        b"",
        b"null",
        b'{"study": NaN}',
        b'{"study": "a", "study": 1e999}',
        b'{"study": ' + b'{"a":' * 500 + b"1" + b"}" * 501,
        b'{"study": {"\\ud800": 1}}',
        b'{"study": {"description": "\\ud800"}}',
        b'{"study": {"space": {"activation": {"choice": ["\\ud800"]}}}}',
    ):
        for path in ("/api/studies", "/api/studies/validate"):
            answer = client.post(path, content=body, headers=json_type)
            assert 400 <= answer.status_code < 500, body[:20]
            assert "\n" not in answer.json()["error"]


def test_a_study_may_not_say_what_the_pages_say(client: httpx.Client) -> None:
    policies = {
        path: client.get(path).headers["Content-Security-Policy"]
        for path in ("/docs", "/api/health", "/api/studies/made/report")
    }
    assert "unsafe" not in policies["/docs"]
    assert "unsafe" not in policies["/api/health"]
    assert policies["/api/studies/made/report"].startswith("sandbox allow-scripts")
    assert "allow-same-origin" not in policies["/api/studies/made/report"]


def test_environment_and_files_of_the_service_stay_where_they_are(client: httpx.Client, place: Path) -> None:
    found: Any = sorted(name for name in os.listdir(place / "root") if not name.startswith("."))
    assert found == ["linked", "made"]
