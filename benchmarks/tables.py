"""A table of figures: printed for a person, and kept in RECORDS.md with the command, the machine and the commit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table as RichTable

from benchmarks import machine
from benchmarks.machine import facts

RECORDS = machine.ROOT / machine.RECORDS
WIDTH = 180
"""Columns of the output where it isn't a terminal."""
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
HEAD = f"""# Records

Every speed claim of this project, each with its command, machine, commit and date, and both sides of its ratio from one
run. Targets that were missed are kept too. `make bench` writes what stands between the two markers; all else is written
by hand.

{BEGIN}
{END}
"""


@dataclass(frozen=True)
class Target:
    """A claim, and whether the measurement confirmed it."""

    claim: str
    met: bool


@dataclass
class Table:
    """A table of figures with a title; all figures are text here."""

    title: str
    columns: Sequence[str]
    rows: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)

    def show(self, console: Console) -> None:
        """Print it."""
        table = RichTable(title=self.title, title_justify="left")
        for i, column in enumerate(self.columns):
            table.add_column(column, justify="left" if i == 0 else "right", overflow="fold")
        for row in self.rows:
            table.add_row(*row)
        console.print(table)
        for note in self.notes:
            console.print(note, style="dim", highlight=False)
        for target in self.targets:
            console.print(_verdict(target), style="green" if target.met else "red", highlight=False)
        console.print()

    def markdown(self, origin: str) -> str:
        """Return the table as a section of RECORDS.md; `origin` is the commit and the command that it comes from."""
        stamp = f"{datetime.now(UTC):%Y-%m-%d}, {origin}, on {facts()}."
        lines = [f"## {self.title}", "", stamp, "", _row(self.columns)]
        lines.append(_row(["---"] + ["---:"] * (len(self.columns) - 1)))
        lines += [_row(row) for row in self.rows]
        remarks = [*self.notes, *map(_verdict, self.targets)]
        return "\n".join([*lines, *([""] if remarks else []), *(f"- {remark}" for remark in remarks)]) + "\n"


def terminal() -> Console:
    """Return the console that tables are printed on."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH)


def write_records(tables: Sequence[Table], origin: str, path: Path | None = None) -> None:
    """Put the tables between the markers of a file, which is RECORDS.md by default, each in place of the section that had its title; other sections stay."""
    path = path or RECORDS
    text = path.read_text(encoding="utf-8") if path.exists() else HEAD
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise SystemExit(f"{path.name}: expected {BEGIN} once, and {END} once behind it")
    before, rest = text.split(BEGIN)
    kept, after = rest.split(END)
    sections = {_title(part): part.strip() + "\n" for part in re.split(r"^(?=## )", kept, flags=re.M) if part.strip()}
    sections |= {table.title: table.markdown(origin) for table in tables}
    body = "\n".join(sections.values())
    path.write_text(f"{before}{BEGIN}\n\n{body}\n{END}{after}", encoding="utf-8")


def figure(value: float) -> str:
    """Three digits at least."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def at_least(value: float, wanted: float, what: str) -> Target:
    """Return the claim that a ratio is at least as large as it should be."""
    return Target(f"{what}: {figure(value)}x, at least {wanted:g}x wanted", value >= wanted)


def at_most(value: float, wanted: float, what: str, unit: str = "x") -> Target:
    """Return the claim that a figure is at most as large as it should be."""
    return Target(f"{what}: {figure(value)}{unit}, at most {wanted:g}{unit} wanted", value <= wanted)


def _verdict(target: Target) -> str:
    return f"{'met' if target.met else 'MISSED'}: {target.claim}"


def _title(section: str) -> str:
    return section.strip().partition("\n")[0].removeprefix("## ").strip()


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
