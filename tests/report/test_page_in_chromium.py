"""The page in a browser: it draws all charts, asks for nothing, fits a phone, prints, and can be read by everybody."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.report.pages import CHROMIUM, EVIL, Reader, a_reported_run, chromium
from tune_mlp.charts.theme import SECOND, config
from tune_mlp.report.verify import verify
from tune_mlp.report.write import write_report
from tune_mlp.results.results import Results

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium isn't installed")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evil") / "made"
    return Path(write_report(a_reported_run(folder, trials=70, evil=True)))


@pytest.fixture(scope="module")
def browser(path: Path) -> Iterator[Reader]:
    """Open the page once, since a browser takes seconds to draw it; each test leaves it as it found it."""
    with chromium() as reader:
        reader.open(path)
        yield reader


@pytest.fixture
def reader(browser: Reader) -> Reader:
    browser.page.set_viewport_size({"width": 1280, "height": 900})
    browser.page.emulate_media(color_scheme="light", media="screen")
    return browser


def test_a_page_full_of_attacks_draws_its_charts_says_nothing_and_asks_for_nothing(reader: Reader, path: Path) -> None:
    assert reader.faults(path) == []
    figures = reader.page.locator("figure")
    assert figures.count() > 0
    assert reader.page.locator("figure .chart svg").count() == reader.page.locator("figure .chart").count()
    assert reader.page.locator("img[src=x]").count() == 0
    assert EVIL in reader.page.locator("main").inner_text()


def test_the_numbers_that_a_reader_sees_are_those_that_are_verified(reader: Reader, path: Path) -> None:
    best = Results.load(path.parent).best
    seen = reader.page.locator("#answer [data-key^='score:']").inner_text()
    assert seen == f"{best['best_val_accuracy']:.4f}"
    assert reader.page.locator("[data-key]").count() == verify(path).facts["numbers"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(reader: Reader, scheme: str) -> None:
    reader.page.emulate_media(color_scheme=scheme)
    reader.page.wait_for_timeout(300)
    reader.page.locator("details").first.evaluate("element => { element.open = true; }")
    assert reader.hindrances() == []


def test_a_phone_scrolls_down_alone(reader: Reader) -> None:
    reader.page.set_viewport_size({"width": 360, "height": 740})
    reader.page.wait_for_timeout(600)  # charts are fitted to their new width a moment later
    assert reader.page.evaluate("document.documentElement.scrollWidth") == 360


def test_the_look_can_be_chosen_and_charts_follow(reader: Reader) -> None:
    page = reader.page
    colour = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(colour) == "rgb(255, 255, 255)"
    page.get_by_role("button", name="Show the page dark").click()
    assert page.evaluate(colour) != "rgb(255, 255, 255)"
    page.wait_for_function(
        "document.querySelector('.chart svg') && document.querySelector('.chart').innerHTML.includes('#a3acb6')"
    )
    page.get_by_role("button", name="Show the page light").click()
    assert page.evaluate(colour) == "rgb(255, 255, 255)"
    assert reader.said == []


def test_the_table_sorts_filters_and_marks(reader: Reader, path: Path) -> None:
    page, trials = reader.page, Results.load(path.parent).trials
    first = "#trials-table tbody tr:first-child td:first-child"
    best = Results.load(path.parent).best
    assert page.locator(first).inner_text() == str(best["trial"])
    page.locator("#trials-table th button", has_text="trial").first.click()
    assert page.locator(first).inner_text() == "0"
    assert page.locator("#trials-table tbody tr").count() == 50
    page.locator("#next-page").click()
    assert page.locator("#trials-table tbody tr").count() == 20
    page.locator("#filter").fill("state = stopped, lr > 0.01")
    wanted = ((trials["state"] == "stopped") & (trials["lr"] > 0.01)).sum()
    assert page.locator("#trials-table tbody tr").count() == wanted
    page.locator("#filter").fill("")
    page.locator("#answer [data-key='best']").click()
    assert page.locator("#trials-table tr[aria-selected=true] td:first-child").inner_text() == str(best["trial"])
    page.locator("[data-key='count:stopped']").first.click()
    assert page.locator("#filter").input_value() == "state = stopped"
    page.locator("#filter").fill("")


MARKS_OF_A_TRIAL = """([chart, trial]) => [...document.querySelectorAll(`#chart-${chart} svg path`)]
    .filter((path) => path.__data__?.datum?.trial === trial && ["symbol", "rect"].includes(path.__data__.mark.marktype))
    .map((path) => path.getBoundingClientRect()).map((box) => [box.x + box.width / 2, box.y + box.height / 2])"""
"""The middles of the marks that one trial has in a chart; Vega keeps the datum of each mark with its element."""
MARKING = ["contenders", "parameters", "best_so_far", "learning_curves", "time_against_score", "weights_against_score"]
"""The charts of the run that draw its best trial by itself, where it can be clicked."""


def charts_with_a_mark(reader: Reader) -> list[str]:
    """Return the charts in which something has the colour of a marked trial."""
    colour = config()["style"][SECOND]["fill"]
    marks = f":is([fill='{colour}'], [stroke='{colour}'])"
    return [name for name in MARKING if reader.page.locator(f"#chart-{name} svg {marks}").count()]


@pytest.mark.parametrize("clicked", MARKING)
def test_a_click_on_a_trial_marks_it_in_every_chart_and_in_the_table(reader: Reader, path: Path, clicked: str) -> None:
    page, best = reader.page, int(Results.load(path.parent).best["trial"])
    marked = page.locator("#trials-table tr[aria-selected=true] td:first-child")
    page.locator(f"#chart-{clicked}").scroll_into_view_if_needed()
    assert charts_with_a_mark(reader) == []
    x, y = page.evaluate(MARKS_OF_A_TRIAL, [clicked, best])[0]
    page.mouse.click(x, y)
    marked.wait_for()
    assert marked.inner_text() == str(best)
    page.wait_for_timeout(300)  # each chart draws itself anew on its own
    assert charts_with_a_mark(reader) == MARKING
    page.locator("#trials-table tr[aria-selected=true]").click()
    page.mouse.move(0, 0)
    page.wait_for_timeout(300)
    assert marked.count() == 0
    assert charts_with_a_mark(reader) == []


DRAWN_IN_TURN = """window.drawnInTurn = [];
new MutationObserver((changes) => changes.forEach(({ addedNodes }) => addedNodes.forEach((added) => {
    const box = added.nodeName === "svg" && added.closest("[id^=chart-]");
    if (box) window.drawnInTurn.push(box.id);
}))).observe(document, { childList: true, subtree: true });"""


def test_the_charts_that_a_reader_sees_are_drawn_first_and_the_others_without_any_scrolling(
    reader: Reader, path: Path
) -> None:
    page = reader.page.context.browser.new_page(viewport={"width": 1280, "height": 900})
    page.add_init_script(DRAWN_IN_TURN)
    page.goto(f"{path.absolute().as_uri()}#figure-weights_against_score")
    page.wait_for_selector("html[data-drawn=all]")
    drawn = page.evaluate("drawnInTurn")
    assert drawn[0] == "chart-weights_against_score"
    assert set(drawn) == set(page.evaluate("[...document.querySelectorAll('.chart')].map((box) => box.id)"))
    page.close()


def test_a_drag_along_an_axis_leaves_the_lines_that_pass_there(reader: Reader) -> None:
    page = reader.page
    chart = "#chart-parallel_coordinates .mark-rule line"
    parts, faint = page.locator(chart), page.locator(f"{chart}[opacity='0.04']")
    page.locator("#figure-parallel_coordinates").evaluate("figure => figure.scrollIntoView({behavior: 'instant'})")
    assert faint.count() == 0 < parts.count()
    axes = page.evaluate(
        f"[...document.querySelectorAll('{chart}')].map((line) => line.getBoundingClientRect())"
        ".filter((box) => box.width < 2 && box.height > 100).map((box) => [box.x, box.top, box.bottom])"
    )
    left = []
    for x, top, bottom in axes[:2]:  # both begin at the same height
        page.mouse.move(x, top + 1)
        page.mouse.down()
        page.mouse.move(x, (top + bottom) / 2, steps=4)
        page.mouse.up()
        page.wait_for_timeout(300)
        left.append(parts.count() - faint.count())
    assert parts.count() > left[0] > left[1] > 0
    for x, top, _ in axes[:2]:
        page.mouse.click(x, top + 20)
    page.wait_for_timeout(300)
    assert faint.count() == 0
    page.mouse.move(0, 0)
    for row in page.locator("#trials-table tr[aria-selected=true]").all():
        row.click()  # a click on an axis may have hit a trial
    assert reader.said == []


def test_the_table_is_downloaded_as_csv(reader: Reader, path: Path) -> None:
    with reader.page.expect_download() as download:
        reader.page.locator("#download").click()
    text = Path(download.value.path()).read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(text)))
    trials = Results.load(path.parent).trials
    assert len(rows) == len(trials)
    assert list(rows[0]) == list(trials.columns)
    assert {row["trial"]: row["seed"] for row in rows} == {
        str(t): str(s) for t, s in zip(trials["trial"], trials["seed"], strict=True)
    }


def test_a_figures_data_opens_as_a_table(reader: Reader) -> None:
    details = reader.page.locator("details[data-figure]").first
    details.locator("summary").click()
    assert details.locator("table tbody tr").count() > 0


def test_the_print_has_all_charts_and_nothing_that_is_cut(reader: Reader) -> None:
    page = reader.page
    page.set_viewport_size({"width": 680, "height": 960})  # A4 less its margins
    page.wait_for_timeout(500)
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("document.documentElement.scrollWidth") <= 680
    wide = "[...document.querySelectorAll('table')].filter((one) => one.getBoundingClientRect().right > 681).length"
    assert page.evaluate(wide) == 0
    assert page.locator("#trials-table tbody tr").count() == 70
    assert page.evaluate(
        "[...document.querySelectorAll('figure')].every((one) => one.querySelector('svg').getBoundingClientRect().width > 100)"
    )
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.pdf(format="A4").startswith(b"%PDF")
