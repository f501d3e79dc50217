"""Prints what `tune-mlp doctor` found: one line for each finding, with its remedy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tune_mlp.console.formatting import count
from tune_mlp.doctor.diagnose import diagnose
from tune_mlp.doctor.finding import Finding, Level
from tune_mlp.doctor.gather import gather
from tune_mlp.errors import RunError
from tune_mlp.results.storage import ObjectStore
from tune_mlp.study.study import Study

MARKS: dict[Level, tuple[str, str, str]] = {
    "ok": ("✓", "ok", "green"),
    "note": ("!", "note", "yellow"),
    "problem": ("✗", "problem", "bold red"),
}
"""Each level's mark on a terminal, its word in a pipe, and its style."""


def doctor(study: Study, address: str | None, out: Path | ObjectStore, data_dir: Path | None, console: Console) -> None:
    """Check the machine or the nodes, and print the findings. If there are problems, raise an error that counts them."""
    with console.status("Asking this machine" if address is None else f"Asking the nodes of Ray at {address}"):
        facts = gather(study, address, out, data_dir)
    conclude(console, diagnose(facts))


def conclude(console: Console, findings: Sequence[Finding]) -> None:
    """Print the findings and how many problems they are; raise an error if there are any."""
    show(console, findings)
    counts = _counts(findings)
    if any(finding.level == "problem" for finding in findings):
        raise RunError(counts)
    console.print(counts)


def show(console: Console, findings: Sequence[Finding]) -> None:
    """Print a table on a terminal, where a long text is folded in its column, and plain lines elsewhere."""
    if not console.is_terminal:
        for finding in findings:
            console.print(
                f"{MARKS[finding.level][1]:8} {finding.subject:9} {_said(finding)}",
                soft_wrap=True,
                markup=False,
                highlight=False,
            )
        return
    table = Table.grid(padding=(0, 1))
    for finding in findings:
        mark, _, style = MARKS[finding.level]
        table.add_row(Text(mark, style), Text(finding.subject, "bold"), _said(finding))
    console.print(table)


def _said(finding: Finding) -> Text:
    where = f"{finding.node}: " if finding.node else ""
    remedy = f" → {finding.remedy}" if finding.remedy else ""
    return Text(where + finding.what) + Text(remedy, "cyan")


def _counts(findings: Sequence[Finding]) -> str:
    problems, notes = (sum(finding.level == level for finding in findings) for level in ("problem", "note"))
    return f"{count(problems, 'problem') if problems else 'no problems'}, {count(notes, 'note')}"
