"""Verifying a report: every number of its prose is worked out again, and compared with what the page says."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd

from tune_mlp.errors import DataError, TuneMlpError
from tune_mlp.regular_files import read_regular
from tune_mlp.report.evidence import ReportEvidence
from tune_mlp.report.material import materials
from tune_mlp.report.numbers import FROM_THE_PAGE, worked_out
from tune_mlp.report.packed import unpack
from tune_mlp.report.page import EVIDENCE
from tune_mlp.results.answer import Answer, counted
from tune_mlp.results.results import Results
from tune_mlp.results.run_cache import JOURNAL

MOST_BYTES = 10**8
"""The largest size of a page that is read."""
COLUMNS = ["number", "page", "worked_out", "from"]
PAGE, RUN = "the page's table", "the run"


class _Reader(HTMLParser):
    """Reads the numbers of a page with their keys, and its evidence."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers: list[tuple[str, str, str]] = []
        """The key, the trials and the text of each number."""
        self.evidence = ""
        self._depth = 0
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if "data-key" in given:
            self.numbers.append((given["data-key"] or "", given.get("data-trials") or "", ""))
            self._inside = "number"
        elif tag == "script" and given.get("id") == EVIDENCE:
            self._inside = EVIDENCE

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "number":
            key, trials, text = self.numbers[-1]
            self.numbers[-1] = key, trials, text + data
        elif self._inside == EVIDENCE:
            self.evidence += data


def verify(path: Path) -> Answer:
    """Work out every number of a page again from the table that it holds.

    Where the run's folder is beside the page, they are worked out from the run as well, its curves and outcomes among it.
    """
    try:
        content = read_regular(path, MOST_BYTES).decode("utf-8")
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: isn't a report: it isn't UTF-8") from None
    page = _Reader()
    page.feed(content)
    if not page.evidence:
        raise DataError(f"{path}: isn't a report of tune-mlp: it holds no evidence")
    try:
        held = ReportEvidence.unpacked(unpack(page.evidence))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: its evidence can't be read: {error!s:.200}") from None
    run, note = _run_beside(path, held)
    sources = {PAGE: held, **({RUN: run} if run else {})}
    differ = [row for number in page.numbers for row in _differences(number, sources)]
    return _answer(path, page, differ, run is not None, note)


def _differences(number: tuple[str, str, str], sources: dict[str, ReportEvidence]) -> list[tuple[str, str, str, str]]:
    key, trials, text = number
    for name, evidence in sources.items():
        try:
            found = worked_out(evidence, key)
        except (LookupError, ValueError, TypeError, AssertionError, TuneMlpError):
            return [(key, text, "nothing", name)]
        if found.text != text:
            return [(key, text, found.text, name)]
        if found.trials != trials:
            return [(f"{key} (its trials)", trials, found.trials, name)]
    return []


def _run_beside(path: Path, held: ReportEvidence) -> tuple[ReportEvidence | None, str]:
    """Return the evidence of the run in whose folder the page lies, or why there is none."""
    if not held.journal:
        return (
            None,
            "The page is of a table alone, so what needs more than the table was compared with the answers in the page.",
        )
    journal = path.absolute().parent / JOURNAL
    if not journal.is_file():
        return (
            None,
            "The run isn't beside the page, so what needs its curves and outcomes was compared with the answers in the page.",
        )
    size = int(held.journal["bytes"])
    with journal.open("rb") as file:
        same = hashlib.sha256(file.read(size)).hexdigest() == held.journal["sha256"] and not file.read(1)
    if not same:
        return (
            None,
            "The run has gone on since the page was written: `tune-mlp report RUN` writes it anew. What needs its curves and outcomes was compared with the answers in the page.",
        )
    results = Results.load(journal.parent)
    found = materials(replace(results, source=held.results.source)).evidence
    inside = {name: said for name, said in held.findings.items() if name not in found.findings}
    return replace(found, findings={**found.findings, **inside}), ""


def _answer(path: Path, page: _Reader, differ: list[tuple[str, str, str, str]], from_run: bool, note: str) -> Answer:
    total = len(page.numbers)
    again = sum(key.partition(":")[0] in FROM_THE_PAGE for key, _, _ in page.numbers)
    rest = total - again
    said = counted(total, "number and sentence") if total == 1 else f"{total:,} numbers and sentences"
    if differ:
        sentence = f"{len(differ)} of {said} differ: {differ[0][0]} is {differ[0][1]!r:.80} on the page and {differ[0][2]!r:.80} by {differ[0][3]}."
    else:
        sentence = f"All {said} agree: {again:,} were worked out from the page's table, and {rest:,} {'from the run beside it' if from_run else 'only compared with the answers in the page'}."
    return Answer(
        sentence,
        pd.DataFrame(differ, columns=COLUMNS),
        ("Each is worked out again from its key and written in the same way; the texts are compared.",),
        (note,) if note else (),
        {
            "page": str(path),
            "numbers": total,
            "from_table": again,
            "from_run": rest if from_run else 0,
            "differ": len(differ),
        },
    )
