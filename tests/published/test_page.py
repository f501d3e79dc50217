"""The table of claims as a frame, markdown and HTML: what is counted, and what is escaped."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd

from tune_mlp.published.compare import Verdict
from tune_mlp.published.experiments import Published
from tune_mlp.published.tables import COLUMNS, Outcome, headline, to_frame, to_html, to_markdown
from tune_mlp.results.export import write_csv

HOSTILE = "<script>alert('&\"|')</script>"


def outcome(verdict: Verdict = Verdict.MET, **changes: Any) -> Outcome:
    row: dict[str, Any] = {
        "study": "a",
        "experiment": "base",
        "claim": "It learns",
        "published": "97.00 %",
        "ours": "97.50 %",
        "difference": "+0.50 points",
        "allowed": "0.50 points below",
        "seconds": 3.14159,
        "command": "tune-mlp reproduce a --only base",
        "published_number": 0.97,
        "our_number": 0.975,
    }
    return Outcome(**{**row, "verdict": verdict, **changes})


def published(citation: str = "Somebody, 2024", found_out: str | None = None) -> Published:
    return Published.model_validate(
        {
            **({"citation": citation} | ({"found_out": found_out} if found_out else {})),
            "experiments": {"base": {"about": "a run"}},
            "claims": [{"claim": "It learns", "experiment": "base", "value": {"column": "val_loss"}}],
        }
    )


class Reader(HTMLParser):
    """A reader of the tags and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_headline_counts_what_was_met_of_what_was_judged() -> None:
    rows = [outcome(), outcome(), outcome(Verdict.MISSED), outcome(Verdict.FAILED), outcome(Verdict.STAND_IN)]
    told = [outcome(Verdict.REPORTED, judged=False), outcome(Verdict.STAND_IN, judged=False)]
    text = headline(to_frame([*rows, *told, outcome(Verdict.SCALED_DOWN)]))
    assert text == "2 of 5 claims met (1 reported, 1 scaled down, 2 stand-in, 1 failed)"
    assert headline(to_frame([outcome()])) == "1 of 1 claims met"
    assert headline(to_frame([outcome(Verdict.SCALED_DOWN)])) == "no claim was judged (1 scaled down)"
    assert headline(to_frame([])) == "no claim was judged"


def test_the_csv_reads_back(tmp_path: Path) -> None:
    table = to_frame([outcome(claim=HOSTILE, note="two\nlines"), outcome(Verdict.MISSED)])
    write_csv(table, tmp_path / "t.csv")
    back = pd.read_csv(tmp_path / "t.csv", keep_default_na=False)
    assert tuple(back.columns) == COLUMNS
    assert back["claim"][0] == HOSTILE
    assert list(back["verdict"]) == ["met", "missed"]
    assert list(back["our_number"]) == [0.975, 0.975]


def test_hostile_text_is_only_text_in_the_page() -> None:
    fields = ("claim", "published", "ours", "difference", "allowed", "command", "note", "study")
    table = to_frame([outcome(**dict.fromkeys(fields, HOSTILE))])
    page = to_html(table, {HOSTILE: published(HOSTILE, HOSTILE)}, HOSTILE)
    reader = Reader(page)
    assert "script" not in {tag for tag, _ in reader.tags}
    assert reader.text.count(HOSTILE) >= len(fields) + 3


def test_the_page_fetches_nothing() -> None:
    reader = Reader(to_html(to_frame([outcome()]), {"a": published()}, "facts"))
    assert {tag for tag, _ in reader.tags}.isdisjoint({"script", "link", "img", "iframe"})
    for _, attributes in reader.tags:
        assert "src" not in attributes
        assert (attributes.get("href") or "#").startswith("#")


def test_the_page_says_verdicts_in_words_and_warns_of_a_stand_in() -> None:
    rows = [outcome(verdict, note=f"note {verdict}") for verdict in Verdict]
    page = to_html(to_frame(rows), {"a": published(found_out="the rate"), "unrun": published()}, "facts")
    text = Reader(page).text
    for verdict in Verdict:
        assert f'<span class="verdict {verdict.replace(" ", "-")}">{verdict}</span>' in page
        assert f"note {verdict}" in text
    assert "stood in for the published one in 1 of 6 rows" in text
    assert '<p class="warning">' in page
    assert "What had to be found out. the rate" in text
    assert "unrun" not in text
    assert '<p class="warning">' not in to_html(to_frame([outcome()]), {"a": published()}, "facts")


def test_markdown_has_a_summary_and_a_table_a_study() -> None:
    rows = [outcome(note="a|b"), outcome(Verdict.MISSED, study="b"), outcome(Verdict.STAND_IN, study="b")]
    text = to_markdown(to_frame(rows), {"a": published(), "b": published(HOSTILE)}, "facts.")
    lines = text.splitlines()
    assert lines[2] == "**1 of 3 claims met (1 stand-in).** facts."
    assert [line for line in lines if line.startswith("## ")] == ["## a", "## b"]
    assert "<script" not in text
    tables = [line for line in lines if line.startswith("|")]
    assert len(tables) == 2 * 2 + 3
    assert {line.replace("\\|", "").count("|") for line in tables} == {9}
    assert "**Another dataset stood in" in text
