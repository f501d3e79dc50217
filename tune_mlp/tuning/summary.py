"""What a person sees when a study has ended: the best five, how they ended, where things lie and what to do next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tune_mlp.records import TrialState
from tune_mlp.results.results import Results
from tune_mlp.tuning.progress import STYLES, clock, described, shown

TOP = 5


def best_line(results: Results) -> str:
    """The winner's row in one line."""
    best = results.best
    assert best is not None
    figures = [f"best_{results.metric} {best[f'best_{results.metric}']:.4f}"]
    figures += [f"{name} {best[name]:.4f}" for name in best.index if name.startswith("test_") and pd.notna(best[name])]
    return f"trial {best['trial']}  {'  '.join(figures)}  {described(results.params[int(best['trial'])])}"


def show_summary(console: Console, results: Results, csv: Path | None) -> None:
    """Print it."""
    console.print(top_table(results))
    console.print(_ends(results))
    best = results.best
    assert best is not None
    tested = {name: best[name] for name in best.index if name.startswith("test_") and pd.notna(best[name])}
    if tested:
        figures = ", ".join(f"{name} {value:.4f}" for name, value in tested.items())
        console.print(Text(f"On the test set, once: trial {best['trial']} has {figures}", "bold"))
    if results.stand_in_for:
        dataset = results.trials.attrs["dataset"]
        console.print(Text(f"!!! Learnt on {dataset}, which STOOD IN for {results.stand_in_for}.", "bold red"))
    console.print()
    run = results.path
    lines = Table.grid(padding=(0, 2))
    lines.add_row("table", f"{csv or run / 'trials.csv'}")
    lines.add_row("winner", f"{run / 'best'}  model.pt, trial.json")
    lines.add_row("all of it", f"{run}")
    lines.add_row("next", f"tune-mlp export {run} --to xlsx")
    lines.add_row("", f"python -m tune_mlp.search --space {run / 'study.yaml'} --seed 1   the same study, drawn anew")
    lines.add_row("", f'python -c "from tune_mlp import Results; print(Results.load({str(run)!r}).trials)"')
    console.print(lines, soft_wrap=True, highlight=False)


def top_table(results: Results) -> Table:
    """The best trials, and only the columns that tell them apart."""
    ranked = results.ranked.head(TOP)
    params = [results.params[int(trial)] for trial in ranked["trial"]]
    paths = [path for path in dict.fromkeys(path for each in params for path in each) if _varies(results, path)]
    table = Table(title=f"Best {len(ranked)} of {len(results.trials)} trials", title_justify="left", title_style="bold")
    for heading in ("trial", "state", "epochs"):
        table.add_column(heading)
    table.add_column(results.metric, style="bold green")
    for path in paths:
        table.add_column(path.split(".")[-1], overflow="fold")
    for (_, row), each in zip(ranked.iterrows(), params, strict=True):
        cells: list[Any] = [row["trial"], Text(row["state"], STYLES[TrialState(row["state"])]), row["epochs"]]
        cells.append(f"{row[f'best_{results.metric}']:.4f}")
        cells += [shown(each[path]) if path in each else "" for path in paths]
        table.add_row(*(cell if isinstance(cell, Text) else str(cell) for cell in cells))
    return table


def _varies(results: Results, path: str) -> bool:
    return len({repr(params.get(path)) for params in results.params.values()}) > 1 or len(results.params) == 1


def _ends(results: Results) -> Text:
    counts = results.trials["state"].value_counts()
    states = [Text(f"{counts[state]} {state}", STYLES[state]) for state in TrialState if state in counts]
    seconds = results.manifest.get("seconds")
    epochs = int(results.trials["epochs"].sum())
    took = f"; {epochs} epochs" + (f" in {clock(seconds)}" if seconds else "")
    return Text(", ").join(states) + Text(took)
