"""A study's page while the study runs, with drivers that train nothing: curves, figures and the table move by themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.report.pages import CHROMIUM
from tests.service import services
from tests.service.pages.browsing import surfing_on_a_service

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium isn't installed")


def test_a_study_is_watched_stopped_extended_and_deleted_on_its_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUICK_SECONDS", "0.3")
    root = tmp_path / "runs"
    with surfing_on_a_service(root) as (service, address, surfer):
        page = surfer.page
        service.submit(services.ADA, services.submission("mine", trials=400))
        page.goto(address + "/studies/mine")
        page.evaluate("window.mark = 'the same page'")
        surfer.until("Number(document.getElementById('curves')?.dataset.points || 0) > 6")
        surfer.until("document.querySelectorAll('#trials tbody tr').length > 2")
        surfer.until("Number(document.getElementById('head')?.dataset.ended || 0) > 2")
        assert page.evaluate("window.mark") == "the same page"

        page.locator("#do-stop").click()
        surfer.until("document.getElementById('head')?.dataset.state === 'stopped'")
        ended = service.get("mine").ended_trials
        page.locator("#show-extend").click()
        page.locator("#extend-trials").fill("2")
        page.locator("#do-extend").click()
        surfer.until("['queued', 'running'].includes(document.getElementById('head')?.dataset.state)")
        surfer.until(f"Number(document.getElementById('head')?.dataset.ended || 0) > {ended}")
        assert service.get("mine").trials == 402

        page.goto(address + "/")
        page.locator("#stop-mine").click()
        page.wait_for_selector("#study-mine .state.stopped")
        page.locator("#resume-mine").click()
        page.wait_for_selector("#study-mine .state.running")
        page.locator("#stop-mine").click()
        page.wait_for_selector("#study-mine .state.stopped")
        page.goto(address + "/studies/mine")
        page.locator("#show-delete").click()
        page.locator("#do-delete").click()
        page.wait_for_url(address + "/")
        page.wait_for_selector("#study-mine", state="detached")
        page.goto(address + "/trash")
        page.locator("#restore-mine").click()
        page.wait_for_url("**/studies/mine")
        assert surfer.faults == []


def test_a_press_isnt_lost_where_news_comes_before_the_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUICK_SECONDS", "0.3")
    root = tmp_path / "runs"
    with surfing_on_a_service(root) as (service, address, surfer):
        page = surfer.page
        service.submit(services.ADA, services.submission("mine", trials=400))
        for where, button, ended in (
            ("/studies/mine", "#do-stop", "document.getElementById('head')?.dataset.state === 'stopped'"),
            ("/", "#stop-mine", "document.querySelector('#study-mine .state.stopped')"),
        ):
            page.goto(address + where)
            surfer.until(f"document.querySelector('{button}')")
            page.hover(button)
            page.mouse.down()
            progress = service.get("mine").ended_trials
            services.eventually(lambda: service.get("mine").ended_trials > progress + 10)  # noqa: B023  # called in this turn
            page.mouse.up()
            surfer.until(f"Boolean({ended})")
            page.goto(address + "/new")  # a page whose study goes on loads itself anew, in the middle of the next visit
            service.resume(services.ADA, "mine")
            services.eventually(lambda: service.get("mine").state.value == "running")
        services.end_drivers(root)
        assert surfer.faults == []
