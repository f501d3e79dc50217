"""The pages in a browser: they draw their charts, say nothing on the console, fit a phone, and can be used by everybody."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.report.pages import CHROMIUM, EVIL, a_reported_run
from tests.service import services
from tests.service.pages.browsing import Surfer, surfing
from tests.service.servers import FREELY, serving
from tune_mlp.service.access import Access
from tune_mlp.service.app import make_app
from tune_mlp.service.pages.study_page import LIVE_CHARTS

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium isn't installed")
PAGES = (
    "/",
    "/studies/evil",
    "/studies/evil/trials/3",
    "/studies/evil/file",
    "/compare?study=made&study=evil",
    "/new",
    "/trash",
    "/login",
    "/none",
)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = tmp_path_factory.mktemp("chromium") / "runs"
    a_reported_run(root / "made", trials=240, epochs=6)
    a_reported_run(root / "evil", trials=60, evil=True)
    with services.service(root) as service, serving(make_app(service, Access(), FREELY)) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Surfer]:
    with surfing() as surfer:
        yield surfer


@pytest.fixture
def surfer(browser: Surfer) -> Surfer:
    browser.page.set_viewport_size({"width": 1280, "height": 900})
    browser.page.emulate_media(color_scheme="light")
    browser.said.clear()
    return browser


@pytest.mark.parametrize("path", PAGES)
def test_a_page_says_nothing_fits_a_phone_and_has_nothing_serious_for_axe(
    surfer: Surfer, address: str, path: str
) -> None:
    surfer.page.goto(address + path)
    surfer.page.wait_for_load_state("networkidle")
    for details in surfer.page.locator("details").all():
        details.evaluate("element => { element.open = true; }")
    assert surfer.serious() == []
    surfer.page.emulate_media(color_scheme="dark")
    surfer.page.wait_for_timeout(200)
    assert surfer.serious() == []
    assert not surfer.scrolls_sideways()
    absent = f"error: Failed to load resource: the server responded with a status of 404 (Not Found) {address}/none"
    assert surfer.faults == ([absent] if path == "/none" else [])


def test_all_charts_are_drawn_without_compiling_code_and_attacks_stay_text(surfer: Surfer, address: str) -> None:
    page = surfer.page
    page.goto(address + "/studies/evil?chart=parallel_coordinates")
    for name in (*LIVE_CHARTS, "parallel_coordinates"):
        figure = page.locator(f"figure[data-chart={name}]")
        figure.scroll_into_view_if_needed()
        page.wait_for_selector(f"figure[data-chart={name}][data-drawn=yes]")
        assert figure.locator(".chart svg").count() == 1, name
    page.wait_for_selector("#curves[data-lines='59']")
    assert page.locator("img").count() == 0
    assert EVIL in page.locator("#trials").inner_text()
    assert surfer.faults == []


def test_a_large_study_is_drawn_as_an_envelope_and_its_leaders(surfer: Surfer, address: str) -> None:
    surfer.page.goto(address + "/studies/made")
    surfer.page.wait_for_selector("#curves[data-lines]")
    assert int(surfer.page.locator("#curves").get_attribute("data-lines") or 0) < 100
    assert "middle 80 %" in surfer.page.locator("#curves-legend").inner_text()
    assert surfer.faults == []


def test_the_line_under_the_pointer_is_named_and_opens_its_trial(surfer: Surfer, address: str) -> None:
    page = surfer.page
    page.goto(address + "/studies/made")
    page.wait_for_selector("#curves[data-lines]")
    box = page.locator("#curves .u-over").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] - 4, box["y"] + 24)
    name = page.locator(".tip b").inner_text()
    assert name.startswith("trial ")
    page.mouse.click(box["x"] + box["width"] - 4, box["y"] + 24)
    page.wait_for_url(f"**/studies/made/trials/{name.split()[1].rstrip(',')}")


def test_each_state_of_the_table_has_an_address_and_back_works(surfer: Surfer, address: str) -> None:
    page = surfer.page
    page.goto(address + "/studies/made")
    page.locator("#trials th a", has_text="lr").click()
    page.wait_for_url("**/studies/made?sort=lr&descending=true")
    first = "#trials tbody tr:first-child td:first-child"
    page.wait_for_selector("#trials th[aria-sort=descending]")
    best = page.locator(first).inner_text()
    page.locator("#filter").fill("width==32")
    page.wait_for_url("**filter=width%3D%3D32")
    page.go_back()
    page.wait_for_url("**/studies/made?sort=lr&descending=true")
    page.wait_for_selector("#trials th[aria-sort=descending]")
    assert page.locator(first).inner_text() == best
    page.locator("#show-columns").click()
    # Not `check`, which would look at the box again, while its own click replaces it.
    page.get_by_role("checkbox", name="weights", exact=True).click()
    page.wait_for_url("**columns=*")
    page.wait_for_selector("#trials th:has-text('weights')")
    page.reload()
    assert page.locator("#trials th", has_text="weights").count() == 1
    assert surfer.faults == []


def test_the_list_is_searched_and_studies_are_picked_for_a_comparison(surfer: Surfer, address: str) -> None:
    page = surfer.page
    page.goto(address + "/")
    page.get_by_label("Search").fill("evil")
    page.wait_for_url("**search=evil**")
    page.wait_for_selector("#study-made", state="detached")
    page.locator("#pick-evil").check()
    page.get_by_label("Search").fill("")
    page.wait_for_selector("#study-made")
    assert page.locator("#pick-evil").is_checked()
    page.locator("#pick-made").check()
    page.get_by_role("button", name="Compare them").click()
    page.wait_for_selector("#course[data-lines='2']")
    assert surfer.faults == []


def test_the_form_and_the_text_follow_each_other_and_an_error_stands_at_its_line(surfer: Surfer, address: str) -> None:
    page = surfer.page
    page.goto(address + "/new")
    page.wait_for_selector("#forecast[data-checked]:not([data-checked=''])")

    def text() -> str:
        return str(page.locator("#text").input_value())

    page.locator("[id='set-trials']").fill("5")
    page.keyboard.press("Tab")
    surfer.until("document.getElementById('text').value.includes('trials: 5')")
    page.locator("[id='set-search']").select_option("tpe")
    page.wait_for_selector("[id='set-search.tpe.startup']")
    page.locator("#add").select_option("dropout")
    page.get_by_label("Values of dropout").wait_for()
    page.get_by_label("Remove depth").click()
    page.get_by_label("Values of depth").wait_for(state="detached")
    assert "depth" not in text()
    page.locator("#text").fill(text().replace("epochs: 8", "epochs: 9"))
    surfer.until("document.getElementById('set-epochs').value === '9'")
    page.locator("#text").fill(text().replace("[1.0e-3, 1.0e-1]", "[1.0, 0.5]"))
    page.wait_for_selector("#forecast.wrong")
    line = next(number for number, one in enumerate(text().split("\n"), 1) if "lr:" in one)
    assert page.locator("#lines .wrong").inner_text() == str(line)
    assert page.get_by_label("Values of lr").get_attribute("aria-invalid") == "true"
    page.locator("#go-to-line").click()
    assert "lr" in page.evaluate(
        "document.getElementById('text').value.slice(document.activeElement.selectionStart, document.activeElement.selectionEnd)"
    )
    assert surfer.faults == []


def test_the_keyboard_alone_reaches_everything_from_the_top(surfer: Surfer, address: str) -> None:
    page = surfer.page
    page.goto(address + "/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                "document.activeElement.id || document.activeElement.getAttribute('href') || document.activeElement.tagName"
            )
        )
    assert {"/new", "search", "state", "owner", "sort", "pick-made", "open-made", "pick-evil", "/trash"} <= reached


def test_the_look_is_chosen_once_for_all_pages(surfer: Surfer, address: str) -> None:
    page = surfer.page
    page.goto(address + "/")
    colour = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(colour)
    page.get_by_role("button", name="Show the page dark").click()
    dark = page.evaluate(colour)
    page.goto(address + "/studies/made")
    assert page.evaluate(colour) == dark != light
    page.get_by_role("button", name="Show the page light").click()
    assert page.evaluate(colour) == light
    page.evaluate("localStorage.clear()")
    assert surfer.faults == []


def test_the_report_stands_in_the_page_and_can_do_nothing_to_it(surfer: Surfer, address: str) -> None:
    page = surfer.page
    page.goto(address + "/studies/made/report")
    frame = page.frame_locator("iframe.report")
    frame.locator("#answer").wait_for()
    assert "made" in frame.locator("h1").inner_text()
    sandbox = page.locator("iframe.report").get_attribute("sandbox") or ""
    assert "allow-same-origin" not in sandbox
    assert surfer.faults == []
