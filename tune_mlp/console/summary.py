"""The summary at the end of a study: the best five trials, how trials ended, what it took, and where the files are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from tune_mlp.command_line import command_line
from tune_mlp.console.board import STYLES, Display
from tune_mlp.console.formatting import clock, count, described, estimate_said, score
from tune_mlp.records import TrialState
from tune_mlp.results.answer import listed
from tune_mlp.results.results import Results
from tune_mlp.results.storage import inside

TOP = 5
"""How many trials the summary shows."""
MOST_ON_FRONT = 10
"""How many trials of the front it shows."""
NARROW = 72
"""A console of fewer columns shows a list in place of the table."""
START = ("data", "ray", "kernels", "folder", "workers")
"""The phases of a run before its first trial."""


def best_line(results: Results) -> str:
    """Write the winner's row in one line."""
    best = results.best
    assert best is not None
    figures = [f"best_{results.metric} {score(results.metric, best[f'best_{results.metric}'])}"]
    figures += [f"{name} {figure}" for name, figure in tested(best).items()]
    return f"trial {best['trial']}  {'  '.join(figures)}  {described(results.params[int(best['trial'])])}"


def tested(row: pd.Series[Any]) -> dict[str, str]:
    """Return a trial's figures on the test part, with their spread where there are several seeds."""
    found: dict[str, str] = {}
    for name in row.index:
        if name.startswith("test_") and not name.endswith("_std") and pd.notna(row[name]):
            found[name] = _with_spread(row, name)
    return found


def _with_spread(row: pd.Series[Any], name: str) -> str:
    """Write a figure, with its standard deviation over the seeds where there are several."""
    spread = row.get(f"{name}_std")
    return score(name, row[name]) + (f" ± {score(name, spread)}" if pd.notna(spread) else "")


def show_summary(console: Console, results: Results, csv: Path | None, answers: Sequence[str] = ()) -> None:
    """Print the summary, with lines of what else was found out about the trials."""
    show_trials(console, results)
    show_front(console, results)
    for line in _cost(results):
        console.print(Text(line), soft_wrap=True)
    if line := _baselines(results):
        console.print(Text(line), soft_wrap=True)
    show_test(console, results)
    for line in answers:
        console.print(Text(line), soft_wrap=True)
    if results.stand_in_for:
        show_stand_in(console, results.trials.attrs["dataset"], results.stand_in_for)
    run = results.where
    seed = results.manifest.get("seed", 0) + 1
    page = {"report": f"{inside(run, 'report.html')}"} if (results.path / "report.html").exists() else {}
    lines = {
        **page,
        "table": f"{csv or inside(run, 'trials.csv')}",
        "winner": f"{inside(run, 'best')} (model.pt, trial.json)",
        "run": f"{run}",
        "next": command_line("export", run, "--to", "xlsx"),
        "": f"{command_line('search', '--space', results.path / 'study.yaml', '--seed', seed)}   # other draws",
    }
    console.print()
    for word, line in lines.items():
        console.print(Text(f"{word:8}{line}"), soft_wrap=True)


def show_trials(console: Console, results: Results) -> None:
    """Print the best trials, and how all of them ended."""
    console.print()
    console.print(Text(f"Best {min(TOP, len(results.ranked))} of {count(len(results.trials), 'trial')}", "bold"))
    console.print(top_list(results) if console.width < NARROW else top_table(results))
    console.print(_ends(results))


def show_front(console: Console, results: Results) -> None:
    """Print the trials of the Pareto front with their goals, in a study that has several goals."""
    if not results.goals:
        return
    names, front = [goal.name for goal in results.goals], results.front
    heading = f"The front: {count(len(front), 'trial')} that no other one beats in {listed(names)} together"
    console.print()
    console.print(Text(heading, "bold"), soft_wrap=True)
    for _, row in front.head(MOST_ON_FRONT).iterrows():
        figures = "  ".join(f"{name} {_goal(row, name)}" for name in names)
        console.print(Text(f"  trial {row['trial']}  {figures}"), soft_wrap=True)
    if (more := len(front) - MOST_ON_FRONT) > 0:
        console.print(Text(f"  and {more} more; the column on_front of the table marks all"), soft_wrap=True)


def _goal(row: pd.Series[Any], name: str) -> str:
    """Write a trial's value of a goal."""
    value = row[f"best_{name}" if f"best_{name}" in row.index else name]
    return f"{int(value):,}" if name == "weights" else score(name, value)


def show_test(console: Console, results: Results) -> None:
    """Print what the winner reached on the test part, and how often that was looked at, if it is known."""
    best = results.best
    assert best is not None
    if scores := tested(best):
        figures = ", ".join(f"{name} {figure}" for name, figure in scores.items())
        looks = {0: "", 1: ", used once"}.get(results.looks, f", looked at {results.looks} times in all")
        line = f"On the test set{looks}: trial {best['trial']}{_anew(results, best)} has {figures}"
        console.print(Text(line, "bold"), soft_wrap=True)


def show_stand_in(console: Console, dataset: str, stand_in_for: str) -> None:
    """Print that other data were learnt than those that were asked for."""
    console.print(Text(f"!!! Trained on {dataset}, which STOOD IN for {stand_in_for}.", "bold red"))


def _anew(results: Results, best: pd.Series[Any]) -> str:
    """Say what was trained again in the winner's place, if anything was."""
    if pd.isna(best.get("retrained_loss")):
        return ""
    nets = int(results.study.get("retrain", 1))
    return f",{f' an average of {nets} nets' if nets > 1 else ''} trained again on all samples but the test part,"


def show_best_so_far(console: Console, display: Display) -> None:
    """Print the best trial of a search that was interrupted, if the display knows one."""
    board = getattr(display, "board", None)
    if board is None or board.best is None:
        return
    trial, value, params = board.best
    line = f"best so far: trial {trial}  best_{board.metric} {score(board.metric, value)}  {described(params)}"
    console.print(Text(line, "bold"), soft_wrap=True)


def top_table(results: Results) -> Table:
    """Return the best trials as a table, with the parameters that differ between trials."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for heading in ("trial", "state", "epochs"):
        table.add_column(heading, no_wrap=True)
    table.add_column(f"best_{results.metric}", style="bold green", no_wrap=True)
    table.add_column("parameters")
    for _, row in results.ranked.head(TOP).iterrows():
        table.add_row(
            str(row["trial"]),
            Text(row["state"], STYLES[TrialState(row["state"])]),
            str(row["epochs"]),
            _with_spread(row, f"best_{results.metric}"),
            _parameters(results, row),
        )
    return table


def top_list(results: Results) -> RenderableType:
    """Return the best trials as a list, for a console that is too narrow for the table."""
    lines: list[Text] = []
    for _, row in results.ranked.head(TOP).iterrows():
        figure = Text(f"best_{results.metric} {_with_spread(row, f'best_{results.metric}')}", "bold green")
        state = Text(row["state"], STYLES[TrialState(row["state"])])
        lines.append(Text(f"trial {row['trial']} ") + figure)
        lines.append(Text("  ") + state + Text(f" after {count(int(row['epochs']), 'epoch')}"))
        lines.append(Text(f"  {_parameters(results, row)}"))
    return Group(*lines)


def _parameters(results: Results, row: pd.Series[Any]) -> str:
    params = results.params[int(row["trial"])]
    return described({path: value for path, value in params.items() if _varies(results, path)})


def _varies(results: Results, path: str) -> bool:
    return len({repr(params.get(path)) for params in results.params.values()}) > 1 or len(results.params) == 1


def _ends(results: Results) -> Text:
    counts = results.trials["state"].value_counts()
    states = [Text(f"{counts[state]} {state}", STYLES[state]) for state in TrialState if state in counts]
    epochs = int(results.trials["epochs"].sum())
    return Text(", ").join(states) + Text(f"; {count(epochs, 'epoch')}")


def _baselines(results: Results) -> str:
    """Say what simple answers reach in the study's metric, or in its first score if that is a loss."""
    frame = results.baselines
    if frame.empty:
        return ""
    name = results.metric if results.metric in frame.columns else str(frame.columns[1])
    said = [f"{row['name']} {score(name, row[name])}" for _, row in frame.iterrows() if pd.notna(row.get(name))]
    return f"for comparison, {name} of {', of '.join(said)}" if said else ""


def _cost(results: Results) -> list[str]:
    """Say what start, trials and end took, and whether the time budget or a plateau ended the trials."""
    seconds, phases = results.manifest.get("seconds"), results.manifest.get("phases")
    if not seconds or not isinstance(phases, dict):
        return []
    start, trials = sum(phases.get(name, 0.0) for name in START), phases.get("trials", 0.0)
    end = max(0.0, seconds - start - trials)
    lines = [f"took {clock(seconds)}: start {clock(start)}, trials {clock(trials)}, test and end {clock(end)}"]
    budget, planned = results.study.get("time_budget"), results.study.get("trials")
    if isinstance(budget, int | float) and trials >= budget:
        never = (planned or 0) - len(results.trials)
        rest = f": {never:,} of {planned:,} trials never began" if never > 0 else ""
        lines.append(f"the time budget of {clock(budget)}, which counts the trials alone, ended the search{rest}")
    if isinstance(estimated := results.manifest.get("plateau"), dict):
        lines.append(estimate_said(estimated, results.metric))
    return lines
