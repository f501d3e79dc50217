"""`tune-mlp serve --open` opens the first page in the reader's browser, once requests are answered; without it nothing is opened."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.service.services import eventually
from tests.service.test_serve_word import ends_cleanly, served

BROWSER = """\
#!{python}
import sys, urllib.request
with urllib.request.urlopen(sys.argv[1]) as answer:
    page = answer.read().decode()
with open({opened!r}, "a") as file:
    file.write(f"{{sys.argv[1]}} {{'no study yet' in page}}\\n")
"""
"""A browser that loads the page that it is given, and writes down which it was."""


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a browser the reader's own, and return the file in which it writes what it opened."""
    browser, opened = tmp_path / "browser", tmp_path / "opened"
    browser.write_text(BROWSER.format(python=sys.executable, opened=str(opened)))
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    return opened


def test_open_opens_the_first_page_once_it_answers(tmp_path: Path, opened: Path) -> None:
    with served("--open", cwd=tmp_path) as (process, url):
        eventually(lambda: opened.exists() and opened.read_text().endswith("\n"))
        assert opened.read_text() == f"{url}/ True\n"
        ends_cleanly(process, signal.SIGINT)


def test_without_open_no_browser_is_begun(tmp_path: Path, opened: Path) -> None:
    with served(cwd=tmp_path) as (process, _):
        ends_cleanly(process, signal.SIGINT)
    assert not opened.exists()


def test_a_machine_without_a_browser_serves_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROWSER", str(tmp_path / "none"))
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    with served("--open", cwd=tmp_path) as (process, _):
        ends_cleanly(process, signal.SIGTERM)
