"""Builders of reports: runs without any training, and a browser that reads the page of one."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tests.insight.runs import right
from tests.results.journals import decided, drawn, ended, record, started, trained, winner, write
from tune_mlp.results.journal import Event
from tune_mlp.results.outcomes import OUTCOMES, Outcomes, to_line
from tune_mlp.results.results import Results

AXE = Path(__file__).parent / "assets" / "axe.min.js"
CHROMIUM = next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), None)
EVIL = "</script><img src=x onerror=alert(1)>"
"""What an attacker would write wherever a run has a text."""
STUDY = """\
name: made
description: {description}
data: {{name: mnist, normalize: standard, validation: 0.2, test: 0.2}}
space:
  lr: {{log: [0.001, 0.1]}}
  width: {{choice: [16, 32, 64]}}
  activation: {{choice: [relu, tanh]}}
trials: 30
epochs: 4
metric: val_accuracy
mode: max
search: {{random: {{}}}}
scheduler: {{asha: {{grace_period: 2, reduction_factor: 2.0}}}}
seed: 7
"""
SAMPLES = 500


def a_reported_run(
    folder: Path, trials: int = 30, epochs: int = 4, evil: bool = False, state: str = "finished"
) -> Results:
    """Write a run of all kinds of trials: the larger `lr`, the better; some were stopped, and one each diverged and failed."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    text = EVIL if evil else ""
    param = f"p.{EVIL}" if evil else "extra"
    events: list[Event] = [started(study_name="made", epochs=epochs, seed=7)]
    lines = []
    for number in range(trials):
        lr = float(10 ** random.uniform(-3, -1))
        params: dict[str, Any] = {
            "lr": lr,
            "width": int(random.choice([16, 32, 64])),
            "activation": str(random.choice(["relu", "tanh"])),
        }
        events.append(drawn(number, {**params, param: text or number % 3}))
        if number == trials - 1:
            events.append(ended(number, "failed", error=f"ValueError: {text or 'it broke'}"))
            continue
        score = 0.7 + 0.1 * (np.log10(lr) + 3) / 2 + 0.02 * float(random.normal())
        last = 2 if number % 3 == 2 and number != trials - 2 else epochs
        for epoch in range(1, last + 1):
            count = int(SAMPLES * min(0.99, score - 0.1 / epoch))
            loss = float("nan") if number == trials - 2 and epoch == last else 1.0 / epoch
            events.append(trained(number, record(epoch, 1 / epoch, count / SAMPLES, loss, count / SAMPLES)))
        if number == trials - 2:
            events.append(ended(number, "diverged"))
        else:
            if last < epochs:
                events.append(decided(number, last, value=count / SAMPLES, cutoff=0.8, competed=number + 1))
            events.append(
                ended(number, "finished" if last == epochs else "stopped", reason="" if last == epochs else "scheduler")
            )
            lines.append(to_line(number, Outcomes(last, right(count, SAMPLES, first=7 * number))))
    write(folder / "journal.jsonl", events)
    best = int(Results.load(folder).best["trial"])  # type: ignore[index]
    (folder / "journal.jsonl").unlink()
    write(folder / "journal.jsonl", [*events, winner(best, {"test_loss": 0.5, "test_accuracy": 0.75})])
    (folder / OUTCOMES).write_bytes(b"".join(lines))
    (folder / "study.yaml").write_text(STUDY.format(description=json.dumps(f"A made run {text}")), encoding="utf-8")
    (folder / "run.json").write_text(json.dumps(a_manifest(state, text)), encoding="utf-8")
    return Results.load(folder)


def a_manifest(state: str = "finished", text: str = "") -> dict[str, Any]:
    return {
        "state": state,
        "name": "made",
        "study": "made",
        "study_sha256": ["0" * 64],
        "started": "2026-01-01T12:00:00+0000",
        "seconds": 75.5,
        "command": ["tune-mlp", "search", "--space", f"made{text}"],
        "seed": 7,
        "repeatable": {"draws": True, "why": ""},
        "dataset": {
            "name": "mnist",
            "stand_in_for": "",
            "fingerprint": "f" * 32,
            "samples": 2500,
            "test_samples": 1000,
            "features": 784,
            "classes": [f"{n}{text}" for n in range(10)],
            "notes": [text] if text else [],
        },
        "engine": {"name": "compiled", "why": "the fastest"},
        "resources": {"cpu": 1.0, "gpu": 0.0, "concurrent": 2, "nodes": [{"CPU": 2.0}]},
        "machine": {"host": "vm", "system": "Linux", "processor": f"AMD {text}", "cores": 2},
        "versions": {"tune_mlp": "0.1.0", "python": "3.11.7"},
        "phases": {"trials": 60.5},
    }


class Reader:
    """A page in Chromium, with what it said and asked for."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.said: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda message: self.say(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.say(f"error: {error}"))
        page.on("dialog", self.dismiss)
        page.on("request", lambda request: self.asked.append(request.url))

    def say(self, line: str) -> None:
        self.said.append(line)

    def dismiss(self, dialog: Any) -> None:
        self.say(f"dialog: {dialog.message}")
        dialog.dismiss()

    def open(self, path: Path) -> Any:
        """Open a page, and wait until all of its charts are drawn."""
        self.said.clear()
        self.asked.clear()
        self.page.goto(path.absolute().as_uri())
        self.page.wait_for_selector("html[data-drawn=all]")
        return self.page

    def faults(self, path: Path) -> list[str]:
        """Return what a page mustn't do: messages on the console, and requests for anything but itself."""
        return [*self.said, *(url for url in self.asked if url != path.absolute().as_uri())]

    def hindrances(self) -> list[Any]:
        """Return what axe-core finds to be serious for people who can't see or can't use a mouse."""
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found = self.page.evaluate(
            "axe.run().then((found) => found.violations.map((one) => [one.impact, one.id, one.nodes[0].html]))"
        )
        return [one for one in found if one[0] in ("serious", "critical")]


@contextmanager
def chromium() -> Iterator[Reader]:
    """Start Chromium with a new page."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield Reader(browser.new_page(viewport={"width": 1280, "height": 900}))
        finally:
            browser.close()


def spans(page: str) -> list[tuple[str, str, str]]:
    """Return the key, the trials and the text of each number in a page's text."""
    import html

    found = re.findall(
        r'<span class="(?:number|said)" data-key="([^"]*)" data-trials="([^"]*)">(.*?)</span>', page, re.DOTALL
    )
    return [(html.unescape(key), html.unescape(trials), html.unescape(text)) for key, trials, text in found]
