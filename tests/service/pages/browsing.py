"""A browser for tests of the pages: Chromium, with all that it said, and what a page must be for everybody."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from tests.report.pages import CHROMIUM
from tests.service import services
from tests.service.servers import FREELY, serving
from tune_mlp.service.access import Access
from tune_mlp.service.app import make_app
from tune_mlp.service.studies import StudyService

AXE = (Path(__file__).parents[2] / "report" / "assets" / "axe.min.js").read_text(encoding="utf-8")
ENDED_BY_LEAVING = re.compile(r"error: htmx:(sendAbort|afterRequest|sendError), \[object HTML\w+\]")
"""What htmx says of a request that was under way when its reader left the page."""


class Surfer:
    """A page in Chromium, with what it said: errors, warnings and violations of the Content-Security-Policy."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.said: list[str] = []
        page.on("console", lambda message: self._say(message.type, message.text, message.location["url"]))
        page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        page.on("dialog", self._dismiss)

    def _say(self, kind: str, text: str, address: str) -> None:
        if kind != "verbose":  # advice of Chromium's
            failed = "Failed to load resource" in text
            self.said.append(f"{kind}: {text}" + (f" {address}" if failed else ""))

    def until(self, truth: str, seconds: float = 60) -> None:
        """Wait until JavaScript says yes. Playwright's own waiting compiles text, which the pages' policy forbids."""
        end = time.monotonic() + seconds
        while not self._is(truth):
            assert time.monotonic() < end, (truth, self.said[-10:], self.page.locator("#said").all_inner_texts())
            self.page.wait_for_timeout(100)

    def _is(self, truth: str) -> bool:
        from playwright.sync_api import Error

        try:
            return bool(self.page.evaluate(truth))
        except Error as error:
            if "Execution context was destroyed" not in str(error):
                raise
            return False  # the page is being loaded anew

    def _dismiss(self, dialog: Any) -> None:
        self.said.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    @property
    def faults(self) -> list[str]:
        """What pages said, less what says only that somebody went on to the next page."""
        return [line for line in self.said if not ENDED_BY_LEAVING.fullmatch(line)]

    def serious(self) -> list[Any]:
        """Return what axe finds serious or critical on the page as it is now."""
        # The script is run by the debugger, which the page's policy lets through.
        self.page.evaluate(AXE)
        found = self.page.evaluate(
            "axe.run().then((found) => found.violations.map((one) => [one.impact, one.id, one.nodes[0].html]))"
        )
        return [one for one in found if one[0] in ("serious", "critical")]

    def scrolls_sideways(self, width: int = 360) -> bool:
        """Say whether the page is wider than a window of this width, and put the window back."""
        before = self.page.viewport_size
        self.page.set_viewport_size({"width": width, "height": 740})
        self.page.wait_for_timeout(400)  # charts are fitted to their new width a moment later
        wider = self.page.evaluate("document.documentElement.scrollWidth > innerWidth")
        self.page.set_viewport_size(before)
        return bool(wider)


@contextmanager
def surfing(scheme: Literal["light", "dark"] = "light") -> Iterator[Surfer]:
    """Start Chromium with a new page."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            context = browser.new_context(
                viewport={"width": 1280, "height": 900}, color_scheme=scheme, accept_downloads=True
            )
            context.set_default_timeout(60_000)
            yield Surfer(context.new_page())
        finally:
            browser.close()


@contextmanager
def surfing_on_a_service(root: Path) -> Iterator[tuple[StudyService, str, Surfer]]:
    """Open a service with quick drivers, which everybody may use, and Chromium; yields the service, its address and the browser."""
    with (
        services.service(root) as service,
        serving(make_app(service, Access(), FREELY)) as address,
        surfing() as surfer,
    ):
        yield service, address, surfer
