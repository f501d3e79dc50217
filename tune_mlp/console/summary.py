"""What a person sees when a study has ended: the best five, how they ended, where things lie and what to do next."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tune_mlp.console.board import STYLES
from tune_mlp.console.formatting import clock, count, described, score
from tune_mlp.records import TrialState
from tune_mlp.results.results import Results
from tune_mlp.results.storage import inside

TOP = 5


def best_line(results: Results) -> str:
    """The winner's row in one line."""
    best = results.best
    assert best is not None
    figures = [f"best_{results.metric} {score(results.metric, best[f'best_{results.metric}'])}"]
    figures += [f"{name} {figure}" for name, figure in tested(best).items()]
    return f"trial {best['trial']}  {'  '.join(figures)}  {described(results.params[int(best['trial'])])}"


def tested(row: pd.Series[Any]) -> dict[str, str]:
    """What a trial's test said, with the spread over seeds where there are several."""
    found: dict[str, str] = {}
    for name in row.index:
        if name.startswith("test_") and not name.endswith("_std") and pd.notna(row[name]):
            found[name] = _with_spread(row, name)
    return found


def _with_spread(row: pd.Series[Any], name: str) -> str:
    """A figure, and where there are several seeds how far they lie apart."""
    spread = row.get(f"{name}_std")
    return score(name, row[name]) + (f" ± {score(name, spread)}" if pd.notna(spread) else "")


def show_summary(console: Console, results: Results, csv: Path | None) -> None:
    """Print it."""
    console.print()
    console.print(Text(f"Best {min(TOP, len(results.ranked))} of {count(len(results.trials), 'trial')}", "bold"))
    console.print(top_table(results))
    console.print(_ends(results))
    best = results.best
    assert best is not None
    if scores := tested(best):
        figures = ", ".join(f"{name} {figure}" for name, figure in scores.items())
        anew = ", trained anew on all samples but these," if pd.notna(best.get("retrained_loss")) else ""
        console.print(Text(f"On the test set, once: trial {best['trial']}{anew} has {figures}", "bold"))
    if results.stand_in_for:
        dataset = results.trials.attrs["dataset"]
        console.print(Text(f"!!! Learnt on {dataset}, which STOOD IN for {results.stand_in_for}.", "bold red"))
    run = results.where
    again = (
        f"python -m tune_mlp.search --space {results.path / 'study.yaml'} --seed {results.manifest.get('seed', 0) + 1}"
    )
    lines = {
        "table": f"{csv or inside(run, 'trials.csv')}",
        "winner": f"{inside(run, 'best')} (model.pt, trial.json)",
        "all of it": f"{run}",
        "next": f"tune-mlp export {shlex.quote(str(run))} --to xlsx",
        "": f"{again}   # drawn anew",
    }
    console.print()
    for word, line in lines.items():
        console.print(Text(f"{word.strip():11}{line}"), soft_wrap=True)


def top_table(results: Results) -> Table:
    """The best trials, with the parameters that tell trials apart."""
    ranked = results.ranked.head(TOP)
    table = Table(
        box=SIMPLE_HEAD,
        padding=(0, 1),
        pad_edge=False,
    )
    for heading in ("trial", "state", "epochs"):
        table.add_column(heading, no_wrap=True)
    table.add_column(results.metric, style="bold green", no_wrap=True)
    table.add_column("parameters")
    for _, row in ranked.iterrows():
        params = results.params[int(row["trial"])]
        table.add_row(
            str(row["trial"]),
            Text(row["state"], STYLES[TrialState(row["state"])]),
            str(row["epochs"]),
            _with_spread(row, f"best_{results.metric}"),
            described({path: value for path, value in params.items() if _varies(results, path)}),
        )
    return table


def _varies(results: Results, path: str) -> bool:
    return len({repr(params.get(path)) for params in results.params.values()}) > 1 or len(results.params) == 1


def _ends(results: Results) -> Text:
    counts = results.trials["state"].value_counts()
    states = [Text(f"{counts[state]} {state}", STYLES[state]) for state in TrialState if state in counts]
    seconds = results.manifest.get("seconds")
    epochs = int(results.trials["epochs"].sum())
    took = f"; {count(epochs, 'epoch')}" + (f" in {clock(seconds)}" if seconds else "")
    return Text(", ").join(states) + Text(took)
