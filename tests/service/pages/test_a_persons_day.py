"""A person's day with the service, in Chromium: studies are begun, watched, stopped, extended, compared and used, over a restart."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pandas as pd
import pytest

from tests.report.pages import CHROMIUM
from tests.service import services
from tests.service.pages.browsing import Surfer, surfing
from tests.service.pages.strokes import draw

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium isn't installed")
OF_THE_LOSS = re.compile(r"net::ERR_(CONNECTION|SOCKET_NOT_CONNECTED|EMPTY|INCOMPLETE)|\[object Event\]|: htmx:\w+, ")
"""What the browser and htmx say while a service can't be reached."""


class Served:
    """The command `tune-mlp serve`, which can be killed and started again at the same address."""

    def __init__(self, root: Path) -> None:
        self.root = root
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        words = [sys.executable, "-m", "tune_mlp", "serve", "--root", str(self.root), "--port", str(self.port)]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.url in self.process.stdout.readline()

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.communicate()

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, timeout=60)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path / "runs")
    made.start()
    try:
        yield made
    finally:
        made.kill()
        for pid in services.drivers(made.root):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGTERM)
        end = time.monotonic() + 60
        while services.drivers(made.root) and time.monotonic() < end:
            time.sleep(0.2)
        services.end_drivers(made.root)


@pytest.fixture
def surfer() -> Iterator[Surfer]:
    with surfing() as surfer:
        yield surfer


def begin(surfer: Surfer, url: str, name: str, changes: dict[str, str]) -> None:
    """Begin the shipped study `digits_quick` by the form, by keyboard alone."""
    page = surfer.page
    page.goto(url + "/new?space=digits_quick")
    for setting, value in changes.items():
        page.locator(f"[id='set-{setting}']").focus()
        page.keyboard.press("Control+a")
        page.keyboard.type(value)
        page.keyboard.press("Tab")
        surfer.until(f"document.getElementById('text').value.includes('\\n{setting}: {value}\\n')")
    surfer.until("document.getElementById('forecast')?.dataset.checked")
    page.locator("#name").focus()
    page.keyboard.type(name)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/studies/{name}")


def ended(surfer: Surfer) -> int:
    return int(surfer.page.locator("#head").get_attribute("data-ended") or 0)


def wait_for_state(surfer: Surfer, *states: str) -> None:
    surfer.until(f"{list(states)!r}.includes(document.getElementById('head')?.dataset.state)", 150)


def wait_for_curves(surfer: Surfer) -> None:
    surfer.until("Number(document.getElementById('curves')?.dataset.points || 0) > 0", 150)


def wait_for_more_trials(surfer: Surfer, than: int) -> None:
    surfer.until(f"Number(document.getElementById('head')?.dataset.ended) > {than}", 150)


def press(surfer: Surfer, button: str) -> None:
    """Press a button by its key."""
    surfer.page.locator(button).focus()
    surfer.page.keyboard.press("Enter")


def shown_table(surfer: Surfer) -> pd.DataFrame:
    """Return the table as a reader sees it."""
    cells = surfer.page.evaluate(
        "[...document.querySelectorAll('#trials tr')].map((row) => [...row.children].map((cell) => cell.innerText.replace(/[▴▾]/, '').trim()))"
    )
    return pd.DataFrame(cells[1:], columns=cells[0])


@pytest.mark.timeout(600)
def test_a_persons_day(served: Served, surfer: Surfer) -> None:
    page = surfer.page
    page.goto(served.url)
    assert "no study yet" in page.locator("#studies").inner_text()

    # Two studies are begun by the form; the second is long enough to be stopped.
    begin(surfer, served.url, "long", {"trials": "4000", "concurrent": "1"})
    begin(surfer, served.url, "short", {})
    assert surfer.serious() == []

    # Curves arrive by themselves, without the page being loaded again.
    page.evaluate("window.mark = 'the same page'")
    wait_for_curves(surfer)
    wait_for_state(surfer, "finished")
    surfer.until("document.documentElement.dataset.live === 'ended'")
    surfer.until("document.querySelectorAll('#trials tbody tr').length === 12")
    assert page.evaluate("window.mark") == "the same page"
    best = page.locator("#best").inner_text().split()[0]
    assert best == f"{served.get('/api/studies/short').json()['best']['value']:.4f}"

    # The service is killed while the long study runs. It is found again, and the open page goes on by itself.
    page.goto(served.url + "/studies/long")
    wait_for_curves(surfer)
    page.evaluate("window.mark = 'the same page'")
    served.kill()
    before = ended(surfer)
    served.start()
    wait_for_more_trials(surfer, before)
    assert page.evaluate("window.mark") == "the same page"
    assert [line for line in surfer.said if not OF_THE_LOSS.search(line)] == []
    surfer.said.clear()

    # It is stopped, and extended.
    press(surfer, "#do-stop")
    wait_for_state(surfer, "stopped")
    surfer.until("document.getElementById('show-extend') !== null")
    kept = ended(surfer)
    assert kept > 0
    page.locator("#show-extend").focus()
    page.keyboard.press("Enter")
    page.locator("#extend-trials").fill("3")
    press(surfer, "#do-extend")
    wait_for_state(surfer, "queued", "running")
    wait_for_more_trials(surfer, kept)
    assert served.get("/api/studies/long").json()["trials"] == 4003
    press(surfer, "#do-stop")

    # The table is sorted and filtered, and the CSV is what is shown.
    page.goto(served.url + "/studies/short")
    press(surfer, "#trials th a:text-is('lr')")
    page.wait_for_selector("#trials th[aria-sort=descending]")
    page.locator("#filter").fill("epochs>=2 and activation!=tanh")
    page.wait_for_url("**filter=**")
    surfer.until("document.querySelectorAll('#trials tbody tr').length < 12")
    shown = shown_table(surfer)
    with page.expect_download() as download:
        page.locator("#csv").click()
    table = pd.read_csv(io.StringIO(Path(download.value.path()).read_text(encoding="utf-8")))
    assert list(table.columns) == list(shown.columns)
    assert 0 < len(table) < 12
    assert table["trial"].tolist() == shown["trial"].astype(int).tolist()
    assert table["lr"].is_monotonic_decreasing
    for name in ("lr", "best_val_accuracy"):
        assert [f"{value:.5g}" for value in table[name]] == shown[name].tolist()
    assert table["activation"].tolist() == shown["activation"].tolist()
    assert surfer.serious() == []
    assert not surfer.scrolls_sideways()

    # The best model reads a drawn digit.
    page.goto(served.url + "/studies/short/try")
    page.wait_for_selector("html[data-model=loaded]")
    draw(page, "0")
    surfer.until("document.getElementById('answer')?.textContent !== '?'")
    page.wait_for_timeout(500)
    assert page.locator("#answer").inner_text() == "0"
    assert page.locator("#answers .first span").first.inner_text() == "0"
    painted = "document.getElementById('gradient').getContext('2d').getImageData(0, 0, 8, 8).data.some((value, i) => i % 4 !== 3 && value > 100)"
    assert page.evaluate(painted)
    assert surfer.serious() == []
    assert not surfer.scrolls_sideways()

    # Both studies are compared.
    page.goto(served.url + "/compare?study=short&study=long")
    page.wait_for_selector("#course[data-lines='2']")
    text = page.locator("main").inner_text()
    assert "4003" in text.replace(",", "")
    assert surfer.serious() == []

    # In the list both have their ends.
    page.goto(served.url)
    page.wait_for_selector("#study-long .state.stopped")
    assert page.locator("#study-short .state.finished").count() == 1
    assert best in page.locator("#study-short").inner_text()
    assert surfer.serious() == []
    assert surfer.faults == []
