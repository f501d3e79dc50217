"""The page of a trial in a browser: a replay is begun by its button, and what it found comes by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.report.pages import CHROMIUM
from tests.service import services
from tests.service.pages.browsing import surfing_on_a_service

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium isn't installed")


def test_a_replay_s_answer_comes_to_the_page_by_itself(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    with surfing_on_a_service(root) as (service, address, surfer):
        page = surfer.page
        service.submit(services.ADA, services.submission("mine", trials=3))
        services.at_rest(service, "mine")
        page.goto(address + "/studies/mine/trials/1")
        page.evaluate("window.mark = 'the same page'")
        assert page.locator("#replay h2").count() == 0
        page.locator("#do-replay").click()
        page.wait_for_selector("#replayed")
        assert page.locator("#replayed").inner_text() == "differs 1 trials were compared."
        assert "val_loss, epoch 2" in page.locator("#replay").inner_text()
        assert page.evaluate("window.mark") == "the same page"
        page.reload()
        assert page.locator("#replayed").count() == 1
        assert surfer.serious() == []
        page.emulate_media(color_scheme="dark")
        page.wait_for_timeout(200)
        assert surfer.serious() == []
        assert not surfer.scrolls_sideways()
        assert surfer.faults == []
