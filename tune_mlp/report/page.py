"""The page: a report as one HTML file that needs no other file and asks no server."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from tune_mlp.charts.theme import LOOKS, config, css_variables
from tune_mlp.report import closing, findings, method, validity
from tune_mlp.report.markup import Inner, Markup, join, script, tag
from tune_mlp.report.material import Material, materials
from tune_mlp.report.net_inside import NO_NET, NetInside
from tune_mlp.report.packed import pack, pack_rows, pack_table
from tune_mlp.results.results import Results
from tune_mlp.results.tables import score_column
from tune_mlp.version import __version__

EVIDENCE, FIGURES = "evidence", "figures"
"""The islands of data of a page."""
LIBRARIES = ("vega.min.js", "vega-lite.min.js", "vega-embed.min.js", "chart_fit.js")
RELOAD_SECONDS = 10
"""A page of a running search that is written anew asks its reader's browser to read it again so often."""
MOST_DATA_ROWS = 1000
"""The rows of a figure's data that the page can show as a table."""


class Chapter(NamedTuple):
    """A part of the report with its place in the table of contents."""

    name: str
    title: str
    write: Callable[[Material], Inner]


CHAPTERS = (
    Chapter("answer", "The answer", findings.the_answer),
    Chapter("method", "Method", method.the_method),
    Chapter("best", "Best configurations", findings.best_configurations),
    Chapter("matters", "What matters", findings.what_matters),
    Chapter("course", "How the search went", findings.how_it_went),
    Chapter("endings", "What was stopped, what diverged, and why", findings.how_trials_ended),
    Chapter("inside", "The best net inside", findings.the_net_inside),
    Chapter("validity", "Threats to validity", validity.threats),
    Chapter("next", "What to do next", closing.what_next),
    Chapter("reproduce", "How to reproduce it", closing.how_to_reproduce),
    Chapter("left-out", "What this report leaves out", closing.left_out),
)
APPENDIX = (("trials", "Appendix A. All trials"), ("citation", "Appendix B. What to cite"))


def report_page(results: Results, inside: NetInside = NO_NET, live: bool = False) -> str:
    """Return the report of some results as a page. `inside` are pictures of the best net."""
    material = materials(results, inside)
    parts = [(chapter, join(chapter.write(material))) for chapter in CHAPTERS]
    numbered = [
        (f"{place}. {c.title}", c.name, text) for place, (c, text) in enumerate(((c, t) for c, t in parts if t), 1)
    ]
    sections = [tag("section", tag("h2", title), text, id=name) for title, name, text in numbered]
    contents = [(name, title) for title, name, _ in numbered] + list(APPENDIX)
    body = [
        tag("a", "Skip to the report", href="#answer", class_="skip"),
        tag("header", _head(material), _controls()),
        tag(
            "nav",
            tag("h2", "Contents"),
            tag("ol", [tag("li", tag("a", title, href=f"#{name}")) for name, title in contents]),
            aria_label="Contents",
        ),
        tag("main", sections, _appendix(material)),
        tag("footer", _foot(material)),
    ]
    return _document(material, body, live and material.evidence.running)


def _head(material: Material) -> Inner:
    results, manifest = material.results, material.results.manifest
    name = str(material.evidence.facts.get("study_name") or results.source)
    state = {
        "running": "The search is still going on. ",
        "interrupted": "The search was interrupted. ",
        "failed": "The search ended with a fault. ",
    }
    about = (
        [f"Run {manifest['name']}, begun {manifest['started']}."]
        if "started" in manifest and "name" in manifest
        else [f"From {results.source}."]
    )
    return [
        tag("p", "Report of a hyperparameter search", class_="kind"),
        tag("h1", name),
        tag("p", str(results.study.get("description") or ""), class_="description")
        if results.study.get("description")
        else None,
        tag("p", tag("b", state.get(str(manifest.get("state")), "")), *about, class_="about"),
    ]


def _controls() -> Markup:
    return tag("button", "Dark", type="button", id="look", hidden=True)


def _appendix(material: Material) -> Inner:
    (table, table_title), (citation, citation_title) = APPENDIX
    reader = tag(
        "div",
        tag(
            "label",
            "Filter ",
            tag("input", type="search", id="filter", placeholder="relu, stopped, lr > 0.01, trial = 8"),
        ),
        tag("label", tag("input", type="checkbox", id="all-columns"), " all columns"),
        tag("button", "Download CSV", type="button", id="download"),
        tag("p", id="rows", role="status", aria_live="polite"),
        class_="controls",
    )
    box = tag("div", class_="scroll", id="trials-table", tabindex="0", role="region", aria_label="All trials")
    pages = tag(
        "div",
        tag("button", "Previous", type="button", id="previous"),
        tag("button", "Next", type="button", id="next-page"),
        class_="controls pages",
    )
    return [
        tag(
            "section",
            tag("h2", table_title),
            tag(
                "p",
                "A click on a heading sorts, a click on a row marks the trial in all charts. The filter takes words, and conditions such as ",
                tag("code", "lr > 0.01"),
                ", all of which must hold.",
            ),
            reader,
            box,
            pages,
            id=table,
        ),
        tag("section", tag("h2", citation_title), closing.what_to_cite(material), id=citation),
    ]


def _foot(material: Material) -> Inner:
    return tag(
        "p",
        f"Written by tune_mlp {__version__}. Every number of the text carries the trials that it comes from: point at it to see them, click on it to see "
        "their rows. ",
        tag("code", "tune-mlp report --verify report.html"),
        " works the numbers out again.",
    )


def _document(material: Material, body: Inner, reloads: bool) -> str:
    title = str(material.evidence.facts.get("study_name") or material.results.source)
    scripts = [_library(name) for name in LIBRARIES]
    page = _asset("page.js")
    style = css_variables() + _asset("style.css")
    allowed = " ".join(f"'sha256-{_digest(text)}'" for text in (*scripts, page))
    # Charts are compiled to functions, which is what 'unsafe-eval' is for; no text of the page can become a script.
    policy = f"default-src 'none'; script-src {allowed} 'unsafe-eval'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    head = [
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", http_equiv="refresh", content=RELOAD_SECONDS) if reloads else None,
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{title}: report"),
        Markup(f"<style>{style}</style>"),
    ]
    islands = [
        script(pack(material.evidence.packed()), type="application/octet-stream", id=EVIDENCE),
        script(pack(_figures(material)), type="application/octet-stream", id=FIGURES),
    ]
    noscript = tag("noscript", tag("p", "The charts and the table of trials need JavaScript.", class_="note"))
    code = [script(text) for text in (*scripts, page)]
    html = tag("html", tag("head", head), tag("body", noscript, body, islands, code), lang="en")
    return f"<!doctype html>\n{html}\n"


def _figures(material: Material) -> dict[str, Any]:
    """Return what the charts are drawn from. Data that several charts share are there once."""
    datasets: dict[str, Any] = {}
    figures: dict[str, Any] = {}
    for figure in material.shown:
        held: dict[str, Any] = {
            "data": pack_table(_plain_columns(figure.data.head(MOST_DATA_ROWS))),
            "rows": len(figure.data),
        }
        if figure.chart is not None:
            spec = figure.specification()
            for name, rows in spec.pop("datasets", {}).items():
                datasets.setdefault(name, pack_rows(rows) if isinstance(rows, list) else rows)
            held["spec"] = spec
        figures[figure.name] = held
    evidence = material.evidence
    return {
        "figures": figures,
        "datasets": datasets,
        "looks": {look: {**config(look), "aria": False} for look in LOOKS},
        "score": score_column(evidence.results.trials, evidence.results.metric),
    }


def _plain_columns(frame: Any) -> Any:
    """Return a table whose lists and mappings are text, as a reader sees them."""
    return frame.map(
        lambda value: (
            ", ".join(map(str, value))
            if isinstance(value, list | tuple)
            else str(value)
            if isinstance(value, dict)
            else value
        )
    )


@cache
def _asset(name: str) -> str:
    return resources.files("tune_mlp.report").joinpath("assets", name).read_text(encoding="utf-8")


@cache
def _library(name: str) -> str:
    """Return a library's code without the line that names a file of the same place, which a page doesn't have."""
    lines = _asset(name).splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("//# sourceMappingURL"))


@cache
def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
