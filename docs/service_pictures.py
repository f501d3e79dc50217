"""Takes the pictures of docs/service.md with Chromium: `docs/service_pictures.py [ROOT]`; without ROOT two small studies are run first."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal, NamedTuple

from playwright.sync_api import Page, sync_playwright

from tests.report.pages import CHROMIUM
from tests.service import services
from tests.service.pages.strokes import DIGITS
from tests.service.servers import FREELY, serving
from tune_mlp.service.access import Access
from tune_mlp.service.app import make_app

HERE = Path(__file__).parent
STUDIES = {
    "digits": ("--trials", "60", "--epochs", "20"),
    "digits_tpe": ("--trials", "40", "--epochs", "20", "--searcher", "tpe"),
}


class Picture(NamedTuple):
    """A picture of a page. In its address {one} and {two} stand for the names of studies."""

    name: str
    address: str
    ready: str
    """What is on the page once it can be taken."""
    width: int = 1280
    height: int = 860
    look: Literal["light", "dark"] = "light"


PICTURES = (
    Picture("studies", "/", "#studies tbody tr", height=560),
    Picture("study", "/studies/{one}", "#curves[data-lines]"),
    Picture("new", "/new", "#forecast[data-checked=yes]"),
    Picture("compare", "/compare?study={one}&study={two}", "#course[data-lines]", look="dark"),
    Picture("try", "/studies/{one}/try", "html[data-model=loaded]", height=960, look="dark"),
    Picture("phone", "/studies/{one}", "#curves[data-lines]", 360, 1080),
)


def main(arguments: list[str]) -> int:
    """Save docs/service_NAME.png for each picture."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(arguments[0] if arguments else folder)
        for name, options in ({} if arguments else STUDIES).items():
            command = ["search", "--space", "digits_quick", "--out", str(root), "--name", name, "--quiet", *options]
            subprocess.run([sys.executable, "-m", "tune_mlp", *command], check=True)
        one, two = sorted(path.parent.name for path in root.glob("*/journal.jsonl"))[:2]
        with (
            services.service(root) as service,
            serving(make_app(service, Access(), FREELY)) as url,
            sync_playwright() as playwright,
        ):
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            for picture in PICTURES:
                size = {"width": picture.width, "height": picture.height}
                context = browser.new_context(viewport=size, color_scheme=picture.look)  # type: ignore[arg-type]  # a size
                context.set_default_timeout(120_000)
                page = context.new_page()
                page.goto(url + picture.address.format(one=one, two=two))
                page.wait_for_selector(picture.ready, state="attached")
                if picture.name == "try":
                    _draw(page, "3")
                page.wait_for_timeout(1500)
                page.screenshot(path=HERE / f"service_{picture.name}.png", caret="initial")
                context.close()
            browser.close()
    return 0


def _draw(page: Page, digit: str) -> None:
    box = page.locator("#pad").bounding_box()
    assert box is not None
    for stroke in DIGITS[digit]:
        for place, (x, y) in enumerate(stroke):
            page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
            if place == 0:
                page.mouse.down()
        page.mouse.up()
    page.wait_for_selector("#answers .first")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
