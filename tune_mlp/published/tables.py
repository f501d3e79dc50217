"""The table of claims: a data frame, written as Markdown and as one HTML page that loads no other file."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from string import Template
from typing import Any

import pandas as pd
from tabulate import tabulate

from tune_mlp.published.compare import Verdict
from tune_mlp.published.experiments import Published


@dataclass(frozen=True)
class Outcome:
    """One row of the table: a claim or a part of one, with its outcome."""

    study: str
    experiment: str
    claim: str
    published: str
    ours: str
    difference: str
    allowed: str
    verdict: Verdict
    seconds: float
    """The seconds of the whole experiment, which several rows share."""
    command: str
    """The command that runs this row again."""
    note: str = ""
    judged: bool = True
    """Tell whether the claim can be met or missed. Otherwise its figure is only reported."""
    published_number: float = math.nan
    our_number: float = math.nan


COLUMNS = tuple(Outcome.__dataclass_fields__)
SHOWN = ("claim", "published", "ours", "difference", "allowed", "verdict", "seconds", "again")
"""The columns that are shown to people. A note stands under its claim."""
NUMBERS = ("published", "ours", "difference", "seconds")
HEADLINE = (Verdict.MET, Verdict.MISSED, Verdict.FAILED, Verdict.STAND_IN)
"""The verdicts that count among the judged claims: one that failed, or that ran on other data, is counted as not met."""


def to_frame(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """Return a data frame with one row for each outcome, as in the CSV."""
    rows = [{**asdict(outcome), "verdict": outcome.verdict.value} for outcome in outcomes]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def headline(table: pd.DataFrame) -> str:
    """Return `57 of 60 claims met`, and the number of other rows."""
    judged = table[table["judged"].astype(bool) & table["verdict"].isin(HEADLINE)]
    met = int((judged["verdict"] == Verdict.MET).sum())
    text = f"{met} of {len(judged)} claims met" if len(judged) else "no claim was judged"
    others = [verdict for verdict in Verdict if verdict not in (Verdict.MET, Verdict.MISSED)]
    counts = [f"{count} {verdict}" for verdict in others if (count := int((table["verdict"] == verdict).sum()))]
    return f"{text} ({', '.join(counts)})" if counts else text


def to_markdown(
    table: pd.DataFrame, studies: Mapping[str, Published], facts: str, figures: Mapping[str, str] | None = None
) -> str:
    """Write Markdown: a summary, then one section for each study, which ends with its `figures`."""
    parts = ["# Published results, run again", f"**{headline(table)}.** {_markdown(facts)}"]
    for name, published in studies.items():
        rows = table[table["study"] == name]
        if rows.empty:
            continue
        parts += [f"## {_markdown(name)}", _markdown(published.citation)]
        if published.found_out:
            parts.append(f"What had to be found out: {_markdown(published.found_out)}")
        parts.append(f"{headline(rows)}.")
        if warning := _stand_ins(rows):
            parts.append(f"**{_markdown(warning)}**")
        cells = [[_markdown(cell) for cell in _cells(row).values()] for row in rows.to_dict("records")]
        align = ["right" if column in NUMBERS else "left" for column in SHOWN]
        parts.append(tabulate(cells, headers=SHOWN, tablefmt="pipe", disable_numparse=True, colalign=align))
        if figures and figures.get(name):
            parts.append(figures[name])
    return "\n\n".join(parts) + "\n"


def _cells(row: Mapping[Any, Any]) -> dict[str, str]:
    """Return a row's texts in the order of SHOWN."""
    return {
        "claim": f"{row['claim']} ({row['note']})" if row["note"] else row["claim"],
        "published": row["published"],
        "ours": row["ours"],
        "difference": row["difference"],
        "allowed": row["allowed"],
        "verdict": row["verdict"],
        "seconds": f"{row['seconds']:.1f}",
        "again": f"`{row['command']}`",
    }


def _markdown(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _stand_ins(rows: pd.DataFrame) -> str:
    """Return the warning above rows that were run on other data than the published."""
    count = int((rows["verdict"] == Verdict.STAND_IN).sum())
    if not count:
        return ""
    return f"Another dataset stood in for the published one in {count} of {len(rows)} rows: their figures say nothing of it."


def to_html(
    table: pd.DataFrame, studies: Mapping[str, Published], facts: str, figures: Mapping[str, str] | None = None
) -> str:
    """Write one HTML page without scripts that loads nothing. All texts are escaped; `figures` are HTML for each study."""
    shown = {name: published for name, published in studies.items() if (table["study"] == name).any()}
    links = "".join(
        f'<li><a href="#{html.escape(name)}">{html.escape(name)}</a> '
        f"<span>{html.escape(headline(table[table['study'] == name]))}</span></li>"
        for name in shown
    )
    sections = "\n".join(
        _section(name, published, table[table["study"] == name], (figures or {}).get(name, ""))
        for name, published in shown.items()
    )
    main, _, rest = map(html.escape, headline(table).partition(" ("))
    return PAGE.substitute(headline=main, rest=rest.rstrip(")"), facts=html.escape(facts), links=links, body=sections)


def _section(name: str, published: Published, rows: pd.DataFrame, figures: str = "") -> str:
    found_out = (
        f'<p class="found"><b>What had to be found out.</b> {html.escape(published.found_out)}</p>'
        if published.found_out
        else ""
    )
    warning = f'<p class="warning">{html.escape(text)}</p>' if (text := _stand_ins(rows)) else ""
    heads = "".join(f'<th scope="col"{_number(column in NUMBERS)}>{column}</th>' for column in SHOWN)
    body = "\n".join(_row(row) for row in rows.to_dict("records"))
    return f"""<section id="{html.escape(name)}">
<h2>{html.escape(name)} <small>{html.escape(headline(rows))}</small></h2>
<p class="citation">{html.escape(published.citation)}</p>
{found_out}{warning}
<div class="wide" tabindex="0" role="region" aria-label="{html.escape(name)}"><table>
<thead><tr>{heads}</tr></thead>
<tbody>
{body}
</tbody></table></div>
{figures}
</section>"""


def _row(row: Mapping[Any, Any]) -> str:
    note = f'<div class="note">{html.escape(row["note"])}</div>' if row["note"] else ""
    verdict = html.escape(row["verdict"])
    text = {column: _lines(row[column]) for column in ("published", "ours", "difference", "allowed")}
    cells = [
        f'<th scope="row">{html.escape(row["claim"])}{note}</th>',
        f"<td{_kind(row['published'], not math.isnan(row['published_number']))}>{text['published']}</td>",
        f"<td{_kind(row['ours'], _is_short(row['ours']))}>{text['ours']}</td>",
        f"<td{_number(_is_short(row['difference']))}>{text['difference']}</td>",
        f'<td class="allowed">{text["allowed"]}</td>',
        f'<td><span class="verdict {verdict.replace(" ", "-")}">{verdict}</span></td>',
        f"<td{_number(True)}>{row['seconds']:.1f}</td>",
        f"<td><code>{_command(row['command'])}</code></td>",
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _lines(text: str) -> str:
    """Write an order with one line for each of its members."""
    return html.escape(text).replace(" &gt; ", "<br>&gt; ").replace(" &lt; ", "<br>&lt; ")


def _command(text: str) -> str:
    """Write a command so that lines break only between options, and copying gives the command itself."""
    first, *options = html.escape(text).split(" --")
    return " ".join(f"<span>{part}</span>" for part in (first, *(f"--{option}" for option in options)))


def _kind(text: str, is_number: bool) -> str:
    return ' class="order"' if " > " in text or " < " in text else _number(is_number)


def _number(is_one: bool) -> str:
    return ' class="number"' if is_one else ""


def _is_short(text: str) -> bool:
    """Tell whether a text is a single figure."""
    return len(text) <= 32 and not any(sign in text for sign in (">", "<", ",", "→", "pairs"))


PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>$headline</title>
<style>
:root {
  color-scheme: light dark;
  --page: #fbfbfa; --card: #ffffff; --ink: #1d2129; --soft: #5d6573; --line: #e2e4e9; --link: #2457c5;
  --met: #0f6b3a; --met-back: #dcf3e5; --missed: #8a4b00; --missed-back: #fdebd0;
  --bad: #a3161b; --bad-back: #fbe0e0; --calm: #4a5160; --calm-back: #eceef2;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14161a; --card: #1b1e24; --ink: #e6e8ec; --soft: #9aa3b2; --line: #2d323b; --link: #8ab0ff;
    --met: #7fdca4; --met-back: #153524; --missed: #f5bd6b; --missed-back: #3b2a10;
    --bad: #ff9d9d; --bad-back: #451a1d; --calm: #b4bcc9; --calm-back: #2a2f38;
  }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 100rem; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .25rem; }
h1 small { font-size: 1rem; } h2 small { font-size: .85rem; }
h1 small, h2 small { font-weight: 400; color: var(--soft); margin-left: .5rem; }
p { margin: .25rem 0 .75rem; max-width: 70rem; } .warning { max-width: none; }
.facts, .citation, li span { color: var(--soft); }
ul { padding-left: 1.1rem; margin: .75rem 0; }
a { color: var(--link); }
.warning { background: var(--bad-back); color: var(--bad); padding: .6rem .8rem; border-radius: 6px; font-weight: 600; }
.wide { overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; background: var(--card); }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { padding: .45rem .6rem; text-align: left; vertical-align: top; border-top: 1px solid var(--line); }
thead th { border-top: 0; color: var(--soft); font-weight: 600; white-space: nowrap; }
tbody th { font-weight: 400; min-width: 16rem; max-width: 30rem; }
td { max-width: 26rem; }
.allowed { white-space: nowrap; }
td.order { max-width: none; white-space: nowrap; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.note { color: var(--soft); font-size: .85em; }
.verdict { display: inline-block; padding: .05rem .5rem; border-radius: 999px; font-weight: 600; white-space: nowrap;
  color: var(--calm); background: var(--calm-back); }
.met { color: var(--met); background: var(--met-back); }
.missed { color: var(--missed); background: var(--missed-back); }
.failed, .stand-in { color: var(--bad); background: var(--bad-back); }
code { font: .85em/1.4 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
code span { white-space: nowrap; }
section section { margin: 1.5rem 0 0; } section section h2 { font-size: 1rem; margin: 0; }
img { max-width: 100%; height: auto; } .images { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; width: min-content; min-width: 7.5rem; } figcaption, .caption { color: var(--soft); font-size: .85em; }
</style>
</head>
<body>
<h1>$headline <small>$rest</small></h1>
<p class="facts">Published results, run again. $facts</p>
<ul>$links</ul>
$body
</body>
</html>
""")
