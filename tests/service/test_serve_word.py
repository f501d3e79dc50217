"""The word `serve`: one line with the address, a clean end, and one line for whatever is wrong."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.service.apps import client_of, opened, submitted
from tests.service.servers import serving
from tests.service.services import drivers, end_drivers, eventually, text
from tune_mlp.cli import main
from tune_mlp.service import web_server
from tune_mlp.service.access import load_access
from tune_mlp.service.app_options import AppOptions


@contextmanager
def served(*words: str, cwd: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the word in a process of its own, and yield the process and the address that it printed."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "tune_mlp", "serve", "--port", "0", *words],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        line = next(line for line in process.stdout if "http://" in line)
        found = re.fullmatch(r"serving \S+ at (http://\S+)/\n", line)
        assert found, line
        yield process, found[1]
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(20)
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()


def ends_cleanly(process: subprocess.Popen[str], number: int) -> None:
    process.send_signal(number)
    assert process.wait(20) == 0
    assert process.stderr
    assert process.stderr.read() == ""


def test_it_prints_its_address_answers_and_ends_cleanly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with served(cwd=tmp_path) as (process, url):
        assert httpx.get(f"{url}/api/health").json()["status"] == "ok"
        assert (tmp_path / "runs" / ".service").stat().st_mode & 0o777 == 0o700
        assert "another service" in refused(capsys, "--root", str(tmp_path / "runs"), "--port", "0", status=None)
        ends_cleanly(process, signal.SIGINT)


def refused(capsys: pytest.CaptureFixture[str], *words: str, status: int | None = 2) -> str:
    found = main(["serve", *words])
    assert found == status if status else found > 0
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1, error
    return error


def test_a_port_in_use_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert f"--port {port}" in refused(capsys, "--root", str(tmp_path), "--port", port)


def test_a_root_or_a_data_folder_that_can_t_be_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert "--root" in refused(capsys, "--root", str(tmp_path / "file"))
    assert "--root" in refused(capsys, "--root", "/proc/runs")
    assert "--data-dir" in refused(capsys, "--root", str(tmp_path), "--data-dir", str(tmp_path / "absent"))
    assert "--host" in refused(
        capsys, "--root", str(tmp_path), "--host", "no such host", "--token-file", str(tmp_path / "t")
    )
    assert "--admin" in refused(capsys, "--root", str(tmp_path), "--admin")


def test_a_missing_package_names_the_extra(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [*sys.modules]:
        if name.partition(".")[0] == "uvicorn" or name == "tune_mlp.service.web_server":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert "tune-mlp[service]" in refused(capsys, "--root", str(tmp_path))


def test_another_address_than_loopback_has_a_token(tmp_path: Path) -> None:
    with served("--host", "0.0.0.0", "--allow-host", "tune.example.org", cwd=tmp_path) as (process, url):
        port = url.rpartition(":")[2]
        here = f"http://127.0.0.1:{port}"
        token = (tmp_path / "runs" / ".service" / "token").read_text().strip()
        assert (tmp_path / "runs" / ".service" / "token").stat().st_mode & 0o777 == 0o600
        assert httpx.get(f"{here}/api/me").status_code == 401
        bearer = {"Authorization": f"Bearer {token}"}
        assert httpx.get(f"{here}/api/me", headers=bearer).json() == {"name": "admin", "admin": True}
        named = {**bearer, "Host": f"tune.example.org:{port}"}
        assert httpx.get(f"{here}/api/me", headers=named).status_code == 200
        assert httpx.get(f"{here}/api/me", headers={**bearer, "Host": "evil.example"}).status_code == 403
        ends_cleanly(process, signal.SIGTERM)


def test_users_are_added_and_removed_by_the_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = str(tmp_path)
    assert main(["serve", "--root", root, "--add-user", "ada", "--admin"]) == 0
    token = capsys.readouterr().out.strip()
    users = tmp_path / ".service" / "users"
    user = load_access(None, users).user_of(token)
    assert user is not None
    assert (user.name, user.admin) == ("ada", True)
    assert "already" in refused(capsys, "--root", root, "--add-user", "ada")
    users.chmod(0o644)
    assert "chmod 600" in refused(capsys, "--root", root, "--add-user", "bob")
    users.chmod(0o600)
    assert main(["serve", "--root", root, "--remove-user", "ada"]) == 0
    assert load_access(None, users).user_of(token) is None


def test_a_head_that_never_ends_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_server, "HEAD_SECONDS", 0.3)
    with opened(tmp_path) as (app, _), serving(app) as url:
        address = ("127.0.0.1", int(url.rpartition(":")[2]))
        with socket.create_connection(address) as silent, socket.create_connection(address) as slow:
            slow.sendall(b"GET /api/health HTTP/1.1\r\nHost: localhost\r\nX: ")
            for connection in (silent, slow):
                connection.settimeout(10)
                assert connection.recv(1000) == b""
        with httpx.Client(base_url=url) as client:  # who keeps a connection and asks again isn't cut
            assert client.get("/api/health").status_code == 200
            time.sleep(0.5)
            assert client.get("/api/health").status_code == 200


def test_an_address_is_written_as_a_browser_takes_it() -> None:
    with web_server.listen("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        assert web_server.url_of(listening, AppOptions()) == f"http://127.0.0.1:{port}/"
        assert web_server.url_of(listening, AppOptions(host="::1")) == f"http://[::1]:{port}/"


def test_drivers_go_on_when_the_service_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUICK_SECONDS", "30")
    monkeypatch.setattr("tests.service.services.end_drivers", lambda root: None)
    try:
        with client_of(tmp_path) as client:
            submitted(client, {"study": text(trials=100), "name": "long"})
            eventually(lambda: drivers(tmp_path))
        (pid,) = drivers(tmp_path)
        os.kill(pid, 0)
    finally:
        end_drivers(tmp_path)
