"""Takes the pictures of docs/report.md with Chromium: `docs/report_pictures.py [RUN]`; without RUN the main job is run first."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.report.pages import CHROMIUM

HERE = Path(__file__).parent


def main(arguments: list[str]) -> int:
    """Save docs/report_light.png, report_dark.png and report_phone.png."""
    with tempfile.TemporaryDirectory() as folder:
        run = arguments[0] if arguments else f"{folder}/mnist_asha"
        if not arguments:
            command = ["search", "--space", "mnist_asha", "--out", folder, "--name", "mnist_asha", "--quiet"]
            subprocess.run([sys.executable, "-m", "tune_mlp", *command], check=True)
        page = Path(folder) / "report.html"
        subprocess.run([sys.executable, "-m", "tune_mlp", "report", run, "--output", str(page)], check=True)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            for name, width, height, scheme, place in (
                ("light", 1280, 1000, "light", "answer"),
                ("dark", 1280, 1000, "dark", "figure-learning_curves"),
                ("phone", 360, 1000, "light", "figure-importance"),
            ):
                context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
                _take(context.new_page(), page, place, HERE / f"report_{name}.png")
            browser.close()
    return 0


def _take(page: Page, report: Path, place: str, picture: Path) -> None:
    """Save a picture of the page with this place at its top; of the answer, with the page's head."""
    page.goto(report.as_uri())
    page.wait_for_selector("html[data-drawn=all]")
    if place != "answer":
        page.locator(f"#{place}").evaluate("element => element.scrollIntoView({behavior: 'instant'})")
        page.wait_for_timeout(200)
    page.screenshot(path=picture)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
