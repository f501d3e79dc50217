"""The material of a report: its evidence and its figures, and how a chapter writes with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tune_mlp.charts.fast_altair import fast_altair
from tune_mlp.charts.figure import Figure
from tune_mlp.charts.search_figures import SEARCH_FIGURES, search_figure
from tune_mlp.errors import one_line
from tune_mlp.report.evidence import ReportEvidence
from tune_mlp.report.markup import Inner, Markup, join, tag, written
from tune_mlp.report.net_inside import NO_NET, NetInside
from tune_mlp.report.numbers import number, worked_out
from tune_mlp.results.remembered import remembered
from tune_mlp.results.results import Results

QUESTIONS = {
    "compare": "How many trials can't be told from the best, and its corrected score",
    "importance": "Which parameters matter",
    "advise": "Advice for the next search",
}
"""What each answer is about, where a report has to leave it out."""


@dataclass
class Material:
    """What the chapters of a report are written from. What can't be said is noted in `left_out`, with its reason."""

    evidence: ReportEvidence
    figures: Mapping[str, Figure]
    inside: NetInside = NO_NET
    """Pictures of the best net."""
    left_out: list[tuple[str, str]] = field(default_factory=list)
    shown: list[Figure] = field(default_factory=list)
    """The figures that have a place on the page so far, in order."""

    @property
    def results(self) -> Results:
        return self.evidence.results

    @property
    def best(self) -> int | None:
        """The number of the best trial."""
        row = self.results.best
        return None if row is None else int(row["trial"])

    @property
    def is_run(self) -> bool:
        """True if the results come from a run, and not from a table alone."""
        return bool(self.evidence.journal)

    def setting(self, name: str, default: Any = None) -> Any:
        """Return a setting of the study."""
        return self.results.study.get(name, default)

    def n(self, *key: object) -> Markup:
        """Write a number."""
        return number(self.evidence, *key)

    def counted(self, noun: str, *key: object) -> Markup:
        """Write a number with its noun, in the singular where it is one."""
        one = worked_out(self.evidence, ":".join(map(str, key))).text == "1"
        return join([self.n(*key), f" {noun}{'' if one else 's'}"])

    def value(self, *key: object) -> int:
        """Return a whole number that is written."""
        return int(worked_out(self.evidence, ":".join(map(str, key))).text.replace(",", ""))

    def figure(self, name: str) -> Markup:
        """Place a figure; one that has nothing to show is noted as left out."""
        if name not in self.figures:
            return Markup()
        found = self.figures[name]
        if found.chart is None and not found.images:
            self.left_out.append((found.title, found.finding))
            return Markup()
        return placed(self, found)


def materials(results: Results, inside: NetInside = NO_NET) -> Material:
    """Work out all that a report of some results says."""
    found = figures_of(results)
    evidence = ReportEvidence.of(results)
    findings = {figure.name: (figure.finding, *figure.notes) for figure in (*found.values(), *inside.figures)}
    said = [(QUESTIONS[word], why) for word, why in evidence.missing.items() if word in QUESTIONS]
    return Material(replace(evidence, findings=findings), found, inside, said)


@remembered
def figures_of(results: Results) -> dict[str, Figure]:
    """Return all figures of a search, with their specifications worked out."""
    with fast_altair():
        found = {name: _figure(results, name) for name in SEARCH_FIGURES}
        for figure in found.values():
            if figure.chart is not None:
                figure.specification()
    return found


def _figure(results: Results, name: str) -> Figure:
    """Return a figure of a search. A fault in one of them is said in its place, and doesn't take the report away."""
    try:
        return search_figure(results, name)
    except Exception as error:  # noqa: BLE001
        kind = SEARCH_FIGURES[name]
        return Figure(
            name, kind.title, f"It can't be drawn: {one_line(error, 200)}", kind.caption, results.trials.head(0)
        )


def placed(material: Material, found: Figure) -> Markup:
    """Place a figure: its title, what it shows in a sentence, the chart or the pictures, how to read it, and its data."""
    material.shown.append(found)
    place = len(material.shown)
    identity = f"figure-{found.name}"
    pictures: Inner = tag(
        "div", class_="chart", id=f"chart-{found.name}", role="img", aria_label=f"{found.title}. {found.finding}"
    )
    if found.images:
        pictures = tag("div", [_picture(image) for image in found.images], class_="pictures")
    notes = [tag("p", material.n("finding", found.name, i), class_="note") for i in range(1, len(found.notes) + 1)]
    return tag(
        "figure",
        tag("h3", f"Figure {place}. {found.title}"),
        tag("p", material.n("finding", found.name), class_="finding"),
        pictures,
        tag("figcaption", found.caption, notes),
        tag("details", tag("summary", "The data of this figure"), class_="data", data_figure=found.name),
        id=identity,
    )


def _picture(image: Any) -> Markup:
    import base64

    source = f"data:image/png;base64,{base64.b64encode(image.png).decode()}"
    return tag("div", tag("img", src=source, alt=image.alt), tag("p", image.caption) if image.caption else None)


def table(
    headings: Sequence[Inner], rows: Sequence[Sequence[Inner]], caption: str, numeric: Sequence[int] = ()
) -> Markup:
    """Write a small table. It scrolls in a box of its own where the page is narrow; `numeric` are the columns of numbers."""

    def cells(name: str, row: Sequence[Inner]) -> list[Markup]:
        return [tag(name, one, class_="right fixed" if place in numeric else None) for place, one in enumerate(row)]

    return tag(
        "div",
        tag(
            "table",
            tag("caption", caption),
            tag(
                "thead",
                tag(
                    "tr",
                    [
                        tag("th", one, scope="col", class_="right" if place in numeric else None)
                        for place, one in enumerate(headings)
                    ],
                ),
            ),
            tag("tbody", [tag("tr", cells("td", row)) for row in rows]),
        ),
        class_="scroll",
        tabindex="0",
        role="region",
        aria_label=caption,
    )


def paragraph(*inner: Inner) -> Markup:
    """Write a paragraph; in its text words between backquotes are code."""
    return tag("p", written(inner))
