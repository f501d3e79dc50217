"""Takes the pictures of docs/report.md with Chromium: `docs/report_pictures.py [RUN]`; without RUN the main job is run first.

`docs/report_pictures.py REPRODUCED` takes those of the published studies from the folder that `tune-mlp reproduce all --quick` left.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal, NamedTuple

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from tests.report.pages import CHROMIUM

HERE = Path(__file__).parent
PUBLISHED = {
    "cs587_digits": "grid",
    "earin_mnist_asha": "search",
    "hw1_mnist_cnn": "augmentation",
    "hw1_mnist_fc": "inits",
    "hw1_regression": "grid",
    "padova_mnist_random": "search",
    "ucsd_mnist": "ablations",
}
"""The experiment of each published study whose report is shown."""


class Shot(NamedTuple):
    """A picture of a report: how wide the window is, in which colours, and which part of the page is at its top."""

    width: int
    height: int
    scheme: Literal["light", "dark"]
    place: str


MAIN_JOB = {
    "light": Shot(1280, 1000, "light", "answer"),
    "dark": Shot(1280, 1000, "dark", "figure-learning_curves"),
    "phone": Shot(360, 1000, "light", "figure-importance"),
}


def main(arguments: list[str]) -> int:
    """Save docs/report_light.png, report_dark.png and report_phone.png, or docs/report_STUDY.png of each published study."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        if arguments and (Path(arguments[0]) / "reproduced.csv").exists():
            for place, (study, experiment) in enumerate(PUBLISHED.items()):
                page = _report(f"{arguments[0]}/{study}-{experiment}", folder)
                shot = Shot(1000, 760, "dark" if place % 2 else "light", "answer")
                _take(browser, page, shot, HERE / f"report_{study}.png")
        else:
            run = arguments[0] if arguments else _main_job(folder)
            page = _report(run, folder)
            for name, shot in MAIN_JOB.items():
                _take(browser, page, shot, HERE / f"report_{name}.png")
        browser.close()
    return 0


def _main_job(folder: str) -> str:
    command = ["search", "--space", "mnist_asha", "--out", folder, "--name", "mnist_asha", "--quiet"]
    subprocess.run([sys.executable, "-m", "tune_mlp", *command], check=True)
    return f"{folder}/mnist_asha"


def _report(run: str, folder: str) -> Path:
    page = Path(folder) / "report.html"
    subprocess.run([sys.executable, "-m", "tune_mlp", "report", run, "--output", str(page)], check=True)
    return page


def _take(browser: Browser, report: Path, shot: Shot, picture: Path) -> None:
    """Save a picture of the page with this place at its top; of the answer, with the page's head."""
    context = browser.new_context(viewport={"width": shot.width, "height": shot.height}, color_scheme=shot.scheme)
    page = context.new_page()
    page.goto(report.as_uri())
    page.wait_for_selector("html[data-drawn=all]")
    if shot.place != "answer":
        page.locator(f"#{shot.place}").evaluate("element => element.scrollIntoView({behavior: 'instant'})")
        page.wait_for_timeout(200)
    page.screenshot(path=picture)
    context.close()
    with Image.open(picture) as image:  # a third of the size, with the same look
        image.convert("RGB").quantize(128).save(picture, optimize=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
